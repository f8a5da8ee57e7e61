//! `BPF_PROG_TYPE_SK_MSG`: says where a message that is sent through a socket in a sockmap goes; its context is `struct sk_msg_md`.

use super::context::layout::{SK_MSG_MD, SK_MSG_MD_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `sk_msg_is_valid_access`: whole fields, read-only; the message may be written.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::SkMsg,
    SK_MSG_MD_LEN,
    &const {
        Fields::new(&SK_MSG_MD, FieldAccess::Exact(Size::W))
            .pointer("data", Size::Dw, FieldKind::Packet)
            .pointer("data_end", Size::Dw, FieldKind::PacketEnd)
            .pointer("sk", Size::Dw, FieldKind::Sock)
            .done()
    },
)
.writes_packets();
