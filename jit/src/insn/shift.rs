//! Shifts: lsh, rsh, arsh (RFC 9669 section 4.1). The processor, too, takes the amount modulo the width.

use semantics::insn::{Insn, ShiftOp, Source, Width};
use semantics::word::{Algebra, Convert};

use super::native;
use crate::x64::{self, Inst, Reg};

/// `dst = dst shifted by source`, for a processor with BMI2.
#[inline(always)]
pub fn lower<A: Algebra>(op: ShiftOp, width: Width, source: Source, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let (op, dst) = (operation(op), native(insn.dst));
    out.push(match source {
        Source::K => Inst::ShiftImm { op, width, dst, amount: insn.imm.zx() },
        Source::X => Inst::ShiftX { op, width, dst, src: dst, amount: native(insn.src) },
    });
}

/// The same for a processor without it: the amount has to be in `cl`.
#[inline(always)]
pub fn lower_without_bmi2<A: Algebra>(
    op: ShiftOp,
    width: Width,
    source: Source,
    insn: &Insn<A>,
    out: &mut Vec<Inst<A>>,
) {
    const KEPT: Reg = Reg::R11;
    if source == Source::K {
        return lower(op, width, source, insn, out);
    }
    let (op, dst, amount) = (operation(op), native(insn.dst), native(insn.src));
    let copy = |dst, src| Inst::MovRr { width: Width::W64, dst, src };
    if amount == Reg::Rcx {
        out.push(Inst::ShiftCl { op, width, dst });
    } else if dst == Reg::Rcx {
        out.extend([copy(KEPT, dst), copy(dst, amount), Inst::ShiftCl { op, width, dst: KEPT }, copy(dst, KEPT)]);
    } else {
        out.extend([copy(KEPT, Reg::Rcx), copy(Reg::Rcx, amount), Inst::ShiftCl { op, width, dst }]);
        out.push(copy(Reg::Rcx, KEPT));
    }
}

#[inline(always)]
const fn operation(op: ShiftOp) -> x64::ShiftOp {
    match op {
        ShiftOp::Lsh => x64::ShiftOp::Shl,
        ShiftOp::Rsh => x64::ShiftOp::Shr,
        ShiftOp::Arsh => x64::ShiftOp::Sar,
    }
}
