//! Which parts of an outcome the specification leaves open: what was computed from addresses, clocks, random numbers or
//! bytes that nobody wrote.
//!
//! Two engines in one world agree on all of it, since addresses, clocks and choices are the world's. A real kernel has its
//! own, so an outcome is compared with its only where it is determined. [`Origins`] watches a run of the interpreter and
//! says of each register and byte whether it is a number that follows from the input, an address with an offset that
//! follows from it, or open. Open are: a helper's result that moves a clock or the random numbers on; a stack byte that the
//! program did not write; whatever is computed of an open value, or of an address other than by adding to it, by the
//! distance of two addresses in one object, or by comparing those. A branch on an open value, and a store at an open
//! address, leave the whole rest open: then only that the run ends is compared.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::helper::{self, Arg, ArgKind, Change, ResultClass};
use crate::insn::{AluOp, AtomicOp, Cond, Insn, MulDivOp, Op, Reg, ShiftOp, Size, Source, Wide, Width};
use crate::interpreter::{Observer, Registers};
use crate::map::{Map, MapType, ZERO_SEED};
use crate::memory::{Object, layout};
use crate::world::{Effect, World};

/// What is open in an outcome. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    course: bool,
    result: bool,
    /// The upper half of R0.
    upper: bool,
    maps: BTreeSet<u32>,
    bytes: HashSet<(Object, Vec<u8>, usize)>,
}

impl Open {
    /// All of it, but that there is an outcome.
    pub fn all() -> Open {
        Open { course: true, result: true, ..Open::default() }
    }
    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        *self == Open::default()
    }
    /// Whether the course of the run is open, and all with it.
    pub fn course(&self) -> bool {
        self.course
    }
    /// Whether R0 is open.
    pub fn result(&self) -> bool {
        self.course || self.result
    }
    /// Whether the upper half of R0 is open, at least.
    pub fn upper(&self) -> bool {
        self.result() || self.upper
    }
    /// Whether an object is open altogether: which elements a map has, for one.
    pub fn object(&self, object: Object) -> bool {
        self.course || matches!(object, Object::MapValue(map) if self.maps.contains(&map))
    }
    /// Whether a byte is open; the key is that of a map element.
    pub fn byte(&self, object: Object, key: &[u8], offset: usize) -> bool {
        self.object(object) || (!self.bytes.is_empty() && self.bytes.contains(&(object, key.to_vec(), offset)))
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It follows from the input.
    Number,
    /// An address: of what follows from the input.
    Address,
    /// Its low half follows from the input, its upper half is open.
    Low,
    /// It is left open.
    Open,
}

use Origin::{Address, Low, Number};

impl Origin {
    /// Of what is computed from both.
    fn and(self, other: Origin) -> Origin {
        if self == Number && other == Number { Number } else { Origin::Open }
    }
    /// Of what is computed from both where a low half follows from low halves alone.
    fn upwards(self, other: Origin) -> Origin {
        match (self, other) {
            (Low, Low | Number) | (Number, Low) => Low,
            _ => self.and(other),
        }
    }
    /// Of its low half.
    fn low(self) -> Origin {
        if self == Low { Number } else { self.derived() }
    }
    /// As an operand of this width.
    fn at(self, width: Width) -> Origin {
        if self == Low && width == Width::W32 { Number } else { self }
    }
    /// Of what is computed from it.
    fn derived(self) -> Origin {
        self.and(Number)
    }
}

/// A function that is called.
#[derive(Clone, Debug)]
struct Caller {
    /// Registers at the call.
    saved: [Origin; 11],
    /// The slot of the helper that calls back, its number, its arguments.
    helper: Option<(usize, u32, [u64; 5])>,
}

/// An instruction that the next one, or the end, shows the effect of.
#[derive(Clone, Copy, Debug)]
enum Pending {
    /// A helper that is called at this slot with these arguments.
    Helper { pc: usize, id: u32, args: [u64; 5] },
    /// A load from the packet that may leave the function.
    Packet { pc: usize },
}

