//! `struct __sk_buff`: what the programs that see socket buffers have in common.

use super::layout::SK_BUFF;
use super::{FieldAccess, FieldKind, Fields};
use crate::insn::Size;

/// How many fields it has.
pub const COUNT: usize = SK_BUFF.len();

/// Fields of the buffer's socket.
pub const SOCKET: &[&str] =
    &["family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port"];

/// Reads in any size up to 4 bytes, apart from addresses and packet pointers (exactly 4) and what has 8 bytes; only `cb`
/// may be written (`bpf_skb_is_valid_access`).
pub const fn fields() -> Fields<COUNT> {
    let (word, double) = (FieldAccess::Exact(Size::W), FieldAccess::Exact(Size::Dw));
    Fields::new(&SK_BUFF, FieldAccess::UpTo(Size::W))
        .read(&["remote_ip4", "local_ip4", "remote_ip6", "local_ip6"], word)
        .read(&["tstamp", "hwtstamp"], double)
        .read(&["cb"], FieldAccess::UpTo(Size::Dw))
        .write(&["cb"], FieldAccess::UpTo(Size::Dw))
        .pointer("data", Size::W, FieldKind::Packet)
        .pointer("data_end", Size::W, FieldKind::PacketEnd)
        .pointer("data_meta", Size::W, FieldKind::PacketMeta)
        .pointer("sk", Size::Dw, FieldKind::SockCommonOrNull)
        .kind("flow_keys", FieldKind::FlowKeys)
        .deny(&["flow_keys", "tstamp_type"])
}

/// Of light-weight tunnels (`lwt_is_valid_access`).
pub const fn lwt() -> Fields<COUNT> {
    fields()
        .deny(&["tc_classid", "data_meta", "tstamp", "wire_len", "hwtstamp"])
        .deny(SOCKET)
        .write(&["mark", "priority"], FieldAccess::Exact(Size::W))
}

/// Of classifiers and actions (`tc_cls_act_is_valid_access`).
pub const fn tc() -> Fields<COUNT> {
    fields()
        .deny(SOCKET)
        .read(&["tstamp_type"], FieldAccess::Exact(Size::B))
        .write(&["mark", "tc_index", "priority", "tc_classid", "queue_mapping"], FieldAccess::Exact(Size::W))
        .write(&["tstamp"], FieldAccess::Exact(Size::Dw))
}
