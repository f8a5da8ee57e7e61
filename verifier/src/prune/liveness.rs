//! Which slots of the stack are read behind a saved state (kernel: `mark_reg_read`, `propagate_liveness`).

use crate::state::{State, slot_of};
use semantics::memory::layout::FRAMES_MAX;
use std::cell::Cell;

/// Slots of the stack, a bit each, by frame.
pub(crate) type Slots = [u64; FRAMES_MAX as usize];

/// No slots.
pub(crate) const NO_SLOTS: Slots = [0; FRAMES_MAX as usize];

/// Reads, writes, and the slot that a value is moved from or to.
pub(crate) type Touch = (Slots, Slots, Option<(u8, u8)>);

/// What an instruction did to the stack.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    any: Cell<bool>,
    reads: Cell<Slots>,
    writes: Cell<Slots>,
    slot: Cell<Option<(u8, u8)>>,
}

impl Touched {
    /// Bytes from `min` to before `end`, offsets from the frame pointer, may be read.
    pub fn read(&self, frame: u8, min: i64, end: i64) {
        self.any.set(true);
        let mut reads = self.reads.get();
        reads[usize::from(frame)] |= slots(min, end);
        self.reads.set(reads);
    }
    /// 8 bytes at this offset are overwritten.
    pub fn write(&self, frame: u8, off: i64) {
        self.any.set(true);
        let mut writes = self.writes.get();
        writes[usize::from(frame)] |= 1 << slot_of(off);
        self.writes.set(writes);
    }
    /// The instruction moves a value from or to this slot.
    pub fn moves(&self, frame: u8, off: i64) {
        self.any.set(true);
        self.slot.set(Some((frame, slot_of(off) as u8)));
    }
    /// What was done since the last time.
    #[inline]
    pub fn take(&self) -> Option<Touch> {
        self.any.replace(false).then(|| (self.reads.take(), self.writes.take(), self.slot.take()))
    }
}

/// The slots that hold bytes from `min` to before `end`.
fn slots(min: i64, end: i64) -> u64 {
    if min >= end {
        return 0;
    }
    let (highest, lowest) = (slot_of(end - 1), slot_of(min));
    (u64::MAX >> (63 - (lowest - highest))) << highest
}

/// Slots that lie in frames of this state.
pub(crate) fn frames_of(state: &State) -> std::ops::RangeInclusive<usize> {
    0..=state.depth()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_in_slots() {
        assert_eq!(slots(-8, 0), 1);
        assert_eq!(slots(-9, 0), 3);
        assert_eq!(slots(-16, -8), 2);
        assert_eq!(slots(-512, 0), u64::MAX);
        assert_eq!(slots(-8, -8), 0);
    }
}
