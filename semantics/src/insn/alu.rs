//! Arithmetic and logic: add, sub, and, or, xor, neg (RFC 9669 section 4.1).

use super::{Insn, Machine, Source, Width, operand32, operand64};
use crate::word::{Algebra, Word};

/// A two-operand operation of this room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AluOp {
    Add,
    Sub,
    And,
    Or,
    Xor,
}

impl AluOp {
    /// All of them, in the order of their codes.
    pub const ALL: [AluOp; 5] = [AluOp::Add, AluOp::Sub, AluOp::Or, AluOp::And, AluOp::Xor];

    /// `dst op src` at the width of the operands.
    ///
    /// ```
    /// use semantics::insn::AluOp;
    /// assert_eq!(AluOp::Sub.apply(&1u32, &2), u32::MAX);
    /// ```
    #[inline(always)]
    pub fn apply<W: Word>(self, dst: &W, src: &W) -> W {
        match self {
            AluOp::Add => dst.add(src),
            AluOp::Sub => dst.sub(src),
            AluOp::And => dst.and(src),
            AluOp::Or => dst.or(src),
            AluOp::Xor => dst.xor(src),
        }
    }
}

/// `dst = dst op source`; a 32-bit result is zero-extended.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(op: AluOp, width: Width, source: Source, insn: &Insn<A>, machine: &mut M) {
    let value = match width {
        Width::W64 => op.apply(machine.reg(insn.dst), &operand64(source, insn, machine)),
        Width::W32 => A::zext(&op.apply(&A::low(machine.reg(insn.dst)), &operand32::<A, M>(source, insn, machine))),
    };
    machine.set_reg(insn.dst, value);
}

/// `dst = -dst`; a 32-bit result is zero-extended.
#[inline(always)]
pub fn exec_neg<A: Algebra, M: Machine<A>>(width: Width, insn: &Insn<A>, machine: &mut M) {
    let dst = machine.reg(insn.dst);
    let value = match width {
        Width::W64 => dst.neg(),
        Width::W32 => A::zext(&A::low(dst).neg()),
    };
    machine.set_reg(insn.dst, value);
}
