//! Multiplication, division and modulo, unsigned and signed (RFC 9669 section 4.1).
//!
//! Nothing faults: a quotient by 0 is 0, a remainder by 0 is the dividend, and the minimum divided by -1 is itself with
//! remainder 0.

use super::{Insn, Machine, Source, Width, operand32, operand64};
use crate::word::{Algebra, Word};

/// An operation of this room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MulDivOp {
    /// Product modulo 2^width.
    Mul,
    /// Unsigned quotient.
    Div,
    /// Unsigned remainder.
    Mod,
    /// Signed quotient, truncated towards 0.
    Sdiv,
    /// Signed remainder, with the sign of the dividend.
    Smod,
}

impl MulDivOp {
    /// All of them, in the order of their codes.
    pub const ALL: [MulDivOp; 5] = [MulDivOp::Mul, MulDivOp::Div, MulDivOp::Sdiv, MulDivOp::Mod, MulDivOp::Smod];

    /// `dst op src` at the width of the operands.
    ///
    /// ```
    /// use semantics::insn::MulDivOp;
    /// assert_eq!(MulDivOp::Sdiv.apply(&0x8000_0000u32, &u32::MAX), 0x8000_0000);
    /// assert_eq!(MulDivOp::Div.apply(&7u64, &0), 0);
    /// assert_eq!(MulDivOp::Smod.apply(&(-7i64 as u64), &2), -1i64 as u64);
    /// ```
    #[inline(always)]
    pub fn apply<W: Word>(self, dst: &W, src: &W) -> W {
        let unless_zero = |quotient: W| W::select(&src.is_zero(), &W::lit(0), &quotient);
        match self {
            MulDivOp::Mul => dst.mul(src),
            MulDivOp::Div => unless_zero(dst.udiv(src)),
            MulDivOp::Sdiv => unless_zero(dst.sdiv(src)),
            // SMT-LIB's remainders by 0 are the RFC's.
            MulDivOp::Mod => dst.urem(src),
            MulDivOp::Smod => dst.srem(src),
        }
    }
}

/// `dst = dst op source`; a 32-bit result is zero-extended, also that of a remainder by 0.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(op: MulDivOp, width: Width, source: Source, insn: &Insn<A>, machine: &mut M) {
    let value = match width {
        Width::W64 => op.apply(machine.reg(insn.dst), &operand64(source, insn, machine)),
        Width::W32 => A::zext(&op.apply(&A::low(machine.reg(insn.dst)), &operand32::<A, M>(source, insn, machine))),
    };
    machine.set_reg(insn.dst, value);
}
