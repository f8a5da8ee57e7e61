//! Jumps: what decides them, what each way teaches, and their lowering.
//!
//! `operator` obligations show that refinement loses no value before views are synchronised; `refine` obligations are about
//! rows of the verifier's table as they are called for an instruction, see [`alu`](super::alu) for how the two compose.

use super::lowering;
use super::transfer::{Registers, instance};
use crate::domain::{self, claim_contains, claim_contains_by, same};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::TABLE;
use semantics::insn::{Cond, Op, Opcode, Room, Width};
use semantics::word::{Algebra, Flag, Word};
use verifier::Domain;
use verifier::insn::jump;
use verifier::scalar::Scalar;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let operators = [Width::W64, Width::W32].into_iter().flat_map(|width| {
        Cond::ALL.into_iter().flat_map(move |cond| {
            [true, false].map(|holds| {
                let bits = if width == Width::W64 { 64 } else { 32 };
                let way = if holds { "holds" } else { "fails" };
                let name = format!("insn::jump::operator::{cond:?}{bits}_{way}").to_lowercase();
                Obligation::verifier(name, Some(Room::Jump), Operator { cond, width, holds })
            })
        })
    });
    let rows = TABLE.iter().filter(|row| matches!(row.op, Op::Jump { .. }));
    let rules = rows.flat_map(|row| {
        let statement = |registers, way| Rule { opcode: row.opcode, op: row.op, registers, way };
        let name = row.path();
        let aliased = row.op.reads_src().then_some(Registers::Aliased);
        [Registers::Distinct].into_iter().chain(aliased).flat_map(move |registers| {
            let suffix = if registers == Registers::Aliased { "_aliased" } else { "" };
            let ways = [("taken", Way::Taken), ("refine_holds", Way::Holds), ("refine_fails", Way::Fails)];
            let name = name.clone();
            let possible = move |way: Way| registers == Registers::Distinct || way.is_possible_aliased(row.op);
            ways.into_iter().filter(move |(_, way)| possible(*way)).map(move |(verb, way)| {
                let name = format!("insn::jump::{verb}::{name}{suffix}");
                Obligation::verifier(name, Some(Room::Jump), statement(registers, way))
            })
        })
    });
    let packet = Obligation::verifier("insn::jump::packet_range", Some(Room::Jump), PacketRange);
    let others = [(Width::W64, "64"), (Width::W32, "32")].into_iter().flat_map(|(width, bits)| {
        let obligation =
            |name: &str, statement| Obligation::verifier(format!("{name}{bits}"), Some(Room::Jump), statement);
        [
            obligation("insn::jump::taught", Taught { width, only_combined: false }),
            obligation("insn::jump::combined", Taught { width, only_combined: true }),
        ]
    });
    let others = others.chain([Obligation::verifier("insn::jump::simulated", Some(Room::Jump), Simulated)]);
    operators
        .chain(rules)
        .chain([packet])
        .chain(others)
        .chain(lowering::obligations(Room::Jump))
        .chain(lowering::obligations_blinded(Room::Jump))
        .collect()
}

/// The condition on registers.
fn condition<A: Algebra>(cond: Cond, width: Width, dst: &A::W64, src: &A::W64) -> A::Flag {
    match width {
        Width::W64 => cond.holds(dst, src),
        Width::W32 => cond.holds(&A::low(dst), &A::low(src)),
    }
}

/// Refinement before synchronisation loses no pair of values that goes this way.
struct Operator {
    cond: Cond,
    width: Width,
    holds: bool,
}

impl Statement for Operator {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("dst"), cx.word("src"));
        let (dst, src) = (domain::scalar(cx, "dst", &x), domain::scalar(cx, "src", &y));
        let condition = condition::<A>(self.cond, self.width, &x, &y);
        cx.assume(&condition.iff(&A::Flag::lit(self.holds)));
        let refined = jump::unsynced(self.cond, self.width, self.holds, &dst, &src);
        claim_contains(cx, "dst", &refined.dst, &x);
        claim_contains(cx, "src", &refined.src, &y);
    }
}

#[derive(Clone, Copy)]
enum Way {
    /// Which way it must go, before it goes.
    Taken,
    /// After the condition held.
    Holds,
    /// After it did not.
    Fails,
}