/// Watches a run of the interpreter.
#[derive(Debug)]
pub struct Origins {
    regs: [Origin; 11],
    callers: Vec<Caller>,
    /// Bytes that are not numbers; of frames, bytes that are written.
    bytes: HashMap<u64, Origin>,
    pending: Option<Pending>,
    /// The outermost function was left with this in R0.
    left: Option<Origin>,
    /// Errors of map operations have 32 bits.
    int_errors: bool,
    open: Open,
}

impl Default for Origins {
    fn default() -> Self {
        let mut regs = [Origin::Open; 11];
        (regs[Reg::R1.index()], regs[Reg::FP.index()]) = (Address, Address);
        let (callers, bytes) = (Vec::new(), HashMap::new());
        Origins { regs, callers, bytes, pending: None, left: None, int_errors: false, open: Open::default() }
    }
}

impl Origins {
    /// The same for a Linux before 6.4, whose map operations return `int`: calls of them are made directly, so the upper half of
    /// an error is open (`BPF_CALL_IMM` of `ops->map_update_elem` in `bpf_do_misc_fixups`).
    pub fn with_int_errors() -> Origins {
        Origins { int_errors: true, ..Origins::default() }
    }

    /// What is open in the outcome of the run, which has ended.
    pub fn finish(mut self, world: &World) -> Open {
        if let Some(pending) = self.pending.take() {
            match pending {
                // It left the program.
                Pending::Packet { .. } => self.left = Some(Number),
                Pending::Helper { id, args, .. } => self.returned(id, args, world),
            }
        }
        if self.open.course {
            return Open::all();
        }
        self.open.result = !matches!(self.left, Some(Number | Low));
        self.open.upper = self.left == Some(Low);
        let mut open = self.open;
        let bytes = &mut open.bytes;
        let mut note = |object, key: &[u8], base: u64, len: u64, shown_at: usize| {
            for at in (0..len).filter(|at| self.bytes.get(&(base + at)).is_some_and(|origin| *origin != Number)) {
                bytes.insert((object, key.to_vec(), shown_at + at as usize));
            }
        };
        note(Object::Packet, &[], world.packet.start(), world.packet.observed(), 0);
        for (index, map) in world.maps.iter().enumerate() {
            let (object, len) = (Object::MapValue(index as u32), u64::from(map.def.value_size));
            // Behind each other as they are shown.
            map.ops.each(&mut |key, addresses| {
                for (cpu, addr) in addresses.iter().enumerate() {
                    note(object, key, *addr, len, cpu * len.next_multiple_of(8) as usize);
                }
            });
        }
        let evicted = (0..).zip(&world.maps).filter(|(_, map)| map.ops.has_evicted());
        open.maps.extend(evicted.map(|(index, _)| index));
        open
    }

    fn reg(&mut self, reg: Reg) -> &mut Origin {
        &mut self.regs[reg.index()]
    }
    fn origin(&self, reg: Reg) -> Origin {
        self.regs[reg.index()]
    }
    fn operand(&self, source: Source, insn: &Insn) -> Origin {
        match source {
            Source::K => Number,
            Source::X => self.origin(insn.src),
        }
    }
    /// The course of the run depends on this.
    fn depends(&mut self, origin: Origin) {
        self.open.course |= origin == Origin::Open;
    }

