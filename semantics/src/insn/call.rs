//! Helper calls and exit (RFC 9669 section 4.3.1).

use super::{Flow, Insn, Machine};
use crate::word::Algebra;

/// `r0 = helper(r1, r2, r3, r4, r5)`; R1 to R5 are open afterwards, R6 to R10 keep their values.
#[inline(always)]
pub fn exec_helper<A: Algebra, M: Machine<A>>(insn: &Insn<A>, machine: &mut M) -> Result<Flow<A::Flag>, M::Fault> {
    machine.call_helper(&insn.imm)?;
    Ok(Flow::Next)
}
