//! The 64-bit immediate, two slots long (RFC 9669 section 5.4).

use semantics::insn::wide::value;
use semantics::insn::{Insn, Wide};
use semantics::word::{Algebra, Flag, Word};

use super::alu::zero;
use super::native;
use crate::x64::Inst;

/// `dst = constant`, in the shortest form that holds it; only of kinds whose constant is known without a world.
#[inline(always)]
pub fn lower<A: Algebra>(kind: Wide, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let dst = native(insn.dst);
    let Some(value) = value(kind, insn) else { unreachable!("{kind:?} has no rule") };
    let low = A::low(&value);
    out.push(if value.is_zero().decide() {
        zero(dst)
    } else if A::zext(&low).same(&value).decide() {
        Inst::MovZx { dst, imm: low }
    } else if A::sext(&low).same(&value).decide() {
        Inst::MovSx { dst, imm: low }
    } else {
        Inst::MovAbs { dst, imm: value }
    });
}
