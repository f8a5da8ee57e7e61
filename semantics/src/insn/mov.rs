//! Moves between registers, of 32-bit immediates, and with sign extension (RFC 9669 section 4.1).

use super::{Insn, Machine, Size, Source, Width, operand32, operand64};
use crate::word::{Algebra, Convert};

/// `dst = source`; a 32-bit move zero-extends, also of a register to itself.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(width: Width, source: Source, insn: &Insn<A>, machine: &mut M) {
    let value = match width {
        Width::W64 => operand64(source, insn, machine),
        Width::W32 => A::zext(&operand32::<A, M>(source, insn, machine)),
    };
    machine.set_reg(insn.dst, value);
}

/// `dst = (signed of size from)src`: the low bytes sign-extended to `width`, and a 32-bit result zero-extended from there.
#[inline(always)]
pub fn exec_sx<A: Algebra, M: Machine<A>>(from: Size, width: Width, insn: &Insn<A>, machine: &mut M) {
    let wide = sign_extend::<A>(from, machine.reg(insn.src));
    let value = match width {
        Width::W64 => wide,
        Width::W32 => A::zext(&A::low(&wide)),
    };
    machine.set_reg(insn.dst, value);
}

/// The low bytes of `value`, sign-extended.
#[inline(always)]
pub(super) fn sign_extend<A: Algebra>(from: Size, value: &A::W64) -> A::W64 {
    match from {
        Size::B => Convert::<A::W8>::zx(value).sx(),
        Size::H => Convert::<A::W16>::zx(value).sx(),
        Size::W => A::low(value).sx(),
        Size::Dw => value.clone(),
    }
}
