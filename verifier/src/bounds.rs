//! Whether an access surely lies inside its object, wherever the variable part of its address leads (kernel:
//! `__check_mem_access`, `check_mem_region_access`, `check_packet_access`).

use crate::scalar::Scalar;
use semantics::word::{Algebra, Flag, Word};

/// What an access asks for.
#[derive(Clone, Debug)]
pub struct Extent<A: Algebra> {
    /// How many bytes, signed.
    pub size: A::W64,
    /// How many bytes the object has, signed.
    pub len: A::W64,
    /// Whether it may ask for none.
    pub none_allowed: A::Flag,
}

/// What is wrong with an access, in the order in which it is said; if nothing is, it is inside.
#[derive(Clone, Debug)]
pub struct Fit<F> {
    /// The variable part may lead before the object.
    pub negative: F,
    /// It is not inside at the least place.
    pub below: F,
    /// The variable part has no upper bound to speak of.
    pub unbounded: F,
    /// It is not inside at the last place.
    pub beyond: F,
}

impl<F: Flag> Fit<F> {
    /// Whether nothing is wrong.
    pub fn is_inside(&self) -> F {
        self.negative.or(&self.below).or(&self.unbounded).or(&self.beyond).not()
    }
}

/// An access at a variable and a constant part from the start of an object.
///
/// ```
/// use semantics::word::Concrete;
/// use verifier::{bounds::{Extent, region}, scalar::Scalar};
/// let byte = Scalar::<Concrete>::of_bits(8);
/// let word = |len| Extent { size: 4, len, none_allowed: false };
/// assert!(region(&byte, &0, &word(259)).is_inside());
/// assert!(region(&byte, &0, &word(258)).beyond);
/// ```
pub fn region<A: Algebra>(var: &Scalar<A>, off: &A::W32, extent: &Extent<A>) -> Fit<A::Flag> {
    let off = A::sext(off);
    let least = off.add(&var.smin);
    let wraps = least.differs(&cut::<A>(&least)).or(&var.smin.same(&A::W64::signed_min()));
    Fit {
        negative: var.smin.is_negative().and(&wraps.or(&least.is_negative())),
        below: fits(&cut::<A>(&least), extent).not(),
        unbounded: max_var_off::<A>().ule(&var.umax),
        beyond: fits(&cut::<A>(&off.add(&var.umax)), extent).not(),
    }
}

/// An access at a constant part from the place in a packet that the variable part leads to, behind which `len` bytes are
/// known to be there.
pub fn packet<A: Algebra>(var: &Scalar<A>, off: &A::W32, extent: &Extent<A>) -> Fit<A::Flag> {
    let outside = fits(&A::sext(off), extent).not();
    let never = A::Flag::lit(false);
    Fit { negative: var.smin.is_negative(), below: outside, unbounded: never.clone(), beyond: never }
}

/// Whether all bytes from this place on are inside.
fn fits<A: Algebra>(place: &A::W64, extent: &Extent<A>) -> A::Flag {
    let Extent { size, len, none_allowed } = extent;
    let some = A::W64::lit(0).slt(size).or(&size.is_zero().and(none_allowed));
    // The rest of the object is computed only where it is not negative, so that nothing wraps.
    place.is_negative().not().and(&some).and(&place.sle(len)).and(&size.sle(&len.sub(place)))
}

/// A place as the kernel holds it, in an `int`.
fn cut<A: Algebra>(place: &A::W64) -> A::W64 {
    A::sext(&A::low(place))
}

/// Variable parts from here on are refused: 2^29 (`BPF_MAX_VAR_OFF`); in scaled-down worlds as much less, but 2.
fn max_var_off<A: Algebra>() -> A::W64 {
    A::W64::lit(1 << A::W32::BITS.saturating_sub(3).max(1))
}
