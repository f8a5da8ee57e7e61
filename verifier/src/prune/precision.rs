//! Which numbers a verdict depends on (kernel: `mark_chain_precision`, `backtrack_insn`).
//!
//! Where a rule looks at what a number is, the registers and slots that it came from are followed back along the path, and
//! marked in the states that were saved on it. Numbers without a mark are alike.

use super::liveness::{NO_SLOTS, Slots};
use crate::rules::Backtrack;
use crate::state::{Kind, Precise, RegState, State};
use semantics::helper::{self, ArgKind};
use semantics::insn::{AluOp, AtomicOp, Insn, Op, Reg, Source};
use semantics::memory::layout::FRAMES_MAX;

const NONE: u32 = u32::MAX;

/// An instruction on a path, with the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// The instruction.
    pub insn: u32,
    /// The one before it on the path, by number.
    pub before: u32,
    /// What else has to be known of it.
    pub note: Note,
}

/// The slot that an instruction moves a value from or to; and marks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note(u16);

impl Note {
    const LINKED: u16 = 1 << 15;
    const FROM_CALLBACK: u16 = 1 << 14;

    /// A value moves from or to this slot.
    pub fn slot(frame: u8, slot: u8) -> Note {
        Note(1 + u16::from(frame) * 64 + u16::from(slot))
    }
    /// A jump taught something of registers that it does not name.
    pub const fn linked() -> Note {
        Note(Note::LINKED)
    }
    /// An exit left a callback.
    pub const fn from_callback() -> Note {
        Note(Note::FROM_CALLBACK)
    }
    fn moved(self) -> Option<(usize, u64)> {
        let slot = (self.0 & !(Note::LINKED | Note::FROM_CALLBACK)).checked_sub(1)?;
        Some((usize::from(slot / 64), 1 << (slot % 64)))
    }
}

/// Registers, a bit each, and slots, by frame.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    regs: [u16; FRAMES_MAX as usize],
    slots: Slots,
    how: Precise,
}

impl Wanted {
    /// These registers of one frame.
    pub fn regs(frame: usize, regs: u16) -> Wanted {
        let mut wanted = Wanted { regs: [0; FRAMES_MAX as usize], slots: NO_SLOTS, how: Precise::Yes };
        wanted.regs[frame] = regs;
        wanted
    }
    /// The numbers that are marked so in `state`; or all of them.
    pub fn marked(state: &State, how: Precise, all: bool) -> Wanted {
        let mut wanted = Wanted { how, ..Wanted::regs(0, 0) };
        let is_wanted = |held: &RegState| held.kind == Kind::Scalar && (all || held.precise == how);
        let own = (&state.regs, &state.stack);
        let frames = state.callers.iter().map(|caller| (&caller.regs, &caller.stack)).chain([own]);
        for (frame, (regs, stack)) in frames.enumerate() {
            for (at, _) in regs.iter().enumerate().filter(|(_, held)| is_wanted(held)) {
                wanted.regs[frame] |= 1 << at;
            }
            for (at, _) in stack.iter().enumerate().filter(|(_, slot)| slot.is_spilled() && is_wanted(&slot.spill)) {
                wanted.slots[frame] |= 1 << at;
            }
        }
        wanted
    }
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.regs == [0; FRAMES_MAX as usize] && self.slots == NO_SLOTS
    }
    /// Marks a saved state. What was marked there before is not wanted of those before it any more.
    pub fn mark(&mut self, state: &mut State) {
        let how = self.how;
        // Whether what came before knows already.
        let is_marked = |held: &mut RegState| {
            let is_known = held.kind != Kind::Scalar || held.precise >= how;
            if !is_known {
                held.precise = how;
            }
            is_known
        };
        let own = (&mut state.regs, &mut state.stack);
        let frames = state.callers.iter_mut().map(|caller| (&mut caller.regs, &mut caller.stack)).chain([own]);
        let mut seen = 0;
        for (frame, (regs, stack)) in frames.enumerate() {
            seen = frame + 1;
            for (at, held) in regs.iter_mut().enumerate() {
                if self.regs[frame] >> at & 1 != 0 && is_marked(held) {
                    self.regs[frame] &= !(1 << at);
                }
            }
            let mut slots = self.slots[frame];
            while slots != 0 {
                let at = slots.trailing_zeros();
                slots &= slots - 1;
                let spill = stack.get_mut(at as usize).filter(|slot| slot.is_spilled()).map(|slot| &mut slot.spill);
                if spill.is_none_or(is_marked) {
                    self.slots[frame] &= !(1 << at);
                }
            }
        }
        self.regs[seen..].fill(0);
        self.slots[seen..].fill(0);
    }

    /// From behind an instruction, which was followed by the one at `next`, to before it. `frame` is the frame behind it,
    /// then that before it.
    pub fn backtrack(&mut self, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
        let (op, at) = (insn.op(), traced.insn as usize);
        match op {
            Op::Exit => {
                let caller = *frame;
                *frame += 1;
                if *frame < self.regs.len() && traced.note.0 & Note::FROM_CALLBACK == 0 {
                    self.regs[*frame] |= self.regs[caller] & 1;
                    self.regs[caller] &= !0b11_1111;
                }
            }
            Op::CallLocal | Op::CallHelper if next != at + 1 && *frame > 0 => {
                let arguments = if op == Op::CallLocal { self.regs[*frame] & 0b11_1110 } else { 0 };
                (self.regs[*frame], self.slots[*frame]) = (0, 0);
                *frame -= 1;
                self.regs[*frame] |= arguments;
            }
            // It left its function, with 0.
            Op::Packet { .. } if next != at + 1 => {
                self.regs[*frame] &= !0b11_1111;
                *frame += 1;
            }
            Op::CallLocal | Op::CallHelper | Op::CallKfunc | Op::Packet { .. } => self.regs[*frame] &= !0b11_1111,
            Op::Jump { source, .. } => self.jump(insn, source, traced.note, *frame),
            Op::Store { source, .. } => self.store(insn, source == Source::X, traced.note, *frame),
            Op::StoreRelease { .. } => self.store(insn, true, traced.note, *frame),
            Op::Load { .. } | Op::LoadSx { .. } | Op::LoadAcquire { .. } => self.load(insn.dst, traced.note, *frame),
            Op::Atomic { op, fetch, .. } => self.atomic(op, fetch, insn, traced.note, *frame),
            _ => self.computed(insn, op, *frame),
        }
    }

    fn has(&self, frame: usize, reg: Reg) -> bool {
        self.regs[frame] >> reg.number() & 1 != 0
    }
    /// Wants a register of a frame.
    pub fn want(&mut self, frame: usize, reg: Reg) {
        if reg != Reg::FP {
            self.regs[frame] |= 1 << reg.number();
        }
    }
    fn drop(&mut self, frame: usize, reg: Reg) {
        self.regs[frame] &= !(1 << reg.number());
    }

    /// Both operands say which way it went; what is learnt of a register, its links learn too.
    fn jump(&mut self, insn: &Insn, source: Source, note: Note, frame: usize) {
        let named = self.has(frame, insn.dst) || source == Source::X && self.has(frame, insn.src);
        if named && source == Source::X || note.0 & Note::LINKED != 0 && !self.is_empty() {
            self.want(frame, insn.dst);
            if source == Source::X {
                self.want(frame, insn.src);
            }
        }
    }
    fn store(&mut self, insn: &Insn, from_register: bool, note: Note, frame: usize) {
        if let Some((of, slot)) = note.moved()
            && self.slots[of] & slot != 0
        {
            self.slots[of] &= !slot;
            if from_register {
                self.want(frame, insn.src);
            }
        }
    }
    fn load(&mut self, dst: Reg, note: Note, frame: usize) {
        if self.has(frame, dst) {
            self.drop(frame, dst);
            if let Some((of, slot)) = note.moved() {
                self.slots[of] |= slot;
            }
        }
    }
    /// The slot is read and written; the source, or R0, may be loaded from it.
    fn atomic(&mut self, op: AtomicOp, fetch: bool, insn: &Insn, note: Note, frame: usize) {
        let loaded = match op {
            AtomicOp::Cmpxchg => Some(Reg::R0),
            _ => fetch.then_some(insn.src),
        };
        if let Some(loaded) = loaded {
            self.load(loaded, note, frame);
        }
        if note.moved().is_some_and(|(of, slot)| self.slots[of] & slot != 0) {
            self.want(frame, insn.src);
        }
    }
    fn computed(&mut self, insn: &Insn, op: Op, frame: usize) {
        if op.writes_dst() && self.has(frame, insn.dst) {
            self.drop(frame, insn.dst);
            if op.reads_dst() {
                self.want(frame, insn.dst);
            }
            if op.reads_src() {
                self.want(frame, insn.src);
            }
        }
    }
}