    fn load(&self, addr: u64, size: u64, world: &World) -> Origin {
        let object = world.memory.object_at(addr).map(|(object, _)| object);
        if object == Some(Object::Context) {
            if is_misread(world, addr - layout::CONTEXT, size) {
                return Origin::Open;
            }
            let value = world.memory.peek(addr, size).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            return if is_address(value) { Address } else { Number };
        }
        let unwritten = if matches!(object, Some(Object::Frame(_))) { Origin::Open } else { Number };
        let mut origins = (addr..addr + size).map(|at| self.bytes.get(&at).copied().unwrap_or(unwritten));
        match origins.next().unwrap_or(Number) {
            Number if origins.clone().all(|origin| origin == Number) => Number,
            Number if size == 8 && origins.by_ref().take(3).all(|origin| origin == Number) => Low,
            Address if size == 8 && origins.all(|origin| origin == Address) => Address,
            _ => Origin::Open,
        }
    }
    fn store(&mut self, addr: u64, size: u64, origin: Origin) {
        for at in addr..addr + size {
            let half = if at < addr + 4 { Number } else { Origin::Open };
            self.bytes.insert(at, if origin == Low { half } else { origin });
        }
    }
    fn stores(&mut self, base: Reg, addr: u64, size: Size, origin: Origin) {
        self.depends(self.origin(base));
        let size = u64::from(size.bytes());
        self.store(addr, size, if origin == Address && size < 8 { Origin::Open } else { origin });
    }
    /// Nobody has written to the frame that R10 is the top of.
    fn forget_frame(&mut self, top: u64) {
        self.bytes.retain(|at, _| !(top - layout::FRAME_LEN..top).contains(at));
    }
}

/// Fields of `__sk_buff` of 4 bytes that Linux makes of so many bytes of its own (`*target_size` of `bpf_convert_ctx_access`).
const NARROW_FIELDS: [(u64, &[&str]); 2] = [
    (1, &["pkt_type", "vlan_present"]),
    (
        2,
        &[
            "protocol",
            "queue_mapping",
            "vlan_tci",
            "vlan_proto",
            "tc_index",
            "tc_classid",
            "gso_segs",
            "gso_size",
            "remote_port",
            "local_port",
            "family",
        ],
    ),
];

/// Whether Linux reads other bytes of the context than the program names: of a part of a field as large as what it makes the
/// field of it takes the first bytes, whichever they are (`convert_ctx_accesses`: `size < target_size`).
fn is_misread(world: &World, offset: u64, size: u64) -> bool {
    let declaration = world.program_type().declaration();
    let is_behind = |name: &&str| {
        declaration.field(name).is_some_and(|field| {
            let at = u64::from(field.offset);
            (at + 1..at + u64::from(field.len)).contains(&offset)
        })
    };
    declaration.context == "__sk_buff"
        && !offset.is_multiple_of(4)
        && NARROW_FIELDS.iter().any(|(len, names)| size >= *len && names.iter().any(is_behind))
}

/// Whether a value of a context is an address.
fn is_address(value: u64) -> bool {
    (layout::PACKETS..layout::PACKETS + layout::PACKETS_LEN).contains(&value) || value >= layout::LOCALS
}

/// Whether two addresses lie in one object: their distance then follows from the input.
fn are_together(a: u64, b: u64, world: &World) -> bool {
    let packet = |addr| (layout::PACKETS..layout::PACKETS + layout::PACKETS_LEN).contains(&addr);
    // An address one behind an object, as R10 is, belongs to it.
    let object = |addr: u64| {
        let memory = &world.memory;
        memory.object_at(addr).or_else(|| memory.object_at(addr.wrapping_sub(1)))
    };
    (packet(a) && packet(b)) || object(a).is_some_and(|of| object(b) == Some(of))
}

impl Observer for Origins {
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &mut World) {
        // When the functions of timers run is up to the clock.
        self.open.course |= self.left.is_some();
        if self.open.course {
            return;
        }
        self.clear_up(pc, registers, world);
        self.step(pc, insn, registers, world);
    }
}

