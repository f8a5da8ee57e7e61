//! Helper calls and exit (RFC 9669 section 4.3.1).

use semantics::insn::Insn;
use semantics::word::Algebra;

use crate::x64::{Branch, Inst, Reg};

/// `r0 = helper(r1, ..., r5)`: R1 to R5 lie where the stub expects arguments, and so does the result.
#[inline(always)]
pub fn lower_helper<A: Algebra>(insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    out.push(Inst::MovZx { dst: Reg::R9, imm: insn.imm.clone() });
    out.push(Inst::Branch(Branch::Call));
}

/// Leaves the program: R0 already lies where the ABI returns it.
#[inline(always)]
pub fn lower_exit<A: Algebra>(out: &mut Vec<Inst<A>>) {
    out.push(Inst::Branch(Branch::Exit));
}
