//! `BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE`: runs at a tracepoint whose first argument is a buffer that may be changed.

use super::context::layout::RAW_TRACEPOINT_ARGS_LEN;
use super::context::{FieldAccess, FieldKind, args};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `raw_tp_writable_prog_is_valid_access`: the first argument whole, the others by any aligned read. Parts of the
/// first, which Linux lets through as numbers, are refused: they are parts of an address.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::RawTracepointWritable,
    RAW_TRACEPOINT_ARGS_LEN,
    &const { args::typed(FieldAccess::UpTo(Size::Dw)).pointer("args[0]", Size::Dw, FieldKind::TracepointBuffer).done() },
);
