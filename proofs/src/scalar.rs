//! The verifier's scalars: no piece of the synchronisation of views loses a value, nor does what is made of the pieces.

use crate::domain::{self, Everywhere, InDomain, claim_contains, claim_contains_by};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::Size;
use semantics::word::{Algebra, Flag, Word};
use verifier::Domain;
use verifier::scalar::Scalar;

/// A function from one scalar to one scalar that loses no value.
#[derive(Clone, Copy, Debug)]
enum Piece {
    LearnSigns,
    Deduce64Crossing,
    SingleValue,
    BoundsFromTnum32,
    BoundsFromTnum64,
    Deduce32FromUnsigned,
    Deduce32FromSigned,
    Deduce32Signs,
    Deduce64,
    DeduceMixed,
    DeduceSignExtended,
    TnumFromBounds,
    OrUnknownIfEmpty,
}

const PIECES: [(&str, Piece); 12] = [
    ("bounds_from_tnum_32", Piece::BoundsFromTnum32),
    ("bounds_from_tnum_64", Piece::BoundsFromTnum64),
    ("deduce_32_from_unsigned", Piece::Deduce32FromUnsigned),
    ("deduce_32_from_signed", Piece::Deduce32FromSigned),
    ("deduce_32_signs", Piece::Deduce32Signs),
    ("deduce_64", Piece::Deduce64),
    ("learn_signs", Piece::LearnSigns),
    ("deduce_64_crossing", Piece::Deduce64Crossing),
    ("deduce_mixed", Piece::DeduceMixed),
    ("deduce_sign_extended", Piece::DeduceSignExtended),
    ("tnum_from_bounds", Piece::TnumFromBounds),
    ("or_unknown_if_empty", Piece::OrUnknownIfEmpty),
];

impl Piece {
    fn apply<A: Algebra>(self, scalar: &Scalar<A>) -> Scalar<A> {
        match self {
            Piece::BoundsFromTnum32 => scalar.bounds_from_tnum_32(),
            Piece::BoundsFromTnum64 => scalar.bounds_from_tnum_64(),
            Piece::Deduce32FromUnsigned => scalar.deduce_32_from(&scalar.umin, &scalar.umax),
            Piece::Deduce32FromSigned => scalar.deduce_32_from(&scalar.smin, &scalar.smax),
            Piece::Deduce32Signs => scalar.deduce_32_signs(),
            Piece::Deduce64 => scalar.deduce_64(),
            Piece::LearnSigns => scalar.learn_signs(),
            Piece::Deduce64Crossing => scalar.deduce_64_crossing(),
            Piece::SingleValue => scalar.single_value(),
            Piece::DeduceMixed => scalar.deduce_mixed(),
            Piece::DeduceSignExtended => scalar.deduce_sign_extended(),
            Piece::TnumFromBounds => scalar.tnum_from_bounds(),
            Piece::OrUnknownIfEmpty => scalar.or_unknown_if_empty(),
        }
    }
}

/// The obligations of scalars.
pub fn obligations() -> Vec<Obligation> {
    let pieces = PIECES.map(|(name, piece)| Obligation::verifier(format!("scalar::{name}"), None, piece));
    let wholes = [
        Obligation::verifier("scalar::sync", None, Everywhere(Sync)),
        Obligation::verifier("scalar::meet", None, Meet),
        Obligation::verifier("scalar::join", None, Join),
        Obligation::verifier("scalar::subsumes", None, Subsumes),
        Obligation::verifier("scalar::zero_extend_32", None, ZeroExtend),
        Obligation::verifier("scalar::constants", None, Constants),
        Obligation::verifier("scalar::of_bits", None, OfBits),
        Obligation::verifier("scalar::from_half", None, FromHalf),
        Obligation::verifier("scalar::cut_to", None, CutTo),
        Obligation::verifier("scalar::fits", None, Fits),
        Obligation::verifier("scalar::agreement", None, Agreement),
        Obligation::verifier("scalar::select", None, Select),
        Obligation::verifier("scalar::single_value", None, SingleValue),
    ];
    pieces.into_iter().chain(wholes).collect()
}

impl Statement for Piece {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let scalar = domain::scalar(cx, "x", &word);
        claim_contains(cx, "the result", &self.apply(&scalar), &word);
    }
}

/// `sync` is nothing but the pieces one after another, each proven by itself: as one query it takes minutes.
struct Sync;

