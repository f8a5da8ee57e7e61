//! What a program draws from: each leaves out actions and rows, which reaches more corners than always having all.

use semantics::insn::{Op, Opcode, Wide};

use super::action::Action;
use crate::dice::Dice;

/// Rows of the table that stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Alu,
    Neg,
    Shift,
    MulDiv,
    Mov,
    MovSx,
    Endian,
    Map,
    MapValue,
    Code,
    Load,
    LoadSx,
    Store,
    Atomic,
    Acquire,
    Release,
    Jump,
    Always,
    Packet,
}

impl Family {
    /// How many there are.
    pub(super) const COUNT: usize = Family::Packet as usize + 1;

    /// The family of this operation; `None` where there is only one row, which its action names.
    pub(super) fn of(op: Op) -> Option<Family> {
        Some(match op {
            Op::Alu { .. } => Family::Alu,
            Op::Neg { .. } => Family::Neg,
            Op::Shift { .. } => Family::Shift,
            Op::MulDiv { .. } => Family::MulDiv,
            Op::Mov { .. } => Family::Mov,
            Op::MovSx { .. } => Family::MovSx,
            Op::Endian { .. } => Family::Endian,
            Op::Wide(Wide::Map | Wide::MapIndex) => Family::Map,
            Op::Wide(Wide::MapValue | Wide::MapIndexValue) => Family::MapValue,
            Op::Wide(Wide::Code) => Family::Code,
            Op::Load { .. } => Family::Load,
            Op::LoadSx { .. } => Family::LoadSx,
            Op::Store { .. } => Family::Store,
            Op::Atomic { .. } => Family::Atomic,
            Op::LoadAcquire { .. } => Family::Acquire,
            Op::StoreRelease { .. } => Family::Release,
            Op::Jump { .. } => Family::Jump,
            Op::Ja | Op::Gotol => Family::Always,
            Op::Packet { .. } => Family::Packet,
            Op::Wide(Wide::Imm64 | Wide::Variable)
            | Op::WideTail
            | Op::CallHelper
            | Op::CallLocal
            | Op::CallKfunc
            | Op::Exit => return None,
        })
    }
}

/// What one program draws from.
#[derive(Debug)]
pub(super) struct Swarm {
    /// Its actions, each as often as its weight.
    pub(super) actions: Vec<Action>,
    /// Its rows of each family.
    masks: [u64; Family::COUNT],
    /// Whether there are subprograms.
    pub(super) calls: bool,
    /// How many times as long as asked for.
    pub(super) length: usize,
}

impl Swarm {
    /// A swarm of these rows.
    pub(super) fn draw(dice: &mut Dice, rows: &[Vec<Opcode>]) -> Swarm {
        let mut actions = Vec::with_capacity(64);
        while actions.len() < 8 {
            actions.clear();
            for (action, weight) in Action::ALL {
                if dice.chance(1, 2) {
                    actions.extend(std::iter::repeat_n(action, weight));
                }
            }
        }
        let all = dice.chance(1, 2);
        let mut masks = [0; Family::COUNT];
        for (mask, rows) in masks.iter_mut().zip(rows) {
            *mask = if all { u64::MAX } else { dice.bits() | 1 << dice.below(rows.len().max(1)) };
        }
        let length = dice.pick(&[1, 1, 1, 1, 2, 2, 4, 8]);
        Swarm { actions, masks, calls: dice.chance(1, 3), length }
    }

    /// A row of this family; `None` where it has none.
    pub(super) fn row(&self, dice: &mut Dice, family: Family, rows: &[Vec<Opcode>]) -> Option<Opcode> {
        let rows = &rows[family as usize];
        if rows.is_empty() {
            return None;
        }
        let start = dice.below(rows.len());
        let chosen = (start..rows.len()).chain(0..start).find(|at| self.masks[family as usize] >> at & 1 == 1);
        Some(rows[chosen.unwrap_or(start)])
    }
}
