//! Contexts that are no structure: arguments, and plain memory.

use super::layout::{RAW_TRACEPOINT_ARGS, RAW_TRACEPOINT_ARGS_LEN, Row};
use super::{ContextField, FieldAccess, FieldKind, Fields};
use crate::insn::Size;

/// Bytes of the largest record of a tracepoint (`PERF_MAX_TRACE_SIZE`).
pub const RECORD_LEN: u32 = 8192;
/// Bytes of the largest argument of `BPF_PROG_TEST_RUN` that a `syscall` program can be given (`U16_MAX`).
pub const MEMORY_LEN: u32 = 65_535;

/// Arguments that a traced function can have (`MAX_BPF_FUNC_ARGS`).
const ARGS: usize = (RAW_TRACEPOINT_ARGS_LEN / 8) as usize;

/// Arguments of 8 bytes each, read-only, as words.
pub const fn words() -> Fields<1> {
    Fields::new(&RAW_TRACEPOINT_ARGS, FieldAccess::UpTo(Size::Dw))
}

/// The same as fields of their own. A pointer to an object of the kernel is a number here that leads nowhere.
pub const fn typed(read: FieldAccess) -> Fields<ARGS> {
    let names = [
        "args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]", "args[6]", "args[7]", "args[8]", "args[9]",
        "args[10]", "args[11]",
    ];
    let (_, offset, len, element) = RAW_TRACEPOINT_ARGS[0];
    let mut rows = [("", 0, 0, 0); ARGS];
    let mut at = 0;
    while at < rows.len() {
        rows[at] = (names[at], offset + at as u32 * element, element, element);
        at += 1;
    }
    assert!(len == rows.len() as u32 * element);
    Fields::new(&rows, read)
}

/// Plain memory of `len` bytes, as elements of each size, so that an input can set any of them.
pub const fn memory(len: u32, read: FieldAccess) -> Fields<4> {
    const fn row(name: &'static str, len: u32, element: u32) -> Row {
        (name, 0, len / element * element, element)
    }
    let rows = [row("u64", len, 8), row("u32", len, 4), row("u16", len, 2), row("u8", len, 1)];
    Fields::new(&rows, read).shared(&["u64", "u32", "u16", "u8"])
}

/// Bytes that the context of another program may have.
pub const TARGET_LEN: u32 = 4096;

/// The context of a program that is not known.
pub const fn target() -> ContextField {
    let field = ContextField::hidden(("target", 0, TARGET_LEN, TARGET_LEN));
    let any = FieldAccess::UpTo(Size::Dw);
    ContextField { read: any, write: any, kind: FieldKind::Target, ..field }
}