impl Sync {
    fn pieces(level: verifier::domain::Sync) -> Vec<Piece> {
        use verifier::domain::Sync as Level;
        const BOUNDS: [Piece; 2] = [Piece::BoundsFromTnum32, Piece::BoundsFromTnum64];
        const HALF: [Piece; 3] = [Piece::Deduce32FromUnsigned, Piece::Deduce32FromSigned, Piece::Deduce32Signs];
        let halves = [&HALF[..], &[Piece::Deduce64, Piece::DeduceMixed]].concat();
        let crossing =
            [&HALF[..], &[Piece::Deduce64, Piece::Deduce64Crossing, Piece::DeduceMixed, Piece::DeduceSignExtended]];
        let crossing = crossing.concat().repeat(3);
        let single = [Piece::SingleValue];
        let (before, rounds, after): (&[Piece], _, &[Piece]) = match level {
            Level::Signs => (&[], vec![Piece::LearnSigns], &[]),
            Level::Halves => (&[], halves.repeat(2), &[]),
            Level::Crossing => (&[], crossing, &[]),
            Level::Single => (&single, crossing, &single),
        };
        [&BOUNDS[..], before, &rounds, &[Piece::TnumFromBounds], &BOUNDS, after].concat()
    }
}

impl InDomain for Sync {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let scalar = domain::scalar(cx, "x", &word);
        let pieces = Sync::pieces(domain.sync);
        let by_pieces = pieces.iter().fold(scalar.clone(), |scalar, piece| piece.apply(&scalar));
        let synced = scalar.sync_in(domain);
        let lemma = domain::same(&synced, &by_pieces);
        claim_contains_by(cx, "the result", &synced, &word, &[lemma]);
    }
}

struct Meet;

impl Statement for Meet {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let (a, b) = (domain::scalar(cx, "a", &word), domain::scalar(cx, "b", &word));
        claim_contains(cx, "the meet", &a.meet(&b), &word);
        let high = A::zext(&A::W32::ones()).not();
        let other = cx.word::<A::W64>("y").and(&high).or(&word.and(&high.not()));
        let c = domain::scalar(cx, "c", &other);
        claim_contains(cx, "the meet with equal low halves", &a.meet_32(&c), &word);
    }
}

struct Join;

impl Statement for Join {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("x"), cx.word("y"));
        let joined = domain::scalar(cx, "a", &x).join(&domain::scalar(cx, "b", &y));
        claim_contains(cx, "the join", &joined, &x);
        claim_contains(cx, "the join", &joined, &y);
    }
}

/// What prunes paths: a state is explored only if no explored one subsumes it.
struct Subsumes;

impl Statement for Subsumes {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let small = domain::scalar(cx, "small", &word);
        let large = Scalar::<A> {
            var_off: verifier::tnum::Tnum { value: cx.word("large.value"), mask: cx.word("large.mask") },
            umin: cx.word("large.umin"),
            umax: cx.word("large.umax"),
            smin: cx.word("large.smin"),
            smax: cx.word("large.smax"),
            u32_min: cx.word("large.u32_min"),
            u32_max: cx.word("large.u32_max"),
            s32_min: cx.word("large.s32_min"),
            s32_max: cx.word("large.s32_max"),
        };
        cx.claim("every scalar subsumes itself", small.subsumes(&small));
        cx.claim("what contains a value is well-formed", small.well_formed());
        let (low, subsumes) = (A::low(&word), large.subsumes(&small));
        let views = [
            ("tnum", large.var_off.contains(&word)),
            ("unsigned", large.umin.ule(&word).and(&word.ule(&large.umax))),
            ("signed", large.smin.sle(&word).and(&word.sle(&large.smax))),
            ("unsigned half", large.u32_min.ule(&low).and(&low.ule(&large.u32_max))),
            ("signed half", large.s32_min.sle(&low).and(&low.sle(&large.s32_max))),
        ];
        for (view, flag) in views {
            cx.claim(format!("what subsumes contains: {view}"), subsumes.implies(&flag));
        }
    }
}

struct ZeroExtend;

impl Statement for ZeroExtend {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let extended = domain::scalar(cx, "x", &word).zero_extend_32();
        claim_contains(cx, "the result", &extended, &A::zext(&A::low(&word)));
    }
}

struct Constants;

impl Statement for Constants {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let scalar = domain::scalar(cx, "x", &word);
        claim_contains(cx, "the constant", &Scalar::constant(&word), &word);
        claim_contains(cx, "unknown", &Scalar::unknown(), &word);
        claim_contains(cx, "unknown_32", &Scalar::unknown_32(), &A::zext(&A::low(&word)));
        cx.claim("a constant has one value", scalar.is_constant().implies(&scalar.var_off.value.same(&word)));
        let low = A::low(&scalar.var_off.value).same(&A::low(&word));
        cx.claim("a constant half has one value", scalar.is_constant_32().implies(&low));
    }
}

/// What a load of each size leaves: zero-extended bytes. At scaled-down widths so are the sizes.
struct OfBits;

