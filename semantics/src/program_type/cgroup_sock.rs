//! `BPF_PROG_TYPE_CGROUP_SOCK`: permits sockets of a cgroup; its context is `struct bpf_sock`.

use super::context::layout::{Row, SOCK, SOCK_LEN};
use super::context::{FieldAccess, Fields, row, with};
use super::{AttachType, Declaration, ProgramType};
use crate::insn::Size;

const FIELDS: usize = SOCK.len();

/// The port with the padding behind it: it once had 4 bytes, and may still be read so.
const WIDE_PORT: Row = ("dst_port, wide", row(&SOCK, "dst_port").1, 4, 4);

/// `sock_filter_is_valid_access`: options where sockets are made, addresses after they were bound.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::CgroupSock,
    SOCK_LEN,
    &const {
        Fields::new(&with::<FIELDS, { FIELDS + 1 }>(&SOCK, WIDE_PORT), FieldAccess::UpTo(Size::W))
            .read(&["state", "family", "type", "protocol", "src_port", "rx_queue_mapping"], FieldAccess::Start(Size::W))
            .read(&["bound_dev_if", "mark", "priority", WIDE_PORT.0], FieldAccess::Exact(Size::W))
            .read(&["dst_port"], FieldAccess::UpTo(Size::H))
            .write(&["bound_dev_if", "mark", "priority"], FieldAccess::Exact(Size::W))
            .guard(
                &["bound_dev_if", "mark", "priority"],
                &[AttachType::CgroupInetSockCreate, AttachType::CgroupInetSockRelease],
            )
            .guard(&["src_ip4"], &[AttachType::CgroupInet4PostBind])
            .guard(&["src_ip6"], &[AttachType::CgroupInet6PostBind])
            .guard(&["src_port"], &[AttachType::CgroupInet4PostBind, AttachType::CgroupInet6PostBind])
            .shared(&["dst_port", WIDE_PORT.0])
            .done()
    },
)
.by_default(AttachType::CgroupInetSockCreate);
