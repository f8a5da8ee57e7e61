//! Where addresses come from: a shadow of the registers and the stack that says of each address what it was made from.
//!
//! An address by itself does not tell: a pointer that was moved away from its object lies in another one, or in none. A run
//! that is watched by [`Provenance`] carries beside each register and each slot of 8 bytes the place where the object
//! begins, so that how far a pointer has moved is known wherever it went. A run that is not watched pays nothing.

use crate::insn::{AluOp, AtomicOp, Insn, Op, Reg, Size, Source, Wide, Width};
use crate::interpreter::{Observer, Registers};
use crate::memory::{Object, layout};
use crate::world::World;

/// What an address was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The object.
    pub object: Object,
    /// Where it begins: its first byte, of a frame one past its last.
    pub base: u64,
}

/// Slots of a frame.
const SLOTS: usize = (layout::FRAME_LEN / 8) as usize;
/// Frames whose slots are watched.
const FRAMES: usize = layout::FRAMES_MAX as usize;

/// A function that waits.
#[derive(Clone, Copy, Debug)]
struct Caller {
    regs: [Option<Origin>; 11],
    /// The slot of the helper that calls back.
    helper: Option<usize>,
}

/// What the next instruction shows the effect of.
#[derive(Clone, Copy, Debug)]
enum Pending {
    /// A helper was called at this slot.
    Helper { pc: usize },
    /// A field of a context was loaded into this register.
    Field { dst: Reg },
    /// The program, or a function that was called after its end, is done.
    Later,
}

/// The shadow of a run. As an observer it has seen all instructions but the one at hand.
#[derive(Clone, Debug)]
pub struct Provenance {
    regs: [Option<Origin>; 11],
    /// By frame and slot from the top: what was stored, and its origin.
    slots: Vec<Option<(u64, Origin)>>,
    callers: Vec<Caller>,
    pending: Option<Pending>,
}

impl Default for Provenance {
    fn default() -> Self {
        let mut shadow =
            Provenance { regs: [None; 11], slots: vec![None; SLOTS * FRAMES], callers: Vec::new(), pending: None };
        shadow.reset();
        shadow
    }
}

/// The slot of a frame that begins at this address: its number over all frames.
fn slot_at(addr: u64) -> Option<usize> {
    let distance = addr.checked_sub(layout::frame_bottom(0))?;
    let (frame, inside) = (distance / layout::FRAME_STRIDE, distance % layout::FRAME_STRIDE);
    (inside < layout::FRAME_LEN && frame < FRAMES as u64)
        .then(|| frame as usize * SLOTS + SLOTS - 1 - (inside / 8) as usize)
}

impl Provenance {
    /// Back to the start of a run.
    pub fn reset(&mut self) {
        self.regs = [None; 11];
        self.regs[Reg::R1.index()] = Some(Origin { object: Object::Context, base: layout::CONTEXT });
        self.regs[Reg::FP.index()] = Some(Origin { object: Object::Frame(0), base: layout::frame_top(0) });
        self.slots.fill(None);
        self.callers.clear();
        self.pending = None;
    }
    /// What the register's address was made from; `None` if it holds a number.
    #[inline]
    pub fn reg(&self, reg: Reg) -> Option<Origin> {
        self.regs[reg.index()]
    }
    /// What the address was made from that a frame holds so many slots below its top, where that is `value`.
    #[inline]
    pub fn slot(&self, frame: usize, at: usize, value: u64) -> Option<Origin> {
        let held = self.slots.get(frame * SLOTS + at).copied().flatten();
        held.filter(|(stored, _)| *stored == value).map(|(_, origin)| origin)
    }

    /// Brings the shadow up to before the instruction at `pc`: what the one before it has come to.
    #[inline]
    pub fn arrive(&mut self, pc: usize, registers: &Registers, world: &World) {
        if let Some(pending) = self.pending.take() {
            self.clear_up(pending, pc, registers, world);
        }
    }

