//! Moves between registers and of 32-bit immediates (RFC 9669 section 4.1).

use semantics::insn::{Insn, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::alu::zero;
use super::native;
use crate::x64::Inst;

/// `dst = source`.
#[inline(always)]
pub fn lower<A: Algebra>(width: Width, source: Source, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let dst = native(insn.dst);
    match (source, width) {
        (Source::X, Width::W64) if insn.src == insn.dst => {}
        // 32 bits also of a register to itself: the upper half is cleared.
        (Source::X, _) => out.push(Inst::MovRr { width, dst, src: native(insn.src) }),
        (Source::K, _) if insn.imm.is_zero().decide() => out.push(zero(dst)),
        (Source::K, Width::W64) if insn.imm.is_negative().decide() => {
            out.push(Inst::MovSx { dst, imm: insn.imm.clone() });
        }
        (Source::K, _) => out.push(Inst::MovZx { dst, imm: insn.imm.clone() }),
    }
}
