//! The two ranges of one width, so that 64 and 32 bits share their arithmetic (kernel: `scalar_min_max_*`).

use crate::domain::Domain;
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
    /// Sums: kept where no end overflows; or where both do, and in the same direction, if the domain goes so far.
    #[inline(always)]
    pub fn add(&self, rhs: &Self, domain: &Domain) -> Self {
        let (umin, umax) = (self.umin.add(&rhs.umin), self.umax.add(&rhs.umax));
        let (smin, smax) = (self.smin.add(&rhs.smin), self.smax.add(&rhs.smax));
        let carries = [umin.ult(&self.umin), umax.ult(&self.umax)];
        let overflows = |a: &W, b: &W, sum: &W| a.xor(b).not().and(&a.xor(sum)).is_negative();
        let overflow = [overflows(&self.smin, &rhs.smin, &smin), overflows(&self.smax, &rhs.smax, &smax)];
        Range { umin, umax, smin, smax }.unless_over(domain, &carries, &overflow)
    }
    /// Differences: as sums.
    #[inline(always)]
    pub fn sub(&self, rhs: &Self, domain: &Domain) -> Self {
        let (umin, umax) = (self.umin.sub(&rhs.umax), self.umax.sub(&rhs.umin));
        let (smin, smax) = (self.smin.sub(&rhs.smax), self.smax.sub(&rhs.smin));
        let borrows = [self.umin.ult(&rhs.umax), self.umax.ult(&rhs.umin)];
        let overflows = |a: &W, b: &W, difference: &W| a.xor(b).and(&a.xor(difference)).is_negative();
        let overflow = [overflows(&self.smin, &rhs.smax, &smin), overflows(&self.smax, &rhs.smin, &smax)];
        Range { umin, umax, smin, smax }.unless_over(domain, &borrows, &overflow)
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

    /// Products of ranges whose factors are not negative and fit half the width (before 6.14).
    #[inline(always)]
    pub fn mul_halves(&self, rhs: &Self) -> Self {
        let most = W::lit(u64::MAX >> (64 - W::BITS / 2));
        let large = most.ult(&self.umax).or(&most.ult(&rhs.umax));
        let open = self.smin.is_negative().or(&rhs.smin.is_negative()).or(&large);
        let (umin, umax) = (self.umin.mul(&rhs.umin), self.umax.mul(&rhs.umax));
        let signed = open.or(&umax.is_negative());
        Range { umin: umin.clone(), umax: umax.clone(), smin: umin, smax: umax }.unless(&open, &signed)
    }
    /// Products: from end to end where the ends do not overflow, and the hull of the four signed ones (since 6.14).
    #[inline(always)]
    pub fn mul(&self, rhs: &Self) -> Self {
        let (umin, umax) = (self.umin.mul(&rhs.umin), self.umax.mul(&rhs.umax));
        let ends = [(&self.smin, &rhs.smin), (&self.smin, &rhs.smax), (&self.smax, &rhs.smin), (&self.smax, &rhs.smax)];
        let [a, b, c, d] = ends.map(|(x, y)| x.mul(y));
        let [e, f, g, h] = ends.map(|(x, y)| signed_product_overflows(x, y));
        let (smin, smax) = (a.smin(&b).smin(&c.smin(&d)), a.smax(&b).smax(&c.smax(&d)));
        let unsigned = unsigned_product_overflows(&self.umax, &rhs.umax);
        Range { umin, umax, smin, smax }.unless(&unsigned, &e.or(&f).or(&g).or(&h))
    }
    /// Unsigned quotients by a constant that is not 0.
    #[inline(always)]
    pub fn udiv(&self, divisor: &W) -> Self {
        Self::unsigned(self.umin.udiv(divisor), self.umax.udiv(divisor))
    }
    /// Signed quotients by a constant that is not 0. The smallest number divided by -1 is itself, so that quotients by -1
    /// of a range that begins there and does not end there may be anything.
    #[inline(always)]
    pub fn sdiv(&self, divisor: &W) -> Self {
        let (first, last) = (self.smin.sdiv(divisor), self.smax.sdiv(divisor));
        let wraps = self.smin.same(&W::signed_min()).and(&divisor.same(&W::ones()));
        let open = wraps.and(&self.smax.differs(&W::signed_min()));
        let quotients = Range { smin: first.smin(&last), smax: first.smax(&last), ..Self::unknown() };
        quotients.unless(&W::Flag::lit(false), &open)
    }
    /// Unsigned remainders by a constant that is not 0 and that some of the dividends reach.
    #[inline(always)]
    pub fn urem(&self, divisor: &W) -> Self {
        Self::unsigned(W::lit(0), self.umax.umin(&divisor.sub(&W::lit(1))))
    }
    /// Signed remainders by a constant that is not 0 and whose magnitude some of the dividends reach: with the sign of
    /// the dividend.
    #[inline(always)]
    pub fn srem(&self, divisor: &W) -> Self {
        let (zero, most) = (W::lit(0), largest_remainder(divisor));
        let positive = self.smin.is_negative().not();
        let not_positive = self.smax.sle(&zero);
        let least = W::select(&not_positive, &self.smin.smax(&most.neg()), &most.neg());
        let greatest = W::select(&not_positive, &zero, &most);
        Range {
            smin: W::select(&positive, &zero, &least),
            smax: W::select(&positive, &self.smax.smin(&most), &greatest),
            ..Self::unknown()
        }
    }
    /// Whether all unsigned remainders by this constant are the dividends.
    #[inline(always)]
    pub fn is_below(&self, divisor: &W) -> W::Flag {
        self.umax.ule(&divisor.sub(&W::lit(1)))
    }
    /// Whether all signed remainders by this constant are the dividends.
    #[inline(always)]
    pub fn is_within(&self, divisor: &W) -> W::Flag {
        let most = largest_remainder(divisor);
        most.neg().sle(&self.smin).and(&self.smax.sle(&most))
    }
    /// `yes` where the flag holds, else `no`.
    #[inline(always)]
    pub fn select(flag: &W::Flag, yes: &Self, no: &Self) -> Self {
        Range {
            umin: W::select(flag, &yes.umin, &no.umin),
            umax: W::select(flag, &yes.umax, &no.umax),
            smin: W::select(flag, &yes.smin, &no.smin),
            smax: W::select(flag, &yes.smax, &no.smax),
        }
    }
    /// The words that are in both.
    #[inline(always)]
    pub fn meet(&self, other: &Self) -> Self {
        Range {
            umin: self.umin.umax(&other.umin),
            umax: self.umax.umin(&other.umax),
            smin: self.smin.smax(&other.smin),
            smax: self.smax.smin(&other.smax),
        }
    }

    /// The range unless an end is over: for each order of numbers, whether the first and the last end are. A signed end
    /// that is over has the other sign, so two that are over in the same direction have the same.
    #[inline(always)]
    fn unless_over(&self, domain: &Domain, unsigned: &[W::Flag; 2], signed: &[W::Flag; 2]) -> Self {
        let ([umin, umax], [smin, smax]) = (unsigned, signed);
        if domain.both_ends_overflow {
            let apart = self.smin.is_negative().xor(&self.smax.is_negative());
            self.unless(&umin.xor(umax), &smin.xor(smax).or(&smin.and(&apart)))
        } else {
            self.unless(&umin.or(umax), &smin.or(smax))
        }
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

/// Whether the product of two unsigned words is not a word.
#[inline(always)]
pub fn unsigned_product_overflows<W: Word>(left: &W, right: &W) -> W::Flag {
    W::ones().udiv(right).ult(left)
}

/// Whether the product of two signed words is not a word: that of their magnitudes exceeds the largest word, or that of
/// the smallest one where the signs differ.
#[inline(always)]
pub fn signed_product_overflows<W: Word>(left: &W, right: &W) -> W::Flag {
    let magnitude = |word: &W| W::select(&word.is_negative(), &word.neg(), word);
    let differ = left.is_negative().xor(&right.is_negative());
    let most = W::select(&differ, &W::signed_min(), &W::signed_max());
    // A quotient by 0 is all ones, which nothing exceeds.
    most.udiv(&magnitude(right)).ult(&magnitude(left))
}

/// The largest magnitude of a signed remainder by a constant that is not 0.
#[inline(always)]
fn largest_remainder<W: Word>(divisor: &W) -> W {
    W::select(&W::lit(0).slt(divisor), divisor, &divisor.neg()).sub(&W::lit(1))
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
        let unknown = Self::from_views(bits.cast(), Range::unknown(), half);
        Self::from_views(unknown.var_off.clone(), unknown.assign_half(), unknown.half())
    }
}