impl Origins {
    /// What the instruction before has come to, now that the run is at `pc`.
    fn clear_up(&mut self, pc: usize, registers: &Registers, world: &World) {
        match self.pending.take() {
            None => {}
            Some(Pending::Packet { pc: at }) => {
                if pc == at + 1 {
                    *self.reg(Reg::R0) = Number;
                } else {
                    self.leave(Number);
                    self.clear_up(pc, registers, world);
                }
            }
            Some(Pending::Helper { pc: at, id, args }) => {
                if id == helper::tail_call::ID && pc != at + 1 {
                    // The next program finds what Linux leaves on the stack: nothing that it may rely on.
                    self.forget_frame(registers[Reg::FP.index()]);
                } else if pc != at + 1 && calls_back(id) {
                    let context = self.origin(Reg::R3);
                    self.callers.push(Caller { saved: self.regs, helper: Some((at, id, args)) });
                    self.regs = [Origin::Open; 11];
                    (self.regs[1], self.regs[2], self.regs[10]) = (Number, context, Address);
                    if id == helper::for_each_map_elem::HELPERS[0].id {
                        let element = if has_own_order(args[0], world) { Origin::Open } else { Address };
                        self.regs[1..5].copy_from_slice(&[Address, element, element, context]);
                        self.store(registers[Reg::R2.index()], key_len(args[0], world), Number);
                    }
                    self.forget_frame(registers[Reg::FP.index()]);
                } else {
                    self.returned(id, args, world);
                }
            }
        }
    }

    /// A helper returned.
    fn returned(&mut self, id: u32, args: [u64; 5], world: &World) {
        let Ok(helper) = world.helpers.get(id) else { return };
        let mut result = match world.effects.last() {
            Some(Effect::Call {
                class:
                    ResultClass::MapValue
                    | ResultClass::Map
                    | ResultClass::Record
                    | ResultClass::Kernel
                    | ResultClass::Memory,
                ..
            }) => Address,
            _ => Number,
        };
        if helper.changes.iter().any(|change| matches!(change, Change::Clock | Change::Random)) {
            result = Origin::Open;
        }
        let is_error = matches!(world.effects.last(), Some(Effect::Call { class: ResultClass::Error(_), .. }));
        if self.int_errors && is_error && helper.changes.contains(&Change::MapValues) {
            result = Low;
        }
        let map = layout::map_of_handle(args[0]).and_then(|at| Some((at as u32, world.maps.get(at)?)));
        let has_choice =
            |map: &Map| map.ops.has_evicted() || map.def.map_type == MapType::BLOOM_FILTER && is_seeded(map);
        if map.is_some_and(|(_, map)| has_choice(map)) {
            result = Origin::Open;
        }
        let mut value = None;
        for (at, arg) in helper.fact().args.iter().enumerate().take(5) {
            let origin = self.regs[at + 1];
            match (arg.kind, map) {
                (ArgKind::MapKey, Some((index, map))) => {
                    let key = self.load_bytes(args[at], u64::from(map.def.key_size), world);
                    if key != Number {
                        result = Origin::Open;
                        if helper.changes.contains(&Change::MapValues) {
                            self.open.maps.insert(index);
                        }
                    }
                }
                // What was put into a map without keys comes out of it.
                (ArgKind::MapValue, Some((index, map))) if map.def.key_size == 0 => {
                    let len = u64::from(map.def.value_size);
                    if !arg.is(Arg::UNINIT) && self.load_bytes(args[at], len, world) != Number {
                        self.open.maps.insert(index);
                    } else if arg.is(Arg::UNINIT) && map.def.map_type != MapType::BLOOM_FILTER {
                        let origin = if self.open.maps.contains(&index) { Origin::Open } else { Number };
                        self.store(args[at], len, origin);
                    }
                }
                // Also where there is no number, later fixes of a version write zeros there.
                (ArgKind::PtrToLong, _) if is_error => self.store(args[at], 8, Origin::Open),
                (ArgKind::MapValue, Some((_, map))) => value = Some((args[at], map.def.value_size)),
                // A helper with such an argument would take its upper half, too.
                _ if matches!(origin, Low | Origin::Open) => result = Origin::Open,
                _ => {}
            }
        }
        // What was stored has the origin of where it came from.
        let is_stored = is_error || matches!(result, Number | Low);
        if let (Some((from, len)), Some((_, map)), true) = (value, map, is_stored) {
            let key = world.memory.peek(args[1], u64::from(map.def.key_size));
            if let Some(to) = map.ops.find(key).filter(|_| !is_error) {
                for at in 0..u64::from(len) {
                    let origin = self.load(from + at, 1, world);
                    let held = self.bytes.get(&(from + at)).copied().unwrap_or(origin);
                    self.bytes.insert(to + at, held);
                }
            }
        } else if let (Some(_), Some((index, _))) = (value, map) {
            self.open.maps.insert(index);
        }
        self.regs[1..6].fill(Origin::Open);
        self.regs[0] = result;
    }

