//! Tristate numbers: which bits of a value are known (kernel: `tnum.c`; Vishwanathan et al., CGO 2022).

use semantics::word::{Convert, Flag, Word};

/// A set of words given bit by bit: a bit of `mask` is unknown, the others are those of `value`.
///
/// ```
/// use verifier::tnum::Tnum;
/// let even = Tnum { value: 0u64, mask: !1 };
/// let odd = even.add(&Tnum::constant(1));
/// assert!(odd.contains(&7) && !odd.contains(&8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tnum<W> {
    /// The known bits; 0 where unknown.
    pub value: W,
    /// The unknown bits.
    pub mask: W,
}

impl<W: Word> Tnum<W> {
    /// Only `value`.
    #[inline(always)]
    pub fn constant(value: W) -> Self {
        Tnum { value, mask: W::lit(0) }
    }
    /// Every word.
    #[inline(always)]
    pub fn unknown() -> Self {
        Tnum { value: W::lit(0), mask: W::ones() }
    }
    /// The smallest tnum around `min..=max` (unsigned): the common prefix of the two is known (`tnum_range`).
    #[inline(always)]
    pub fn range(min: &W, max: &W) -> Self {
        let mut mask = min.xor(max);
        let mut step = 1;
        while step < W::BITS {
            mask = mask.or(&mask.lshr(&W::lit(u64::from(step))));
            step *= 2;
        }
        Tnum { value: min.and(&mask.not()), mask }
    }

    /// No bit is both known and unknown.
    #[inline(always)]
    pub fn well_formed(&self) -> W::Flag {
        self.value.and(&self.mask).is_zero()
    }
    /// Whether `word` is in the set.
    #[inline(always)]
    pub fn contains(&self, word: &W) -> W::Flag {
        word.and(&self.mask.not()).same(&self.value)
    }
    /// Whether every word of the set is in `other` (`tnum_in`).
    #[inline(always)]
    pub fn is_subset(&self, other: &Self) -> W::Flag {
        let known = other.mask.not();
        self.mask.and(&known).is_zero().and(&self.value.and(&known).same(&other.value))
    }
    /// Whether the set has one member.
    #[inline(always)]
    pub fn is_constant(&self) -> W::Flag {
        self.mask.is_zero()
    }
    /// Whether the two sets share a member: no bit is known in both and differs.
    #[inline(always)]
    pub fn overlaps(&self, other: &Self) -> W::Flag {
        self.value.xor(&other.value).and(&self.mask.or(&other.mask).not()).is_zero()
    }
    /// Whether every member is a multiple of `size`, a power of two.
    #[inline(always)]
    pub fn is_aligned(&self, size: &W) -> W::Flag {
        self.max().and(&size.sub(&W::lit(1))).is_zero()
    }
    /// The smallest member, unsigned.
    #[inline(always)]
    pub fn min(&self) -> W {
        self.value.clone()
    }
    /// The largest member, unsigned.
    #[inline(always)]
    pub fn max(&self) -> W {
        self.value.or(&self.mask)
    }

