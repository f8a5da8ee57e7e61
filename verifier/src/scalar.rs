//! What is known of a number in a register: known bits and four ranges (kernel: `struct bpf_reg_state`, `reg_bounds_sync`).
//!
//! The synchronisation of the five views is made of small pieces, because each is proven on its own: see [`Scalar::sync`].

use crate::domain::{Domain, Sync};
use crate::range::Range;
use crate::tnum::Tnum;
use semantics::insn::Size;
use semantics::word::{Algebra, Convert, Flag, Word};

/// A set of registers' values: those that all five views contain. Bounds are inclusive.
///
/// ```
/// use semantics::word::Concrete;
/// use verifier::scalar::Scalar;
/// let byte = Scalar::<Concrete> { umax: 255, ..Scalar::unknown() }.sync();
/// assert_eq!((byte.smin, byte.u32_max, byte.var_off.mask), (0, 255, 0xff));
/// assert!(byte.contains(&7) && !byte.contains(&256));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Scalar<A: Algebra> {
    /// The known bits.
    pub var_off: Tnum<A::W64>,
    /// Smallest unsigned value.
    pub umin: A::W64,
    /// Largest unsigned value.
    pub umax: A::W64,
    /// Smallest signed value.
    pub smin: A::W64,
    /// Largest signed value.
    pub smax: A::W64,
    /// Smallest unsigned value of the low half.
    pub u32_min: A::W32,
    /// Largest unsigned value of the low half.
    pub u32_max: A::W32,
    /// Smallest signed value of the low half.
    pub s32_min: A::W32,
    /// Largest signed value of the low half.
    pub s32_max: A::W32,
}

impl<A: Algebra> Scalar<A> {
    /// Only `value`.
    #[inline(always)]
    pub fn constant(value: &A::W64) -> Self {
        let low = A::low(value);
        Scalar {
            var_off: Tnum::constant(value.clone()),
            umin: value.clone(),
            umax: value.clone(),
            smin: value.clone(),
            smax: value.clone(),
            u32_min: low.clone(),
            u32_max: low.clone(),
            s32_min: low.clone(),
            s32_max: low,
        }
    }
    /// Every value.
    #[inline(always)]
    pub fn unknown() -> Self {
        Scalar {
            var_off: Tnum::unknown(),
            umin: A::W64::lit(0),
            umax: A::W64::ones(),
            smin: A::W64::signed_min(),
            smax: A::W64::signed_max(),
            u32_min: A::W32::lit(0),
            u32_max: A::W32::ones(),
            s32_min: A::W32::signed_min(),
            s32_max: A::W32::signed_max(),
        }
    }
    /// Every value of the low half, zero-extended.
    #[inline(always)]
    pub fn unknown_32() -> Self {
        Self::unknown().zero_extend_32()
    }