    fn load_bytes(&self, addr: u64, len: u64, world: &World) -> Origin {
        (addr..addr + len).map(|at| self.load(at, 1, world)).fold(Number, Origin::and)
    }

    /// The function is left with this in R0.
    fn leave(&mut self, result: Origin) {
        let Some(Caller { saved, helper }) = self.callers.pop() else {
            self.left = Some(result);
            return;
        };
        self.regs = saved;
        if let Some((pc, id, args)) = helper {
            // Whether there is another turn depends on it; the arguments do not change.
            self.depends(result.derived());
            self.pending = Some(Pending::Helper { pc, id, args });
        } else {
            self.regs[1..6].fill(Origin::Open);
            self.regs[0] = result;
        }
    }

    fn step(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &World) {
        let value = |reg: Reg| registers[reg.index()];
        let at = |base: Reg| value(base).wrapping_add(insn.displacement());
        match insn.op() {
            Op::Alu { op, width, source } => *self.reg(insn.dst) = self.alu(op, width, source, insn, registers, world),
            Op::Neg { width } => *self.reg(insn.dst) = self.origin(insn.dst).at(width).upwards(Number),
            Op::Endian { .. } => *self.reg(insn.dst) = self.origin(insn.dst).derived(),
            Op::Shift { op, width, source } => {
                let (a, by) = (self.origin(insn.dst).at(width), self.operand(source, insn).low());
                *self.reg(insn.dst) = if op == ShiftOp::Lsh { a.upwards(by) } else { a.and(by) };
            }
            Op::MulDiv { op, width, source } => {
                let (a, b) = (self.origin(insn.dst).at(width), self.operand(source, insn).at(width));
                *self.reg(insn.dst) = if op == MulDivOp::Mul { a.upwards(b) } else { a.and(b) };
            }
            Op::Mov { width: Width::W64, source } => *self.reg(insn.dst) = self.operand(source, insn),
            Op::Mov { source, .. } => *self.reg(insn.dst) = self.operand(source, insn).low(),
            Op::MovSx { .. } => *self.reg(insn.dst) = self.origin(insn.src).low(),
            Op::Wide(kind) => *self.reg(insn.dst) = if kind == Wide::Imm64 { Number } else { Address },
            Op::Load { size } | Op::LoadSx { size } | Op::LoadAcquire { size } => {
                let loaded = self.load(at(insn.src), u64::from(size.bytes()), world);
                let extended = if matches!(insn.op(), Op::LoadSx { .. }) { loaded.derived() } else { loaded };
                *self.reg(insn.dst) = if self.origin(insn.src) == Address { extended } else { Origin::Open };
            }
            Op::Store { size, source } => self.stores(insn.dst, at(insn.dst), size, self.operand(source, insn)),
            Op::StoreRelease { size } => self.stores(insn.dst, at(insn.dst), size, self.origin(insn.src)),
            Op::Atomic { op, fetch, size } => self.atomic((op, fetch, size), insn, at(insn.dst), world),
            Op::Packet { .. } => {
                self.depends(if insn.op().reads_src() { self.origin(insn.src).derived() } else { Number });
                let packet = self.load_bytes(world.packet.start(), world.packet.observed(), world);
                self.depends(packet.derived());
                self.regs[1..6].fill(Origin::Open);
                self.pending = Some(Pending::Packet { pc });
            }
            Op::Jump { cond, width, source } => {
                let (a, b) = (self.origin(insn.dst), self.operand(source, insn));
                let other = if source == Source::X { value(insn.src) } else { insn.imm as i32 as i64 as u64 };
                let is_equality = matches!(cond, Cond::Eq | Cond::Ne);
                let is_determined = match (a.at(width), b.at(width)) {
                    (Number, Number) => true,
                    _ if width == Width::W32 => false,
                    (Address, Address) => is_equality || are_together(value(insn.dst), other, world),
                    (Address, Number) => is_equality && other == 0,
                    (Number, Address) => is_equality && value(insn.dst) == 0,
                    _ => false,
                };
                self.depends(if is_determined { Number } else { Origin::Open });
            }
            Op::CallHelper => {
                let [_, a, b, c, d, e, ..] = *registers;
                self.pending = Some(Pending::Helper { pc, id: insn.imm, args: [a, b, c, d, e] });
            }
            Op::CallLocal => {
                self.callers.push(Caller { saved: self.regs, helper: None });
                self.forget_frame(value(Reg::FP) + layout::FRAME_STRIDE);
                self.regs[0] = Origin::Open;
                self.regs[6..10].fill(Origin::Open);
            }
            Op::CallKfunc => self.depends(Origin::Open),
            Op::Exit => self.leave(self.origin(Reg::R0)),
            Op::Ja | Op::Gotol | Op::WideTail => {}
        }
    }