impl Way {
    /// Whether a jump that compares a register with itself can go this way.
    fn is_possible_aliased(self, op: Op) -> bool {
        let Op::Jump { cond, .. } = op else { return false };
        let never = matches!(cond, Cond::Ne | Cond::Gt | Cond::Lt | Cond::Sgt | Cond::Slt);
        match self {
            Way::Taken => true,
            Way::Holds => !never,
            Way::Fails => never || cond == Cond::Set,
        }
    }
}

/// The rows of the verifier's table for a jump.
struct Rule {
    opcode: Opcode,
    op: Op,
    registers: Registers,
    way: Way,
}

impl Rule {
    /// The ways that the jump can go: a register compared with itself has only one, but for `jset`.
    fn ways(&self) -> Vec<bool> {
        let possible = |way: &Way| self.registers == Registers::Distinct || way.is_possible_aliased(self.op);
        let ways = [(true, Way::Holds), (false, Way::Fails)];
        ways.into_iter().filter(|(_, way)| possible(way)).map(|(holds, _)| holds).collect()
    }
}

impl Rule {
    /// Where both ways are tried, it is enough that the operands alone decide rightly: the way that is gone contradicts
    /// nothing, because what it teaches contains the operands (`refine`), and `simulated` follows it then.
    fn simulation<A: Theory>(
        &self,
        domain: &Domain,
        dst: &Scalar<A>,
        src: &Scalar<A>,
        decided: &jump::Taken<A::Flag>,
        holds: bool,
    ) -> Vec<A::Flag> {
        let Op::Jump { cond, width, .. } = self.op else { unreachable!("{:?} is no condition", self.op) };
        if !domain.ways_simulated || self.registers == Registers::Aliased {
            return Vec::new();
        }
        let known = jump::taken_by_knowledge(cond, width, domain, dst, src);
        let way = |holds| jump::refine(cond, width, domain, holds, dst, src).well_formed();
        let simulated = known.clone().simulated(&way(true), &way(false));
        let right = if holds { known.never.not() } else { known.always.not() };
        vec![decided.always.iff(&simulated.always), decided.never.iff(&simulated.never), right]
    }
}

/// Where the way that is gone contradicts nothing, and the operands do not say that it is never gone, no more does the
/// simulation of both ways.
struct Simulated;

impl Statement for Simulated {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let mut flag = |name: &str| cx.word::<A::W64>(name).is_zero();
        let (always, never, other) = (flag("always"), flag("never"), flag("other"));
        let yes = A::Flag::lit(true);
        let taken = jump::Taken { always, never };
        let gone = taken.clone().simulated(&yes, &other);
        cx.claim("the way that holds is gone", taken.never.not().implies(&gone.never.not()));
        let gone = taken.clone().simulated(&other, &yes);
        cx.claim("the way that fails is gone", taken.always.not().implies(&gone.always.not()));
    }
}

/// What a constant taught before 6.8, for all conditions and both ways; and that what it taught at one width is combined
/// with the other without losing a value.
struct Taught {
    width: Width,
    only_combined: bool,
}

impl Statement for Taught {
    fn cases(&self) -> usize {
        if self.only_combined { 1 } else { 2 * Cond::ALL.len() }
    }
    fn case_name(&self, case: usize) -> String {
        let way = if case.is_multiple_of(2) { "holds" } else { "fails" };
        if self.only_combined { String::new() } else { format!("{:?} {way}", Cond::ALL[case / 2]) }
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let x: A::W64 = cx.word("dst");
        let dst = domain::scalar(cx, "dst", &x);
        if self.only_combined {
            return claim_contains(cx, "the combination", &jump::combined(self.width, &dst), &x);
        }
        let (cond, holds) = (Cond::ALL[case / 2], case.is_multiple_of(2));
        let y: A::W64 = cx.word("src");
        let src = domain::scalar(cx, "src", &y);
        cx.assume(&jump::known(self.width, &src));
        cx.assume(&condition::<A>(cond, self.width, &x, &y).iff(&A::Flag::lit(holds)));
        claim_contains(cx, "dst", &jump::by_constant(cond, self.width, holds, &dst, &src), &x);
    }
}