    /// Whether `value` is in the set.
    #[inline(always)]
    pub fn contains(&self, value: &A::W64) -> A::Flag {
        let low = A::low(value);
        let wide =
            self.umin.ule(value).and(&value.ule(&self.umax)).and(&self.smin.sle(value)).and(&value.sle(&self.smax));
        let half = self.u32_min.ule(&low).and(&low.ule(&self.u32_max));
        let half = half.and(&self.s32_min.sle(&low)).and(&low.sle(&self.s32_max));
        self.var_off.contains(value).and(&wide).and(&half)
    }
    /// No view is empty on its own. Together they may still be.
    #[inline(always)]
    pub fn well_formed(&self) -> A::Flag {
        let wide = self.umin.ule(&self.umax).and(&self.smin.sle(&self.smax));
        let half = self.u32_min.ule(&self.u32_max).and(&self.s32_min.sle(&self.s32_max));
        self.var_off.well_formed().and(&wide).and(&half)
    }
    /// Whether the known bits say that there is one value.
    #[inline(always)]
    pub fn is_constant(&self) -> A::Flag {
        self.var_off.is_constant()
    }
    /// Whether the known bits say that the low half has one value.
    #[inline(always)]
    pub fn is_constant_32(&self) -> A::Flag {
        A::low(&self.var_off.mask).is_zero()
    }
    /// Whether each view of `other` lies within this one's: then every value of `other` is in this set (`range_within`).
    #[inline(always)]
    pub fn subsumes(&self, other: &Self) -> A::Flag {
        let wide = self.umin.ule(&other.umin).and(&other.umax.ule(&self.umax));
        let wide = wide.and(&self.smin.sle(&other.smin)).and(&other.smax.sle(&self.smax));
        let half = self.u32_min.ule(&other.u32_min).and(&other.u32_max.ule(&self.u32_max));
        let half = half.and(&self.s32_min.sle(&other.s32_min)).and(&other.s32_max.sle(&self.s32_max));
        other.var_off.is_subset(&self.var_off).and(&wide).and(&half)
    }
    /// A set around both.
    pub fn join(&self, other: &Self) -> Self {
        Scalar {
            var_off: self.var_off.union(&other.var_off),
            umin: self.umin.umin(&other.umin),
            umax: self.umax.umax(&other.umax),
            smin: self.smin.smin(&other.smin),
            smax: self.smax.smax(&other.smax),
            u32_min: self.u32_min.umin(&other.u32_min),
            u32_max: self.u32_max.umax(&other.u32_max),
            s32_min: self.s32_min.smin(&other.s32_min),
            s32_max: self.s32_max.smax(&other.s32_max),
        }
    }
    /// A set with every value that is in both, not synchronised.
    pub fn meet(&self, other: &Self) -> Self {
        Scalar {
            var_off: self.var_off.intersect(&other.var_off),
            umin: self.umin.umax(&other.umin),
            umax: self.umax.umin(&other.umax),
            smin: self.smin.smax(&other.smin),
            smax: self.smax.smin(&other.smax),
            ..self.meet_32(other)
        }
    }
    /// This set with the ranges of the low half, and no bits, narrowed to those of `other`.
    #[inline(always)]
    pub fn meet_32(&self, other: &Self) -> Self {
        Scalar {
            u32_min: self.u32_min.umax(&other.u32_min),
            u32_max: self.u32_max.umin(&other.u32_max),
            s32_min: self.s32_min.smax(&other.s32_min),
            s32_max: self.s32_max.smin(&other.s32_max),
            ..self.clone()
        }
    }
    /// The low halves of the values, zero-extended (`zext_32_to_64`).
    pub fn zero_extend_32(&self) -> Self {
        Self::from_views(self.var_off.cast::<A::W32>().cast(), self.assign_half(), self.half())
    }
    /// The ranges of the whole where it is the zero-extended half (`__reg_assign_32_into_64`).
    pub fn assign_half(&self) -> Range<A::W64> {
        let (umin, umax) = (A::zext(&self.u32_min), A::zext(&self.u32_max));
        let positive = self.s32_min.is_negative().or(&self.s32_max.is_negative()).not();
        Range {
            umin,
            umax,
            smin: A::W64::select(&positive, &A::zext(&self.s32_min), &A::W64::lit(0)),
            smax: A::W64::select(&positive, &A::zext(&self.s32_max), &A::zext(&A::W32::ones())),
        }
    }
    /// The values below `2^bits`, as a load of so many bits leaves them; everything where `bits` is the width or more.
    #[inline(always)]
    pub fn of_bits(bits: u32) -> Self {
        if bits >= A::W64::BITS {
            return Self::unknown();
        }
        let max = A::W64::lit((1 << bits) - 1);
        Scalar { umax: max.clone(), var_off: Tnum { value: A::W64::lit(0), mask: max }, ..Self::unknown() }.sync()
    }
    /// The low `size` bytes of the values, zero-extended (`coerce_reg_to_size`): what narrow loads and fills leave.
    pub fn cut_to(&self, size: Size, domain: &Domain) -> Self {
        let cut = self.cut_views(size, domain);
        match size {
            Size::Dw => cut,
            Size::W if domain.sync == Sync::Signs => cut,
            _ => cut.sync_in(domain),
        }
    }
    /// Whether all values stay what they are when they are cut to `size`: a narrow spill or fill is then still linked.
    pub fn fits(&self, size: Size) -> A::Flag {
        match low_bytes::<A>(size) {
            Some(max) => self.umax.ule(&max),
            None => A::Flag::lit(true),
        }
    }
    /// [`Scalar::cut_to`] before the views have told each other what they know.
    pub fn cut_views(&self, size: Size, domain: &Domain) -> Self {
        let Some(max) = low_bytes::<A>(size) else { return self.clone() };
        let high = max.not();
        let one_block = self.umin.and(&high).same(&self.umax.and(&high));
        let umin = A::W64::select(&one_block, &self.umin.and(&max), &A::W64::lit(0));
        let umax = A::W64::select(&one_block, &self.umax.and(&max), &max);
        let half = match size {
            Size::W => self.half(),
            // Before 6.8 the halves did not learn from the whole by themselves (`__reg_combine_64_into_32`).
            _ if domain.sync == Sync::Signs => {
                let (min, max) = (A::low(&umin), A::low(&umax));
                Range { umin: min.clone(), umax: max.clone(), smin: min, smax: max }
            }
            _ => Range::unknown(),
        };
        let var_off = Tnum { value: self.var_off.value.and(&max), mask: self.var_off.mask.and(&max) };
        let wide = Range { umin: umin.clone(), umax: umax.clone(), smin: umin, smax: umax };
        Self::from_views(var_off, wide, half)
    }
    /// Itself, or everything where a view is empty: what the kernel does with a state that cannot arise
    /// (`reg_bounds_sanity_check`).
    pub fn or_unknown_if_empty(&self) -> Self {
        Self::select(&self.well_formed(), self, &Self::unknown())
    }
    /// `yes` where the flag holds, else `no`, view by view.
    #[inline(always)]
    pub fn select(flag: &A::Flag, yes: &Self, no: &Self) -> Self {
        Scalar {
            var_off: Tnum {
                value: A::W64::select(flag, &yes.var_off.value, &no.var_off.value),
                mask: A::W64::select(flag, &yes.var_off.mask, &no.var_off.mask),
            },
            umin: A::W64::select(flag, &yes.umin, &no.umin),
            umax: A::W64::select(flag, &yes.umax, &no.umax),
            smin: A::W64::select(flag, &yes.smin, &no.smin),
            smax: A::W64::select(flag, &yes.smax, &no.smax),
            u32_min: A::W32::select(flag, &yes.u32_min, &no.u32_min),
            u32_max: A::W32::select(flag, &yes.u32_max, &no.u32_max),
            s32_min: A::W32::select(flag, &yes.s32_min, &no.s32_min),
            s32_max: A::W32::select(flag, &yes.s32_max, &no.s32_max),
        }
    }
}

