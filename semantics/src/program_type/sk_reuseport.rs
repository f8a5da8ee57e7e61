//! `BPF_PROG_TYPE_SK_REUSEPORT`: selects one of the sockets that share a port; its context is `struct sk_reuseport_md`.

use super::context::layout::{SK_REUSEPORT_MD, SK_REUSEPORT_MD_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{AttachType, Declaration, ProgramType};
use crate::insn::Size;

/// `sk_reuseport_is_valid_access`: read-only; the packet may be read.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::SkReuseport,
    SK_REUSEPORT_MD_LEN,
    &const {
        Fields::new(&SK_REUSEPORT_MD, FieldAccess::UpTo(Size::W))
            .read(&["eth_protocol"], FieldAccess::Between(Size::H, Size::W))
            .read(&["hash"], FieldAccess::Exact(Size::W))
            .pointer("data", Size::Dw, FieldKind::Packet)
            .pointer("data_end", Size::Dw, FieldKind::PacketEnd)
            .pointer("sk", Size::Dw, FieldKind::Sock)
            .pointer("migrating_sk", Size::Dw, FieldKind::SockCommonOrNull)
            .done()
    },
)
.by_default(AttachType::SkReuseportSelect);
