//! The verifier's ranges: products, quotients and remainders, over the integers.

use crate::domain;
use crate::obligation::Obligation;
use crate::theory::{Context, Exact, Statement, Theory};
use semantics::insn::{MulDivOp, Width};
use semantics::word::{Flag, Word};
use verifier::insn::muldiv;
use verifier::range::Range;

/// The obligations of ranges.
pub fn obligations() -> Vec<Obligation> {
    const CLAIMS: [(&str, Claim); 13] = [
        ("mul_halves", Claim::MulHalves),
        ("mul_unsigned", Claim::MulUnsigned),
        ("mul_signed", Claim::MulSigned),
        ("product_hull", Claim::Hull),
        ("product_bound", Claim::Bound),
        ("product_words", Claim::Words),
        ("product_fits", Claim::Fits),
        ("udiv", Claim::Divided(MulDivOp::Div)),
        ("sdiv", Claim::Divided(MulDivOp::Sdiv)),
        ("urem", Claim::Divided(MulDivOp::Mod)),
        ("srem", Claim::Divided(MulDivOp::Smod)),
        ("remainders", Claim::Remainders),
        ("monotone", Claim::Monotone),
    ];
    [(Width::W64, "64"), (Width::W32, "32")]
        .into_iter()
        .flat_map(|(width, bits)| {
            CLAIMS.map(|(name, claim)| {
                Obligation::verifier(format!("range::{name}{bits}"), None, Operator { claim, width })
            })
        })
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Claim {
    /// Products before 6.14.
    MulHalves,
    /// Unsigned products since 6.14.
    MulUnsigned,
    /// Signed products since 6.14: the hull of the four products of the ends. It is enough that none of those overflows,
    /// because then they are the exact ones ([`Claim::Fits`]), all exact products lie between them ([`Claim::Hull`]), and
    /// so fit as well.
    MulSigned,
    /// An exact product lies between two of those of the ends.
    Hull,
    /// What a quotient says of a product, apart from any code.
    Bound,
    /// A product that does not overflow lies between the least and the largest word.
    Words,
    /// A product that lies between two words is the exact one.
    Fits,
    /// Quotients and remainders by a constant that is not 0.
    Divided(MulDivOp),
    /// Remainders of dividends that have one quotient.
    Remainders,
    /// What a product of larger factors is, apart from any code: no smaller.
    Monotone,
}

struct Operator {
    claim: Claim,
    width: Width,
}

impl Statement for Operator {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        match self.width {
            Width::W64 => self.claim.state::<A, A::Whole64>(cx),
            Width::W32 => self.claim.state::<A, A::Whole32>(cx),
        }
    }
}

/// A product that does not overflow lies between the least and the largest word.
fn words<A: Theory, W: Exact<Flag = A::Flag>>(cx: &mut Context<'_, A>, x: &W, y: &W) {
    let one = W::lit(1);
    // [`Claim::Bound`] says so of all words.
    let magnitude = |word: &W| W::select(&word.is_negative(), &word.neg(), word);
    let differ = x.is_negative().xor(&y.is_negative());
    let most = W::select(&differ, &W::signed_min(), &W::signed_max());
    cx.assume(&bound(&magnitude(x), &magnitude(y), &most));
    let fits = verifier::range::signed_product_overflows(x, y).not();
    let above = W::products_ordered((&W::signed_min(), &one), (x, y));
    let below = W::products_ordered((x, y), (&W::signed_max(), &one));
    cx.claim("no less than the least word", fits.implies(&above));
    cx.claim("no more than the largest", fits.implies(&below));
}

/// Where `left` does not exceed the quotient of `most` by `right`, the product does not exceed `most`.
fn bound<W: Exact>(left: &W, right: &W, most: &W) -> W::Flag {
    most.udiv(right).ult(left).not().implies(&W::product_at_most(left, right, most))
}