/// The pieces of the synchronisation. Each only narrows views, and loses no value that all five contained.
impl<A: Algebra> Scalar<A> {
    /// Lets every view tell the others what it knows (`reg_bounds_sync`).
    pub fn sync(&self) -> Self {
        self.sync_in(&Domain::BEST)
    }
    /// The same as far as the domain goes.
    pub fn sync_in(&self, domain: &Domain) -> Self {
        let bounds = self.bounds_from_tnum();
        let bounds = match domain.sync {
            Sync::Signs => bounds.learn_signs(),
            Sync::Halves => bounds.deduce().deduce(),
            Sync::Crossing => bounds.deduce_crossing().deduce_crossing().deduce_crossing(),
            Sync::Single => bounds.single_value().deduce_crossing().deduce_crossing().deduce_crossing(),
        };
        let bounds = bounds.tnum_from_bounds().bounds_from_tnum();
        if domain.sync == Sync::Single { bounds.single_value() } else { bounds }
    }
    /// One round of deduction between the ranges (`__reg_deduce_bounds`).
    pub fn deduce(&self) -> Self {
        self.deduce_32().deduce_64().deduce_mixed()
    }
    /// One round with everything that was added to it later.
    pub fn deduce_crossing(&self) -> Self {
        self.deduce_32().deduce_64().deduce_64_crossing().deduce_mixed().deduce_sign_extended()
    }
    /// The ranges of each width from each other, as before 6.8 (`__reg32_deduce_bounds`, `__reg64_deduce_bounds`).
    pub fn learn_signs(&self) -> Self {
        Scalar::from_views(self.var_off.clone(), learn_sign(&self.wide()), learn_sign(&self.half()))
    }
    /// All ranges from the known bits (`__update_reg_bounds`).
    pub fn bounds_from_tnum(&self) -> Self {
        self.bounds_from_tnum_32().bounds_from_tnum_64()
    }

