//! `BPF_PROG_TYPE_SCHED_ACT`: acts on a packet in traffic control; its context is `struct __sk_buff`.

use super::context::layout::SK_BUFF_LEN;
use super::context::sk_buff;
use super::{Declaration, ProgramType};

/// `tc_cls_act_is_valid_access`; the packet may be written.
pub(super) static DECLARATION: Declaration =
    Declaration::new(ProgramType::SchedAct, SK_BUFF_LEN, &const { sk_buff::tc().done() }).writes_packets();
