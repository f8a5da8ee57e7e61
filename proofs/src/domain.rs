//! Variables of the verifier's domain: arbitrary abstract values around a given concrete one.
//!
//! Soundness claims start from them: whatever the abstract value, as long as it contains the concrete one.

use crate::theory::{Context, Statement, Theory, Variable};
use semantics::word::{Flag, Word};
use verifier::Domain;
use verifier::range::Range;
use verifier::rules::Rules;
use verifier::scalar::Scalar;
use verifier::tnum::Tnum;

/// A claim about an operation of the domain, whose precision depends on the version of Linux.
pub trait InDomain: Send + Sync + 'static {
    /// States it for this version.
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>);
}

/// The claim for every version, a case each.
#[derive(Debug)]
pub struct Everywhere<T>(pub T);

impl<T: InDomain> Statement for Everywhere<T> {
    fn cases(&self) -> usize {
        Domain::ALL.len()
    }
    fn case_name(&self, case: usize) -> String {
        Domain::ALL[case].name.to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        const ALL: &[Domain] = &Domain::ALL;
        self.0.state(&ALL[case], cx);
    }
}

/// The rules under proof, with the mistake that the context asks for.
pub fn rules<A: Theory>(cx: &Context<'_, A>) -> Rules<A> {
    let mut rules = Rules::default();
    if let Some(plant) = cx.plant().and_then(verifier::plant::by_name) {
        (plant.apply)(&mut rules);
    }
    rules
}

/// Any tnum that contains `word`. The mask decides it: the known bits are the word's.
pub fn tnum<A: Theory, W: Variable<Flag = A::Flag>>(cx: &mut Context<'_, A>, name: &str, word: &W) -> Tnum<W> {
    let mask: W = cx.word(&format!("{name}.mask"));
    Tnum { value: word.and(&mask.not()), mask }
}

/// Any ranges that contain `word`.
pub fn range<A: Theory, W: Variable<Flag = A::Flag>>(cx: &mut Context<'_, A>, name: &str, word: &W) -> Range<W> {
    Range {
        umin: cx.word_where(&format!("{name}.umin"), |min: &W| min.ule(word)),
        umax: cx.word_where(&format!("{name}.umax"), |max: &W| word.ule(max)),
        smin: cx.word_where(&format!("{name}.smin"), |min: &W| min.sle(word)),
        smax: cx.word_where(&format!("{name}.smax"), |max: &W| word.sle(max)),
    }
}

/// Any scalar that contains `word`. Its views need not agree with each other.
pub fn scalar<A: Theory>(cx: &mut Context<'_, A>, name: &str, word: &A::W64) -> Scalar<A> {
    let var_off = tnum(cx, name, word);
    let wide = range(cx, name, word);
    let half = range(cx, &format!("{name}.half"), &A::low(word));
    Scalar::from_views(var_off, wide, half)
}

/// Whether the ranges contain the word.
pub fn range_contains<W: Word>(range: &Range<W>, word: &W) -> W::Flag {
    let unsigned = range.umin.ule(word).and(&word.ule(&range.umax));
    unsigned.and(&range.smin.sle(word)).and(&word.sle(&range.smax))
}

/// Claims that what the known bits say is one number has one in all ranges too: without it, a register passes for a
/// constant in one place and not in another (kernel: `reg_bounds_sanity_check`).
pub fn claim_agreement<A: Theory>(cx: &mut Context<'_, A>, what: &str, scalar: &Scalar<A>, lemmas: &[A::Flag]) {
    let (wide, half) = (scalar.wide(), scalar.half());
    let whole = wide.umin.same(&wide.umax).and(&wide.smin.same(&wide.smax));
    let low = half.umin.same(&half.umax).and(&half.smin.same(&half.smax));
    let agree = scalar.is_constant().implies(&whole).and(&scalar.is_constant_32().implies(&low));
    cx.claim_by(format!("{what} is a constant in all views or in none"), agree, lemmas.to_vec());
}

/// Claims that each of the five views contains the word, one goal per view, so that a failure names the view.
pub fn claim_contains<A: Theory>(cx: &mut Context<'_, A>, what: &str, scalar: &Scalar<A>, word: &A::W64) {
    claim_views(cx, what, scalar, word, &[], &[]);
}

/// The same, where the lemmas are enough: see [`Context::claim_by`].
pub fn claim_contains_by<A: Theory>(
    cx: &mut Context<'_, A>,
    what: &str,
    scalar: &Scalar<A>,
    word: &A::W64,
    lemmas: &[A::Flag],
) {
    claim_views(cx, what, scalar, word, lemmas, lemmas);
}

/// The same, where the lemmas are enough for the known bits; the ranges are proven as they are.
pub fn claim_contains_bits_by<A: Theory>(
    cx: &mut Context<'_, A>,
    what: &str,
    scalar: &Scalar<A>,
    word: &A::W64,
    lemmas: &[A::Flag],
) {
    claim_views(cx, what, scalar, word, lemmas, &[]);
}

/// Claims that a row of the verifier's table contains what an instruction leaves, for which it is enough that it is what
/// was `proven`, and the lemmas.
pub fn claim_row<A: Theory>(
    cx: &mut Context<'_, A>,
    row: &Scalar<A>,
    proven: &Scalar<A>,
    left: &A::W64,
    lemmas: &[A::Flag],
) {
    let is_proven = same(row, proven);
    let lemmas = [std::slice::from_ref(&is_proven), lemmas].concat();
    claim_contains_by(cx, "the result", row, left, &lemmas);
    claim_agreement(cx, "the result", row, &[is_proven]);
}

fn claim_views<A: Theory>(
    cx: &mut Context<'_, A>,
    what: &str,
    scalar: &Scalar<A>,
    word: &A::W64,
    bits: &[A::Flag],
    ranges: &[A::Flag],
) {
    let (low, wide, half) = (A::low(word), scalar.wide(), scalar.half());
    cx.claim_by(format!("{what} contains: tnum"), scalar.var_off.contains(word), bits.to_vec());
    let views = [
        ("unsigned", wide.umin.ule(word).and(&word.ule(&wide.umax))),
        ("signed", wide.smin.sle(word).and(&word.sle(&wide.smax))),
        ("unsigned half", half.umin.ule(&low).and(&low.ule(&half.umax))),
        ("signed half", half.smin.sle(&low).and(&low.sle(&half.smax))),
    ];
    for (view, flag) in views {
        cx.claim_by(format!("{what} contains: {view}"), flag, ranges.to_vec());
    }
}

/// Whether two scalars are the same in every view.
pub fn same<A: Theory>(left: &Scalar<A>, right: &Scalar<A>) -> A::Flag {
    fn ranges<W: Word>(left: &Range<W>, right: &Range<W>) -> W::Flag {
        let unsigned = left.umin.same(&right.umin).and(&left.umax.same(&right.umax));
        unsigned.and(&left.smin.same(&right.smin)).and(&left.smax.same(&right.smax))
    }
    same_tnum(&left.var_off, &right.var_off)
        .and(&ranges(&left.wide(), &right.wide()))
        .and(&ranges(&left.half(), &right.half()))
}

/// Whether two tnums are the same.
pub fn same_tnum<W: Word>(left: &Tnum<W>, right: &Tnum<W>) -> W::Flag {
    left.value.same(&right.value).and(&left.mask.same(&right.mask))
}
