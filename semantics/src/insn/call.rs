//! Calls of helpers, of subprograms and of kernel functions, and exit (RFC 9669 section 4.3.1).

use super::{Flow, Insn, Machine};
use crate::word::Algebra;

/// `r0 = helper(r1, ..., r5)`; R1 to R5 are open afterwards, R6 to R10 keep their values. A tail call that finds a program
/// goes on in it.
#[inline(always)]
pub fn exec_helper<A: Algebra, M: Machine<A>>(insn: &Insn<A>, machine: &mut M) -> Result<Flow<A::Flag>, M::Fault> {
    Ok(Flow::Tail(machine.call_helper(&insn.imm)?))
}

/// `r0 = function(r1, ..., r5)`, the kernel function with the BTF number `imm`.
#[inline(always)]
pub fn exec_kfunc<A: Algebra, M: Machine<A>>(insn: &Insn<A>, machine: &mut M) -> Result<Flow<A::Flag>, M::Fault> {
    machine.call_kfunc(&insn.imm)?;
    Ok(Flow::Next)
}

/// `r0 = subprogram(r1, ..., r5)`, the one that begins `imm` slots behind the next instruction, with a frame of its own.
/// Its exit brings back R6 to R10; what it leaves in R1 to R5 stays.
#[inline(always)]
pub fn exec_local<A: Algebra>() -> Flow<A::Flag> {
    Flow::Call
}
