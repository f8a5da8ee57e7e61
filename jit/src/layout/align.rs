//! Where loops lie: a short one within one line of the instruction cache.
//!
//! Code that takes a cycle or two per turn takes another where it lies across two lines: a copy byte by byte was measured 1.9
//! times as fast at every place within a line as at every place across two, a checksum 1.7 times. So nops come before the
//! first instruction of such a loop. They run once, when the loop is entered from above.
//!
//! Branches have found their reach by then, and nops are bytes like others: they go into the straight code, and another
//! relaxation goes on from there. Its invariant is untouched, because distances only grew. A branch that grows in it may move a
//! later loop off its line again, which costs time and nothing else.

use std::ops::Range;

use super::relax::Steps;
use super::{Code, Place};

/// Bytes of a line.
const LINE: u32 = 64;
/// Longer loops take so many cycles per turn that one more was not measured.
const SHORT: u32 = 32;

/// A jump back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loop {
    /// The slot that it leads to.
    pub head: u32,
    /// Index of its branch.
    pub branch: u32,
}

impl Code {
    /// Puts nops before loops that need them; whether there are any.
    #[cold]
    pub(super) fn align<S: Steps>(&mut self) -> bool {
        let mut paddings = Vec::new();
        let mut added = 0;
        self.loops.sort_unstable();
        for Loop { head, branch } in &self.loops {
            let end = Place { straight: self.branches[*branch as usize].straight, branches: branch + 1 };
            let place = self.places[*head as usize];
            if let Some(bytes) = padding(self.offset::<S>(place) + added..self.offset::<S>(end) + added) {
                paddings.push((*head, bytes));
                added += bytes;
            }
        }
        self.pad::<S>(&paddings);
        !paddings.is_empty()
    }

    /// Inserts bytes before slots, which ascend.
    fn pad<S: Steps>(&mut self, paddings: &[(u32, u32)]) {
        let mut padded = Vec::with_capacity(self.straight.len() + paddings.len() * SHORT as usize);
        let (mut slot, mut branch, mut from) = (0, 0, 0);
        let end = (self.places.len() as u32, 0);
        for (head, bytes) in paddings.iter().copied().chain([end]) {
            let shift = (padded.len() - from) as u32;
            let next = self.places.get(head as usize).copied();
            let next =
                next.unwrap_or(Place { straight: self.straight.len() as u32, branches: self.branches.len() as u32 });
            for place in &mut self.places[slot..head as usize] {
                place.straight = S::pad_slot(&place.straight, &shift);
            }
            for pending in &mut self.branches[branch..next.branches as usize] {
                pending.straight = S::pad_branch(&pending.straight, &shift);
            }
            padded.extend_from_slice(&self.straight[from..next.straight as usize]);
            nops(bytes as usize, &mut padded);
            (slot, branch, from) = (head as usize, next.branches as usize, next.straight as usize);
        }
        self.straight = padded;
    }
}

/// How many bytes have to come before a loop that lies here, if it is short and crosses a line.
fn padding(lies: Range<u32>) -> Option<u32> {
    let crosses = lies.start / LINE != (lies.end - 1) / LINE;
    (crosses && lies.end - lies.start <= SHORT).then(|| LINE - lies.start % LINE)
}

/// Instructions of 1 to 9 bytes that do nothing (Intel SDM volume 2, `NOP`).
const NOPS: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0],
    &[0x0f, 0x1f, 0x44, 0, 0],
    &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
    &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
    &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
];

/// Appends so many bytes that do nothing.
fn nops(mut bytes: usize, out: &mut Vec<u8>) {
    while bytes > 0 {
        let len = bytes.min(NOPS.len());
        out.extend_from_slice(NOPS[len - 1]);
        bytes -= len;
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};

    use super::*;

    #[test]
    fn nops_do_nothing() {
        for bytes in 0..=SHORT as usize {
            let mut out = Vec::new();
            nops(bytes, &mut out);
            assert_eq!(out.len(), bytes);
            let decoder = Decoder::new(64, &out, DecoderOptions::NONE);
            let all: Vec<_> = decoder.into_iter().collect();
            assert!(all.iter().all(|inst| inst.mnemonic() == Mnemonic::Nop), "{out:x?}");
            assert_eq!(all.len(), bytes.div_ceil(NOPS.len()));
        }
    }

    #[test]
    fn only_short_loops_across_lines_are_padded() {
        assert_eq!(padding(40..64), None);
        assert_eq!(padding(40..65), Some(24));
        assert_eq!(padding(63..95), Some(1));
        assert_eq!(padding(63..96), None);
        assert_eq!(padding(64..96), None);
    }
}