impl Statement for Rule {
    fn cases(&self) -> usize {
        Domain::ALL.len() * if matches!(self.way, Way::Taken) { self.ways().len() } else { 1 }
    }
    fn case_name(&self, case: usize) -> String {
        let (domain, case) = (Domain::ALL[case % Domain::ALL.len()].name, case / Domain::ALL.len());
        match self.way {
            Way::Taken if self.ways()[case] => format!("{domain} taken"),
            Way::Taken => format!("{domain} not taken"),
            Way::Holds | Way::Fails => domain.to_owned(),
        }
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (domain, case) = (&Domain::ALL[case % Domain::ALL.len()], case / Domain::ALL.len());
        let Op::Jump { cond, width, source } = self.op else { unreachable!("{:?} is no condition", self.op) };
        let rules = domain::rules(cx);
        let rules = rules.at(width);
        let run = instance(cx, self.opcode, source, self.registers, rules);
        let taken = run.taken.clone().expect("a jump branches");
        let branch = rules.branch(cond);
        let (row, holds) = match self.way {
            Way::Taken => {
                let decided = match self.registers {
                    Registers::Distinct => (branch.taken)(domain, &run.dst, &run.src),
                    Registers::Aliased => (branch.taken_itself)(domain, &run.dst),
                };
                let holds = self.ways()[case];
                cx.assume(&taken.iff(&A::Flag::lit(holds)));
                let lemmas = self.simulation(domain, &run.dst, &run.src, &decided, holds);
                return if holds {
                    cx.claim_by("what is taken is not never taken", decided.never.not(), lemmas);
                } else {
                    cx.claim_by("what is not taken is not always taken", decided.always.not(), lemmas);
                };
            }
            Way::Holds => (branch.holds, true),
            Way::Fails => (branch.fails, false),
        };
        cx.assume(&taken.iff(&A::Flag::lit(holds)));
        let refined = row(domain, &run.dst, &run.src);
        let proven = jump::refine(cond, width, domain, holds, &run.dst, &run.src);
        let operand = run.src.contains(&run.src_value);
        let meaning = taken.iff(&condition::<A>(cond, width, &run.dst_value, &run.src_value));
        let lemmas = [same(&refined.dst, &proven.dst), same(&refined.src, &proven.src), operand, meaning];
        if self.registers == Registers::Aliased {
            // The meet of two that contain the value, synchronised: `scalar::meet` and `scalar::sync`.
            return claim_contains_by(cx, "the register", &refined.aliased(domain), &run.dst_value, &lemmas);
        }
        claim_contains_by(cx, "dst", &refined.dst, &run.dst_value, &lemmas);
        claim_contains_by(cx, "src", &refined.src, &run.src_value, &lemmas);
    }
}

/// A packet pointer at a constant offset that was found at, or strictly below, the packet's end proves the bytes before it,
/// and its own: no byte that is granted lies at or beyond the end. For offsets of 0 to 15 and those around the largest
/// one; where the packet lies is symbolic. The rule is arithmetic on plain integers, so offsets are enumerated.
struct PacketRange;

impl PacketRange {
    const SMALL: usize = 16;
    /// The largest offset of a packet pointer (kernel: `MAX_PACKET_OFF`).
    const LARGE: [i64; 3] = [0x7fff, 0xfffe, 0xffff];

    fn offset(case: usize) -> i64 {
        let number = case / 2;
        if number < Self::SMALL { number as i64 } else { Self::LARGE[number - Self::SMALL] }
    }
}

impl Statement for PacketRange {
    fn cases(&self) -> usize {
        2 * (Self::SMALL + Self::LARGE.len())
    }
    fn case_name(&self, case: usize) -> String {
        format!("offset {} {}", Self::offset(case), if case % 2 == 1 { "below the end" } else { "at or below the end" })
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let strictly = case % 2 == 1;
        // Offsets scale with the width.
        let offset =
            if A::W64::BITS == 64 { Self::offset(case) } else { Self::offset(case) % (1 << (A::W64::BITS - 2)) };
        let granted = (domain::rules(cx).packet_range)(offset, strictly);
        let word = |value: i64| A::W64::lit(value as u64);
        let data: A::W64 = cx.word_where("data", |data: &A::W64| data.ule(&data.add(&word(offset))));
        let pointer = data.add(&word(offset));
        let found = |end: &A::W64| if strictly { pointer.ult(end) } else { pointer.ule(end) };
        let end: A::W64 = cx.word_where("data_end", found);
        cx.claim("granted bytes lie in the packet", word(granted).ule(&end.sub(&data)));
    }
}
