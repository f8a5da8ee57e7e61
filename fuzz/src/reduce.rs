//! Shrinking: the smallest program and input that still raise the same objection.
//!
//! The result is 1-minimal: no single instruction can be left out, and no immediate, offset, packet or field made
//! simpler by the steps below, without losing the objection.

use std::sync::Arc;

use semantics::insn::{Insn, Op, Opcode, Reg, Source, Wide};
use semantics::map::{Contents, MapDef};
use semantics::memory::layout::FRAMES_MAX;
use semantics::program::Program;
use semantics::world::{Input, WorldConfig};

use crate::finding::{Finding, Objection};
use crate::oracle::Oracle;
use crate::test::Test;

/// Raises an objection to a test, or does not.
pub trait Check {
    /// The objection to this test, if any.
    fn check(&mut self, test: &Test) -> Option<Objection>;
}

impl<F: FnMut(&Test) -> Option<Objection>> Check for F {
    fn check(&mut self, test: &Test) -> Option<Objection> {
        self(test)
    }
}

/// Whether a smaller test may stand for the first one. Engines that differ may come to differ in another place: what was
/// wrong with a byte of the packet is then seen in R0. Any configuration of an engine may show it.
fn is_alike(first: &Objection, smaller: &Objection) -> bool {
    let is_difference = |objection: &Objection| objection.oracle == Oracle::Agree && objection.engines.len() > 1;
    (is_difference(first) && is_difference(smaller))
        || (first.oracle == smaller.oracle && first.engines == smaller.engines && first.kind == smaller.kind)
}

struct Reducer<'a, C> {
    check: &'a mut C,
    of: Objection,
    best: Test,
    objection: Objection,
    tries: u64,
}

/// Shrinks a finding; also says how many tests it tried.
pub fn reduce<C: Check>(finding: Finding, check: &mut C) -> (Finding, u64) {
    let Finding { test, objection, plant, target } = finding;
    let mut reducer = Reducer { check, of: objection.clone(), best: test, objection, tries: 0 };
    reducer.drop_targets();
    reducer.enter_subprograms();
    loop {
        let before = reducer.best.clone();
        reducer.delete_insns();
        reducer.simplify_insns();
        reducer.rename_registers();
        reducer.hoist_constants();
        reducer.drop_maps();
        reducer.simplify_input();
        if reducer.best == before {
            break;
        }
    }
    let finding = Finding { test: reducer.best, objection: reducer.objection, plant, target };
    (finding, reducer.tries)
}

