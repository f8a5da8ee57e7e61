//! Layout: every jump lands on the first byte of its target, whatever the program.
//!
//! Layout is a loop over rounds, and each round a loop over branches; these are statements about one step of it, and the
//! whole follows by induction over branches and rounds:
//! - `grow`: the bytes of the first branches are no fewer than in the round before, and the more branches, the more were
//!   added. For a branch that reaches near, the next round's reach is near.
//! - `distance`: so the distance between two places never shrinks, in either direction; what did not fit 8 bits does not
//!   fit in a later round, and a branch that grew had to.
//! - `padded`: where nops were put before loops, the distance between a slot and a branch has grown by those between them,
//!   whichever comes first; so it has not shrunk either.
//! - `settled`: a branch is left short only if its displacement fits, with the sums that the code is written with: those of
//!   a round that changed nothing.
//! - `lands`: the bytes that are written for a branch then lead from its end to its target, in 8 or in 32 bits.
//!
//! That offsets stay below 2^31 is checked when code is written, and so is that all bytes are where they were counted.

use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use jit::layout::relax::{Standard, Steps};
use jit::plant::layout::{FromStart, NopsMoveSlotsOnly, Reaches128, Shrinks};
use jit::x64::decode::Decoded;
use jit::x64::{Branch, Cc, Reach, Stub, encode};
use semantics::word::{Flag, Word};

/// The obligations of layout.
pub fn obligations() -> Vec<Obligation> {
    vec![
        Obligation::jit("layout::grow", None, Grow),
        Obligation::jit("layout::distance", None, Distance),
        Obligation::jit("layout::padded", None, Padded),
        Obligation::jit("layout::settled", None, Settled),
        Obligation::jit("layout::lands", None, Lands),
    ]
}

/// Calls `$call::<S, _>` with the steps under proof: those of the mistake that the context asks for, if it is one of layout.
macro_rules! with_steps {
    ($cx:ident, $call:path, $($argument:expr),*) => {
        match $cx.plant() {
            Some("layout::reaches_128") => $call(Reaches128, $($argument),*),
            Some("layout::from_start") => $call(FromStart, $($argument),*),
            Some("layout::shrinks") => $call(Shrinks, $($argument),*),
            Some("layout::nops_move_slots_only") => $call(NopsMoveSlotsOnly, $($argument),*),
            _ => $call(Standard, $($argument),*),
        }
    };
}

/// Offsets are below this.
const LIMIT: u64 = 1 << 31;

const BRANCHES: [Branch; 4] = [Branch::Jcc(Cc::E), Branch::Jmp, Branch::Local, Branch::Stub(Stub::Helper)];

/// The reaches of a branch in two rounds that follow each other.
const REACHES: [(Reach, Reach); 3] =
    [(Reach::Short, Reach::Short), (Reach::Short, Reach::Near), (Reach::Near, Reach::Near)];

/// A number of bytes, below a quarter of the limit, so that sums of a few stay below it.
fn bytes<A: Theory>(name: &str, cx: &mut Context<'_, A>) -> A::W32 {
    cx.word_where(name, |word: &A::W32| word.ult(&A::W32::lit(LIMIT / 4)))
}

/// A number of bytes that is no less than another.
fn no_less<A: Theory>(name: &str, than: &A::W32, cx: &mut Context<'_, A>) -> A::W32 {
    let more = bytes(name, cx);
    than.add(&more)
}

/// Sums of branches from round to round.
struct Grow;

fn grow<A: Theory, S: Steps>(_: S, case: usize, cx: &mut Context<'_, A>) {
    let (branch, (before, after)) = (BRANCHES[case / REACHES.len()], REACHES[case % REACHES.len()]);
    let old = bytes("old", cx);
    let new = no_less("added", &old, cx);
    let (old_sum, new_sum) = (S::grow(&old, branch, before), S::grow(&new, branch, after));
    cx.claim("a sum never shrinks from round to round", old_sum.ule(&new_sum));
    cx.claim("what was added is no less behind the branch", new.sub(&old).ule(&new_sum.sub(&old_sum)));
    cx.claim("a branch takes bytes", old.ult(&old_sum));
    let displacement: A::W32 = cx.word("displacement");
    cx.claim("near stays near", A::Flag::lit(S::reach(Reach::Near, &displacement) == Reach::Near));
}

impl Statement for Grow {
    fn cases(&self) -> usize {
        BRANCHES.len() * REACHES.len()
    }
    fn case_name(&self, case: usize) -> String {
        format!("{:?} {:?}", BRANCHES[case / REACHES.len()], REACHES[case % REACHES.len()])
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        with_steps!(cx, grow, case, cx);
    }
}

/// Two places in two rounds.
struct Distance;