    /// Sums: a carry that may or may not come makes every bit that it changes unknown.
    #[inline(always)]
    pub fn add(&self, rhs: &Self) -> Self {
        let value = self.value.add(&rhs.value);
        let carries = value.add(&self.mask.add(&rhs.mask)).xor(&value);
        Self::masked(&value, carries.or(&self.mask).or(&rhs.mask))
    }
    /// Differences.
    #[inline(always)]
    pub fn sub(&self, rhs: &Self) -> Self {
        let value = self.value.sub(&rhs.value);
        let borrows = value.add(&self.mask).xor(&value.sub(&rhs.mask));
        Self::masked(&value, borrows.or(&self.mask).or(&rhs.mask))
    }
    /// Negatives.
    #[inline(always)]
    pub fn neg(&self) -> Self {
        Self::constant(W::lit(0)).sub(self)
    }
    /// Bitwise and.
    #[inline(always)]
    pub fn and(&self, rhs: &Self) -> Self {
        let value = self.value.and(&rhs.value);
        let mask = self.max().and(&rhs.max()).and(&value.not());
        Tnum { value, mask }
    }
    /// Bitwise or.
    #[inline(always)]
    pub fn or(&self, rhs: &Self) -> Self {
        let value = self.value.or(&rhs.value);
        let mask = self.mask.or(&rhs.mask).and(&value.not());
        Tnum { value, mask }
    }
    /// Bitwise exclusive or.
    #[inline(always)]
    pub fn xor(&self, rhs: &Self) -> Self {
        Self::masked(&self.value.xor(&rhs.value), self.mask.or(&rhs.mask))
    }
    /// Shifts left by a known amount, modulo the width.
    #[inline(always)]
    pub fn shl(&self, amount: &W) -> Self {
        Tnum { value: self.value.shl(amount), mask: self.mask.shl(amount) }
    }
    /// Logical shifts right by a known amount, modulo the width.
    #[inline(always)]
    pub fn lshr(&self, amount: &W) -> Self {
        Tnum { value: self.value.lshr(amount), mask: self.mask.lshr(amount) }
    }
    /// Arithmetic shifts right by a known amount, modulo the width: an unknown sign spreads.
    #[inline(always)]
    pub fn ashr(&self, amount: &W) -> Self {
        Tnum { value: self.value.ashr(amount), mask: self.mask.ashr(amount) }
    }
    /// Products, bit by bit of the first factor: a known bit adds the second factor shifted to its place, an unknown one
    /// may or may not (`tnum_mul` since 6.18; Nagarakatte et al. 2025).
    pub fn mul(&self, rhs: &Self) -> Self {
        let product = Product { sum: Self::constant(W::lit(0)), left: self.clone(), right: rhs.clone() };
        product.run(Product::step).sum
    }
    /// Products with all uncertainty added up apart from the product of the known bits (`tnum_mul` from 5.14 to 6.17;
    /// Vishwanathan et al. 2022).
    pub fn mul_apart(&self, rhs: &Self) -> Self {
        let known = Self::constant(self.value.mul(&rhs.value));
        let product = Product { sum: Self::constant(W::lit(0)), left: self.clone(), right: rhs.clone() };
        known.add(&product.run(Product::step_apart).sum)
    }
    /// The members with their bytes in opposite order (`tnum_bswap64`).
    #[inline(always)]
    pub fn swap_bytes(&self) -> Self {
        Tnum { value: self.value.swap_bytes(), mask: self.mask.swap_bytes() }
    }
    /// The smallest member above `word`, unsigned; the largest member where there is none (`tnum_step`).
    ///
    /// Members are `value` plus the parts of `mask`. Of the parts, the smallest one above `word - value` is found by
    /// counting up in the bits of the mask alone: the bits in between are filled, so that carries pass through them, and
    /// so is everything below the highest bit outside of the mask, from where on no part equals `word - value`.
    pub fn step(&self, word: &W) -> W {
        let above = word.sub(&self.value);
        let mut below = above.and(&self.mask.not());
        let mut distance = 1;
        while distance < W::BITS {
            below = below.or(&below.lshr(&W::lit(u64::from(distance))));
            distance *= 2;
        }
        let filled = above.or(&below).or(&self.mask.not());
        let next = self.value.or(&filled.add(&W::lit(1)).and(&self.mask));
        let (least, most) = (self.min(), self.max());
        let next = W::select(&word.ult(&least), &least, &next);
        W::select(&most.ule(word), &most, &next)
    }
    /// A set with every word that is in both. Where the two disagree there is none, and the result means nothing.
    #[inline(always)]
    pub fn intersect(&self, other: &Self) -> Self {
        Self::masked(&self.value.or(&other.value), self.mask.and(&other.mask))
    }
    /// The smallest tnum around both.
    #[inline(always)]
    pub fn union(&self, other: &Self) -> Self {
        Self::masked(&self.value, self.value.xor(&other.value).or(&self.mask).or(&other.mask))
    }

    /// The set at another width: truncated or zero-extended (`tnum_cast`, `tnum_subreg`).
    #[inline(always)]
    pub fn cast<T: Word>(&self) -> Tnum<T>
    where
        W: Convert<T>,
    {
        Tnum { value: self.value.zx(), mask: self.mask.zx() }
    }
    /// The set with its low half replaced (`tnum_with_subreg`).
    #[inline(always)]
    pub fn with_subreg<T: Word + Convert<W>>(&self, low: &Tnum<T>) -> Self {
        let high = self.clear_subreg::<T>();
        Tnum { value: high.value.or(&low.value.zx()), mask: high.mask.or(&low.mask.zx()) }
    }
    /// The set with its low half, as wide as `T`, zero (`tnum_clear_subreg`).
    #[inline(always)]
    pub fn clear_subreg<T: Word + Convert<W>>(&self) -> Self {
        let high = T::ones().zx().not();
        Tnum { value: self.value.and(&high), mask: self.mask.and(&high) }
    }

    /// `yes` where the flag holds, else `no`.
    #[inline(always)]
    pub fn select(flag: &W::Flag, yes: &Self, no: &Self) -> Self {
        Tnum { value: W::select(flag, &yes.value, &no.value), mask: W::select(flag, &yes.mask, &no.mask) }
    }
    #[inline(always)]
    fn masked(value: &W, mask: W) -> Self {
        Tnum { value: value.and(&mask.not()), mask }
    }
}

/// A multiplication under way: `sum + left * right` is the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product<W> {
    /// What has been added up.
    pub sum: Tnum<W>,
    /// The bits of the first factor that are left.
    pub left: Tnum<W>,
    /// The second factor, shifted to their place.
    pub right: Tnum<W>,
}

