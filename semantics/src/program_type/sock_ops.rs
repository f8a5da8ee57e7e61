//! `BPF_PROG_TYPE_SOCK_OPS`: is called by TCP where a connection changes; its context is `struct bpf_sock_ops`.

use super::context::layout::{SOCK_OPS, SOCK_OPS_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `sock_ops_is_valid_access`: whole fields; the reply and the hash may be written.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::SockOps,
    SOCK_OPS_LEN,
    &const {
        Fields::new(&SOCK_OPS, FieldAccess::Exact(Size::W))
            .read(&["bytes_received", "bytes_acked", "skb_hwtstamp"], FieldAccess::Exact(Size::Dw))
            .read(&["skb_tcp_flags"], FieldAccess::Start(Size::W))
            .write(&["reply", "sk_txhash"], FieldAccess::Exact(Size::W))
            .pointer("sk", Size::Dw, FieldKind::SockOrNull)
            .pointer("skb_data", Size::Dw, FieldKind::Packet)
            .pointer("skb_data_end", Size::Dw, FieldKind::PacketEnd)
            .shared(&["args", "replylong", "reply"])
            .done()
    },
);
