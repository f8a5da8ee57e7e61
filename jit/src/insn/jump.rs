//! Conditional and unconditional jumps (RFC 9669 section 4.3).

use semantics::insn::{Cond, Insn, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::native;
use crate::x64::{AluOp, Branch, Cc, Inst};

/// `if dst cond source goto off`: flags, then the branch that reads them.
#[inline(always)]
pub fn lower<A: Algebra>(cond: Cond, width: Width, source: Source, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let (op, cc) = condition(cond);
    let dst = native(insn.dst);
    out.push(match source {
        Source::X => Inst::AluRr { op, width, dst, src: native(insn.src) },
        // Both leave CF and OF clear, ZF and SF as `dst` is.
        Source::K if op == AluOp::Cmp && insn.imm.is_zero().decide() => {
            Inst::AluRr { op: AluOp::Test, width, dst, src: dst }
        }
        // The sign of the immediate clears the upper half of what is tested.
        Source::K if op == AluOp::Test && width == Width::W64 && !insn.imm.is_negative().decide() => {
            Inst::AluRi { op, width: Width::W32, dst, imm: insn.imm.clone() }
        }
        Source::K => Inst::AluRi { op, width, dst, imm: insn.imm.clone() },
    });
    out.push(Inst::Branch(Branch::Jcc(cc)));
}

/// `goto off`, `gotol imm`.
#[inline(always)]
pub fn lower_always<A: Algebra>(out: &mut Vec<Inst<A>>) {
    out.push(Inst::Branch(Branch::Jmp));
}

/// The instruction that sets the flags, and the condition on them.
#[inline(always)]
pub(crate) const fn condition(cond: Cond) -> (AluOp, Cc) {
    match cond {
        Cond::Eq => (AluOp::Cmp, Cc::E),
        Cond::Ne => (AluOp::Cmp, Cc::Ne),
        Cond::Gt => (AluOp::Cmp, Cc::A),
        Cond::Ge => (AluOp::Cmp, Cc::Ae),
        Cond::Lt => (AluOp::Cmp, Cc::B),
        Cond::Le => (AluOp::Cmp, Cc::Be),
        Cond::Sgt => (AluOp::Cmp, Cc::G),
        Cond::Sge => (AluOp::Cmp, Cc::Ge),
        Cond::Slt => (AluOp::Cmp, Cc::L),
        Cond::Sle => (AluOp::Cmp, Cc::Le),
        Cond::Set => (AluOp::Test, Cc::Ne),
    }
}
