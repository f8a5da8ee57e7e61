//! Conditional and unconditional jumps (RFC 9669 section 4.3).

use super::{Flow, Insn, Machine, Source, Width, operand32, operand64};
use crate::word::{Algebra, Flag, Word};

/// The condition of a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Sgt,
    Sge,
    Slt,
    Sle,
    Set,
}

impl Cond {
    /// All of them.
    pub const ALL: [Cond; 11] = [
        Cond::Eq,
        Cond::Ne,
        Cond::Gt,
        Cond::Ge,
        Cond::Lt,
        Cond::Le,
        Cond::Sgt,
        Cond::Sge,
        Cond::Slt,
        Cond::Sle,
        Cond::Set,
    ];

    /// Whether `dst cond src` holds at the width of the operands.
    ///
    /// ```
    /// use semantics::insn::Cond;
    /// assert!(Cond::Sgt.holds(&1u32, &u32::MAX));
    /// assert!(!Cond::Gt.holds(&1u32, &u32::MAX));
    /// ```
    #[inline(always)]
    pub fn holds<W: Word>(self, dst: &W, src: &W) -> W::Flag {
        match self {
            Cond::Eq => dst.same(src),
            Cond::Ne => dst.differs(src),
            Cond::Gt => src.ult(dst),
            Cond::Ge => src.ule(dst),
            Cond::Lt => dst.ult(src),
            Cond::Le => dst.ule(src),
            Cond::Sgt => src.slt(dst),
            Cond::Sge => src.sle(dst),
            Cond::Slt => dst.slt(src),
            Cond::Sle => dst.sle(src),
            Cond::Set => dst.and(src).is_zero().not(),
        }
    }
}

/// `if dst cond source goto off`.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(
    cond: Cond,
    width: Width,
    source: Source,
    insn: &Insn<A>,
    machine: &M,
) -> Flow<A::Flag> {
    Flow::Branch(match width {
        Width::W64 => cond.holds(machine.reg(insn.dst), &operand64(source, insn, machine)),
        Width::W32 => cond.holds(&A::low(machine.reg(insn.dst)), &operand32::<A, M>(source, insn, machine)),
    })
}

/// `goto off`, `gotol imm`.
#[inline(always)]
pub fn exec_always<A: Algebra>() -> Flow<A::Flag> {
    Flow::Branch(A::Flag::lit(true))
}