    /// The ranges of the low half from its known bits (`__update_reg32_bounds`).
    pub fn bounds_from_tnum_32(&self) -> Self {
        let low = self.var_off.cast::<A::W32>();
        let (smin, smax) = signed_bounds(&low);
        Scalar {
            u32_min: self.u32_min.umax(&low.min()),
            u32_max: self.u32_max.umin(&low.max()),
            s32_min: self.s32_min.smax(&smin),
            s32_max: self.s32_max.smin(&smax),
            ..self.clone()
        }
    }
    /// The ranges of the whole from its known bits (`__update_reg64_bounds`).
    pub fn bounds_from_tnum_64(&self) -> Self {
        let (smin, smax) = signed_bounds(&self.var_off);
        Scalar {
            umin: self.umin.umax(&self.var_off.min()),
            umax: self.umax.umin(&self.var_off.max()),
            smin: self.smin.smax(&smin),
            smax: self.smax.smin(&smax),
            ..self.clone()
        }
    }
    /// The ranges of the low half from those of the whole and from each other (`__reg32_deduce_bounds`).
    pub fn deduce_32(&self) -> Self {
        self.deduce_32_from(&self.umin, &self.umax).deduce_32_from(&self.smin, &self.smax).deduce_32_signs()
    }
    /// The ranges of the low half where the whole runs from `min` to `max`, in either order of the numbers.
    ///
    /// With one high half the low halves run from end to end. With two successive ones they pass 0 once, and where the
    /// first end is negative and the second is not, that is the order of signed numbers.
    pub fn deduce_32_from(&self, min: &A::W64, max: &A::W64) -> Self {
        let (low_min, low_max) = (A::low(min), A::low(max));
        let (high_min, high_max) = (high_half::<A>(min), high_half::<A>(max));
        let one = high_min.same(&high_max);
        let ordered = low_min.sle(&low_max);
        let two = high_min.add(&A::W32::lit(1)).same(&high_max);
        let crossing = two.and(&low_min.is_negative()).and(&low_max.is_negative().not());
        let signed = one.and(&ordered).or(&crossing);
        Scalar {
            u32_min: A::W32::select(&one, &self.u32_min.umax(&low_min), &self.u32_min),
            u32_max: A::W32::select(&one, &self.u32_max.umin(&low_max), &self.u32_max),
            s32_min: A::W32::select(&signed, &self.s32_min.smax(&low_min), &self.s32_min),
            s32_max: A::W32::select(&signed, &self.s32_max.smin(&low_max), &self.s32_max),
            ..self.clone()
        }
    }
    /// The two ranges of the low half from each other: one that does not cross the other's seam holds there too.
    pub fn deduce_32_signs(&self) -> Self {
        let (s32_min, s32_max) = as_signed(&self.u32_min, &self.u32_max, &self.s32_min, &self.s32_max);
        let (u32_min, u32_max) = as_unsigned(&s32_min, &s32_max, &self.u32_min, &self.u32_max);
        Scalar { u32_min, u32_max, s32_min, s32_max, ..self.clone() }
    }
    /// The two ranges of the whole from each other (`__reg64_deduce_bounds`).
    pub fn deduce_64(&self) -> Self {
        let (smin, smax) = as_signed(&self.umin, &self.umax, &self.smin, &self.smax);
        let (umin, umax) = as_unsigned(&smin, &smax, &self.umin, &self.umax);
        Scalar { umin, umax, smin, smax, ..self.clone() }
    }
    /// The ranges of the whole with tighter low halves (`__reg_deduce_mixed_bounds`): the least value is at least the
    /// least high half followed by the least low half.
    pub fn deduce_mixed(&self) -> Self {
        let with_low = |whole: &A::W64, low: &A::W32| whole.and(&A::zext(&A::W32::ones()).not()).or(&A::zext(low));
        Scalar {
            umin: self.umin.umax(&with_low(&self.umin, &self.u32_min)),
            umax: self.umax.umin(&with_low(&self.umax, &self.u32_max)),
            smin: self.smin.smax(&with_low(&self.smin, &self.u32_min)),
            smax: self.smax.smin(&with_low(&self.smax, &self.u32_max)),
            ..self.clone()
        }
    }
    /// The ranges of the whole where the signed one crosses 0 and the unsigned one overlaps but one side of it (end of
    /// `__reg64_deduce_bounds`): the negative numbers lie above all others in unsigned order.
    pub fn deduce_64_crossing(&self) -> Self {
        let crosses = self.smin.ule(&self.smax).not();
        let below = crosses.and(&self.umax.ult(&self.smin));
        let above = crosses.and(&below.not()).and(&self.smax.ult(&self.umin));
        Scalar {
            umin: A::W64::select(&above, &self.umin.umax(&self.smin), &self.umin),
            umax: A::W64::select(&below, &self.umax.umin(&self.smax), &self.umax),
            smin: A::W64::select(&below, &self.umin, &self.smin),
            smax: A::W64::select(&above, &self.umax, &self.smax),
            ..self.clone()
        }
    }
    /// The one number that the known bits and the unsigned range have in common, where it is one
    /// (`__update_reg64_bounds`).
    pub fn single_value(&self) -> Self {
        let (single, value) = self.single();
        Self::select(&single, &Self::constant(&value), self)
    }
    /// Whether there is one, and which.
    pub fn single(&self) -> (A::Flag, A::W64) {
        let (bits, umin, umax) = (&self.var_off, &self.umin, &self.umax);
        let next = bits.step(umin);
        let starts = bits.contains(umin);
        let only_first = starts.and(&umax.ult(&next));
        let only_last = starts.not().and(&next.same(&bits.max()));
        let only_middle = starts.not().and(&next.ule(umax)).and(&umax.ult(&bits.step(&next)));
        let value = A::W64::select(&only_first, umin, &next);
        (only_first.or(&only_last).or(&only_middle), value)
    }
    /// The ranges of the whole where it is a sign-extended half that is not negative (end of `__reg_deduce_mixed_bounds`).
    pub fn deduce_sign_extended(&self) -> Self {
        let least: A::W64 = A::W32::signed_min().sx();
        let most: A::W64 = A::W32::signed_max().sx();
        let fits = self.s32_min.is_negative().not().and(&least.sle(&self.smin)).and(&self.smax.sle(&most));
        let (min, max) = (A::zext(&self.s32_min), A::zext(&self.s32_max));
        Scalar {
            umin: A::W64::select(&fits, &self.umin.umax(&min), &self.umin),
            umax: A::W64::select(&fits, &self.umax.umin(&max), &self.umax),
            smin: A::W64::select(&fits, &self.smin.smax(&min), &self.smin),
            smax: A::W64::select(&fits, &self.smax.smin(&max), &self.smax),
            ..self.clone()
        }
    }
    /// The known bits from the unsigned ranges (`__reg_bound_offset`).
    pub fn tnum_from_bounds(&self) -> Self {
        let whole = self.var_off.intersect(&Tnum::range(&self.umin, &self.umax));
        let half = whole.cast::<A::W32>().intersect(&Tnum::range(&self.u32_min, &self.u32_max));
        Scalar { var_off: whole.with_subreg(&half), ..self.clone() }
    }
}