    fn alu(
        &self,
        op: AluOp,
        width: Width,
        source: Source,
        insn: &Insn,
        registers: &Registers,
        world: &World,
    ) -> Origin {
        let (a, b) = (self.origin(insn.dst), self.operand(source, insn));
        let is_same = source == Source::X && insn.dst == insn.src;
        match (op, a, b) {
            // The register itself.
            (AluOp::Xor | AluOp::Sub, Address, Address) if is_same => Number,
            (AluOp::Add | AluOp::Sub, Address, Number) | (AluOp::Add, Number, Address) if width == Width::W64 => {
                Address
            }
            (AluOp::Sub, Address, Address)
                if width == Width::W64
                    && are_together(registers[insn.dst.index()], registers[insn.src.index()], world) =>
            {
                Number
            }
            _ => a.at(width).upwards(b.at(width)),
        }
    }

    fn atomic(&mut self, (op, fetch, size): (AtomicOp, bool, Size), insn: &Insn, addr: u64, world: &World) {
        let old = self.load(addr, u64::from(size.bytes()), world);
        let (new, r0) = (self.origin(insn.src), self.origin(Reg::R0));
        let stored = match op {
            AtomicOp::Xchg => new,
            AtomicOp::Cmpxchg => old.and(new).and(r0),
            _ => old.and(new),
        };
        self.stores(insn.dst, addr, size, stored);
        match op {
            AtomicOp::Cmpxchg => *self.reg(Reg::R0) = if r0 == Number { old } else { old.and(r0) },
            _ if fetch => *self.reg(insn.src) = old,
            _ => {}
        }
    }
}

/// Whether the order of the elements of the map with this handle is the kernel's to choose.
fn has_own_order(handle: u64, world: &World) -> bool {
    let map = layout::map_of_handle(handle).and_then(|map| world.maps.get(map));
    let mut count = 0;
    map.filter(|map| is_seeded(map)).inspect(|map| map.ops.each(&mut |_, _| count += 1)).is_some() && count > 1
}

/// Whether the hash function of a map starts from a number that the kernel draws.
fn is_seeded(map: &Map) -> bool {
    !matches!(map.def.map_type, MapType::ARRAY | MapType::PERCPU_ARRAY) && map.def.flags & ZERO_SEED == 0
}

/// Bytes of a key of the map with this handle.
fn key_len(handle: u64, world: &World) -> u64 {
    let map = layout::map_of_handle(handle).and_then(|map| world.maps.get(map));
    map.map_or(0, |map| u64::from(map.def.key_size))
}

