//! The verifier's tristate numbers: every operator contains every concrete result, at 64 and at 32 bits.

use crate::domain;
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory, Variable};
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
    Intersect,
    Union,
    Subset,
    Overlaps,
    Bounds,
    Aligned,
    WellFormed,
}

const PROPERTIES: [(&str, Property); 17] = [
    ("add", Property::Add),
    ("sub", Property::Sub),
    ("neg", Property::Neg),
    ("and", Property::And),
    ("or", Property::Or),
    ("xor", Property::Xor),
    ("shl", Property::Shl),
    ("lshr", Property::Lshr),
    ("ashr", Property::Ashr),
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
    by_width.chain([Obligation::verifier("tnum::subreg", None, Subregister)]).collect()
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