/// The largest number of this size, if not every number is.
fn low_bytes<A: Algebra>(size: Size) -> Option<A::W64> {
    match size {
        Size::B => Some(A::W8::ones().zx()),
        Size::H => Some(A::W16::ones().zx()),
        Size::W => Some(A::zext(&A::W32::ones())),
        Size::Dw => None,
    }
}

/// The smallest and largest signed member of a tnum: an unknown sign bit is set in one and clear in the other.
#[inline(always)]
fn signed_bounds<W: Word>(tnum: &Tnum<W>) -> (W, W) {
    (tnum.value.or(&tnum.mask.and(&W::signed_min())), tnum.value.or(&tnum.mask.and(&W::signed_max())))
}

/// The two ranges of one width where one of them says which sign the number has.
#[inline(always)]
fn learn_sign<W: Word>(range: &Range<W>) -> Range<W> {
    let Range { umin, umax, smin, smax } = range;
    let (zero_on, below_zero) = (smin.is_negative().not(), smax.is_negative());
    let signed = zero_on.or(&below_zero);
    let positive = signed.not().and(&umax.is_negative().not());
    let negative = signed.not().and(&umin.is_negative());
    let (least, most) = (smin.umax(umin), smax.umin(umax));
    let from_below = signed.or(&negative);
    let from_above = signed.or(&positive);
    Range {
        umin: W::select(&from_below, &least, umin),
        umax: W::select(&from_above, &most, umax),
        smin: W::select(&positive, umin, &W::select(&from_below, &least, smin)),
        smax: W::select(&negative, umax, &W::select(&from_above, &most, smax)),
    }
}

/// The signed range, narrowed by the unsigned one where that does not cross from positive to negative.
#[inline(always)]
fn as_signed<W: Word>(umin: &W, umax: &W, smin: &W, smax: &W) -> (W, W) {
    let ordered = umin.sle(umax);
    (W::select(&ordered, &smin.smax(umin), smin), W::select(&ordered, &smax.smin(umax), smax))
}

/// The unsigned range, narrowed by the signed one where that does not cross from -1 to 0.
#[inline(always)]
fn as_unsigned<W: Word>(smin: &W, smax: &W, umin: &W, umax: &W) -> (W, W) {
    let ordered = smin.ule(smax);
    (W::select(&ordered, &umin.umax(smin), umin), W::select(&ordered, &umax.umin(smax), umax))
}

/// The high half of a register.
#[inline(always)]
fn high_half<A: Algebra>(value: &A::W64) -> A::W32 {
    A::low(&value.lshr(&A::W64::lit(u64::from(A::W32::BITS))))
}