impl Statement for OfBits {
    fn cases(&self) -> usize {
        4
    }
    fn case_name(&self, case: usize) -> String {
        format!("{} bytes", 1 << case)
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let bits = A::W64::BITS >> (3 - case);
        let kept = if bits == A::W64::BITS { A::W64::ones() } else { A::W64::lit((1 << bits) - 1) };
        let load = domain::rules(cx).load;
        claim_contains(cx, "the loaded value", &load(bits), &word.and(&kept));
    }
}

/// The zero-extended values of a half are what a 32-bit operation leaves.
struct FromHalf;

impl Statement for FromHalf {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W32 = cx.word("x");
        let (bits, half) = (domain::tnum(cx, "bits", &word), domain::range(cx, "half", &word));
        claim_contains(cx, "the whole", &Scalar::from_half(&bits, half), &A::zext(&word));
    }
}

/// Narrow loads, fills and spills: the low bytes, zero-extended. The views that are set are proven before they tell each
/// other what they know, which `scalar::sync` is about.
struct CutTo;

impl Statement for CutTo {
    fn cases(&self) -> usize {
        4 * Domain::ALL.len()
    }
    fn case_name(&self, case: usize) -> String {
        format!("{} bytes in {}", 1 << (case % 4), Domain::ALL[case / 4].name)
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (size, domain) = (Size::ALL[case % 4], &Domain::ALL[case / 4]);
        let word: A::W64 = cx.word("x");
        let scalar = domain::scalar(cx, "x", &word);
        let low = crate::insn::transfer::low_bytes::<A>(size, &word);
        let cut = scalar.cut_views(size, domain);
        claim_contains(cx, "what is cut", &cut, &low);
        let result = (domain::rules(cx).fill)(size, domain, &scalar);
        let synced = if size == Size::Dw || domain.sync == verifier::domain::Sync::Signs && size == Size::W {
            cut
        } else {
            cut.sync_in(domain)
        };
        claim_contains_by(cx, "the result", &result, &low, &[domain::same(&result, &synced)]);
    }
}

/// A number that stays linked when it is spilled or filled in part is the number that it was.
struct Fits;

impl Statement for Fits {
    fn cases(&self) -> usize {
        4
    }
    fn case_name(&self, case: usize) -> String {
        format!("{} bytes", 1 << case)
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (size, word): (_, A::W64) = (Size::ALL[case], cx.word("x"));
        let fits = (domain::rules(cx).fits)(size, &domain::scalar(cx, "x", &word));
        let low = crate::insn::transfer::low_bytes::<A>(size, &word);
        cx.claim("what fits is the same", fits.implies(&low.same(&word)));
    }
}

/// What is synchronised is a constant in all views or in none, as long as it contains a value.
struct Agreement;

impl Statement for Agreement {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let scalar = domain::scalar(cx, "x", &word);
        domain::claim_agreement(cx, "what the known bits bound", &scalar.bounds_from_tnum(), &[]);
        let narrowed = scalar.tnum_from_bounds();
        let one = scalar.umin.same(&scalar.umax).implies(&narrowed.is_constant());
        cx.claim("one number in the range is one in the bits", one);
        let one = scalar.u32_min.same(&scalar.u32_max).implies(&narrowed.is_constant_32());
        cx.claim("one number in the half's range is one in its bits", one);
        domain::claim_agreement(cx, "a constant", &Scalar::constant(&word), &[]);
    }
}

/// A choice contains what the chosen one contains.
struct Select;

impl Statement for Select {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("x"), cx.word("y"));
        let (yes, no) = (domain::scalar(cx, "yes", &x), domain::scalar(cx, "no", &y));
        let flag = cx.word::<A::W64>("flag").is_zero();
        claim_contains(cx, "the choice", &Scalar::select(&flag, &yes, &no), &A::W64::select(&flag, &x, &y));
    }
}

/// Where the known bits and the range have one number in common, it is the value. The choice between that constant and what
/// was known is `scalar::select`. That the next member is the smallest one above is `tnum::step64`, and assumed.
struct SingleValue;

impl Statement for SingleValue {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("x");
        let scalar = domain::scalar(cx, "x", &word);
        let bits = &scalar.var_off;
        let next = bits.step(&scalar.umin);
        let after = bits.step(&next);
        cx.assume(&scalar.umin.ult(&word).implies(&next.ule(&word)));
        cx.assume(&next.ult(&word).implies(&after.ule(&word)));
        let (single, value) = scalar.single();
        cx.claim("the single value is the value", single.implies(&value.same(&word)));
        let chosen = Scalar::select(&single, &Scalar::constant(&value), &scalar);
        let lemmas = [domain::same(&scalar.single_value(), &chosen)];
        claim_contains_by(cx, "the result", &scalar.single_value(), &word, &lemmas);
    }
}
