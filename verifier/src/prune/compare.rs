//! When one state covers another: then what was found of the one holds of the other (kernel: `states_equal`).

use super::liveness::Slots;
use crate::rules::StaysLinked;
use crate::state::{Byte, Entry, Kind, Precise, RegState, Slot, State};

/// Which id of one state stands for which of the other.
#[derive(Debug, Default)]
pub(crate) struct IdMap(Vec<(u32, u32)>);

impl IdMap {
    /// Pointers that were the same have to be the same, and different ones different (`check_ids`).
    fn pointers(&mut self, old: u32, cur: u32) -> bool {
        if (old == 0) != (cur == 0) {
            return false;
        }
        if old == 0 {
            return true;
        }
        for (known_old, known_cur) in &self.0 {
            if *known_old == old || *known_cur == cur {
                return *known_old == old && *known_cur == cur;
            }
        }
        self.0.push((old, cur));
        true
    }
    /// Numbers that were linked have to be linked (`check_scalar_ids`).
    fn numbers(&mut self, old: u32, cur: u32, stays_linked: StaysLinked) -> bool {
        if old == 0 {
            return true;
        }
        if let Some((_, known)) = self.0.iter().find(|(known, _)| *known == old) {
            return stays_linked(*known, cur);
        }
        self.0.push((old, cur));
        true
    }
}

/// Whether a number is linked with those that stand for the ones that the old number was linked with: their id, and its own.
pub fn stays_linked(known: u32, cur: u32) -> bool {
    cur != 0 && known == cur
}

/// How two states are compared.
pub(crate) struct Comparison<'a> {
    /// Registers that are wanted, a bit each, by instruction.
    pub live: &'a [u16],
    /// Slots that are read behind the old state; all of them where nothing is known.
    pub read: &'a Slots,
    /// Whether numbers are compared that no verdict is known to depend on.
    pub exact: bool,
    /// Whether bytes may be read that were never written.
    pub uninit: bool,
    /// When numbers stay linked.
    pub stays_linked: StaysLinked,
    /// Which ids stand for which.
    pub ids: &'a mut IdMap,
}

impl Comparison<'_> {
    /// Whether every concrete state of `cur` is one of `old`, as far as it matters. The current frame is at `pc`, the others
    /// behind the calls that they wait for.
    pub fn subsumes(&mut self, old: &State, cur: &State, pc: usize) -> bool {
        self.ids.0.clear();
        if !same_calls(old, cur) {
            return false;
        }
        let mut callee = &cur.entry;
        for (frame, (old, cur)) in old.callers.iter().zip(&cur.callers).enumerate().rev() {
            // A callback may come back to the call itself, for another turn.
            let live = self.live[callee.site] | self.live.get(callee.site + 1).copied().unwrap_or(u16::MAX);
            callee = &cur.entry;
            if !self.frame_subsumes((&old.regs, &old.stack), (&cur.regs, &cur.stack), live, frame) {
                return false;
            }
        }
        self.frame_subsumes((&old.regs, &old.stack), (&cur.regs, &cur.stack), self.live[pc], cur.depth())
            && held_alike(old, cur, self.ids)
    }

    fn frame_subsumes<'s>(
        &mut self,
        old: (&[RegState; 11], &'s [Slot]),
        cur: (&[RegState; 11], &'s [Slot]),
        live: u16,
        frame: usize,
    ) -> bool {
        let mut regs = old.0.iter().zip(cur.0).enumerate();
        regs.all(|(at, (old, cur))| live >> at & 1 == 0 || self.reg_subsumes(old, cur))
            && (0..old.1.len().max(cur.1.len())).all(|at| {
                let slot = |of: &'s [Slot]| of.get(at).unwrap_or(&Slot::INVALID);
                let (old, cur) = (slot(old.1), slot(cur.1));
                // Helpers look at dynptrs by other ways than reading.
                let is_wanted = self.read[frame] >> at & 1 != 0 || old.holds_dynptr() || cur.holds_dynptr();
                !is_wanted || self.slot_subsumes(old, cur)
            })
    }

    /// `regsafe`.
    fn reg_subsumes(&mut self, old: &RegState, cur: &RegState) -> bool {
        let ids = &mut *self.ids;
        match old.kind {
            Kind::NotInit => true,
            Kind::Scalar if !self.exact && old.precise == Precise::No => cur.kind == Kind::Scalar,
            Kind::Scalar => {
                cur.kind == Kind::Scalar && old.var.subsumes(&cur.var) && ids.numbers(old.id, cur.id, self.stays_linked)
            }
            _ => {
                same_object(old, cur) && ids.pointers(old.id, cur.id) && ids.pointers(old.reference, cur.reference) && {
                    let range = if old.range < 0 { old.range == cur.range } else { old.range <= cur.range };
                    range && if is_exact(old.kind) { old.var == cur.var } else { old.var.subsumes(&cur.var) }
                }
            }
        }
    }

    /// `stacksafe`.
    fn slot_subsumes(&mut self, old: &Slot, cur: &Slot) -> bool {
        for (old_byte, cur_byte) in old.bytes.iter().zip(&cur.bytes) {
            let covered = match (old_byte, cur_byte) {
                (Byte::Invalid, _)
                | (Byte::Misc, Byte::Misc | Byte::Zero)
                | (Byte::Zero, Byte::Zero)
                | (Byte::Spill, Byte::Spill)
                | (Byte::Dynptr, Byte::Dynptr) => true,
                (Byte::Misc, Byte::Invalid) => self.uninit,
                (Byte::Misc, Byte::Spill) => cur.spill.kind == Kind::Scalar,
                _ => false,
            };
            if !covered {
                return false;
            }
        }
        !(old.is_spilled() || old.bytes[0] == Byte::Dynptr) || self.reg_subsumes(&old.spill, &cur.spill)
    }
}

