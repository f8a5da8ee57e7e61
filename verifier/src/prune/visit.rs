//! The states saved at an instruction, and what is marked in them along a path (kernel: `is_state_visited`).

use super::Pruning;
use super::compare::{self, Comparison};
use super::liveness::{NO_SLOTS, Slots, frames_of};
use super::precision::{self, Chain, Note, Traced, Wanted};
use crate::explore::{Exploration, NONE, Options, Place, Saved, Verifier};
use crate::refusal::{Refusal, Stop};
use crate::state::{Precise, State};
use semantics::insn::{Insn, Op};
use std::fmt::Write as _;

impl Options {
    /// Whether what a verdict depends on is marked.
    pub(crate) fn marks(&self) -> bool {
        !self.record && self.pruning == Pruning::Linux
    }
}

impl Chain for Verifier {
    fn traced(&self, at: u32) -> Traced {
        self.history[at as usize]
    }
    fn saved(&mut self, at: u32) -> Option<(u32, &mut State, u32)> {
        let saved = self.saved.all[..self.saved.used].get_mut(at as usize)?;
        Some((saved.step, &mut saved.state, saved.parent))
    }
}

impl Verifier {
    /// Whether a saved state whose paths have all been followed covers this one.
    pub(crate) fn covers(&mut self, at: u32, state: &State, pc: usize, options: &Options) -> bool {
        let saved = &self.saved.all[at as usize];
        let marks = options.marks();
        let read = if marks { &saved.read } else { &[u64::MAX; 8] };
        let (live, uninit, stays_linked) = (&self.flow.live, options.dialect.uninit_stack, self.rules.stays_linked);
        Comparison { live, read, exact: !marks, uninit, stays_linked, ids: &mut self.ids }.subsumes(
            &saved.state,
            state,
            pc,
        )
    }

    /// Slots are read behind the last saved state, and behind those before it until the slots are written on the way
    /// (`mark_reg_read`).
    pub(crate) fn mark_read(&mut self, mut parent: u32, mut written: Slots, mut reads: Slots) {
        while let Some(saved) = self.saved.all[..self.saved.used].get_mut(parent as usize) {
            let mut any = 0;
            for (frame, reads) in reads.iter_mut().enumerate() {
                *reads &=
                    if frames_of(&saved.state).contains(&frame) { !written[frame] & !saved.read[frame] } else { 0 };
                saved.read[frame] |= *reads;
                any |= *reads;
            }
            if any == 0 {
                return;
            }
            (parent, written) = (saved.parent, saved.written);
        }
    }
}

