//! Where a register got its value from: back along the path.

use super::way::{Change, Event, Held, Place, Way};
use crate::state::{Kind, RegState};
use semantics::insn::{AluOp, AtomicOp, Insn, Op, Reg, Source};
use semantics::program::Program;

/// An instruction that had a part in a value.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Its number in [`Way::events`].
    pub at: usize,
    /// The instruction.
    pub event: &'a Event,
    /// What it changed of the value, or of what that was made of.
    pub change: &'a Change,
}

/// The most places that are followed back at once: more say nothing to a reader.
const PLACES_MAX: usize = 16;

impl Way {
    /// The instructions that `place` got its value from before the last one, in the order of the path: those that computed it or
    /// what it was made of, and jumps that taught something of either.
    pub fn origin(&self, program: &Program, place: Place) -> Vec<Origin<'_>> {
        let mut wanted = vec![place];
        let mut found = Vec::new();
        let before = self.events.len().saturating_sub(1);
        for (at, event) in self.events[..before].iter().enumerate().rev() {
            if wanted.is_empty() {
                break;
            }
            let changes = self.changes(event).iter().filter(|change| wanted.contains(&change.place));
            found.extend(changes.map(|change| Origin { at, event, change }));
            let next = self.events[at + 1].frame;
            let sources: Vec<Place> =
                wanted.iter().flat_map(|place| sources(*place, &program.insns()[event.insn], event, next)).collect();
            wanted.clear();
            for source in sources {
                if !wanted.contains(&source) && wanted.len() < PLACES_MAX {
                    wanted.push(source);
                }
            }
        }
        found.reverse();
        found
    }

    /// The number that was added last to the address in `reg`: the event that added it, the register that held it, and what was
    /// known of it.
    pub fn added_last(&self, program: &Program, reg: Reg) -> Option<(usize, Reg, RegState)> {
        let place = Place::Reg(self.last.depth() as u8, reg);
        self.origin(program, place).iter().rev().find_map(|origin| {
            let insn = &program.insns()[origin.event.insn];
            let adds = matches!(insn.op(), Op::Alu { op: AluOp::Add, source: Source::X, .. });
            let frame = origin.event.frame;
            if !adds || origin.change.place != Place::Reg(frame, insn.dst) {
                return None;
            }
            let operands = [insn.src, insn.dst].into_iter();
            let mut numbers =
                operands.filter_map(|reg| Some((reg, self.held_before(origin.at, Place::Reg(frame, reg))?)));
            let (reg, held) = numbers.find(|(_, held)| held.kind == Kind::Scalar)?;
            Some((origin.at, reg, held))
        })
    }

    /// What was known of a register before an event.
    pub fn held_before(&self, at: usize, place: Place) -> Option<RegState> {
        let changes = self.events[..at].iter().rev().flat_map(|event| self.changes(event).iter().rev());
        let held = changes.map(|change| (change.place, change.held)).find(|(of, _)| *of == place)?.1;
        if let Held::Reg(held) = held { Some(held) } else { None }
    }
}

/// What the value of `place` behind an instruction was made of before it: itself, if the instruction left it alone. `next` is the
/// frame behind the instruction.
fn sources(place: Place, insn: &Insn, event: &Event, next: u8) -> Vec<Place> {
    let (op, frame) = (insn.op(), event.frame);
    let here = |reg| Place::Reg(frame, reg);
    let slot = || event.slot.map(|(frame, slot)| Place::Slot(frame, slot));
    let is_saved = |reg: Reg| reg.number() >= Reg::R6.number();
    match (op, place) {
        // Arguments come from the caller; what a helper hands to a callback it made.
        (Op::CallLocal, Place::Reg(of, reg)) if of > frame => {
            if Reg::ARGS.contains(&reg) {
                vec![here(reg)]
            } else {
                Vec::new()
            }
        }
        (Op::CallHelper, Place::Reg(of, _) | Place::Slot(of, _)) if of > frame => Vec::new(),
        (Op::CallHelper | Op::CallLocal | Op::CallKfunc, Place::Reg(of, reg)) if of == frame && !is_saved(reg) => {
            Vec::new()
        }
        (Op::Exit, Place::Reg(of, Reg::R0)) if of == next && of < frame => vec![here(Reg::R0)],
        (Op::Load { .. } | Op::LoadSx { .. } | Op::LoadAcquire { .. }, _) if place == here(insn.dst) => {
            slot().into_iter().collect()
        }
        (Op::Store { source, .. }, Place::Slot(..)) if slot() == Some(place) => {
            if source == Source::X {
                vec![here(insn.src)]
            } else {
                Vec::new()
            }
        }
        (Op::StoreRelease { .. }, Place::Slot(..)) if slot() == Some(place) => vec![here(insn.src)],
        (Op::Atomic { op, fetch, .. }, _) => {
            let loaded = if op == AtomicOp::Cmpxchg { Some(Reg::R0) } else { fetch.then_some(insn.src) };
            if loaded.is_some_and(|reg| place == here(reg)) { slot().into_iter().collect() } else { vec![place] }
        }
        _ if op.writes_dst() && place == here(insn.dst) => {
            let operands = [op.reads_dst().then_some(insn.dst), op.reads_src().then_some(insn.src)];
            operands.into_iter().flatten().map(here).collect()
        }
        _ => vec![place],
    }
}
