//! Loads and stores, plain and sign-extending (RFC 9669 sections 5.1 and 5.2).

use super::mov::sign_extend;
use super::{Flow, Insn, Machine, Size, Source, operand64};
use crate::word::{Algebra, Word};

/// `dst = *(size *)(src + off)`, zero-extended.
#[inline(always)]
pub fn exec_load<A: Algebra, M: Machine<A>>(
    size: Size,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    let addr = machine.reg(insn.src).add(&insn.displacement());
    let value = machine.load(size, &addr)?;
    machine.set_reg(insn.dst, value);
    Ok(Flow::Next)
}

/// `dst = *(signed size *)(src + off)`, sign-extended to 64 bits.
#[inline(always)]
pub fn exec_load_sx<A: Algebra, M: Machine<A>>(
    size: Size,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    let addr = machine.reg(insn.src).add(&insn.displacement());
    let value = machine.load(size, &addr)?;
    machine.set_reg(insn.dst, sign_extend::<A>(size, &value));
    Ok(Flow::Next)
}

/// `*(size *)(dst + off) = source`.
#[inline(always)]
pub fn exec_store<A: Algebra, M: Machine<A>>(
    size: Size,
    source: Source,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    let addr = machine.reg(insn.dst).add(&insn.displacement());
    let value = operand64(source, insn, machine);
    machine.store(size, &addr, &value)?;
    Ok(Flow::Next)
}
