//! Shifts: lsh, rsh, arsh (RFC 9669 section 4.1). The amount is taken modulo the width.

use super::{Insn, Machine, Source, Width, operand32, operand64};
use crate::word::{Algebra, Word};

/// A shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShiftOp {
    /// To the left; zeros come in.
    Lsh,
    /// To the right; zeros come in.
    Rsh,
    /// To the right; copies of the sign bit come in.
    Arsh,
}

impl ShiftOp {
    /// All of them, in the order of their codes.
    pub const ALL: [ShiftOp; 3] = [ShiftOp::Lsh, ShiftOp::Rsh, ShiftOp::Arsh];

    /// `dst` shifted by `amount` modulo the width of the operands.
    ///
    /// ```
    /// use semantics::insn::ShiftOp;
    /// assert_eq!(ShiftOp::Arsh.apply(&0x8000_0000u32, &33), 0xc000_0000);
    /// ```
    #[inline(always)]
    pub fn apply<W: Word>(self, dst: &W, amount: &W) -> W {
        match self {
            ShiftOp::Lsh => dst.shl(amount),
            ShiftOp::Rsh => dst.lshr(amount),
            ShiftOp::Arsh => dst.ashr(amount),
        }
    }
}

/// `dst = dst shifted by source`; a 32-bit result is zero-extended.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(op: ShiftOp, width: Width, source: Source, insn: &Insn<A>, machine: &mut M) {
    let value = match width {
        Width::W64 => op.apply(machine.reg(insn.dst), &operand64(source, insn, machine)),
        Width::W32 => A::zext(&op.apply(&A::low(machine.reg(insn.dst)), &operand32::<A, M>(source, insn, machine))),
    };
    machine.set_reg(insn.dst, value);
}
