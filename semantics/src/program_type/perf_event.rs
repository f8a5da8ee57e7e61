//! `BPF_PROG_TYPE_PERF_EVENT`: runs when a performance counter overflows; its context is `struct bpf_perf_event_data`.

use super::context::layout::{PERF_EVENT_DATA, PERF_EVENT_DATA_LEN};
use super::context::{FieldAccess, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `pe_prog_is_valid_access`: whole registers, and the rest in any size, read-only.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::PerfEvent,
    PERF_EVENT_DATA_LEN,
    &const {
        Fields::new(&PERF_EVENT_DATA, FieldAccess::Exact(Size::Dw))
            .read(&["sample_period", "addr"], FieldAccess::UpTo(Size::Dw))
            .done()
    },
);
