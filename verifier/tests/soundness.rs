//! Every rule contains every concrete result: exhaustively over the members of sampled scalars at 8 and 4 bits, by
//! property tests at 64 bits; and planted mistakes do not get through.

use proptest::prelude::*;
use semantics::insn::{AluOp, Cond, Width};
use semantics::word::narrow::{Eighth, Narrow, Sixteenth};
use semantics::word::{Algebra, Concrete, Word};
use verifier::plant;
use verifier::rules::Rules;
use verifier::scalar::Scalar;
use verifier::tnum::Tnum;

/// A small generator of pseudorandom numbers (splitmix64): the same samples in every run.
struct Samples(u64);

impl Samples {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A word with few or many bits, as it comes.
    fn word<W: Word>(&mut self) -> W {
        let word = W::lit(self.next());
        match self.next() % 4 {
            0 => word.and(&W::lit(self.next())),
            1 => word.or(&W::lit(self.next())),
            _ => word,
        }
    }
    /// A set that holds at least one value: each view is made around two that are drawn first.
    fn scalar<A: Algebra<Flag = bool>>(&mut self) -> Scalar<A> {
        let (a, b): (A::W64, A::W64) = (self.word(), self.word());
        let hull = match self.next() % 8 {
            0 => Scalar::constant(&a),
            1 => Scalar::unknown(),
            _ => Scalar::constant(&a).join(&Scalar::constant(&b)),
        };
        let mask: A::W64 = self.word();
        let mut wide = hull.clone();
        wide.var_off = wide.var_off.union(&Tnum { value: a.and(&mask.not()), mask });
        // Each view is dropped now and then, so that the others have to tell it.
        let everything = Scalar::<A>::unknown();
        let drop = self.next();
        if drop & 1 == 0 {
            wide.var_off = everything.var_off;
        }
        if drop & 2 == 0 {
            (wide.umin, wide.umax) = (everything.umin, everything.umax);
        }
        if drop & 4 == 0 {
            (wide.smin, wide.smax) = (everything.smin, everything.smax);
        }
        if drop & 8 == 0 {
            (wide.u32_min, wide.u32_max) = (everything.u32_min, everything.u32_max);
        }
        if drop & 16 == 0 {
            (wide.s32_min, wide.s32_max) = (everything.s32_min, everything.s32_max);
        }
        if drop & 32 == 0 { wide.sync() } else { wide }
    }
}

/// The first concrete result that a rule misses, among `rounds` samples whose members `members` lists.
fn violation<A: Algebra<Flag = bool>>(
    rules: &Rules<A>,
    rounds: usize,
    members: fn(&mut Samples, &Scalar<A>) -> Vec<A::W64>,
) -> Option<String> {
    let mut samples = Samples(1);
    for _ in 0..rounds {
        let (dst, src) = (samples.scalar::<A>(), samples.scalar::<A>());
        let (xs, ys) = (members(&mut samples, &dst), members(&mut samples, &src));
        let found = sync_violation(&dst, &xs)
            .or_else(|| unary_violation(rules, &dst, &xs, &samples.word()))
            .or_else(|| binary_violation(rules, &dst, &src, &xs, &ys));
        if found.is_some() {
            return found;
        }
    }
    None
}

fn sync_violation<A: Algebra<Flag = bool>>(of: &Scalar<A>, xs: &[A::W64]) -> Option<String> {
    type Piece<A> = (&'static str, fn(&Scalar<A>) -> Scalar<A>);
    let pieces: [Piece<A>; 7] = [
        ("bounds_from_tnum_32", Scalar::bounds_from_tnum_32),
        ("bounds_from_tnum_64", Scalar::bounds_from_tnum_64),
        ("deduce_32", Scalar::deduce_32),
        ("deduce_64", Scalar::deduce_64),
        ("deduce_mixed", Scalar::deduce_mixed),
        ("tnum_from_bounds", Scalar::tnum_from_bounds),
        ("sync", Scalar::sync),
    ];
    for (name, piece) in pieces {
        let after = piece(of);
        if !of.subsumes(&after) && !xs.is_empty() {
            return Some(format!("{name} widens {of:?} to {after:?}"));
        }
        if let Some(x) = xs.iter().find(|x| !after.contains(x)) {
            return Some(format!("{name} loses {x:?} of {of:?}: {after:?}"));
        }
    }
    None
}

fn at<A: Algebra>(width: Width, op64: impl Fn() -> A::W64, op32: impl Fn() -> A::W32) -> A::W64 {
    match width {
        Width::W64 => op64(),
        Width::W32 => A::zext(&op32()),
    }
}

fn unary_violation<A: Algebra<Flag = bool>>(
    rules: &Rules<A>,
    dst: &Scalar<A>,
    xs: &[A::W64],
    imm: &A::W32,
) -> Option<String> {
    for width in [Width::W64, Width::W32] {
        let row = rules.at(width);
        let moved = (row.mov_immediate)(imm);
        if !moved.contains(&at::<A>(width, || A::sext(imm), || imm.clone())) {
            return Some(format!("mov {width:?} {imm:?}: {moved:?}"));
        }
        if !(row.operand)(imm).contains(&A::sext(imm)) {
            return Some(format!("operand {width:?} {imm:?}"));
        }
        let (neg, mov) = ((row.neg)(dst), (row.mov)(dst));
        for x in xs {
            if !neg.contains(&at::<A>(width, || x.neg(), || A::low(x).neg())) {
                return Some(format!("neg {width:?} {dst:?} at {x:?}: {neg:?}"));
            }
            if !mov.contains(&at::<A>(width, || x.clone(), || A::low(x))) {
                return Some(format!("mov {width:?} {dst:?} at {x:?}: {mov:?}"));
            }
        }
    }
    None
}

fn binary_violation<A: Algebra<Flag = bool>>(
    rules: &Rules<A>,
    dst: &Scalar<A>,
    src: &Scalar<A>,
    xs: &[A::W64],
    ys: &[A::W64],
) -> Option<String> {
    for width in [Width::W64, Width::W32] {
        for op in AluOp::ALL {
            let result = rules.at(width).alu(op)(dst, src);
            for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (x, y))) {
                if !result.contains(&at::<A>(width, || op.apply(x, y), || op.apply(&A::low(x), &A::low(y)))) {
                    return Some(format!("{op:?} {width:?} {dst:?} {src:?} at {x:?} {y:?}: {result:?}"));
                }
            }
        }
        for cond in Cond::ALL {
            let row = rules.at(width).branch(cond);
            let (taken, holds, fails) = ((row.taken)(dst, src), (row.holds)(dst, src), (row.fails)(dst, src));
            for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (x, y))) {
                let truth = match width {
                    Width::W64 => cond.holds(x, y),
                    Width::W32 => cond.holds(&A::low(x), &A::low(y)),
                };
                let refined = if truth { &holds } else { &fails };
                if (if truth { taken.never } else { taken.always })
                    || !refined.dst.contains(x)
                    || !refined.src.contains(y)
                {
                    return Some(format!("{cond:?} {width:?} {dst:?} {src:?} at {x:?} {y:?}: {taken:?} {refined:?}"));
                }
            }
            let (holds, fails) = ((row.holds)(dst, dst), (row.fails)(dst, dst));
            for x in xs {
                let truth = match width {
                    Width::W64 => cond.holds(x, x),
                    Width::W32 => cond.holds(&A::low(x), &A::low(x)),
                };
                let refined = if truth { &holds } else { &fails };
                if !refined.aliased().contains(x) {
                    return Some(format!("{cond:?} {width:?} aliased {dst:?} at {x:?}: {refined:?}"));
                }
            }
        }
    }
    None
}

