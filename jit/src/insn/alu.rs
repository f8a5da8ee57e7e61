//! Arithmetic and logic: add, sub, and, or, xor, neg (RFC 9669 section 4.1).

use semantics::insn::{AluOp, Insn, Size, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::native;
use crate::x64::{self, Inst, Reg};

/// `dst = dst op source`.
#[inline(always)]
pub fn lower<A: Algebra>(op: AluOp, width: Width, source: Source, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let dst = native(insn.dst);
    match source {
        Source::K => lower_imm(op, width, dst, &insn.imm, out),
        // Nothing is left of a register: the 32-bit form clears all of it and is shorter.
        Source::X if insn.src == insn.dst && matches!(op, AluOp::Sub | AluOp::Xor) => out.push(zero(dst)),
        Source::X => out.push(Inst::AluRr { op: operation(op), width, dst, src: native(insn.src) }),
    }
}

#[inline(always)]
fn lower_imm<A: Algebra>(op: AluOp, width: Width, dst: Reg, imm: &A::W32, out: &mut Vec<Inst<A>>) {
    if op == AluOp::And {
        lower_mask(width, dst, imm, out);
    } else if imm.is_zero().decide() {
        same(width, dst, out);
    } else if matches!(op, AluOp::Add | AluOp::Sub) && imm.same(&A::W32::lit(128)).decide() {
        // The other way round it fits 8 bits.
        let inverse = if op == AluOp::Add { AluOp::Sub } else { AluOp::Add };
        out.push(Inst::AluRi { op: operation(inverse), width, dst, imm: imm.neg() });
    } else {
        out.push(Inst::AluRi { op: operation(op), width, dst, imm: imm.clone() });
    }
}

/// `dst &= imm`.
#[inline(always)]
pub(crate) fn lower_mask<A: Algebra>(width: Width, dst: Reg, imm: &A::W32, out: &mut Vec<Inst<A>>) {
    let is = |value| imm.same(&A::W32::lit(value)).decide();
    if imm.is_negative().decide() {
        if imm.same(&A::W32::ones()).decide() {
            same(width, dst, out);
        } else {
            out.push(Inst::AluRi { op: x64::AluOp::And, width, dst, imm: imm.clone() });
        }
    } else if is(0xff) {
        out.push(Inst::MovZxRr { size: Size::B, dst, src: dst });
    } else if is(0xffff) {
        out.push(Inst::MovZxRr { size: Size::H, dst, src: dst });
    } else if imm.is_zero().decide() {
        out.push(zero(dst));
    } else {
        // With a sign of 0 the upper half of the result is 0, as the 32-bit form leaves it.
        out.push(Inst::AluRi { op: x64::AluOp::And, width: Width::W32, dst, imm: imm.clone() });
    }
}

/// `dst = dst`: nothing, but a 32-bit operation still clears the upper half.
#[inline(always)]
pub(crate) fn same<A: Algebra>(width: Width, dst: Reg, out: &mut Vec<Inst<A>>) {
    if width == Width::W32 {
        out.push(Inst::MovRr { width, dst, src: dst });
    }
}

/// `dst = -dst`.
#[inline(always)]
pub fn lower_neg<A: Algebra>(width: Width, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    out.push(Inst::Neg { width, dst: native(insn.dst) });
}

/// `xor dst, dst`: shorter than a move, and flags hold nothing between instructions.
#[inline(always)]
pub(crate) fn zero<A: Algebra>(dst: Reg) -> Inst<A> {
    Inst::AluRr { op: x64::AluOp::Xor, width: Width::W32, dst, src: dst }
}

#[inline(always)]
pub(crate) const fn operation(op: AluOp) -> x64::AluOp {
    match op {
        AluOp::Add => x64::AluOp::Add,
        AluOp::Sub => x64::AluOp::Sub,
        AluOp::And => x64::AluOp::And,
        AluOp::Or => x64::AluOp::Or,
        AluOp::Xor => x64::AluOp::Xor,
    }
}
