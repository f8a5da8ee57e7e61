//! When one state covers another: then what was found of the one holds of the other (kernel: `states_equal`).

use crate::state::{Byte, Kind, RegState, Slot, State};

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
    fn numbers(&mut self, old: u32, cur: u32) -> bool {
        if old == 0 {
            return true;
        }
        if let Some((_, known)) = self.0.iter().find(|(known, _)| *known == old) {
            return cur != 0 && *known == cur;
        }
        self.0.push((old, cur));
        true
    }
}

/// Whether every concrete state of `cur` is one of `old`, as far as registers in `live` (a bit each, by instruction) tell. The
/// current frame is at `pc`, the others behind the calls that they wait for.
pub(crate) fn subsumes(old: &State, cur: &State, pc: usize, live: &[u16], ids: &mut IdMap) -> bool {
    ids.0.clear();
    if !same_calls(old, cur) {
        return false;
    }
    let mut inner = Some(&cur.entry);
    for (old, cur) in old.callers.iter().zip(&cur.callers).rev() {
        // A callback may come back to the call itself, for another turn.
        let site = inner.replace(&cur.entry).map_or(0, |entry| entry.site);
        let live = live[site] | live.get(site + 1).copied().unwrap_or(u16::MAX);
        if !regs_subsume(&old.regs, &cur.regs, live, ids) || !stack_subsumes(&old.stack, &cur.stack, ids) {
            return false;
        }
    }
    regs_subsume(&old.regs, &cur.regs, live[pc], ids)
        && stack_subsumes(&old.stack, &cur.stack, ids)
        && held_alike(old, cur, ids)
}

fn regs_subsume(old: &[RegState; 11], cur: &[RegState; 11], live: u16, ids: &mut IdMap) -> bool {
    let mut regs = old.iter().zip(cur).enumerate();
    regs.all(|(at, (old, cur))| live >> at & 1 == 0 || reg_subsumes(old, cur, ids))
}

fn stack_subsumes(old: &[Slot], cur: &[Slot], ids: &mut IdMap) -> bool {
    stack_all(old, cur, |old, cur| slot_subsumes(old, cur, ids))
}

/// Whether the same calls led here (`states_equal`).
fn same_calls(old: &State, cur: &State) -> bool {
    old.entry == cur.entry
        && old.callers.len() == cur.callers.len()
        && old.callers.iter().zip(&cur.callers).all(|(old, cur)| old.entry == cur.entry)
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

/// `regsafe`.
fn reg_subsumes(old: &RegState, cur: &RegState, ids: &mut IdMap) -> bool {
    match old.kind {
        Kind::NotInit => true,
        Kind::Scalar => cur.kind == Kind::Scalar && old.var.subsumes(&cur.var) && ids.numbers(old.id, cur.id),
        _ => {
            same_object(old, cur) && ids.pointers(old.id, cur.id) && ids.pointers(old.reference, cur.reference) && {
                let range = if old.range < 0 { old.range == cur.range } else { old.range <= cur.range };
                range && if is_exact(old.kind) { old.var == cur.var } else { old.var.subsumes(&cur.var) }
            }
        }
    }
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
        Kind::Scalar => (old.id == 0) == (cur.id == 0) && ids.numbers(old.id, cur.id),
        _ => ids.pointers(old.id, cur.id) && ids.pointers(old.reference, cur.reference),
    };
    let same = same_object(old, cur) && old.range == cur.range && old.var == cur.var;
    old.kind == cur.kind && old.kind == Kind::NotInit || same && ids_equal(ids)
}

/// `stacksafe`.
fn slot_subsumes(old: &Slot, cur: &Slot, ids: &mut IdMap) -> bool {
    for (old_byte, cur_byte) in old.bytes.iter().zip(&cur.bytes) {
        let covered = match (old_byte, cur_byte) {
            (Byte::Invalid, _)
            | (Byte::Misc, Byte::Misc | Byte::Zero | Byte::Invalid)
            | (Byte::Zero, Byte::Zero)
            | (Byte::Spill, Byte::Spill)
            | (Byte::Dynptr, Byte::Dynptr) => true,
            (Byte::Misc, Byte::Spill) => cur.spill.kind == Kind::Scalar,
            _ => false,
        };
        if !covered {
            return false;
        }
    }
    !(old.is_spilled() || old.bytes[0] == Byte::Dynptr) || reg_subsumes(&old.spill, &cur.spill, ids)
}