/// The registers whose numbers a rule looks at, a bit each: before the instruction, where no jump is decided.
pub(crate) fn looked_at(state: &State, insn: &Insn, ends: bool) -> u16 {
    let number = |reg: Reg| u16::from(state.reg(reg).kind == Kind::Scalar) << reg.number();
    match insn.op() {
        Op::Alu { op: AluOp::Add | AluOp::Sub, source: Source::X, .. } => {
            let (dst, src) = (state.reg(insn.dst).kind.is_pointer(), state.reg(insn.src).kind.is_pointer());
            if dst == src { 0 } else { number(insn.dst) | number(insn.src) }
        }
        // Zeros are told apart where they do not stay a register.
        Op::Store { source: Source::X, .. } if state.reg(insn.src).as_constant() == Some(0) => number(insn.src),
        Op::CallHelper => helper::fact(insn.imm).map_or(0, |fact| {
            let wanted = fact
                .args
                .iter()
                .zip(Reg::ARGS)
                .filter(|(arg, reg)| arg.kind != ArgKind::Anything || state.reg(*reg).as_constant().is_some());
            wanted.fold(0, |all, (_, reg)| all | number(reg))
        }),
        Op::Exit if ends => number(Reg::R0),
        _ => 0,
    }
}

/// A path that is followed back, and the states that were saved on it.
pub(crate) trait Chain {
    /// The instruction with this number on some path.
    fn traced(&self, at: u32) -> Traced;
    /// The last instruction before a saved state, the state, and the one saved before it on its path.
    fn saved(&mut self, at: u32) -> Option<(u32, &mut State, u32)>;
}

/// Follows what is wanted back from behind the instruction `step`, before the one at `next`, in frame `frame`.
pub(crate) fn mark_chain(
    chain: &mut impl Chain,
    (insns, backtrack): (&[Insn], Backtrack),
    mut wanted: Wanted,
    (mut step, mut parent): (u32, u32),
    (mut next, mut frame): (usize, usize),
) {
    while !wanted.is_empty() {
        if let Some((at, state, before)) = chain.saved(parent).filter(|(at, ..)| *at == step) {
            debug_assert!(at == step);
            wanted.mark(state);
            parent = before;
            continue;
        }
        if step == NONE {
            return;
        }
        let traced = chain.traced(step);
        backtrack(&mut wanted, traced, &insns[traced.insn as usize], next, &mut frame);
        (next, step) = (traced.insn as usize, traced.before);
    }
}