/// Whether the same calls led here (`states_equal`).
pub(crate) fn same_calls(old: &State, cur: &State) -> bool {
    let same =
        |old: &Entry, cur: &Entry| (old.site, old.subprogram, old.callback) == (cur.site, cur.subprogram, cur.callback);
    same(&old.entry, &cur.entry)
        && old.callers.len() == cur.callers.len()
        && old.callers.iter().zip(&cur.callers).all(|(old, cur)| same(&old.entry, &cur.entry))
}

/// Numbers of `cur` that differ from those of `old`, and that no verdict is known to depend on, may be any.
pub(crate) fn widen(old: &State, cur: &mut State) {
    let widen_reg = |old: &RegState, cur: &mut RegState| {
        let both = old.kind == Kind::Scalar && cur.kind == Kind::Scalar;
        if both && old.precise < Precise::Yes && old.var != cur.var {
            *cur = RegState::unknown();
        }
    };
    let widen_frame = |old: (&[RegState; 11], &[Slot]), cur: (&mut [RegState; 11], &mut [Slot])| {
        old.0.iter().zip(cur.0).for_each(|(old, cur)| widen_reg(old, cur));
        let spilled = old.1.iter().zip(cur.1).filter(|(old, cur)| old.is_spilled() && cur.is_spilled());
        spilled.for_each(|(old, cur)| widen_reg(&old.spill, &mut cur.spill));
    };
    for (old, cur) in old.callers.iter().zip(&mut cur.callers) {
        widen_frame((&old.regs, &old.stack), (&mut cur.regs, &mut cur.stack));
    }
    widen_frame((&old.regs, &old.stack), (&mut cur.regs, &mut cur.stack));
}

/// Whether the same references and locks are held (`refsafe`).
fn held_alike(old: &State, cur: &State, ids: &mut IdMap) -> bool {
    old.references.len() == cur.references.len()
        && old.references.iter().zip(&cur.references).all(|(old, cur)| ids.pointers(old.id, cur.id))
        && match (old.lock, cur.lock) {
            (None, None) => true,
            (Some(old), Some(cur)) => old.map == cur.map && ids.pointers(old.id, cur.id),
            _ => false,
        }
}

/// Whether two states are the same but for the names of ids.
pub(crate) fn equal(old: &State, cur: &State, ids: &mut IdMap) -> bool {
    ids.0.clear();
    same_calls(old, cur)
        && old.entry.async_depth == cur.entry.async_depth
        && old
            .callers
            .iter()
            .zip(&cur.callers)
            .all(|(old, cur)| frame_equal((&old.regs, &old.stack), (&cur.regs, &cur.stack), ids))
        && frame_equal((&old.regs, &old.stack), (&cur.regs, &cur.stack), ids)
        && held_alike(old, cur, ids)
}

fn frame_equal(old: (&[RegState; 11], &[Slot]), cur: (&[RegState; 11], &[Slot]), ids: &mut IdMap) -> bool {
    old.0.iter().zip(cur.0).all(|(old, cur)| reg_equal(old, cur, ids))
        && stack_all(old.1, cur.1, |old, cur| {
            old.bytes == cur.bytes && (!old.is_spilled() || reg_equal(&old.spill, &cur.spill, ids))
        })
}

fn stack_all(old: &[Slot], cur: &[Slot], mut holds: impl FnMut(&Slot, &Slot) -> bool) -> bool {
    let depth = old.len().max(cur.len());
    (0..depth).all(|at| holds(old.get(at).unwrap_or(&Slot::INVALID), cur.get(at).unwrap_or(&Slot::INVALID)))
}

/// Whether all that is no range, and no id, is the same.
fn same_object(old: &RegState, cur: &RegState) -> bool {
    old.kind == cur.kind
        && old.flags == cur.flags
        && old.frame == cur.frame
        && old.map == cur.map
        && old.what == cur.what
        && old.off == cur.off
}

/// Whether such pointers are compared to the bit: a rule may depend on where they lead.
fn is_exact(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Fp
            | Kind::MapValue
            | Kind::MapKey
            | Kind::Packet
            | Kind::PacketMeta
            | Kind::Mem
            | Kind::Buf
            | Kind::TpBuffer
    )
}

fn reg_equal(old: &RegState, cur: &RegState, ids: &mut IdMap) -> bool {
    let ids_equal = |ids: &mut IdMap| match old.kind {
        Kind::Scalar => (old.id == 0) == (cur.id == 0) && ids.numbers(old.id, cur.id, stays_linked),
        _ => ids.pointers(old.id, cur.id) && ids.pointers(old.reference, cur.reference),
    };
    let same = same_object(old, cur) && old.range == cur.range && old.var == cur.var;
    old.kind == cur.kind && old.kind == Kind::NotInit || same && ids_equal(ids)
}
