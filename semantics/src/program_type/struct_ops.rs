//! `BPF_PROG_TYPE_STRUCT_OPS`: is a method of a structure of functions of the kernel; its context is an array of arguments.

use super::context::layout::RAW_TRACEPOINT_ARGS_LEN;
use super::context::{FieldAccess, args};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `btf_ctx_access`: what each argument is depends on the target. Up to 12 of them can be read, each at its first byte.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::StructOps,
    RAW_TRACEPOINT_ARGS_LEN,
    &const { args::typed(FieldAccess::Start(Size::Dw)).done() },
);