impl<C: Check> Reducer<'_, C> {
    /// Takes `test` for the best if it still raises the objection.
    fn accept(&mut self, test: Test) -> bool {
        if test == self.best {
            return false;
        }
        self.tries += 1;
        match self.check.check(&test) {
            Some(objection) if is_alike(&self.of, &objection) => {
                (self.best, self.objection) = (test, objection);
                true
            }
            _ => false,
        }
    }

    fn accept_insns(&mut self, insns: Vec<Insn>) -> bool {
        let Ok(program) = self.best.program.with_insns(insns) else { return false };
        self.accept(Test { program: Arc::new(program), input: self.best.input.clone() })
    }

    fn accept_input(&mut self, input: Input) -> bool {
        self.accept(Test { program: Arc::clone(&self.best.program), input })
    }

    /// Leaves out the programs that tail calls lead to; those that need them are not made shorter.
    fn drop_targets(&mut self) {
        let program = &self.best.program;
        let Some(first) = program.targets().first() else { return };
        let mut maps = program.maps().to_vec();
        for map in &mut maps {
            map.contents = Contents::Empty;
        }
        let insns = program.insns()[..first.start].to_vec();
        let alone = Program::new(program.name(), program.program_type(), program.license(), maps, insns);
        if let Ok(program) = alone {
            self.accept(Test { program: Arc::new(program), input: self.best.input.clone() });
        }
    }

    /// Begins with a subprogram where that is where it goes wrong.
    fn enter_subprograms(&mut self) {
        for _ in 0..FRAMES_MAX {
            let starts = self.best.program.subprograms().to_vec();
            let entered = starts.iter().skip(1).any(|start| {
                let entered = entering(&self.best.program, *start);
                entered.is_some_and(|insns| self.accept_insns(insns))
            });
            if !entered {
                return;
            }
            // The rest is called no more, for the most part.
            let mut run = self.best.program.insns().len() / 2;
            while run > 4 {
                self.delete_runs(run);
                run /= 2;
            }
        }
    }

    /// Leaves out runs of instructions, long ones first, down to single ones.
    fn delete_insns(&mut self) {
        let mut run = self.best.program.insns().len() / 2;
        while run > 0 {
            self.delete_runs(run);
            run /= 2;
        }
    }

    fn delete_runs(&mut self, run: usize) {
        // Long runs are not tried at every place: the shorter ones come to what they miss.
        let step = (run / 4).max(1);
        let mut at = 0;
        while at < self.best.program.insns().len() {
            let shorter = without(self.best.program.insns(), at, run);
            if !shorter.is_some_and(|insns| self.accept_insns(insns)) {
                at += step;
            }
        }
    }

    /// Makes each instruction simpler: another operation, smaller operands.
    fn simplify_insns(&mut self) {
        let mut at = 0;
        while at < self.best.program.insns().len() {
            let insn = self.best.program.insns()[at];
            for simpler in simpler_insns(&insn) {
                let mut insns = self.best.program.insns().to_vec();
                insns[at] = simpler;
                // The search goes on from whatever was accepted.
                self.accept_insns(insns);
            }
            if matches!(insn.op(), Op::Wide(_)) {
                self.narrow_wide(at);
            }
            at += 1;
        }
    }

    /// A wide constant that fits 32 bits needs only one slot.
    fn narrow_wide(&mut self, at: usize) {
        let insn = self.best.program.insns()[at];
        if insn.opcode != Opcode::Lddw {
            return;
        }
        let Some(mut insns) = without(self.best.program.insns(), at, 1) else { return };
        // `without` took both slots; jumps are repaired for a program that is one slot longer again.
        let Some(longer) = with(&mut insns, at, Insn::new(Opcode::Mov64K).dst(insn.dst).imm(insn.imm as i32)) else {
            return;
        };
        self.accept_insns(longer);
    }

    /// Moves constants to the front, where they stand in for what a path would otherwise have to set.
    fn hoist_constants(&mut self) {
        for at in 1..self.best.program.insns().len() {
            let insns = self.best.program.insns();
            let insn = insns[at];
            // Those at the front stay in their order, or this would never end.
            if insn.opcode != Opcode::Mov64K || insns[..at].iter().all(|before| before.opcode == Opcode::Mov64K) {
                continue;
            }
            let hoisted = without(insns, at, 1).and_then(|mut rest| with(&mut rest, 0, insn));
            if let Some(insns) = hoisted {
                self.accept_insns(insns);
            }
        }
    }

    /// Uses the lowest registers that will do.
    fn rename_registers(&mut self) {
        for from in 1..Reg::FP.index() {
            for to in 0..from {
                let rename = |reg: Reg| if reg.index() == from { Reg::ALL[to] } else { reg };
                let insns = self.best.program.insns().iter();
                if self.accept_insns(insns.map(|insn| insn.dst(rename(insn.dst)).src(rename(insn.src))).collect()) {
                    break;
                }
            }
        }
    }

    fn drop_maps(&mut self) {
        let mut index = self.best.program.maps().len();
        while index > 0 {
            index -= 1;
            if let Some(test) = without_map(&self.best, index) {
                self.accept(test);
            }
        }
    }

    fn simplify_input(&mut self) {
        let default = Input { packet: self.best.input.packet.clone(), ..Input::default() };
        if self.accept_input(default) {
            // Packet only, from here on.
        } else {
            self.simplify_world();
        }
        let mut len = 0;
        while len < self.best.input.packet.len() {
            let mut input = self.best.input.clone();
            input.packet.truncate(len);
            if self.accept_input(input) {
                break;
            }
            len = (len * 2).max(1).max(len + 1);
        }
        while let Some(shorter) = self.best.input.packet.len().checked_sub(1) {
            let mut input = self.best.input.clone();
            input.packet.truncate(shorter);
            if !self.accept_input(input) {
                break;
            }
        }
        for at in 0..self.best.input.packet.len() {
            let mut input = self.best.input.clone();
            input.packet[at] = 0;
            self.accept_input(input);
        }
    }

    fn simplify_world(&mut self) {
        for at in (0..self.best.input.elements.len()).rev() {
            let mut input = self.best.input.clone();
            input.elements.remove(at);
            self.accept_input(input);
        }
        for at in (0..self.best.input.context.len()).rev() {
            let mut input = self.best.input.clone();
            input.context.remove(at);
            self.accept_input(input);
        }
        let input = Input { world: WorldConfig::default(), ..self.best.input.clone() };
        self.accept_input(input);
    }
}

