//! The two ranges of one width, so that 64 and 32 bits share their arithmetic (kernel: `scalar_min_max_*`).

use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::word::{Algebra, Flag, Word};

/// Unsigned and signed bounds of a word, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Range<W> {
    pub umin: W,
    pub umax: W,
    pub smin: W,
    pub smax: W,
}

impl<W: Word> Range<W> {
    /// Every word.
    #[inline(always)]
    pub fn unknown() -> Self {
        Range { umin: W::lit(0), umax: W::ones(), smin: W::signed_min(), smax: W::signed_max() }
    }
    /// The words from `umin` to `umax`, unsigned; what that says of the signed bounds is left to `Scalar::sync`.
    #[inline(always)]
    pub fn unsigned(umin: W, umax: W) -> Self {
        Range { umin, umax, ..Self::unknown() }
    }
    /// Sums: kept where no end overflows.
    #[inline(always)]
    pub fn add(&self, rhs: &Self) -> Self {
        let (umin, umax) = (self.umin.add(&rhs.umin), self.umax.add(&rhs.umax));
        let (smin, smax) = (self.smin.add(&rhs.smin), self.smax.add(&rhs.smax));
        let unsigned = umin.ult(&self.umin).or(&umax.ult(&self.umax));
        let overflows = |a: &W, b: &W, sum: &W| a.xor(b).not().and(&a.xor(sum)).is_negative();
        let signed = overflows(&self.smin, &rhs.smin, &smin).or(&overflows(&self.smax, &rhs.smax, &smax));
        Range { umin, umax, smin, smax }.unless(&unsigned, &signed)
    }
    /// Differences: kept where no end overflows.
    #[inline(always)]
    pub fn sub(&self, rhs: &Self) -> Self {
        let (umin, umax) = (self.umin.sub(&rhs.umax), self.umax.sub(&rhs.umin));
        let (smin, smax) = (self.smin.sub(&rhs.smax), self.smax.sub(&rhs.smin));
        let overflows = |a: &W, b: &W, difference: &W| a.xor(b).and(&a.xor(difference)).is_negative();
        let signed = overflows(&self.smin, &rhs.smax, &smin).or(&overflows(&self.smax, &rhs.smin, &smax));
        Range { umin, umax, smin, smax }.unless(&self.umin.ult(&rhs.umax), &signed)
    }
    /// Conjunctions, whose known bits are `bits`: no larger than either operand.
    #[inline(always)]
    pub fn and(&self, rhs: &Self, bits: &Tnum<W>) -> Self {
        Self::unsigned(bits.min(), self.umax.umin(&rhs.umax))
    }
    /// Disjunctions, whose known bits are `bits`: no smaller than either operand.
    #[inline(always)]
    pub fn or(&self, rhs: &Self, bits: &Tnum<W>) -> Self {
        Self::unsigned(self.umin.umax(&rhs.umin), bits.max())
    }
    /// Exclusive disjunctions, whose known bits are `bits`.
    #[inline(always)]
    pub fn xor(bits: &Tnum<W>) -> Self {
        Self::unsigned(bits.min(), bits.max())
    }

    #[inline(always)]
    fn unless(&self, unsigned_overflow: &W::Flag, signed_overflow: &W::Flag) -> Self {
        let unknown = Self::unknown();
        Range {
            umin: W::select(unsigned_overflow, &unknown.umin, &self.umin),
            umax: W::select(unsigned_overflow, &unknown.umax, &self.umax),
            smin: W::select(signed_overflow, &unknown.smin, &self.smin),
            smax: W::select(signed_overflow, &unknown.smax, &self.smax),
        }
    }
}

impl<A: Algebra> Scalar<A> {
    /// The ranges of the whole.
    #[inline(always)]
    pub fn wide(&self) -> Range<A::W64> {
        let Scalar { umin, umax, smin, smax, .. } = self.clone();
        Range { umin, umax, smin, smax }
    }
    /// The ranges of the low half.
    #[inline(always)]
    pub fn half(&self) -> Range<A::W32> {
        let Scalar { u32_min, u32_max, s32_min, s32_max, .. } = self.clone();
        Range { umin: u32_min, umax: u32_max, smin: s32_min, smax: s32_max }
    }
    /// The set with these views, not synchronised.
    #[inline(always)]
    pub fn from_views(var_off: Tnum<A::W64>, wide: Range<A::W64>, half: Range<A::W32>) -> Self {
        let Range { umin, umax, smin, smax } = wide;
        Scalar {
            var_off,
            umin,
            umax,
            smin,
            smax,
            u32_min: half.umin,
            u32_max: half.umax,
            s32_min: half.smin,
            s32_max: half.smax,
        }
    }
    /// The zero-extended values of a half with these views, not synchronised.
    #[inline(always)]
    pub fn from_half(bits: &Tnum<A::W32>, half: Range<A::W32>) -> Self {
        let (min, max) = (A::zext(&half.umin), A::zext(&half.umax));
        let wide = Range { umin: min.clone(), umax: max.clone(), smin: min, smax: max };
        Self::from_views(bits.cast(), wide, half)
    }
}
