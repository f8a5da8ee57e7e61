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

/// Whether every concrete state of `cur` is one of `old`, as far as registers in `live` (a bit each) tell.
pub(crate) fn subsumes(old: &State, cur: &State, live: u16, ids: &mut IdMap) -> bool {
    ids.0.clear();
    let mut regs = old.regs.iter().zip(&cur.regs).enumerate();
    regs.all(|(at, (old, cur))| live >> at & 1 == 0 || reg_subsumes(old, cur, ids))
        && stack_all(old, cur, |old, cur| slot_subsumes(old, cur, ids))
}

/// Whether two states are the same but for the names of ids.
pub(crate) fn equal(old: &State, cur: &State, ids: &mut IdMap) -> bool {
    ids.0.clear();
    old.regs.iter().zip(&cur.regs).all(|(old, cur)| reg_equal(old, cur, ids))
        && stack_all(old, cur, |old, cur| {
            old.bytes == cur.bytes && (!old.is_spilled() || reg_equal(&old.spill, &cur.spill, ids))
        })
}

fn stack_all(old: &State, cur: &State, mut holds: impl FnMut(&Slot, &Slot) -> bool) -> bool {
    let depth = old.stack.len().max(cur.stack.len());
    (0..depth).all(|at| holds(old.stack.get(at).unwrap_or(&Slot::INVALID), cur.stack.get(at).unwrap_or(&Slot::INVALID)))
}

/// `regsafe`.
fn reg_subsumes(old: &RegState, cur: &RegState, ids: &mut IdMap) -> bool {
    if old.kind == Kind::NotInit {
        return true;
    }
    if old.kind != cur.kind {
        return false;
    }
    match old.kind {
        Kind::Scalar => old.var.subsumes(&cur.var) && ids.numbers(old.id, cur.id),
        Kind::MapValue | Kind::MapValueOrNull => {
            old.map == cur.map && old.off == cur.off && old.var.subsumes(&cur.var) && ids.pointers(old.id, cur.id)
        }
        Kind::Packet | Kind::PacketMeta => {
            let range = if old.range < 0 { old.range == cur.range } else { old.range <= cur.range };
            range && old.off == cur.off && ids.pointers(old.id, cur.id) && old.var.subsumes(&cur.var)
        }
        Kind::Fp => old.off == cur.off && old.var.subsumes(&cur.var),
        Kind::Ctx => old.off == cur.off && old.var == cur.var,
        Kind::PacketEnd | Kind::NotInit => true,
        Kind::MapPtr => old.map == cur.map && old.off == cur.off,
    }
}

fn reg_equal(old: &RegState, cur: &RegState, ids: &mut IdMap) -> bool {
    let ids_equal = |ids: &mut IdMap| match old.kind {
        Kind::Scalar => (old.id == 0) == (cur.id == 0) && ids.numbers(old.id, cur.id),
        _ => ids.pointers(old.id, cur.id),
    };
    let same = old.kind == cur.kind
        && old.map == cur.map
        && old.off == cur.off
        && old.range == cur.range
        && old.var == cur.var;
    old.kind == cur.kind && old.kind == Kind::NotInit || same && ids_equal(ids)
}

/// `stacksafe`.
fn slot_subsumes(old: &Slot, cur: &Slot, ids: &mut IdMap) -> bool {
    for (old_byte, cur_byte) in old.bytes.iter().zip(&cur.bytes) {
        let covered = match (old_byte, cur_byte) {
            (Byte::Invalid, _)
            | (Byte::Misc, Byte::Misc | Byte::Zero | Byte::Invalid)
            | (Byte::Zero, Byte::Zero)
            | (Byte::Spill, Byte::Spill) => true,
            (Byte::Misc, Byte::Spill) => cur.spill.kind == Kind::Scalar,
            _ => false,
        };
        if !covered {
            return false;
        }
    }
    !old.is_spilled() || reg_subsumes(&old.spill, &cur.spill, ids)
}
