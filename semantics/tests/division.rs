//! Laws of division that solvers do not prove at 64 bits in reasonable time: all values of 8 and of 4 bits, and many at
//! full width.

use semantics::insn::MulDivOp::{Div, Mod, Mul, Sdiv, Smod};
use semantics::word::narrow::Narrow;
use semantics::word::{Flag, Word};

/// What is wrong with quotient and remainder of `x` by `y`, computed by these four.
fn broken<W: Word<Flag = bool>>(x: &W, y: &W, [div, modulo, sdiv, smod]: [&W; 4]) -> Option<&'static str> {
    let whole = |quotient: &W, rest: &W| Mul.apply(quotient, y).add(rest).same(x);
    let magnitude = |word: &W| W::select(&word.is_negative(), &word.neg(), word);
    let by_zero = y.is_zero();
    let laws = [
        // With a quotient of 0 and the dividend as the remainder this holds by 0 too.
        (whole(div, modulo), "x == x / y * y + x % y"),
        (whole(sdiv, smod), "x == x s/ y * y + x s% y"),
        (by_zero.or(&modulo.ult(y)), "x % y < y"),
        (by_zero.or(&magnitude(smod).ult(&magnitude(y))), "|x s% y| < |y|"),
        (smod.is_zero().or(&smod.is_negative().iff(&x.is_negative())), "x s% y has the sign of x"),
        (div.ule(x), "x / y <= x"),
        (
            sdiv.is_zero()
                .or(&sdiv.same(&W::signed_min()))
                .or(&sdiv.is_negative().iff(&x.is_negative().xor(&y.is_negative()))),
            "x s/ y is negative where one of them is",
        ),
    ];
    laws.into_iter().find(|(holds, _)| !holds).map(|(_, law)| law)
}

fn check<W: Word<Flag = bool>>(x: &W, y: &W) {
    let results = [Div, Mod, Sdiv, Smod].map(|op| op.apply(x, y));
    if let Some(law) = broken(x, y, results.each_ref()) {
        panic!("{law} fails for {x:?} and {y:?}: {results:?}");
    }
}

#[test]
fn every_narrow_quotient_has_its_remainder() {
    for x in Narrow::<8>::all() {
        Narrow::<8>::all().for_each(|y| check(&x, &y));
    }
    for x in Narrow::<4>::all() {
        Narrow::<4>::all().for_each(|y| check(&x, &y));
    }
}

#[test]
fn wide_quotients_have_their_remainders() {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    for _ in 0..20_000 {
        let (x, y, shift) = (next(), next(), next() % 64);
        check(&x, &(y >> shift));
        check(&x, &((y as i64 >> shift) as u64));
        check(&(x as u32), &((y >> shift) as u32));
    }
}

/// A remainder of the other kind, or a quotient that is off by one, breaks a law.
#[test]
fn mistakes_break_a_law() {
    let (x, y) = (-7i8 as u8, 3u8);
    let [div, modulo, sdiv, smod] = [Div, Mod, Sdiv, Smod].map(|op| op.apply(&x, &y));
    assert_eq!(broken(&x, &y, [&div, &modulo, &sdiv, &smod]), None);
    // A remainder with the sign of the divisor: 2 instead of -1.
    assert_eq!(broken(&x, &y, [&div, &modulo, &sdiv, &2]), Some("x == x s/ y * y + x s% y"));
    assert_eq!(broken(&x, &y, [&div, &modulo, &sdiv.sub(&1), &2]), Some("x s% y has the sign of x"));
    assert_eq!(broken(&x, &y, [&div.sub(&1), &modulo.add(&y), &sdiv, &smod]), Some("x % y < y"));
}
