//! `BPF_PROG_TYPE_XDP`: runs on each packet that a driver receives; its context is `struct xdp_md`.

use super::context::layout::{XDP_MD, XDP_MD_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{AttachType, Declaration, ProgramType};
use crate::insn::Size;

/// `xdp_is_valid_access`: whole words, read-only; the packet may be written. Where the packet goes is known only behind a device map.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::Xdp,
    XDP_MD_LEN,
    &const {
        Fields::new(&XDP_MD, FieldAccess::Exact(Size::W))
            .kind("data", FieldKind::Packet)
            .kind("data_end", FieldKind::PacketEnd)
            .kind("data_meta", FieldKind::PacketMeta)
            .guard(&["egress_ifindex"], &[AttachType::XdpDevmap])
            .done()
    },
)
.writes_packets();
