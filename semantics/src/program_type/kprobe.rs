//! `BPF_PROG_TYPE_KPROBE`: runs where a function of the kernel or of a process is entered, left, or at any instruction; its context is `struct pt_regs`.

use super::context::layout::{PT_REGS, PT_REGS_LEN};
use super::context::{FieldAccess, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `kprobe_prog_is_valid_access`: all of the registers, in any size, read-only.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::Kprobe,
    PT_REGS_LEN,
    &const { Fields::new(&PT_REGS, FieldAccess::UpTo(Size::Dw)).done() },
);
