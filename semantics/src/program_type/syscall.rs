//! `BPF_PROG_TYPE_SYSCALL`: is run by `BPF_PROG_TEST_RUN` only and may sleep; its context is memory that the caller gives.

use super::context::{FieldAccess, args};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `syscall_prog_is_valid_access`: any aligned access.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::Syscall,
    args::MEMORY_LEN,
    &const {
        args::memory(args::MEMORY_LEN, FieldAccess::UpTo(Size::Dw))
            .write(&["u64", "u32", "u16", "u8"], FieldAccess::UpTo(Size::Dw))
            .done()
    },
);
