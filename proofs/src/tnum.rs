//! The verifier's tristate numbers: every operator contains every concrete result, at 64 and at 32 bits.

use crate::domain;
use crate::obligation::Obligation;
use crate::theory::{Context, Exact, Statement, Theory, Variable};
use semantics::insn::Width;
use semantics::word::{Convert, Flag, Word};
use verifier::tnum::Tnum;

/// A property of tnums of one width.
#[derive(Clone, Copy, Debug)]
enum Property {
    Add,
    Sub,
    Neg,
    And,
    Or,
    Xor,
    Shl,
    Lshr,
    Ashr,
    Range,
    Step,
    MulStep,
    MulStepApart,
    Intersect,
    Union,
    Subset,
    Overlaps,
    Bounds,
    Aligned,
    WellFormed,
}

const PROPERTIES: [(&str, Property); 20] = [
    ("add", Property::Add),
    ("sub", Property::Sub),
    ("neg", Property::Neg),
    ("and", Property::And),
    ("or", Property::Or),
    ("xor", Property::Xor),
    ("shl", Property::Shl),
    ("lshr", Property::Lshr),
    ("ashr", Property::Ashr),
    ("step", Property::Step),
    ("mul_step", Property::MulStep),
    ("mul_step_apart", Property::MulStepApart),
    ("range", Property::Range),
    ("intersect", Property::Intersect),
    ("union", Property::Union),
    ("is_subset", Property::Subset),
    ("overlaps", Property::Overlaps),
    ("bounds", Property::Bounds),
    ("is_aligned", Property::Aligned),
    ("well_formed", Property::WellFormed),
];

/// The obligations of tnums.
pub fn obligations() -> Vec<Obligation> {
    let by_width = [(Width::W64, "64"), (Width::W32, "32")].into_iter().flat_map(|(width, bits)| {
        let obligation = move |(name, property): (&str, Property)| {
            Obligation::verifier(format!("tnum::{name}{bits}"), None, Operator { property, width })
        };
        PROPERTIES.into_iter().map(obligation)
    });
    let products = [(Width::W64, "64"), (Width::W32, "32")].into_iter().flat_map(|(width, bits)| {
        [
            Obligation::verifier(format!("tnum::mul_ring{bits}"), None, Ring { width }),
            Obligation::verifier(format!("tnum::mul{bits}"), None, Product { width, apart: false }),
            Obligation::verifier(format!("tnum::mul_apart{bits}"), None, Product { width, apart: true }),
        ]
    });
    let others = [
        Obligation::verifier("tnum::subreg", None, Subregister),
        Obligation::verifier("tnum::swap_bytes", None, SwapBytes),
    ];
    by_width.chain(products).chain(others).collect()
}

struct Operator {
    property: Property,
    width: Width,
}

impl Statement for Operator {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        match self.width {
            Width::W64 => self.property.state::<A, A::W64>(cx),
            Width::W32 => self.property.state::<A, A::W32>(cx),
        }
    }
}

impl Property {
    fn state<A: Theory, W: Variable<Flag = A::Flag>>(self, cx: &mut Context<'_, A>) {
        type Binary<W> = (fn(&Tnum<W>, &Tnum<W>) -> Tnum<W>, fn(&W, &W) -> W);
        type Shift<W> = (fn(&Tnum<W>, &W) -> Tnum<W>, fn(&W, &W) -> W);
        let binary: Option<Binary<W>> = match self {
            Property::Add => Some((Tnum::add, W::add)),
            Property::Sub => Some((Tnum::sub, W::sub)),
            Property::And => Some((Tnum::and, W::and)),
            Property::Or => Some((Tnum::or, W::or)),
            Property::Xor => Some((Tnum::xor, W::xor)),
            _ => None,
        };
        let shift: Option<Shift<W>> = match self {
            Property::Shl => Some((Tnum::shl, W::shl)),
            Property::Lshr => Some((Tnum::lshr, W::lshr)),
            Property::Ashr => Some((Tnum::ashr, W::ashr)),
            _ => None,
        };
        let x: W = cx.word("x");
        if let Some((operator, meaning)) = binary {
            let y: W = cx.word("y");
            let result = operator(&domain::tnum(cx, "a", &x), &domain::tnum(cx, "b", &y));
            cx.claim("contains", result.contains(&meaning(&x, &y)));
        } else if let Some((operator, meaning)) = shift {
            let amount: W = cx.word("amount");
            let result = operator(&domain::tnum(cx, "a", &x), &amount);
            cx.claim("contains", result.contains(&meaning(&x, &amount)));
        } else {
            self.state_other(cx, &x);
        }
    }

