//! Moves between registers and of 32-bit immediates (RFC 9669 section 4.1).

use super::{Insn, Machine, Source, Width, operand32, operand64};
use crate::word::Algebra;

/// `dst = source`; a 32-bit move zero-extends, also of a register to itself.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(width: Width, source: Source, insn: &Insn<A>, machine: &mut M) {
    let value = match width {
        Width::W64 => operand64(source, insn, machine),
        Width::W32 => A::zext(&operand32::<A, M>(source, insn, machine)),
    };
    machine.set_reg(insn.dst, value);
}
