//! Moves between registers, of 32-bit immediates, and with sign extension (RFC 9669 section 4.1).

use semantics::insn::{Insn, Size, Source, Width};
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

/// `dst = (signed of size from)src`.
#[inline(always)]
pub fn lower_sx<A: Algebra>(from: Size, width: Width, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    out.push(Inst::MovSxRr { size: from, width, dst: native(insn.dst), src: native(insn.src) });
}
