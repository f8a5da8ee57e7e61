//! `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`: permits and changes the addresses that sockets of a cgroup use; its context is `struct bpf_sock_addr`.

use super::context::layout::{SOCK_ADDR, SOCK_ADDR_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{AttachType, Declaration, ProgramType};
use crate::insn::Size;

/// Attach types with an address of IPv4.
const INET4: &[AttachType] = &[
    AttachType::CgroupInet4Bind,
    AttachType::CgroupInet4Connect,
    AttachType::CgroupInet4Getpeername,
    AttachType::CgroupInet4Getsockname,
    AttachType::CgroupUdp4Sendmsg,
    AttachType::CgroupUdp4Recvmsg,
];

/// Attach types with an address of IPv6.
const INET6: &[AttachType] = &[
    AttachType::CgroupInet6Bind,
    AttachType::CgroupInet6Connect,
    AttachType::CgroupInet6Getpeername,
    AttachType::CgroupInet6Getsockname,
    AttachType::CgroupUdp6Sendmsg,
    AttachType::CgroupUdp6Recvmsg,
];

/// `sock_addr_is_valid_access`: addresses of the attach type's own family.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::CgroupSockAddr,
    SOCK_ADDR_LEN,
    &const {
        Fields::new(&SOCK_ADDR, FieldAccess::Exact(Size::W))
            .read(&["user_ip4", "user_port", "msg_src_ip4"], FieldAccess::UpTo(Size::W))
            .write(&["user_ip4", "user_port", "msg_src_ip4"], FieldAccess::Exact(Size::W))
            .read(&["user_ip6", "msg_src_ip6"], FieldAccess::UpTo(Size::Dw))
            .write(&["user_ip6", "msg_src_ip6"], FieldAccess::Between(Size::W, Size::Dw))
            .guard(&["user_ip4"], INET4)
            .guard(&["user_ip6"], INET6)
            .guard(&["msg_src_ip4"], &[AttachType::CgroupUdp4Sendmsg])
            .guard(&["msg_src_ip6"], &[AttachType::CgroupUdp6Sendmsg])
            .pointer("sk", Size::Dw, FieldKind::Sock)
            .done()
    },
);
