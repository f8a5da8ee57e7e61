//! The path to a rejection, instruction by instruction, with what each changed in what is known.

use crate::state::{Byte, Kind, Precise, RegState, Slot, State, slot_of};
use semantics::insn::{Insn, Op, Reg};
use semantics::program::Program;
use std::fmt;
use std::ops::Range;

/// The most instructions of a path that are kept: the last ones.
pub const EVENTS_MAX: usize = 1 << 16;

/// Where something is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A register of the frame with this number.
    Reg(u8, Reg),
    /// 8 bytes of the stack of a frame, by number from its frame pointer downwards.
    Slot(u8, u8),
}

/// As logs name it: `R1`, `fp-8`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Reg(_, reg) => write!(f, "R{}", reg.number()),
            Place::Slot(_, slot) => write!(f, "fp-{}", (u32::from(*slot) + 1) * 8),
        }
    }
}

/// What is known of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Of a register, or of the register that is spilled in a slot.
    Reg(RegState),
    /// Of the bytes of a slot, by address, ascending.
    Bytes([Byte; 8]),
}

impl Held {
    fn of_slot(slot: &Slot) -> Held {
        if slot.is_spilled() { Held::Reg(slot.spill) } else { Held::Bytes(slot.bytes) }
    }
    /// Whether both say the same. Links to others, and marks, say nothing of the place itself.
    fn is_like(&self, other: &Held) -> bool {
        let plain = |held: &RegState| {
            let id = if held.kind == Kind::Scalar { 0 } else { held.id };
            RegState { id, precise: Precise::No, ..*held }
        };
        match (self, other) {
            (Held::Reg(a), Held::Reg(b)) => plain(a) == plain(b),
            (a, b) => a == b,
        }
    }
}

/// Something that an instruction changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// What is known there behind the instruction.
    pub held: Held,
}

/// An instruction on the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The instruction, in slots.
    pub insn: usize,
    /// The frame that it was in, 0 for the outermost.
    pub frame: u8,
    /// The slot that it loaded from or stored to, where that is one and known: frame and number.
    pub slot: Option<(u8, u8)>,
    changes: Range<usize>,
}

/// The path to a rejection.
#[derive(Clone, Debug)]
pub struct Way {
    /// The instructions, in order; the last one was refused.
    pub events: Vec<Event>,
    /// How many instructions came before the first of them on the path.
    pub skipped: usize,
    /// What was known before the last one.
    pub last: State,
    changes: Vec<Change>,
}

impl Way {
    /// What an event changed.
    pub fn changes(&self, event: &Event) -> &[Change] {
        &self.changes[event.changes.clone()]
    }
    /// Whether the jump with this number in [`events`](Way::events) was taken; `None` of others, of the last one, and where
    /// both ways lead to the same place.
    pub fn taken(&self, at: usize, program: &Program) -> Option<bool> {
        let pc = self.events[at].insn;
        let insn = &program.insns()[pc];
        let (target, next) = (insn.target(pc), self.events.get(at + 1)?.insn);
        let is_choice = matches!(insn.op(), Op::Jump { .. }) && target != pc as i64 + 1;
        is_choice.then_some(next as i64 == target)
    }
    /// What is known of a place of the current frame before the last instruction.
    pub fn reg(&self, reg: Reg) -> &RegState {
        self.last.reg(reg)
    }
    /// The same of a program that lies `start` slots behind the first of those that were verified together.
    pub(crate) fn behind(mut self, start: usize) -> Way {
        self.events.iter_mut().for_each(|event| event.insn += start);
        self
    }
}

/// Keeps what happens on one path among those that are followed.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The path: numbers of instructions among those of all paths, ascending.
    steps: Vec<u32>,
    next: usize,
    way: Way,
}

