//! Byte order of scalars (kernel: `check_alu_op`, `scalar_byte_swap`).

use super::{readable, writable};
use crate::domain::Domain;
use crate::env::Env;
use crate::refusal::Stop;
use crate::scalar::Scalar;
use crate::state::{Kind, RegState, State};
use crate::tnum::Tnum;
use semantics::insn::{Insn, Order, Size};
use semantics::word::Algebra;

/// What the low `size` bytes of `dst` in this order may be.
///
/// ```
/// use semantics::insn::{Order, Size};
/// use semantics::word::Concrete;
/// use verifier::{Domain, insn::endian, scalar::Scalar};
/// let byte = Scalar::<Concrete>::of_bits(8);
/// assert_eq!(endian::transfer(Order::Be, Size::H, &Domain::V7_2, &byte).umax, 0xff00);
/// assert_eq!(endian::transfer(Order::Be, Size::H, &Domain::V6_8, &byte).umax, u64::MAX);
/// ```
pub fn transfer<A: Algebra>(order: Order, size: Size, domain: &Domain, dst: &Scalar<A>) -> Scalar<A> {
    if !domain.byte_swaps {
        return Scalar::unknown();
    }
    let swapped = if order == Order::Le { dst.clone() } else { swapped(size, dst) };
    match size {
        Size::Dw => swapped.sync_in(domain),
        _ => swapped.cut_to(size, domain),
    }
}

/// The low `size` bytes of `dst` in opposite order; what was above them is lost, and nothing is known but bits.
pub fn swapped<A: Algebra>(size: Size, dst: &Scalar<A>) -> Scalar<A> {
    let bits = &dst.var_off;
    let var_off: Tnum<A::W64> = match size {
        Size::B => bits.cast::<A::W8>().cast(),
        Size::H => bits.cast::<A::W16>().swap_bytes().cast(),
        Size::W => bits.cast::<A::W32>().swap_bytes().cast(),
        Size::Dw => bits.swap_bytes(),
    };
    Scalar { var_off, ..Scalar::unknown() }
}

/// `dst = dst in this order`: of a pointer, some number.
pub(crate) fn check(env: &Env<'_>, state: &mut State, (order, size): (Order, Size), insn: &Insn) -> Result<(), Stop> {
    let dst = *readable(state, insn.dst)?;
    writable(insn.dst)?;
    let number = if dst.kind == Kind::Scalar {
        (env.rules.endian(order))(size, &env.dialect.domain, &dst.var)
    } else {
        Scalar::unknown()
    };
    // What is the same number stays linked to its copies (`clear_scalar_id`).
    let same = env.dialect.domain.byte_swaps && (order, size) == (Order::Le, Size::Dw) && dst.kind == Kind::Scalar;
    let id = if same { dst.id } else { 0 };
    state.set(insn.dst, RegState { id, ..RegState::scalar(number) });
    Ok(())
}