fn members_eighth(_: &mut Samples, of: &Scalar<Eighth>) -> Vec<Narrow<8>> {
    Narrow::all().filter(|x| of.contains(x)).collect()
}

fn members_sixteenth(_: &mut Samples, of: &Scalar<Sixteenth>) -> Vec<Narrow<4>> {
    Narrow::all().filter(|x| of.contains(x)).collect()
}

/// Ends of ranges and random words between, as far as they are members.
fn members_concrete(samples: &mut Samples, of: &Scalar<Concrete>) -> Vec<u64> {
    let mut found = vec![of.umin, of.umax, of.smin, of.smax];
    for _ in 0..12 {
        let random = samples.word::<u64>();
        let low = u64::from(of.u32_min) + random % (u64::from(of.u32_max.saturating_sub(of.u32_min)) + 1);
        found.push((random & of.var_off.mask) | of.var_off.value);
        found.push(of.umin.wrapping_add(random % of.umax.wrapping_sub(of.umin).max(1)));
        found.push((of.umin & !0xffff_ffff) | low);
    }
    found.retain(|x| of.contains(x));
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn rules_are_sound_on_all_members_at_8_bits() {
    assert_eq!(violation(&Rules::<Eighth>::default(), 300, members_eighth), None);
}

#[test]
fn rules_are_sound_on_all_members_at_4_bits() {
    assert_eq!(violation(&Rules::<Sixteenth>::default(), 30_000, members_sixteenth), None);
}

#[test]
fn rules_are_sound_on_members_at_64_bits() {
    assert_eq!(violation(&Rules::<Concrete>::default(), 3_000, members_concrete), None);
}

#[test]
fn planted_mistakes_do_not_get_through() {
    for plant in plant::all::<Sixteenth>() {
        let mut rules = Rules::default();
        (plant.apply)(&mut rules);
        if (rules.packet_range)(14, false) != 14 {
            continue; // about packets, not numbers: found by running programs
        }
        assert!(violation(&rules, 30_000, members_sixteenth).is_some(), "{}: {}", plant.name, plant.story);
    }
}

proptest! {
    #[test]
    fn subsumption_means_inclusion(seed: u64) {
        let mut samples = Samples(seed);
        let (a, b) = (samples.scalar::<Eighth>(), samples.scalar::<Eighth>());
        let joined = a.join(&b);
        prop_assert!(joined.subsumes(&a) && joined.subsumes(&b));
        for x in Narrow::all() {
            if a.subsumes(&b) && b.contains(&x) {
                prop_assert!(a.contains(&x));
            }
            prop_assert_eq!(a.meet(&b).contains(&x) || !(a.contains(&x) && b.contains(&x)), true);
            if a.contains(&x) {
                prop_assert!(a.well_formed() && a.or_unknown_if_empty().contains(&x));
                prop_assert!(a.zero_extend_32().contains(&Eighth::zext(&Eighth::low(&x))));
            }
        }
    }

    #[test]
    fn constants_stay_constant(x: u64, y: u64, op in 0usize..5) {
        let (a, b) = (Scalar::<Concrete>::constant(&x), Scalar::constant(&y));
        let rules = Rules::<Concrete>::default();
        let op = AluOp::ALL[op];
        prop_assert_eq!(rules.w64.alu(op)(&a, &b), Scalar::constant(&op.apply(&x, &y)));
        let low = op.apply(&(x as u32), &(y as u32));
        prop_assert_eq!(rules.w32.alu(op)(&a, &b), Scalar::constant(&u64::from(low)));
    }
}
