//! `BPF_PROG_TYPE_SK_SKB`: parses the stream of a socket in a sockmap into messages, or says where they go; its context is `struct __sk_buff`.

use super::context::layout::SK_BUFF_LEN;
use super::context::{FieldAccess, sk_buff};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `sk_skb_is_valid_access`; the packet may be written.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::SkSkb,
    SK_BUFF_LEN,
    &const {
        sk_buff::fields()
            .deny(&["tc_classid", "data_meta", "tstamp", "wire_len", "hwtstamp", "mark"])
            .write(&["cb"], FieldAccess::Never)
            .write(&["tc_index", "priority"], FieldAccess::Exact(Size::W))
            .done()
    },
)
.writes_packets();
