//! `BPF_PROG_TYPE_TRACEPOINT`: runs at a tracepoint; its context is the record that the tracepoint would log.

use super::context::{FieldAccess, args};
use super::{Declaration, ProgramType};

/// `tp_prog_is_valid_access`: any aligned read behind the first word, which belongs to the kernel.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::Tracepoint,
    args::RECORD_LEN,
    &const { args::memory(args::RECORD_LEN, FieldAccess::Behind(8)).done() },
);
