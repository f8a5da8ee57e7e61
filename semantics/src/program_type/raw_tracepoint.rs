//! `BPF_PROG_TYPE_RAW_TRACEPOINT`: runs at a tracepoint, with its arguments as they are; its context is `struct bpf_raw_tracepoint_args`.

use super::context::args;
use super::context::layout::RAW_TRACEPOINT_ARGS_LEN;
use super::{Declaration, ProgramType};

/// `raw_tp_prog_is_valid_access`: any aligned read.
pub(super) static DECLARATION: Declaration =
    Declaration::new(ProgramType::RawTracepoint, RAW_TRACEPOINT_ARGS_LEN, &const { args::words().done() });
