//! `BPF_PROG_TYPE_CGROUP_SKB`: passes or drops the packets of a cgroup; its context is `struct __sk_buff`.

use super::context::layout::SK_BUFF_LEN;
use super::context::{FieldAccess, sk_buff};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `cg_skb_is_valid_access`, as privileged users are checked.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::CgroupSkb,
    SK_BUFF_LEN,
    &const {
        sk_buff::fields()
            .deny(&["tc_classid", "data_meta", "wire_len"])
            .write(&["mark", "priority"], FieldAccess::Exact(Size::W))
            .write(&["tstamp"], FieldAccess::Exact(Size::Dw))
            .done()
    },
);