    #[inline(never)]
    fn clear_up(&mut self, pending: Pending, pc: usize, registers: &Registers, world: &World) {
        match pending {
            Pending::Field { dst } => {
                let value = registers[dst.index()];
                let in_packet = value.wrapping_sub(layout::PACKETS) < layout::PACKETS_LEN;
                let packet = in_packet.then_some(Origin { object: Object::Packet, base: value });
                self.regs[dst.index()] = packet.or_else(|| by_address(value, world));
            }
            Pending::Helper { pc: at } if pc == at + 1 => {
                self.regs[..=5].fill(None);
                self.regs[0] = by_address(registers[0], world);
            }
            // It called back, or another program is run in the same frame.
            Pending::Helper { pc: at } => {
                let is_callback = registers[Reg::FP.index()] != self.regs[Reg::FP.index()].map_or(0, |top| top.base);
                if is_callback {
                    self.callers.push(Caller { regs: self.regs, helper: Some(at) });
                }
                self.begin(registers, world);
            }
            Pending::Later => self.begin(registers, world),
        }
    }

    /// A function begins: its arguments are addresses of objects, or numbers.
    fn begin(&mut self, registers: &Registers, world: &World) {
        for (reg, value) in registers.iter().enumerate() {
            self.regs[reg] = by_address(*value, world);
        }
    }

    /// Carries the shadow over the instruction, which is about to be executed.
    pub fn step(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &World) {
        let at = |base: Reg| registers[base.index()].wrapping_add(insn.displacement());
        let (dst, src) = (insn.dst.index(), insn.src.index());
        match insn.op() {
            Op::Mov { width: Width::W64, source: Source::X } => self.regs[dst] = self.regs[src],
            Op::Alu { op, width: Width::W64, source: Source::X } => {
                self.regs[dst] = match (op, self.regs[dst], self.regs[src]) {
                    (AluOp::Add | AluOp::Sub, Some(origin), None) | (AluOp::Add, None, Some(origin)) => Some(origin),
                    _ => None,
                };
            }
            Op::Wide(kind) => self.regs[dst] = direct(kind, insn, world),
            // Packets lie so low that their addresses have no sign.
            Op::LoadSx { .. } if self.regs[src].is_none_or(|of| of.object != Object::Context) => self.regs[dst] = None,
            Op::Load { size } | Op::LoadSx { size } | Op::LoadAcquire { size } => {
                self.load(insn.dst, at(insn.src), size, insn.src, world);
            }
            Op::Store { size, source } => {
                let held = if source == Source::X { self.regs[src] } else { None };
                self.store(at(insn.dst), size, held, registers[src]);
            }
            Op::StoreRelease { size } => self.store(at(insn.dst), size, self.regs[src], registers[src]),
            Op::Atomic { op, fetch, size } => {
                let old = self.held(at(insn.dst), size, world);
                self.store(at(insn.dst), size, None, 0);
                if op == AtomicOp::Cmpxchg {
                    self.regs[0] = old;
                } else if fetch {
                    self.regs[src] = old;
                }
            }
            Op::CallHelper => self.pending = Some(Pending::Helper { pc }),
            Op::CallKfunc | Op::Packet { .. } => self.regs[..=5].fill(None),
            Op::CallLocal => {
                self.callers.push(Caller { regs: self.regs, helper: None });
                let depth = layout::depth_of_frame(registers[Reg::FP.index()]).map_or(0, |depth| depth + 1);
                self.regs[0] = None;
                self.regs[6..10].fill(None);
                let top = Origin { object: Object::Frame(depth as u32), base: layout::frame_top(depth) };
                self.regs[Reg::FP.index()] = Some(top);
            }
            Op::Exit => self.leave(),
            // A number that is added to an address leaves it one to the same object.
            Op::Alu { op: AluOp::Add | AluOp::Sub, width: Width::W64, source: Source::K }
            | Op::Jump { .. }
            | Op::Ja
            | Op::Gotol
            | Op::WideTail => {}
            Op::Alu { .. }
            | Op::Neg { .. }
            | Op::Endian { .. }
            | Op::Shift { .. }
            | Op::MulDiv { .. }
            | Op::Mov { .. }
            | Op::MovSx { .. } => self.regs[dst] = None,
        }
    }

    fn leave(&mut self) {
        let Some(Caller { regs, helper }) = self.callers.pop() else {
            // The program is done; a timer may call a function of its own.
            self.pending = Some(Pending::Later);
            return;
        };
        let result = self.regs[0];
        self.regs = regs;
        if let Some(pc) = helper {
            // Another turn, or the end of the helper: the next instruction tells.
            self.pending = Some(Pending::Helper { pc });
        } else {
            self.regs[..=5].fill(None);
            self.regs[0] = result;
        }
    }

