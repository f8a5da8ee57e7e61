//! `BPF_PROG_TYPE_SOCKET_FILTER`: says how many bytes of a packet a socket keeps; its context is `struct __sk_buff`.

use super::{ContextField, Declaration, FieldAccess, FieldKind};
use crate::insn::Size;

const NEVER: FieldAccess = FieldAccess::Never;

/// `sk_filter_is_valid_access`: numbers in any size up to 4 bytes; only `cb` may be written; no packet pointers.
pub(super) static DECLARATION: Declaration = Declaration {
    name: "socket_filter",
    id: 1,
    sections: &["socket"],
    context: "__sk_buff",
    context_len: 192,
    fields: &[
        ContextField::u32("len", 0),
        ContextField::u32("pkt_type", 4),
        ContextField::u32("mark", 8),
        ContextField::u32("queue_mapping", 12),
        ContextField::u32("protocol", 16),
        ContextField::u32("vlan_present", 20),
        ContextField::u32("vlan_tci", 24),
        ContextField::u32("vlan_proto", 28),
        ContextField::u32("priority", 32),
        ContextField::u32("ingress_ifindex", 36),
        ContextField::u32("ifindex", 40),
        ContextField::u32("tc_index", 44),
        ContextField::u32("cb", 48).len(20).access(FieldAccess::UpTo(Size::Dw), FieldAccess::UpTo(Size::Dw)),
        ContextField::u32("hash", 68),
        ContextField::u32("tc_classid", 72).access(NEVER, NEVER),
        ContextField::packet("data", 76, FieldKind::Packet).access(NEVER, NEVER),
        ContextField::packet("data_end", 80, FieldKind::PacketEnd).access(NEVER, NEVER),
        ContextField::u32("napi_id", 84),
        ContextField::u32("family", 88).access(NEVER, NEVER),
        ContextField::u32("remote_ip4", 92).access(NEVER, NEVER),
        ContextField::u32("local_ip4", 96).access(NEVER, NEVER),
        ContextField::u32("remote_ip6", 100).len(16).access(NEVER, NEVER),
        ContextField::u32("local_ip6", 116).len(16).access(NEVER, NEVER),
        ContextField::u32("remote_port", 132).access(NEVER, NEVER),
        ContextField::u32("local_port", 136).access(NEVER, NEVER),
        ContextField::packet("data_meta", 140, FieldKind::PacketMeta).access(NEVER, NEVER),
        ContextField::u32("flow_keys", 144).len(8).access(NEVER, NEVER),
        ContextField::u32("tstamp", 152).len(8).access(NEVER, NEVER),
        ContextField::u32("wire_len", 160).access(NEVER, NEVER),
        ContextField::u32("gso_segs", 164),
        ContextField::u32("sk", 168).len(8).access(NEVER, NEVER),
        ContextField::u32("gso_size", 176),
        ContextField::u32("tstamp_type", 180).len(1).access(NEVER, NEVER),
        ContextField::u32("hwtstamp", 184).len(8).access(NEVER, NEVER),
    ],
    packet_write: false,
};
