//! Atomic operations on memory (RFC 9669 section 5.3), and the ordered loads and stores that Linux 6.15 added.
//!
//! Loads and stores of the processor are ordered as acquire and release want it. What it cannot do and fetch in one
//! instruction is tried with a compare-and-exchange until nobody interfered.

use semantics::insn::{AtomicOp, Insn, Size, Width};
use semantics::word::{Algebra, Convert};

use super::native;
use crate::x64::{AluOp, Inst, LockOp, Reg, encode};

/// Where R0 is put aside during a loop.
const RAX: Reg = Reg::R11;
/// What a loop tries to store.
const NEW: Reg = Reg::R10;

/// `*(size *)(dst + off) op= src`, the old value to a register where `fetch` says so.
#[inline(always)]
pub fn lower<A: Algebra>(op: AtomicOp, fetch: bool, size: Size, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let width = if size == Size::Dw { Width::W64 } else { Width::W32 };
    let (base, src) = (native(insn.dst), native(insn.src));
    let lock = |op| Inst::Lock { op, width, base, disp: insn.off.sx(), src };
    match (op, fetch) {
        (AtomicOp::Add, true) => out.push(lock(LockOp::Xadd)),
        (AtomicOp::Xchg, _) => out.push(lock(LockOp::Xchg)),
        (AtomicOp::Cmpxchg, _) => {
            out.push(lock(LockOp::Cmpxchg));
            if width == Width::W32 {
                // Where it succeeded, the processor left the upper half.
                out.push(Inst::MovRr { width, dst: Reg::Rax, src: Reg::Rax });
            }
        }
        (op, false) => out.push(lock(LockOp::Alu(operation(op)))),
        (op, true) => fetch_loop(operation(op), width, insn, out),
    }
}

/// `src = old value of *(dst + off)`, `*(dst + off) = old value op src`.
#[inline(never)]
fn fetch_loop<A: Algebra>(op: AluOp, width: Width, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let copy = |dst, src| Inst::MovRr { width: Width::W64, dst, src };
    // R0 lives where compare-and-exchange compares.
    let aside = |reg| if reg == Reg::Rax { RAX } else { reg };
    let (src, base, disp) = (native(insn.src), aside(native(insn.dst)), insn.off.sx());
    let size = if width == Width::W64 { Size::Dw } else { Size::W };
    out.extend([copy(RAX, Reg::Rax), Inst::Load { size, dst: Reg::Rax, base, disp: insn.off.sx() }]);
    let again = [
        copy(NEW, Reg::Rax),
        Inst::AluRr { op, width, dst: NEW, src: aside(src) },
        Inst::Lock { op: LockOp::Cmpxchg, width, base, disp, src: NEW },
    ];
    let bytes = again.iter().map(encode::len).sum::<usize>() as u8 + RETRY_LEN;
    out.extend(again);
    out.push(Inst::Retry { bytes });
    out.push(Inst::MovRr { width, dst: src, src: Reg::Rax });
    if src != Reg::Rax {
        out.push(copy(Reg::Rax, RAX));
    }
}

/// Bytes of [`Inst::Retry`].
const RETRY_LEN: u8 = 2;

#[inline(always)]
const fn operation(op: AtomicOp) -> AluOp {
    match op {
        AtomicOp::Add | AtomicOp::Xchg | AtomicOp::Cmpxchg => AluOp::Add,
        AtomicOp::Or => AluOp::Or,
        AtomicOp::And => AluOp::And,
        AtomicOp::Xor => AluOp::Xor,
    }
}