impl<W: Word> Product<W> {
    /// One bit of the first factor.
    #[inline(always)]
    pub fn step(&self) -> Self {
        let one = W::lit(1);
        let (known, unknown) = (self.left.value.and(&one).is_zero().not(), self.left.mask.and(&one).is_zero().not());
        let added = self.sum.add(&self.right);
        let either = self.sum.union(&added);
        let sum = Tnum::select(&known, &added, &Tnum::select(&unknown, &either, &self.sum));
        self.shifted(sum)
    }
    /// One bit of the first factor, of what is uncertain only: `sum + left * right - left.value * right.value` stays the
    /// same.
    #[inline(always)]
    pub fn step_apart(&self) -> Self {
        let one = W::lit(1);
        let (known, unknown) = (self.left.value.and(&one).is_zero().not(), self.left.mask.and(&one).is_zero().not());
        let mask = W::select(&unknown, &self.right.max(), &self.right.mask);
        let added = self.sum.add(&Tnum { value: W::lit(0), mask });
        self.shifted(Tnum::select(&known.or(&unknown), &added, &self.sum))
    }
    #[inline(always)]
    fn shifted(&self, sum: Tnum<W>) -> Self {
        let one = W::lit(1);
        Product { sum, left: self.left.lshr(&one), right: self.right.shl(&one) }
    }
    /// All bits of the first factor.
    fn run(self, step: fn(&Self) -> Self) -> Self {
        let mut product = self;
        for _ in 0..W::BITS {
            product = step(&product);
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::word::narrow::Narrow;

    type W = Narrow<4>;

    fn all() -> Vec<Tnum<W>> {
        let tnums = W::all().flat_map(|value| W::all().map(move |mask| Tnum { value, mask }));
        tnums.filter(Tnum::well_formed).collect()
    }
    fn members(tnum: Tnum<W>) -> impl Iterator<Item = W> {
        W::all().filter(move |word| tnum.contains(word))
    }

    #[test]
    fn operators_contain_every_result_exhaustively() {
        type Pair = (&'static str, fn(&Tnum<W>, &Tnum<W>) -> Tnum<W>, fn(&W, &W) -> W);
        let operators: [Pair; 5] = [
            ("add", Tnum::add, W::add),
            ("sub", Tnum::sub, W::sub),
            ("and", Tnum::and, W::and),
            ("or", Tnum::or, W::or),
            ("xor", Tnum::xor, W::xor),
        ];
        for (name, abstracted, concrete) in operators {
            for a in all() {
                for b in all() {
                    let result = abstracted(&a, &b);
                    assert!(result.well_formed(), "{name} {a:?} {b:?}");
                    for x in members(a) {
                        for y in members(b) {
                            assert!(result.contains(&concrete(&x, &y)), "{name} {a:?} {b:?} at {x:?} {y:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn add_and_sub_are_optimal() {
        for a in all() {
            for b in all() {
                for (result, op) in [(a.add(&b), W::add as fn(&W, &W) -> W), (a.sub(&b), W::sub)] {
                    let best = members(a)
                        .flat_map(|x| members(b).map(move |y| Tnum::constant(op(&x, &y))))
                        .reduce(|x, y| x.union(&y));
                    assert_eq!(Some(result), best);
                }
            }
        }
    }

    #[test]
    fn unary_operators_and_shifts() {
        for a in all() {
            for x in members(a) {
                assert!(a.neg().contains(&x.neg()));
                assert!(a.cast::<Narrow<2>>().contains(&x.zx()));
                assert!(a.cast::<Narrow<8>>().contains(&x.zx()));
                for n in W::all() {
                    assert!(a.shl(&n).contains(&x.shl(&n)));
                    assert!(a.lshr(&n).contains(&x.lshr(&n)));
                    assert!(a.ashr(&n).contains(&x.ashr(&n)));
                }
            }
        }
    }

    #[test]
    fn ranges_and_lattice() {
        for min in W::all() {
            for max in W::all().filter(|max| min <= *max) {
                let around = Tnum::range(&min, &max);
                assert!(around.well_formed());
                let hull = W::all().filter(|x| (min..=max).contains(x)).map(Tnum::constant);
                assert_eq!(Some(around), hull.reduce(|x, y| x.union(&y)), "the smallest around {min:?}..={max:?}");
            }
        }
        for a in all() {
            for b in all() {
                let common = members(a).filter(|x| b.contains(x)).count();
                assert_eq!(a.overlaps(&b), common > 0);
                assert_eq!(a.is_subset(&b), members(a).all(|x| b.contains(&x)));
                assert!(a.is_subset(&a.union(&b)) && b.is_subset(&a.union(&b)));
                if common > 0 {
                    assert_eq!(members(a.intersect(&b)).count(), common);
                }
            }
            assert_eq!(members(a).min(), Some(a.min()));
            assert_eq!(members(a).max(), Some(a.max()));
            for size in [1, 2, 4, 8] {
                assert_eq!(a.is_aligned(&W::new(size)), members(a).all(|x| x.get() % size == 0));
            }
        }
    }

    #[test]
    fn subregisters() {
        for a in all() {
            for b in all() {
                let low = b.cast::<Narrow<2>>();
                let joined = a.with_subreg(&low);
                for x in W::all() {
                    let high = x.and(&W::new(0b1100));
                    let inside = a.clear_subreg::<Narrow<2>>().contains(&high) && low.contains(&x.zx());
                    assert_eq!(joined.contains(&x), inside);
                }
            }
        }
    }
}