impl Recorder {
    /// For the path with these numbers, from its end to its start.
    pub fn new(backwards: impl Iterator<Item = u32>) -> Recorder {
        let mut steps: Vec<u32> = Vec::new();
        let mut skipped = 0;
        for step in backwards {
            if steps.len() < EVENTS_MAX {
                steps.push(step);
            } else {
                skipped += 1;
            }
        }
        steps.reverse();
        let way = Way { events: Vec::new(), skipped, last: State::empty(), changes: Vec::new() };
        Recorder { steps, next: 0, way }
    }

    /// The instruction with this number is about to be followed.
    pub fn before(&mut self, step: u32, pc: usize, insn: &Insn, state: &State) {
        if self.steps.get(self.next) != Some(&step) {
            return;
        }
        self.next += 1;
        self.behind_last(state);
        self.begin(pc, insn, state);
    }

    fn begin(&mut self, pc: usize, insn: &Insn, state: &State) {
        let end = self.way.changes.len();
        let (frame, slot) = (state.depth() as u8, slot_of_access(insn, state));
        self.way.events.push(Event { insn: pc, frame, slot, changes: end..end });
        self.way.last.clone_from(state);
    }

    /// What the last instruction changed is seen before the next one.
    fn behind_last(&mut self, state: &State) {
        let Some(event) = self.way.events.last_mut() else { return };
        compare(&self.way.last, state, &mut self.way.changes);
        event.changes.end = self.way.changes.len();
    }

    /// The path, which ended at the instruction `pc`, perhaps before it was looked at.
    pub fn finish(mut self, pc: usize, insn: &Insn, state: &State) -> Option<Way> {
        if self.way.events.last().is_some_and(|last| last.insn != pc) {
            self.behind_last(state);
            self.begin(pc, insn, state);
        }
        (self.next == self.steps.len() && !self.way.events.is_empty()).then_some(self.way)
    }
}

/// The slot that an instruction moves a value from or to, as far as its address is known.
fn slot_of_access(insn: &Insn, state: &State) -> Option<(u8, u8)> {
    let base = match insn.op() {
        Op::Load { .. } | Op::LoadSx { .. } | Op::LoadAcquire { .. } => insn.src,
        Op::Store { .. } | Op::StoreRelease { .. } | Op::Atomic { .. } => insn.dst,
        _ => return None,
    };
    let held = state.reg(base);
    let at = i64::from(held.off) + held.var.var_off.value as i64 + i64::from(insn.off as i16);
    let known = held.kind == Kind::Fp && held.var.var_off.mask == 0 && (-512..0).contains(&at);
    known.then(|| (held.frame, slot_of(at) as u8))
}

/// What differs between two states, where the second has it.
fn compare(before: &State, after: &State, changes: &mut Vec<Change>) {
    for frame in 0..=after.depth() {
        let (old, new) = (parts(before, frame), parts(after, frame).expect("a frame that is there"));
        let nothing = [RegState::NOT_INIT; 11];
        let (old_regs, old_stack) = old.unwrap_or((&nothing, &[]));
        let frame = frame as u8;
        for ((reg, old), new) in Reg::ALL.into_iter().zip(old_regs).zip(new.0) {
            if !Held::Reg(*new).is_like(&Held::Reg(*old)) {
                changes.push(Change { place: Place::Reg(frame, reg), held: Held::Reg(*new) });
            }
        }
        for (at, slot) in new.1.iter().enumerate() {
            let (old, held) =
                (old_stack.get(at).map_or(Held::Bytes([Byte::Invalid; 8]), Held::of_slot), Held::of_slot(slot));
            if !held.is_like(&old) {
                changes.push(Change { place: Place::Slot(frame, at as u8), held });
            }
        }
    }
}

/// Registers and stack of a frame.
fn parts(state: &State, frame: usize) -> Option<(&[RegState; 11], &[Slot])> {
    match state.callers.get(frame) {
        Some(caller) => Some((&caller.regs, &caller.stack)),
        None => (frame == state.depth()).then_some((&state.regs, &state.stack)),
    }
}