    fn load(&mut self, dst: Reg, addr: u64, size: Size, base: Reg, world: &World) {
        // The register that is loaded may be the one that says where from.
        let is_field = self.reg(base).is_some_and(|origin| origin.object == Object::Context);
        self.regs[dst.index()] = self.held(addr, size, world);
        if is_field {
            self.pending = Some(Pending::Field { dst });
        }
    }

    /// What the address was made from that memory holds there.
    fn held(&self, addr: u64, size: Size, world: &World) -> Option<Origin> {
        if size != Size::Dw || !addr.is_multiple_of(8) {
            return None;
        }
        let (stored, origin) = self.slots[slot_at(addr)?]?;
        (world.memory.peek(addr, 8) == stored.to_le_bytes()).then_some(origin)
    }

    fn store(&mut self, addr: u64, size: Size, held: Option<Origin>, value: u64) {
        for end in [addr, addr.wrapping_add(u64::from(size.bytes()) - 1)] {
            if let Some(slot) = slot_at(end) {
                self.slots[slot] = None;
            }
        }
        if size == Size::Dw
            && addr.is_multiple_of(8)
            && let (Some(slot), Some(origin)) = (slot_at(addr), held)
        {
            self.slots[slot] = Some((value, origin));
        }
    }
}

impl Observer for Provenance {
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &mut World) {
        self.arrive(pc, registers, world);
        self.step(pc, insn, registers, world);
    }
}

/// What an address was made from that nobody has moved yet.
fn by_address(value: u64, world: &World) -> Option<Origin> {
    if let Some(depth) = layout::depth_of_frame(value) {
        return Some(Origin { object: Object::Frame(depth as u32), base: value });
    }
    let (object, part) = world.memory.object_at(value)?;
    let base = match object {
        Object::Frame(depth) => layout::frame_top(u64::from(depth)),
        _ => part,
    };
    Some(Origin { object, base })
}

/// The map value that a wide instruction leads to.
fn direct(kind: Wide, insn: &Insn, world: &World) -> Option<Origin> {
    if !matches!(kind, Wide::MapValue | Wide::MapIndexValue) {
        return None;
    }
    let base = world.maps.get(insn.imm as usize)?.ops.direct()?;
    Some(Origin { object: Object::MapValue(insn.imm), base })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::assemble;
    use crate::interpreter::run;
    use crate::memory::Memory;
    use crate::program::Program;
    use crate::program_type::ProgramType;
    use crate::world::Input;
    use std::sync::Arc;

    /// What the registers were made from once the program has run on a packet of 64 bytes.
    fn after(text: &str) -> Provenance {
        let program = Program::new("origins", ProgramType::Xdp, "GPL", vec![], assemble(text).unwrap()).unwrap();
        let mut world = World::new(Memory::detached().unwrap());
        world.load(&Arc::new(program.clone())).unwrap();
        world.reset(&Input { packet: vec![0; 64], ..Input::default() }).unwrap();
        let mut origins = Provenance::default();
        run(&program, &mut world, 100, &mut origins).result.unwrap();
        origins
    }

    #[test]
    fn addresses_keep_what_they_were_made_from() {
        let packet = Some(Origin { object: Object::Packet, base: layout::PACKET });
        let frame = Some(Origin { object: Object::Frame(0), base: layout::frame_top(0) });
        let origins = after(
            "r1 = *(u32 *)(r1 + 0)\n r2 = r1\n r2 += 1000\n r3 = r10\n r3 -= 8\n *(u64 *)(r3 + 0) = r2\n \
             r4 = *(u64 *)(r10 - 8)\n *(u8 *)(r3 + 2) = 0\n r5 = *(u64 *)(r10 - 8)\n r6 = r2\n r6 -= r1\n w7 = w1\n \
             *(u64 *)(r10 - 8) = r3\n r8 = 7\n r8 = atomic_fetch_add((u64 *)(r10 - 8), r8)\n r9 = *(u64 *)(r10 - 8)\n \
             r0 = 0\n exit",
        );
        let of = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|reg| origins.reg(Reg::ALL[reg]));
        assert_eq!(of, [packet, packet, frame, packet, None, None, None, frame, None]);
    }
}
