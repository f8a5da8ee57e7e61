//! `BPF_PROG_TYPE_XDP`: runs on each packet that a driver receives; its context is `struct xdp_md`.

use super::{ContextField, Declaration, FieldKind};

/// `xdp_is_valid_access`: data pointers as whole words, the rest as read-only numbers of exactly 4 bytes.
pub(super) static DECLARATION: Declaration = Declaration {
    name: "xdp",
    id: 6,
    sections: &["xdp"],
    context: "xdp_md",
    context_len: 24,
    fields: &[
        ContextField::packet("data", 0, FieldKind::Packet),
        ContextField::packet("data_end", 4, FieldKind::PacketEnd),
        ContextField::packet("data_meta", 8, FieldKind::PacketMeta),
        ContextField::packet("ingress_ifindex", 12, FieldKind::Scalar),
        ContextField::packet("rx_queue_index", 16, FieldKind::Scalar),
        // Readable only by programs attached to a device map, which set the attach type BPF_XDP_DEVMAP.
        ContextField::packet("egress_ifindex", 20, FieldKind::Scalar)
            .access(super::FieldAccess::Never, super::FieldAccess::Never),
    ],
    packet_write: true,
};