impl Exploration<'_> {
    /// Notes the instruction about to be followed, and the registers whose numbers it looks at.
    pub(crate) fn trace(&mut self, insn: &Insn) {
        let is_callback = self.state.entry.callback.is_some();
        self.looked_at = precision::looked_at(&self.state, insn, self.state.depth() == 0 || is_callback);
        let from_callback = insn.op() == Op::Exit && self.state.depth() > 0 && is_callback;
        let note = if from_callback { Note::from_callback() } else { Note::default() };
        self.store.history.push(Traced { insn: self.at.pc as u32, before: self.at.step, note });
        self.at.step = self.store.history.len() as u32 - 1;
        if let Some(recorder) = &mut self.store.recorder {
            recorder.before(self.at.step, self.at.pc, insn, &self.state);
        }
    }

    /// Marks what the instruction looked at and read. The path was at `before`, in frame `frame`.
    pub(crate) fn learn(&mut self, before: &Place, frame: usize) {
        if let Some((reads, writes, slot)) = self.env.touched.take() {
            self.store.mark_read(before.parent, before.written, reads);
            for (written, writes) in self.at.written.iter_mut().zip(writes) {
                *written |= writes;
            }
            if let Some((frame, slot)) = slot {
                self.store.history[self.at.step as usize].note = Note::slot(frame, slot);
            }
        }
        if self.state.depth() > frame {
            // Nobody ever wrote to a new frame.
            self.at.written[frame + 1] = u64::MAX;
        }
        if self.looked_at != 0 {
            self.mark_precise(Wanted::regs(frame, self.looked_at), before, frame);
        }
    }

    /// Follows what is wanted back from `place`, which is in frame `frame`.
    fn mark_precise(&mut self, wanted: Wanted, place: &Place, frame: usize) {
        let rules = (self.env.program.insns(), self.env.rules.backtrack);
        precision::mark_chain(self.store, rules, wanted, (place.step, place.parent), (place.pc, frame));
    }

    /// Behind a turn of a callback: numbers that another turn changed may be any, so that turns do not have to be followed one
    /// by one (`widen_imprecise_scalars`).
    pub(crate) fn widen(&mut self, site: usize) {
        let mut parent = self.at.parent;
        while let Some(saved) = self.store.saved.all[..self.store.saved.used].get(parent as usize) {
            if saved.pc == site && compare::same_calls(&saved.state, &self.state) {
                compare::widen(&saved.state, &mut self.state);
                return;
            }
            parent = saved.parent;
        }
    }

    /// Compares with the states saved here: true where one covers this state. Else this one may be saved
    /// (`is_state_visited`).
    pub(crate) fn visit(&mut self) -> Result<bool, Stop> {
        let pc = self.at.pc;
        let (jumps, insns) = (self.counts.jumps - self.counts.saved_jumps, self.counts.insns - self.counts.saved_insns);
        let calls_back = self.store.flow.calls_back[pc];
        let mut worth_saving = jumps >= 2 && insns >= 8 || calls_back || self.env.program.load().test_state_freq;
        let (mut before, mut next, mut seen) = (NONE, self.store.heads[pc], 0);
        while next != NONE {
            let at = next;
            seen += 1;
            let store = &mut *self.store;
            let saved = &mut store.saved.all[at as usize];
            next = saved.next;
            if saved.branches > 0 {
                let same = if calls_back {
                    let (live, read, uninit) = (&store.flow.live, &[u64::MAX; 8], self.env.dialect.uninit_stack);
                    let stays_linked = self.env.rules.stays_linked;
                    Comparison { live, read, exact: true, uninit, stays_linked, ids: &mut store.ids }.subsumes(
                        &saved.state,
                        &self.state,
                        pc,
                    )
                } else {
                    compare::equal(&saved.state, &self.state, &mut store.ids)
                };
                match (same, calls_back) {
                    (true, false) => return Err(Refusal::InfiniteLoop { insn: pc }.into()),
                    // The helper calls back as often as it likes: another turn shows nothing new.
                    (true, true) => {
                        self.cover(at, true);
                        return Ok(true);
                    }
                    // A loop in progress: its rounds are not worth saving each.
                    (false, false) => worth_saving &= jumps >= 20 || insns >= 100,
                    (false, true) => {}
                }
            } else if self.options.pruning != Pruning::Off && store.covers(at, &self.state, pc, self.options) {
                self.cover(at, false);
                return Ok(true);
            }
            // What never matches is not looked at again.
            let saved = &mut self.store.saved.all[at as usize];
            saved.misses += u32::from(worth_saving);
            if saved.misses > saved.hits * 3 + 3 {
                match before {
                    NONE => self.store.heads[pc] = next,
                    before => self.store.saved.all[before as usize].next = next,
                }
            } else {
                before = at;
            }
        }
        if worth_saving {
            self.counts.most_here = self.counts.most_here.max(seen + 1);
            self.save();
        }
        Ok(false)
    }

    /// A saved state covers this one: what is wanted and read behind it is so behind this one (`propagate_liveness`,
    /// `propagate_precision`). Where it is not known yet, all of it is.
    pub(crate) fn cover(&mut self, at: u32, in_progress: bool) {
        let saved = &mut self.store.saved.all[at as usize];
        saved.hits += 1;
        if self.options.marks() {
            let frames = frames_of(&saved.state);
            let mut reads = if in_progress { [u64::MAX; 8] } else { saved.read };
            reads[frames.end() + 1..].fill(0);
            let wanted = [(Precise::Yes, false), (Precise::Perhaps, in_progress)]
                .map(|(how, all)| Wanted::marked(&saved.state, how, all));
            let (place, frame) = (self.at, self.state.depth());
            for (reads, written) in reads.iter_mut().zip(place.written) {
                *reads &= !written;
            }
            self.store.mark_read(place.parent, NO_SLOTS, reads);
            for wanted in wanted {
                self.mark_precise(wanted, &place, frame);
            }
        }
        if self.options.log {
            let (from, pc) = (self.decision_at(), self.at.pc);
            let _ = writeln!(self.store.log, "from {from} to {pc}: safe");
        }
    }

    pub(crate) fn save(&mut self) {
        let Place { pc, parent, step, written, .. } = self.at;
        let store = &mut *self.store;
        let next = store.heads[pc];
        let new = || Saved {
            state: State::entry(),
            pc,
            parent,
            next,
            branches: 0,
            hits: 0,
            misses: 0,
            step,
            read: NO_SLOTS,
            written,
        };
        let saved = store.saved.push(new);
        saved.state.clone_from(&self.state);
        // What a verdict depends on is found out behind it.
        saved.state.for_each(|held| held.precise = Precise::No);
        let state = std::mem::replace(&mut saved.state, State::empty());
        *saved = Saved { state, branches: 1, ..new() };
        let at = store.saved.used as u32 - 1;
        store.heads[pc] = at;
        (self.at.parent, self.at.written) = (at, NO_SLOTS);
        self.counts.saved_jumps = self.counts.jumps;
        self.counts.saved_insns = self.counts.insns;
    }
}
