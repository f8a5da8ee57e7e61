//! `BPF_PROG_TYPE_NETFILTER`: accepts or drops packets at a hook of netfilter; its context is `struct bpf_nf_ctx`.

use super::context::layout::{NF_CTX, NF_CTX_LEN};
use super::context::{FieldAccess, FieldKind, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `nf_is_valid_access`: two pointers, never NULL.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::Netfilter,
    NF_CTX_LEN,
    &const {
        Fields::new(&NF_CTX, FieldAccess::Exact(Size::Dw))
            .kind("state", FieldKind::Object("nf_hook_state"))
            .kind("skb", FieldKind::Object("sk_buff"))
            .done()
    },
);