fn distance<A: Theory, S: Steps>(_: S, cx: &mut Context<'_, A>) {
    let fixed = bytes::<A>("fixed", cx);
    let (first, straight) = (bytes("first_straight", cx), bytes("straight_between", cx));
    let (before, between) = (bytes("first_branches", cx), bytes("branches_between", cx));
    let (added, added_between) = (bytes("added_before", cx), bytes("added_between", cx));
    let total =
        [&straight, &before, &between, &added, &added_between].into_iter().fold(fixed.add(&first), |sum, more| {
            cx.assume(&sum.ult(&A::W32::lit(LIMIT)));
            sum.add(more)
        });
    cx.assume(&total.ult(&A::W32::lit(LIMIT)));
    let last = first.add(&straight);
    let place = |straight: &A::W32, branches: &A::W32| S::offset(&fixed, straight, branches);
    let (low, high) = (place(&first, &before), place(&last, &before.add(&between)));
    let grown = before.add(&added);
    let (new_low, new_high) = (place(&first, &grown), place(&last, &grown.add(&between).add(&added_between)));
    cx.claim("places keep their order", low.ule(&high).and(&new_low.ule(&new_high)));
    cx.claim("a distance never shrinks", high.sub(&low).ule(&new_high.sub(&new_low)));
    for (way, old, new) in [
        ("forward", S::displacement(&high, &low), S::displacement(&new_high, &new_low)),
        ("backward", S::displacement(&low, &high), S::displacement(&new_low, &new_high)),
    ] {
        let stays = S::is_short(&old).or(&S::is_short(&new).not());
        cx.claim(format!("what did not fit {way} fits in no later round"), stays);
    }
}

impl Statement for Distance {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        with_steps!(cx, distance, cx);
    }
}

/// A slot and a branch, and nops before them.
struct Padded;

fn padded<A: Theory, S: Steps>(_: S, slot_first: bool, cx: &mut Context<'_, A>) {
    let (first, between) = (bytes::<A>("first", cx), bytes("between", cx));
    let (nops, nops_between) = (bytes::<A>("nops", cx), bytes("nops_between", cx));
    let (last, all_nops) = (first.add(&between), nops.add(&nops_between));
    let (new_first, new_last) = if slot_first {
        (S::pad_slot(&first, &nops), S::pad_branch(&last, &all_nops))
    } else {
        (S::pad_branch(&first, &nops), S::pad_slot(&last, &all_nops))
    };
    cx.claim("both move by the nops before them", new_first.same(&first.add(&nops)));
    cx.claim(
        "their distance grows by the nops between them",
        new_last.sub(&new_first).same(&between.add(&nops_between)),
    );
}

impl Statement for Padded {
    fn cases(&self) -> usize {
        2
    }
    fn case_name(&self, case: usize) -> String {
        if case == 0 { "slot first" } else { "branch first" }.to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        with_steps!(cx, padded, case == 0, cx);
    }
}

/// A branch in the last round.
struct Settled;

fn settled<A: Theory, S: Steps>(_: S, cx: &mut Context<'_, A>) {
    let displacement: A::W32 = cx.word("displacement");
    let reach = S::reach(Reach::Short, &displacement);
    let fits = displacement.add(&A::W32::lit(128)).ult(&A::W32::lit(256));
    cx.claim("short is left what fits 8 bits, and nothing else", fits.iff(&A::Flag::lit(reach == Reach::Short)));
}

impl Statement for Settled {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        with_steps!(cx, settled, cx);
    }
}

/// A branch as it is written.
struct Lands;

fn lands<A: Theory, S: Steps>(_: S, branch: Branch, cx: &mut Context<'_, A>) {
    let below = |word: &A::W32| word.ult(&A::W32::lit(LIMIT));
    let (target, end): (A::W32, A::W32) = (cx.word_where("target", below), cx.word_where("end", below));
    let displacement = S::displacement(&target, &end);
    let reach = match branch {
        Branch::Jcc(_) | Branch::Jmp => S::reach(Reach::Short, &displacement),
        Branch::Local | Branch::Stub(_) => Reach::Near,
    };
    let mut bytes = Vec::new();
    encode::branch::<A>(branch, reach, &displacement, &mut bytes);
    let Some((Decoded::Branch { rel, .. }, length)) = A::decode_x64(&bytes) else {
        return cx.claim("it is a branch", A::Flag::lit(false));
    };
    cx.claim("it takes the bytes that were counted", A::Flag::lit(length as u32 == encode::branch_len(branch, reach)));
    // The processor adds the sign-extended displacement to the 64-bit address behind the branch.
    let reached = A::zext(&end).add(&A::sext(&rel));
    cx.claim("it leads to its target", reached.same(&A::zext(&target)));
}

impl Statement for Lands {
    fn cases(&self) -> usize {
        BRANCHES.len()
    }
    fn case_name(&self, case: usize) -> String {
        format!("{:?}", BRANCHES[case])
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        with_steps!(cx, lands, BRANCHES[case], cx);
    }
}
