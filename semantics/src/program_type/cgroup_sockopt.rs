//! `BPF_PROG_TYPE_CGROUP_SOCKOPT`: permits and changes socket options; its context is `struct bpf_sockopt`.

use super::context::layout::{SOCKOPT, SOCKOPT_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{AttachType, Declaration, ProgramType};
use crate::insn::Size;

/// `cg_sockopt_is_valid_access`: whole fields; the option's value is a packet, which may be written.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::CgroupSockopt,
    SOCKOPT_LEN,
    &const {
        Fields::new(&SOCKOPT, FieldAccess::Exact(Size::W))
            .write(&["level", "optname", "optlen", "retval"], FieldAccess::Exact(Size::W))
            .write_guard(&["level", "optname"], &[AttachType::CgroupSetsockopt])
            .guard(&["retval"], &[AttachType::CgroupGetsockopt])
            .pointer("sk", Size::Dw, FieldKind::Sock)
            .pointer("optval", Size::Dw, FieldKind::Packet)
            .pointer("optval_end", Size::Dw, FieldKind::PacketEnd)
            .done()
    },
)
.writes_packets();