/// Simpler instructions in place of this one, the simplest last so that it wins if it can.
fn simpler_insns(insn: &Insn) -> Vec<Insn> {
    let mut simpler = Vec::new();
    let op = insn.op();
    if let Op::Alu { .. } | Op::Mov { .. } | Op::Load { .. } | Op::Neg { .. } = op
        && insn.dst != Reg::FP
        && insn.opcode != Opcode::Mov64K
    {
        simpler.push(Insn::new(Opcode::Mov64K).dst(insn.dst));
    }
    // What a store or a jump would show is mostly shown by R0 as well.
    let show = |reg| Insn::new(Opcode::Mov64X).dst(Reg::R0).src(reg);
    match op {
        Op::Store { source: Source::X, .. } => simpler.push(show(insn.src)),
        Op::Jump { source: Source::X, .. } => simpler.extend([show(insn.dst), show(insn.src)]),
        Op::Jump { source: Source::K, .. } => simpler.push(show(insn.dst)),
        Op::CallHelper | Op::CallLocal => simpler.extend([-1, 1].map(|imm| Insn::new(Opcode::Mov64K).imm(imm))),
        Op::Gotol => simpler.extend(i16::try_from(insn.imm as i32).map(|off| Insn::new(Opcode::Ja).off(off))),
        Op::LoadAcquire { size } => simpler.push(Insn { opcode: Opcode::of(Op::Load { size }), ..*insn }),
        Op::StoreRelease { size } => {
            simpler.push(Insn { opcode: Opcode::of(Op::Store { size, source: Source::X }), ..*insn });
        }
        _ => {}
    }
    let has_target = op.names_subprogram() || op.is_jump() && !matches!(op, Op::Jump { .. });
    if has_target || matches!(op, Op::CallHelper) || names_map(op) {
        return simpler;
    }
    let imm = insn.imm as i32;
    for candidate in [imm / 2, imm & 0xff, 1, 0] {
        if candidate.unsigned_abs() < imm.unsigned_abs() {
            simpler.push(insn.imm(candidate));
        }
    }
    if insn.opcode == Opcode::Lddw && insn.imm_hi != 0 {
        simpler.push(insn.wide(u64::from(insn.imm)));
    }
    if !op.is_jump() && insn.off != 0 {
        simpler.push(insn.off(0));
    }
    simpler
}

/// The instructions without `run` of them from slot `at`, jumps repaired; a wide one goes with its tail.
fn without(insns: &[Insn], at: usize, run: usize) -> Option<Vec<Insn>> {
    if insns.get(at)?.opcode == Opcode::WideTail {
        return None;
    }
    let mut end = (at + run).min(insns.len());
    if insns.get(end).is_some_and(|insn| insn.opcode == Opcode::WideTail) {
        end += 1;
    }
    // Where each old slot is now; deleted ones lead to what follows them.
    let place = |slot: i64| -> i64 {
        let (at, end) = (at as i64, end as i64);
        if slot < at { slot } else { (slot.max(end)) - (end - at) }
    };
    let mut kept = Vec::with_capacity(insns.len());
    for (slot, insn) in insns.iter().enumerate().filter(|(slot, _)| !(at..end).contains(slot)) {
        kept.push(aimed(insn, slot, place(slot as i64), place)?);
    }
    Some(kept)
}

/// The instruction of slot `from`, now at `to`, aimed at where `place` says that its target is now.
fn aimed(insn: &Insn, from: usize, to: i64, place: impl Fn(i64) -> i64) -> Option<Insn> {
    let op = insn.op();
    if !op.is_jump() && !op.names_subprogram() {
        return Some(*insn);
    }
    let distance = place(insn.target(from)) - to - 1;
    Some(match op {
        Op::Gotol | Op::CallLocal | Op::Wide(Wide::Code) => insn.imm(distance as i32),
        _ => insn.off(i16::try_from(distance).ok()?),
    })
}

