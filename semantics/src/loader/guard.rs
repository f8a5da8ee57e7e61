//! Whether control can reach an instruction, as far as constants decide: what a relocation could not fill in may stand
//! where a check for its existence leads around it.
//!
//! Registers that hold constants are followed through moves, arithmetic, and loads from read-only global data; whatever
//! else they hold is unknown. A branch on constants goes one way, any other both.

use crate::insn::{AluOp, Insn, Op, Reg, Source, Wide, Width};
use crate::map::{Contents, MapDef};

/// What is known of a register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Nothing,
    Constant(u64),
    /// The address of a byte of a map's only value.
    Data {
        map: u32,
        offset: u64,
    },
}

type State = [Known; 11];

/// The first of `slots` that control can reach from the program's start.
pub(super) fn reachable(insns: &[Insn], maps: &[MapDef], slots: &[usize]) -> Option<usize> {
    let mut walk = Walk { insns, maps, states: vec![None; insns.len()], due: Vec::new() };
    walk.flow(0, &State::default());
    while let Some(at) = walk.due.pop() {
        walk.step(at);
    }
    slots.iter().copied().find(|slot| walk.states.get(*slot).is_some_and(Option::is_some))
}

struct Walk<'p> {
    insns: &'p [Insn],
    maps: &'p [MapDef],
    /// What holds before each slot that was reached.
    states: Vec<Option<Box<State>>>,
    due: Vec<usize>,
}

impl Walk<'_> {
    /// Control comes to a slot with this state. Each register is forgotten at most once per slot, so this ends.
    fn flow(&mut self, to: usize, state: &State) {
        match self.states.get_mut(to) {
            None => return,
            Some(empty @ None) => *empty = Some(Box::new(*state)),
            Some(Some(old)) => {
                let mut changed = false;
                for (old, new) in old.iter_mut().zip(state) {
                    if old != new && *old != Known::Nothing {
                        (*old, changed) = (Known::Nothing, true);
                    }
                }
                if !changed {
                    return;
                }
            }
        }
        self.due.push(to);
    }

    fn step(&mut self, at: usize) {
        let (insn, Some(state)) = (&self.insns[at], self.states[at].as_deref().copied()) else { return };
        let mut after = state;
        let next = at + insn.slots();
        let target = usize::try_from(insn.target(at)).unwrap_or(usize::MAX);
        match insn.op() {
            Op::Exit | Op::WideTail => {}
            Op::Ja | Op::Gotol => self.flow(target, &after),
            Op::Jump { cond, width, source } => {
                let (a, b) = (state[insn.dst.index()], operand(insn, source, &state));
                let taken = match (a, b) {
                    (Known::Constant(a), Known::Constant(b)) => Some(match width {
                        Width::W64 => cond.holds(&a, &b),
                        Width::W32 => cond.holds(&(a as u32), &(b as u32)),
                    }),
                    _ => None,
                };
                if taken != Some(true) {
                    self.flow(next, &after);
                }
                if taken != Some(false) {
                    self.flow(target, &after);
                }
            }
            Op::CallLocal => {
                let mut entry = State::default();
                entry[1..=5].copy_from_slice(&state[1..=5]);
                self.flow(target, &entry);
                forget_call(&mut after);
                self.flow(next, &after);
            }
            Op::CallHelper | Op::CallKfunc => {
                forget_call(&mut after);
                self.flow(next, &after);
            }
            op => {
                if op == Op::Wide(Wide::Code) {
                    self.flow(target, &State::default());
                }
                let value = self.value(op, insn, &state);
                if op.writes_dst() {
                    after[insn.dst.index()] = value;
                }
                if op.writes_src() {
                    after[insn.src.index()] = Known::Nothing;
                }
                // Compare-and-exchange and packet loads answer in R0.
                if matches!(op, Op::Atomic { .. } | Op::Packet { .. }) {
                    after[Reg::R0.index()] = Known::Nothing;
                }
                self.flow(next, &after);
            }
        }
    }

    /// What the destination register holds after an instruction that does not jump.
    fn value(&self, op: Op, insn: &Insn, state: &State) -> Known {
        let dst = state[insn.dst.index()];
        match op {
            Op::Mov { width, source } => match (width, operand(insn, source, state)) {
                (Width::W32, Known::Constant(value)) => Known::Constant(u64::from(value as u32)),
                (Width::W32, _) => Known::Nothing,
                (Width::W64, value) => value,
            },
            Op::Wide(Wide::Imm64) => Known::Constant(insn.wide_imm()),
            Op::Wide(Wide::MapValue) => Known::Data { map: insn.imm, offset: u64::from(insn.imm_hi) },
            Op::Alu { op, width, source } => match (dst, operand(insn, source, state), width) {
                (Known::Constant(a), Known::Constant(b), Width::W64) => Known::Constant(op.apply(&a, &b)),
                (Known::Constant(a), Known::Constant(b), Width::W32) => {
                    Known::Constant(u64::from(op.apply(&(a as u32), &(b as u32))))
                }
                (Known::Data { map, offset }, Known::Constant(b), Width::W64) if op == AluOp::Add => {
                    Known::Data { map, offset: offset.wrapping_add(b) }
                }
                _ => Known::Nothing,
            },
            Op::Shift { op, width, source } => match (dst, operand(insn, source, state), width) {
                (Known::Constant(a), Known::Constant(b), Width::W64) => Known::Constant(op.apply(&a, &b)),
                (Known::Constant(a), Known::Constant(b), Width::W32) => {
                    Known::Constant(u64::from(op.apply(&(a as u32), &(b as u32))))
                }
                _ => Known::Nothing,
            },
            Op::Load { size } => match state[insn.src.index()] {
                Known::Data { map, offset } => {
                    self.load(map, offset.wrapping_add_signed(i64::from(insn.off as i16)), size.bytes() as usize)
                }
                _ => Known::Nothing,
            },
            _ => Known::Nothing,
        }
    }

    /// Bytes of global data that no program writes.
    fn load(&self, map: u32, offset: u64, size: usize) -> Known {
        let Some(def) = self.maps.get(map as usize).filter(|def| def.is_read_only()) else { return Known::Nothing };
        let end = offset.checked_add(size as u64).filter(|end| *end <= u64::from(def.value_size));
        let bytes: &[u8] = match (&def.contents, end) {
            (Contents::Bytes(bytes), Some(_)) => bytes,
            (Contents::Empty, Some(_)) => &[],
            _ => return Known::Nothing,
        };
        let byte = |at: usize| u64::from(bytes.get(offset as usize + at).copied().unwrap_or(0));
        Known::Constant((0..size).fold(0, |value, at| value | byte(at) << (8 * at)))
    }
}

/// The second operand; a 64-bit operation extends its immediate by the sign.
fn operand(insn: &Insn, source: Source, state: &State) -> Known {
    match source {
        Source::K => Known::Constant(i64::from(insn.imm as i32) as u64),
        Source::X => state[insn.src.index()],
    }
}

fn forget_call(state: &mut State) {
    state[..=5].fill(Known::Nothing);
}