/// Whether a helper calls functions of the program.
fn calls_back(id: u32) -> bool {
    helper::fact(id).is_some_and(|fact| fact.args.iter().any(|arg| arg.kind == ArgKind::Func))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter;
    use crate::map::{MapDef, MapType};
    use crate::memory::Memory;
    use crate::program::Program;
    use crate::program_type::ProgramType;
    use crate::world::Input;

    #[test]
    fn parts_of_fields_are_open_that_linux_reads_elsewhere() {
        let open = |load: &str| {
            let insns = crate::asm::assemble(&format!("r0 = *({load}); exit")).expect("assembly");
            let program = Program::new("p", ProgramType::SchedCls, "GPL", vec![], insns).expect("a program");
            let mut world = World::new(Memory::detached().expect("memory"));
            world.load(&program).expect("a world");
            world.reset(&Input::default()).expect("an input");
            let mut origins = Origins::default();
            interpreter::run(&program, &mut world, 10, &mut origins);
            origins.finish(&world).result()
        };
        // The protocol at 16 has 2 bytes of its own, the type at 4 has 1, the mark at 8 all 4.
        for load in ["u16 *)(r1 + 18", "u8 *)(r1 + 5", "u16 *)(r1 + 6"] {
            assert!(open(load), "{load}");
        }
        for load in ["u32 *)(r1 + 16", "u16 *)(r1 + 16", "u8 *)(r1 + 18", "u8 *)(r1 + 4", "u16 *)(r1 + 10"] {
            assert!(!open(load), "{load}");
        }
    }

    /// What is open where a program asks a map to change an element that it does not have, and goes on like this.
    fn open(then: &str, mut origins: Origins) -> Open {
        let maps = vec![MapDef::new("m", MapType::HASH, 8, 8, 1)];
        let update = "*(u64 *)(r10 - 8) = 1; *(u64 *)(r10 - 16) = 2; r1 = map[m]; r2 = r10; r2 += -8; r3 = r10; r3 += -16; \
                      r4 = 2; call map_update_elem;";
        let index = |_: &str| Some(0);
        let options = crate::asm::Options { maps: &index, ..Default::default() };
        let insns = crate::asm::assemble_with(&format!("{update} {then} exit"), options).expect("assembly");
        let program = Program::new("p", ProgramType::Xdp, "GPL", maps, insns).expect("a program");
        let mut world = World::new(Memory::detached().expect("memory"));
        world.load(&program).expect("a world");
        world.reset(&Input::default()).expect("an input");
        let stop = interpreter::run(&program, &mut world, 1000, &mut origins);
        assert_eq!(stop.result.map(|_| ()), Ok(()), "{then}");
        origins.finish(&world)
    }

    #[test]
    fn errors_of_map_operations_have_an_open_upper_half_where_they_are_narrow() {
        assert_eq!(open("", Origins::default()), Open::default());
        let early = |then: &str| {
            let open = open(then, Origins::with_int_errors());
            (open.course(), open.result(), open.upper())
        };
        let (determined, upper, result, course) =
            ((false, false, false), (false, false, true), (false, true, true), (true, true, true));
        for then in
            ["", "r0 += 5;", "r0 *= r0;", "r1 = r0; r0 = r1;", "*(u64 *)(r10 - 8) = r0; r0 = *(u64 *)(r10 - 8);"]
        {
            assert_eq!(early(then), upper, "{then}");
        }
        for then in [
            "w0 += 1;",
            "w0 s>>= 3;",
            "*(u64 *)(r10 - 8) = r0; r0 = *(u32 *)(r10 - 8);",
            "if w0 == -2 goto +0; r0 = 1;",
        ] {
            assert_eq!(early(then), determined, "{then}");
        }
        for then in ["r0 >>= 8;", "*(u64 *)(r10 - 8) = r0; r0 = *(u32 *)(r10 - 4);", "r0 /= 3;"] {
            assert_eq!(early(then), result, "{then}");
        }
        assert_eq!(early("if r0 == -2 goto +0; r0 = 1;"), course);
    }
}