    fn state_other<A: Theory, W: Variable<Flag = A::Flag>>(self, cx: &mut Context<'_, A>, x: &W) {
        if let Property::Range = self {
            let min: W = cx.word_where("min", |min: &W| min.ule(x));
            let max: W = cx.word_where("max", |max: &W| x.ule(max));
            return cx.claim("contains", Tnum::range(&min, &max).contains(x));
        }
        let a = domain::tnum(cx, "a", x);
        match self {
            Property::Step => {
                let word: W = cx.word("word");
                let next = a.step(&word);
                cx.claim("a member", a.contains(&next));
                cx.claim("above, where a member is", word.ult(x).implies(&word.ult(&next)));
                cx.claim("no member lies between", word.ult(x).implies(&next.ule(x)));
            }
            Property::MulStep | Property::MulStepApart => self.state_product(cx, x, a),
            Property::Neg => cx.claim("contains", a.neg().contains(&x.neg())),
            Property::Intersect => {
                let b = domain::tnum(cx, "b", x);
                cx.claim("contains what both contain", a.intersect(&b).contains(x));
            }
            Property::Union => {
                let y: W = cx.word("y");
                let b = domain::tnum(cx, "b", &y);
                cx.claim("contains what the first contains", a.union(&b).contains(x));
                cx.claim("contains what the second contains", a.union(&b).contains(&y));
            }
            Property::Subset => {
                let b = Tnum { value: cx.word("b.value"), mask: cx.word("b.mask") };
                cx.claim("a member of a subset is a member", a.is_subset(&b).implies(&b.contains(x)));
            }
            Property::Overlaps => {
                let b = domain::tnum(cx, "b", x);
                cx.claim("two that share a member overlap", a.overlaps(&b));
            }
            Property::Bounds => {
                cx.claim("no less than the minimum", a.min().ule(x));
                cx.claim("no more than the maximum", x.ule(&a.max()));
                let only = a.is_constant().implies(&a.value.same(x));
                cx.claim("a constant has one member", only);
            }
            Property::Aligned => {
                let exponent: W = cx.word("exponent");
                let size = W::lit(1).shl(&exponent);
                let multiple = x.and(&size.sub(&W::lit(1))).is_zero();
                cx.claim("a member of an aligned set is aligned", a.is_aligned(&size).implies(&multiple));
            }
            _ => {
                let any = Tnum { value: cx.word("value"), mask: cx.word("mask") };
                cx.claim("what has a member is well-formed", any.contains(x).implies(&any.well_formed()));
                cx.claim("a constant contains itself", Tnum::constant(x.clone()).contains(x));
                cx.claim("unknown contains everything", Tnum::unknown().contains(x));
            }
        }
    }
}

impl Property {
    /// One step of a multiplication under its invariant: with `s` in the sum, `x` in what is left of the first factor and
    /// `y` in the second, all three are where they belong afterwards. [`Ring`] says why that is the product.
    fn state_product<A: Theory, W: Variable<Flag = A::Flag>>(self, cx: &mut Context<'_, A>, x: &W, left: Tnum<W>) {
        let (y, s): (W, W) = (cx.word("y"), cx.word("s"));
        let (right, sum) = (domain::tnum(cx, "b", &y), domain::tnum(cx, "c", &s));
        let (zero, one) = (W::lit(0), W::lit(1));
        let times = |bit: &W, word: &W| W::select(&bit.and(&one).is_zero(), &zero, word);
        let before = verifier::tnum::Product { sum, left, right };
        let (after, added) = match self {
            Property::MulStepApart => {
                let known = times(&before.left.value, &before.right.value);
                cx.claim("the known bits move on", before.step_apart().left.value.same(&before.left.value.lshr(&one)));
                (before.step_apart(), times(x, &y).sub(&known))
            }
            _ => (before.step(), times(x, &y)),
        };
        cx.claim("the sum", after.sum.contains(&s.add(&added)));
        cx.claim("what is left", after.left.contains(&x.lshr(&one)));
        cx.claim("the second factor", after.right.contains(&y.shl(&one)));
    }
}

