//! Loads and stores, plain and sign-extending (RFC 9669 sections 5.1 and 5.2).

use semantics::insn::{Insn, Size, Source};
use semantics::word::{Algebra, Convert};

use super::native;
use crate::x64::Inst;

/// `dst = *(size *)(src + off)`, zero-extended.
#[inline(always)]
pub fn lower_load<A: Algebra>(size: Size, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    out.push(Inst::Load { size, dst: native(insn.dst), base: native(insn.src), disp: insn.off.sx() });
}

/// `dst = *(signed size *)(src + off)`, sign-extended.
#[inline(always)]
pub fn lower_load_sx<A: Algebra>(size: Size, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    out.push(Inst::LoadSx { size, dst: native(insn.dst), base: native(insn.src), disp: insn.off.sx() });
}

/// `*(size *)(dst + off) = source`.
#[inline(always)]
pub fn lower_store<A: Algebra>(size: Size, source: Source, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let (base, disp) = (native(insn.dst), insn.off.sx());
    out.push(match source {
        Source::K => Inst::StoreImm { size, base, disp, imm: insn.imm.clone() },
        Source::X => Inst::Store { size, base, disp, src: native(insn.src) },
    });
}
