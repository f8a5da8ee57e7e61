//! `BPF_PROG_TYPE_FLOW_DISSECTOR`: finds addresses, ports and protocols in a packet; its context is `struct __sk_buff`.

use super::context::layout::{SK_BUFF, SK_BUFF_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `flow_dissector_is_valid_access`: the packet and the keys, nothing else.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::FlowDissector,
    SK_BUFF_LEN,
    &const {
        Fields::new(&SK_BUFF, FieldAccess::Never)
            .pointer("data", Size::W, FieldKind::Packet)
            .pointer("data_end", Size::W, FieldKind::PacketEnd)
            .pointer("flow_keys", Size::Dw, FieldKind::FlowKeys)
            .done()
    },
);
