//! Laws of the algebra, for machine integers and for narrow words: what generic code may rely on.

use proptest::prelude::*;
use semantics::word::narrow::Narrow;
use semantics::word::{Convert, Word};

/// Every law of two operands, as a list of names of the broken ones.
fn broken<W: Word<Flag = bool>>(a: &W, b: &W) -> Vec<&'static str> {
    let zero = W::lit(0);
    let bits = u64::from(W::BITS);
    let one = W::lit(1);
    let amount = b.urem(&W::lit(bits));
    // Widths that are no power of two take the amount modulo a number that wraps differently; they are not used.
    let laws = [
        ("add commutes", a.add(b).same(&b.add(a))),
        ("sub undoes add", a.add(b).sub(b).same(a)),
        ("neg is sub from 0", a.neg().same(&zero.sub(a))),
        ("not is neg less 1", a.not().same(&a.neg().sub(&one))),
        ("sum is xor and carries", a.add(b).same(&a.xor(b).add(&a.and(b).add(&a.and(b))))),
        ("or is xor or and", a.or(b).same(&a.xor(b).or(&a.and(b)))),
        ("mul distributes", a.mul(&b.add(&one)).same(&a.mul(b).add(a))),
        ("unsigned division", b.is_zero() || a.udiv(b).mul(b).add(&a.urem(b)).same(a) && a.urem(b).ult(b)),
        ("unsigned division by 0", !b.is_zero() || a.udiv(b).same(&W::ones()) && a.urem(b).same(a)),
        ("signed division", b.is_zero() || a.sdiv(b).mul(b).add(&a.srem(b)).same(a)),
        ("signed division by 0", !b.is_zero() || a.srem(b).same(a)),
        ("signed overflow", !(a.same(&W::signed_min()) && b.same(&W::ones())) || a.sdiv(b).same(a)),
        ("shift amounts wrap", a.shl(b).same(&a.shl(&amount)) && a.lshr(b).same(&a.lshr(&amount))),
        ("shl 1 doubles", a.shl(&one).same(&a.add(a)) || W::BITS == 1),
        ("ashr keeps the sign", a.ashr(b).is_negative() == a.is_negative()),
        ("ashr of non-negative is lshr", a.is_negative() || a.ashr(b).same(&a.lshr(b))),
        ("ult is total", [a.ult(b), b.ult(a), a.same(b)].iter().filter(|f| **f).count() == 1),
        ("slt is ult with signs flipped", a.slt(b) == a.xor(&W::signed_min()).ult(&b.xor(&W::signed_min()))),
        ("ule", a.ule(b) != b.ult(a) && a.sle(b) != b.slt(a)),
        ("swap undoes itself", a.swap_bytes().swap_bytes().same(a)),
        ("select", W::select(&true, a, b).same(a) && W::select(&false, a, b).same(b)),
        ("least and greatest", a.umin(b).ule(&a.umax(b)) && a.smin(b).sle(&a.smax(b))),
        ("bounds", W::signed_min().sle(a) && a.sle(&W::signed_max()) && a.ule(&W::ones())),
    ];
    laws.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect()
}

fn exhaustive<const N: u32>() {
    for a in Narrow::<N>::all() {
        for b in Narrow::<N>::all() {
            assert_eq!(broken(&a, &b), Vec::<&str>::new(), "{N} bits, {a:?} and {b:?}");
        }
    }
}

#[test]
fn narrow_words_obey_every_law() {
    exhaustive::<1>();
    exhaustive::<2>();
    exhaustive::<4>();
    exhaustive::<8>();
}

/// The narrow word of 8 bits is the byte.
#[test]
fn eight_narrow_bits_are_a_byte() {
    let same = |narrow: Narrow<8>, byte: u8| narrow.get() == byte;
    for (x, y) in (0..=255u8).flat_map(|x| (0..=255u8).map(move |y| (x, y))) {
        let (a, b) = (Narrow::<8>::new(x), Narrow::<8>::new(y));
        assert!(same(a.add(&b), x.add(&y)) && same(a.sub(&b), x.sub(&y)) && same(a.mul(&b), x.mul(&y)));
        assert!(same(a.udiv(&b), x.udiv(&y)) && same(a.urem(&b), x.urem(&y)), "{x} / {y}");
        assert!(same(a.sdiv(&b), x.sdiv(&y)) && same(a.srem(&b), x.srem(&y)), "{x} / {y}");
        assert!(same(a.shl(&b), x.shl(&y)) && same(a.lshr(&b), x.lshr(&y)) && same(a.ashr(&b), x.ashr(&y)));
        assert!(a.ult(&b) == x.ult(&y) && a.slt(&b) == x.slt(&y) && a.same(&b) == x.same(&y));
    }
}

/// A law checker that cannot fail checks nothing.
#[test]
fn a_broken_law_is_noticed() {
    #[derive(Clone, Debug)]
    struct Saturating(u8);
    macro_rules! forward {
        ($($name:ident)*) => { $(fn $name(&self, rhs: &Self) -> Self { Saturating(Word::$name(&self.0, &rhs.0)) })* };
    }
    impl Word for Saturating {
        const BITS: u32 = 8;
        type Flag = bool;
        fn lit(value: u64) -> Self {
            Saturating(value as u8)
        }
        fn add(&self, rhs: &Self) -> Self {
            Saturating(self.0.saturating_add(rhs.0))
        }
        forward!(sub mul and or xor udiv urem sdiv srem shl lshr ashr);
        fn not(&self) -> Self {
            Saturating(!self.0)
        }
        fn neg(&self) -> Self {
            Saturating(self.0.wrapping_neg())
        }
        fn swap_bytes(&self) -> Self {
            self.clone()
        }
        fn same(&self, rhs: &Self) -> bool {
            self.0 == rhs.0
        }
        fn ult(&self, rhs: &Self) -> bool {
            self.0 < rhs.0
        }
        fn slt(&self, rhs: &Self) -> bool {
            self.0.slt(&rhs.0)
        }
        fn select(flag: &bool, yes: &Self, no: &Self) -> Self {
            if *flag { yes.clone() } else { no.clone() }
        }
    }
    assert!(broken(&Saturating(200), &Saturating(100)).contains(&"sub undoes add"));
}

proptest! {
    #[test]
    fn machine_words_obey_every_law(a in any::<u64>(), b in any::<u64>(), small in 0..70u64) {
        for b in [b, small, !small] {
            prop_assert_eq!(broken(&a, &b), Vec::<&str>::new());
            prop_assert_eq!(broken(&(a as u32), &(b as u32)), Vec::<&str>::new());
            prop_assert_eq!(broken(&(a as u16), &(b as u16)), Vec::<&str>::new());
            prop_assert_eq!(broken(&(a as u8), &(b as u8)), Vec::<&str>::new());
        }
    }

    #[test]
    fn conversions_extend_and_truncate(a in any::<u64>()) {
        let low: u32 = a.zx();
        prop_assert_eq!(u64::from(low), a & 0xffff_ffff);
        let signed: u64 = low.sx();
        prop_assert_eq!(signed, low as i32 as i64 as u64);
        let byte: u8 = a.sx();
        let half: u16 = byte.sx();
        prop_assert_eq!(half, byte as i8 as i16 as u16);
    }
}