/// The program with a copy of the subprogram at `start` for its beginning.
fn entering(program: &Program, start: usize) -> Option<Vec<Insn>> {
    let insns = program.insns();
    let next = program.subprograms().iter().find(|next| **next > start);
    let end = next.copied().unwrap_or(insns.len());
    // The arguments are open now, but for the first, which is the context.
    let mut entered: Vec<Insn> = Reg::ARGS[1..].iter().map(|reg| Insn::new(Opcode::Mov64K).dst(*reg)).collect();
    let (given, rest) = (entered.len() as i64, (entered.len() + end - start) as i64);
    let place =
        |slot: i64| if (start as i64..end as i64).contains(&slot) { slot - start as i64 + given } else { slot + rest };
    for (slot, insn) in insns.iter().enumerate().take(end).skip(start) {
        entered.push(aimed(insn, slot, place(slot as i64), place)?);
    }
    entered.extend_from_slice(insns);
    Some(entered)
}

/// The instructions with one more before slot `at`; jumps to `at` lead to the new one.
fn with(insns: &mut Vec<Insn>, at: usize, new: Insn) -> Option<Vec<Insn>> {
    let place = |slot: i64| if slot <= at as i64 { slot } else { slot + 1 };
    let mut longer = Vec::with_capacity(insns.len() + 1);
    for (slot, insn) in insns.drain(..).enumerate() {
        if slot == at {
            longer.push(new);
        }
        let own = slot + usize::from(slot >= at);
        longer.push(aimed(&insn, slot, own as i64, place)?);
    }
    if longer.len() == at {
        longer.push(new);
    }
    Some(longer)
}

fn names_map(op: Op) -> bool {
    matches!(op, Op::Wide(kind) if kind.names_map())
}

/// The test without a map that its program does not use.
fn without_map(test: &Test, index: usize) -> Option<Test> {
    let program = &test.program;
    let uses = |insn: &Insn| names_map(insn.op()) && insn.imm as usize == index;
    if program.insns().iter().any(uses) {
        return None;
    }
    let maps: Vec<MapDef> =
        program.maps().iter().enumerate().filter(|(at, _)| *at != index).map(|(_, map)| map.clone()).collect();
    let renumber = |insn: &Insn| match insn.op() {
        op if names_map(op) && insn.imm as usize > index => insn.imm(insn.imm as i32 - 1),
        _ => *insn,
    };
    let insns = program.insns().iter().map(renumber).collect();
    let smaller = Program::new(program.name(), program.program_type(), program.license(), maps, insns).ok()?;
    let mut input = test.input.clone();
    input.elements.retain(|element| element.0 != index);
    for element in &mut input.elements {
        element.0 -= usize::from(element.0 > index);
    }
    Some(Test { program: Arc::new(smaller), input })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::generate::{Generator, Options};
    use crate::target::Target;

    /// Objects to every program with a 32-bit negation and a packet of at least 3 bytes.
    fn objection(test: &Test) -> Option<Objection> {
        let neg = test.program.insns().iter().any(|insn| insn.opcode == Opcode::Neg32);
        (neg && test.input.packet.len() >= 3).then(|| Objection::panic("neg"))
    }

    #[test]
    fn shrinks_to_what_the_objection_needs() {
        let generator = Generator::new(Options { insns: 40, ..Options::default() });
        let mut shrunk = 0;
        for number in 0..2000 {
            let test = generator.test(Dice::new(3, number));
            let Some(first) = objection(&test) else { continue };
            let (finding, _) =
                reduce(Finding { test, objection: first, plant: None, target: Target::default() }, &mut objection);
            let insns = finding.test.program.insns();
            assert_eq!(insns.len(), 2, "{insns:?}");
            assert_eq!((insns[0].opcode, insns[1].opcode), (Opcode::Neg32, Opcode::Exit));
            assert_eq!(finding.test.input, Input { packet: vec![0; 3], ..Input::default() });
            assert!(finding.test.program.maps().is_empty());
            shrunk += 1;
        }
        assert!(shrunk > 20, "only {shrunk} programs had the instruction");
    }
}