/// With `x = 2 * rest + bit`, `x * y` is `bit * y + rest * (2 * y)`, over the integers; and with nothing left of `x` it is
/// 0. By induction a multiplication bit by bit gives the product, also modulo a power of two, which respects sums and
/// products.
struct Ring {
    width: Width,
}

impl Statement for Ring {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        match self.width {
            Width::W64 => Self::identity::<A, A::Whole64>(cx),
            Width::W32 => Self::identity::<A, A::Whole32>(cx),
        }
    }
}

impl Ring {
    fn identity<A: Theory, W: Exact<Flag = A::Flag>>(cx: &mut Context<'_, A>) {
        let (zero, one) = (W::lit(0), W::lit(1));
        let rest: W = cx.word_where("rest", |rest: &W| rest.ule(&W::signed_max()));
        let bit: W = cx.word_where("bit", |bit: &W| bit.ule(&one));
        let y: W = cx.word("y");
        let x = rest.shl(&one).add(&bit);
        cx.claim("the bit", x.and(&one).same(&bit));
        cx.claim("the rest", x.lshr(&one).same(&rest));
        cx.claim("a step keeps the product", W::product_splits(&rest, &bit, &y));
        cx.claim("nothing left adds nothing", zero.mul(&y).is_zero());
    }
}

/// The multiplications are as many steps as the word has bits, and one of the two adds the product of the known bits.
struct Product {
    width: Width,
    apart: bool,
}

impl Statement for Product {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        match self.width {
            Width::W64 => self.steps::<A, A::W64>(cx),
            Width::W32 => self.steps::<A, A::W32>(cx),
        }
    }
}

impl Product {
    fn steps<A: Theory, W: Variable<Flag = A::Flag>>(&self, cx: &mut Context<'_, A>) {
        let (x, y): (W, W) = (cx.word("x"), cx.word("y"));
        let (a, b) = (domain::tnum(cx, "a", &x), domain::tnum(cx, "b", &y));
        let start = verifier::tnum::Product { sum: Tnum::constant(W::lit(0)), left: a.clone(), right: b.clone() };
        let step = if self.apart { verifier::tnum::Product::step_apart } else { verifier::tnum::Product::step };
        let sum = (0..W::BITS).fold(start, |product, _| step(&product)).sum;
        let (result, expected) = if self.apart {
            (a.mul_apart(&b), Tnum::constant(a.value.mul(&b.value)).add(&sum))
        } else {
            (a.mul(&b), sum)
        };
        cx.claim_by("contains", result.contains(&x.mul(&y)), vec![domain::same_tnum(&result, &expected)]);
    }
}

/// Bytes in opposite order, at every width.
struct SwapBytes;

impl Statement for SwapBytes {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let (x, y, z): (A::W64, A::W32, A::W16) = (cx.word("x"), cx.word("y"), cx.word("z"));
        let (a, b, c) = (domain::tnum(cx, "a", &x), domain::tnum(cx, "b", &y), domain::tnum(cx, "c", &z));
        cx.claim("8 bytes", a.swap_bytes().contains(&x.swap_bytes()));
        cx.claim("4 bytes", b.swap_bytes().contains(&y.swap_bytes()));
        cx.claim("2 bytes", c.swap_bytes().contains(&z.swap_bytes()));
    }
}

/// Truncation, zero-extension and replacement of the low half.
struct Subregister;

impl Statement for Subregister {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W32) = (cx.word("x"), cx.word("y"));
        let (a, b) = (domain::tnum(cx, "a", &x), domain::tnum(cx, "b", &y));
        let high = x.and(&A::zext(&A::W32::ones()).not());
        cx.claim("truncated", a.cast::<A::W32>().contains(&x.zx()));
        cx.claim("zero-extended", b.cast::<A::W64>().contains(&y.zx()));
        cx.claim("low half cleared", a.clear_subreg::<A::W32>().contains(&high));
        cx.claim("low half replaced", a.with_subreg(&b).contains(&high.or(&A::zext(&y))));
    }
}
