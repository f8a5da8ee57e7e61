//! Moves of scalars and immediates.

use crate::scalar::Scalar;
use semantics::insn::Width;
use semantics::word::Algebra;

/// What `dst = src` leaves: a 32-bit move zero-extends.
#[inline(always)]
pub fn transfer<A: Algebra>(width: Width, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => src.clone(),
        Width::W32 => src.zero_extend_32().sync(),
    }
}

/// What `dst = imm` leaves: sign-extended to 64 bits, or zero-extended by a 32-bit move.
///
/// ```
/// use semantics::{insn::Width, word::Concrete};
/// use verifier::insn::mov;
/// assert_eq!(mov::immediate::<Concrete>(Width::W32, &0xffff_ffff).umax, 0xffff_ffff);
/// ```
#[inline(always)]
pub fn immediate<A: Algebra>(width: Width, imm: &A::W32) -> Scalar<A> {
    Scalar::constant(&match width {
        Width::W64 => A::sext(imm),
        Width::W32 => A::zext(imm),
    })
}