impl Claim {
    fn state<A: Theory, W: Exact<Flag = A::Flag>>(self, cx: &mut Context<'_, A>) {
        let (x, y): (W, W) = (cx.word("x"), cx.word("y"));
        if let Claim::Words = self {
            return words(cx, &x, &y);
        }
        let a = domain::range(cx, "a", &x);
        match self {
            Claim::Words => {}
            Claim::MulHalves => {
                let b = domain::range(cx, "b", &y);
                for (name, flag) in ends(&a.mul_halves(&b), &x.mul(&y)) {
                    cx.claim(format!("contains: {name}"), flag);
                }
            }
            Claim::MulUnsigned => {
                let product = a.mul(&domain::range(cx, "b", &y));
                for (name, flag) in ends(&product, &x.mul(&y)).into_iter().take(2) {
                    cx.claim(format!("contains: {name}"), flag);
                }
            }
            Claim::MulSigned => {
                let b = domain::range(cx, "b", &y);
                let corners = [(&a.smin, &b.smin), (&a.smin, &b.smax), (&a.smax, &b.smin), (&a.smax, &b.smax)];
                let overflow = |(x, y): (&W, &W)| verifier::range::signed_product_overflows(x, y);
                let overflows = corners.map(overflow).iter().fold(W::Flag::lit(false), |any, one| any.or(one));
                let [p, q, r, s] = corners.map(|(x, y)| x.mul(y));
                let hull = [p.smin(&q).smin(&r.smin(&s)), p.smax(&q).smax(&r.smax(&s))];
                let product = a.mul(&b);
                let open = [W::signed_min(), W::signed_max()];
                let expected = |at: usize| W::select(&overflows, &open[at], &hull[at]);
                let lemmas = vec![product.smin.same(&expected(0)), product.smax.same(&expected(1))];
                for (name, flag) in ends(&product, &x.mul(&y)).into_iter().skip(2) {
                    cx.claim_by(format!("contains: {name}"), flag, lemmas.clone());
                }
            }
            Claim::Hull => {
                let b = domain::range(cx, "b", &y);
                let corners = [(&a.smin, &b.smin), (&a.smin, &b.smax), (&a.smax, &b.smin), (&a.smax, &b.smax)];
                let below = corners.map(|corner| W::products_ordered(corner, (&x, &y)));
                let above = corners.map(|corner| W::products_ordered((&x, &y), corner));
                let any = |flags: [W::Flag; 4]| flags.iter().fold(W::Flag::lit(false), |any, one| any.or(one));
                cx.claim("an end's product is no more", any(below));
                cx.claim("an end's product is no less", any(above));
            }
            Claim::Bound => {
                let most: W = cx.word("most");
                cx.claim("no quotient is exceeded", bound(&x, &y, &most));
            }
            Claim::Fits => {
                let one = W::lit(1);
                let between = |least: &W, most: &W| {
                    let above = W::products_ordered((least, &one), (&x, &y));
                    above.and(&W::products_ordered((&x, &y), (most, &one)))
                };
                // Factors that differ by multiples of 2^N have products that do: a law of the integers, not of the code,
                // and out of the solver's reach. So the low bits may be taken of the signed factors.
                let product = W::signed_product(&x, &y);
                let exact = W::product_is(&x, &y, &product);
                cx.claim("what lies between words is exact", between(&a.smin, &a.smax).implies(&exact));
            }
            Claim::Divided(op) => {
                cx.assume(&y.is_zero().not());
                let value = op.apply(&x, &y);
                let same = muldiv::leaves_dividend(op, &a, &y);
                cx.claim("what is left alone is the dividend", same.implies(&value.same(&x)));
                let result = muldiv::divided_range(op, &a, &y);
                let reaches = same.not();
                for (name, flag) in ends(&result, &value) {
                    cx.claim(format!("contains: {name}"), reaches.implies(&flag));
                }
            }
            Claim::Remainders => {
                let result = muldiv::remainders(MulDivOp::Mod, &a, &y);
                for (name, flag) in ends(&result, &MulDivOp::Mod.apply(&x, &y)) {
                    cx.claim(format!("contains: {name}"), flag);
                }
            }
            Claim::Monotone => {
                let overflows = verifier::range::unsigned_product_overflows(&a.umax, &y);
                let (product, most) = (x.mul(&y), a.umax.mul(&y));
                cx.claim("products that fit grow with their factors", overflows.or(&product.ule(&most)));
            }
        }
    }
}

fn ends<W: Word>(range: &Range<W>, value: &W) -> [(&'static str, W::Flag); 4] {
    [
        ("no less, unsigned", range.umin.ule(value)),
        ("no more, unsigned", value.ule(&range.umax)),
        ("no less, signed", range.smin.sle(value)),
        ("no more, signed", value.sle(&range.smax)),
    ]
}
