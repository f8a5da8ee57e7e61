//! Well-typed programs, made from the instruction table and the helper declarations.
//!
//! The generator keeps a sketch of what each register and stack slot holds, coarser than the verifier's, and only writes
//! instructions that the sketch permits, so most programs are accepted. Each program draws from a random subset of the
//! actions (swarm testing), which reaches more corners than always drawing from all.

use std::sync::Arc;

use semantics::helper::{self, ArgKind, Helper};
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Opcode, Reg, Size, Source, Width};
use semantics::map::{MapDef, MapType};
use semantics::memory::layout::FRAME_LEN;
use semantics::program::Program;
use semantics::program_type::{Declaration, FieldAccess, FieldKind, ProgramType};
use semantics::world::{Input, WorldConfig};
use verifier::{Dialect, insn};

use crate::dice::Dice;
use crate::test::Test;
use calls::Function;

mod calls;
mod helpers;
mod numbers;

/// What a register holds, as far as the generator cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing that may be read.
    Nothing,
    /// A number.
    Scalar,
    /// The context.
    Context,
    /// The frame pointer.
    Frame,
    /// The packet's first byte; this many bytes are known to be there.
    Packet(u16),
    /// The packet's end.
    PacketEnd,
    /// The first byte of a value of this map.
    Value(u8),
    /// A slot of a caller's stack, with a number in it.
    Stack,
}

/// What the generator knows at a place.
#[derive(Clone, Copy, Debug)]
struct Sketch {
    registers: [Kind; 11],
    /// Bit n: the 8 bytes at `fp - 8 * (n + 1)` are initialised.
    stack: u64,
    /// Pointers kept at the places from [`SPILLS`] on.
    spills: [Kind; 4],
}

/// The first place of the stack where pointers are kept; numbers go elsewhere.
const SPILLS: usize = 20;

/// The types of programs that are made; their order is that of the fuzz input's encoding.
pub(crate) const PROGRAM_TYPES: [ProgramType; 2] = [ProgramType::SocketFilter, ProgramType::Xdp];

impl Sketch {
    fn meet(&mut self, other: &Sketch) {
        let ours = self.registers.iter_mut().chain(&mut self.spills);
        for (ours, theirs) in ours.zip(other.registers.iter().chain(&other.spills)) {
            *ours = match (*ours, *theirs) {
                (Kind::Packet(a), Kind::Packet(b)) => Kind::Packet(a.min(b)),
                (a, b) if a == b => a,
                _ => Kind::Nothing,
            };
        }
        self.stack &= other.stack;
    }
}

/// Something to write next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Alu,
    Mov,
    Wide,
    Neg,
    StackStore,
    StackLoad,
    ContextLoad,
    ContextStore,
    Branch,
    PacketAccess,
    IndexedPacket,
    PacketLength,
    ValueAccess,
    IndexedValue,
    Spill,
    Fill,
    Loop,
    Call,
    Lookup,
    Operator,
    Atomic,
    Linked,
    IndexedStack,
    Wander,
    CallLocal,
    CallerStack,
}

const ACTIONS: [(Action, usize); 26] = [
    (Action::Alu, 10),
    (Action::Mov, 4),
    (Action::Wide, 2),
    (Action::Neg, 2),
    (Action::StackStore, 4),
    (Action::StackLoad, 4),
    (Action::ContextLoad, 3),
    (Action::ContextStore, 1),
    (Action::Branch, 5),
    (Action::PacketAccess, 3),
    (Action::IndexedPacket, 2),
    (Action::PacketLength, 1),
    (Action::ValueAccess, 3),
    (Action::IndexedValue, 2),
    (Action::Spill, 2),
    (Action::Fill, 2),
    (Action::Loop, 1),
    (Action::Call, 2),
    (Action::Lookup, 2),
    (Action::Operator, 7),
    (Action::Atomic, 2),
    (Action::Linked, 2),
    (Action::IndexedStack, 1),
    (Action::Wander, 1),
    (Action::CallLocal, 2),
    (Action::CallerStack, 2),
];

/// How tests are made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instructions of a program, about.
    pub insns: usize,
    /// Only calls of this helper, by number.
    pub helper: Option<u32>,
    /// Only programs of types that kernels have a test run for.
    pub run_by_kernels: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { insns: 20, helper: None, run_by_kernels: false }
    }
}

/// Rows of the table that an action draws from, found once.
#[derive(Debug)]
pub struct Generator {
    options: Options,
    alu: Vec<Opcode>,
    neg: Vec<Opcode>,
    mov: Vec<Opcode>,
    jumps: Vec<Opcode>,
    /// Shifts, products, quotients, changes of byte order and of sign.
    operators: Vec<Opcode>,
    atomics: Vec<Opcode>,
    helpers: Vec<&'static Helper>,
}

impl Generator {
    /// A generator with these options.
    pub fn new(options: Options) -> Generator {
        let dialect = Dialect::default();
        let can = |op: Op| dialect.has(op) && insn::is_followed(op);
        let rows = |fits: fn(Op) -> bool| {
            TABLE.iter().filter(|row| fits(row.op) && can(row.op)).map(|row| row.opcode).collect()
        };
        Generator {
            options,
            alu: rows(|op| matches!(op, Op::Alu { .. })),
            neg: rows(|op| matches!(op, Op::Neg { .. })),
            mov: rows(|op| matches!(op, Op::Mov { .. })),
            jumps: rows(|op| matches!(op, Op::Jump { .. })),
            operators: rows(|op| {
                matches!(op, Op::Shift { .. } | Op::MulDiv { .. } | Op::Endian { .. } | Op::MovSx { .. })
            }),
            atomics: rows(|op| matches!(op, Op::Atomic { .. })),
            helpers: helper::modelled()
                .map(|(_, helper)| helper)
                .filter(|helper| options.helper.is_none_or(|only| only == helper.id))
                // Those whose arguments are numbers, keys and values; `calls` writes the others.
                .filter(|helper| helper.fact().args.iter().all(|arg| is_plain(arg.kind)))
                .filter(|helper| {
                    let about_map = helper.fact().args.iter().any(|arg| arg.kind == ArgKind::ConstMapPtr);
                    !about_map
                        || [MapType::HASH, MapType::ARRAY].into_iter().all(|of| verifier::takes_map(helper.id, of))
                })
                .collect(),
        }
    }

    /// The test that these dice give.
    pub fn test(&self, mut dice: Dice) -> Test {
        let program_type = dice.pick(&PROGRAM_TYPES);
        let maps = maps(&mut dice);
        let mut writer = Writer::new(self, &mut dice, program_type, &maps);
        writer.prologue();
        writer.block(0);
        writer.epilogue();
        writer.subprograms();
        let insns = writer.insns;
        let input = input(&mut dice, program_type.declaration(), &maps);
        let program = Program::new("generated", program_type, "GPL", maps, insns)
            .expect("the generator writes structurally sound programs");
        Test { program: Arc::new(program), input }
    }
}

fn is_plain(kind: ArgKind) -> bool {
    use ArgKind as K;
    matches!(kind, K::Anything | K::ConstMapPtr | K::Ctx | K::MapKey | K::MapValue)
}

/// Types of maps that programs look into and change: the plain ones first.
pub(crate) const MAP_TYPES: [MapType; 9] = [
    MapType::HASH,
    MapType::ARRAY,
    MapType::PERCPU_HASH,
    MapType::PERCPU_ARRAY,
    MapType::LRU_HASH,
    MapType::LRU_PERCPU_HASH,
    MapType::QUEUE,
    MapType::STACK,
    MapType::BLOOM_FILTER,
];

/// Whether a key is an index.
fn is_array(map_type: MapType) -> bool {
    matches!(map_type, MapType::ARRAY | MapType::PERCPU_ARRAY)
}

/// Maps of a program.
pub(crate) fn maps(dice: &mut Dice) -> Vec<MapDef> {
    let names = ["first", "second"];
    let count = dice.pick(&[0, 1, 1, 1, 2]);
    names[..count]
        .iter()
        .map(|name| {
            let map_type = if dice.chance(2, 3) { dice.pick(&MAP_TYPES[..2]) } else { dice.pick(&MAP_TYPES) };
            let key_size = match map_type {
                _ if is_array(map_type) => 4,
                MapType::QUEUE | MapType::STACK | MapType::BLOOM_FILTER => 0,
                _ => dice.pick(&[1, 4, 4, 8, 16]),
            };
            let value_size = dice.pick(&[1, 4, 8, 8, 16, 24, 64, 160]);
            MapDef::new(*name, map_type, key_size, value_size, dice.pick(&[1, 2, 4]))
        })
        .collect()
}

/// What a program with these maps is run on.
pub(crate) fn input(dice: &mut Dice, declaration: &'static Declaration, maps: &[MapDef]) -> Input {
    let bytes = |dice: &mut Dice, len: usize| {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            // Mostly small bytes, so that keys repeat and comparisons go both ways.
            let word = if dice.chance(1, 2) { dice.bits() } else { dice.wide() & 0x0101_0101_0101_0101 };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    };
    let packet_len = dice.pick(&[0, 1, 14, 15, 20, 34, 64, 64, 160]);
    let mut input = Input { packet: bytes(dice, packet_len), ..Input::default() };
    for field in declaration.fields {
        if field.is_settable() && field.guard.contains(None) && dice.chance(1, 4) {
            let mask = if field.len >= 8 { u64::MAX } else { (1 << (8 * field.len)) - 1 };
            input.context.push((field.name.to_owned(), dice.wide() & mask));
        }
    }
    for (index, map) in maps.iter().enumerate() {
        if dice.chance(1, 2) {
            let key = if is_array(map.map_type) {
                (dice.below(map.max_entries as usize) as u32).to_le_bytes().to_vec()
            } else {
                vec![0; map.key_size as usize]
            };
            input.elements.push((index, key, bytes(dice, map.value_size as usize)));
        }
    }
    input.world = WorldConfig { seed: dice.bits(), ..WorldConfig::default() };
    input
}

/// A program being written.
struct Writer<'a> {
    generator: &'a Generator,
    dice: &'a mut Dice,
    declaration: &'static Declaration,
    program_type: ProgramType,
    maps: &'a [MapDef],
    insns: Vec<Insn>,
    sketch: Sketch,
    /// The actions of this program, each as often as its weight.
    swarm: Vec<Action>,
    /// Slots that the function being written may take, with those before it.
    limit: usize,
    /// How many calls deep it lies.
    function_depth: usize,
    functions: Vec<Function>,
    /// How many of them are written, or are being written.
    written: usize,
}

/// Registers that the generator uses for numbers; R6 holds the context, R7 and R8 the packet.
const NUMBERS: [Reg; 7] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R9];

impl<'a> Writer<'a> {
    fn new(generator: &'a Generator, dice: &'a mut Dice, program_type: ProgramType, maps: &'a [MapDef]) -> Self {
        let mut registers = [Kind::Nothing; 11];
        registers[Reg::R1.index()] = Kind::Context;
        registers[Reg::FP.index()] = Kind::Frame;
        let mut swarm = Vec::with_capacity(64);
        while swarm.is_empty() {
            for (action, weight) in ACTIONS {
                if dice.chance(2, 3) {
                    swarm.extend(std::iter::repeat_n(action, weight));
                }
            }
        }
        let insns = Vec::with_capacity(generator.options.insns * 2);
        let declaration = program_type.declaration();
        let sketch = Sketch { registers, stack: 0, spills: [Kind::Nothing; 4] };
        Writer {
            generator,
            dice,
            declaration,
            program_type,
            maps,
            insns,
            sketch,
            swarm,
            limit: generator.options.insns,
            function_depth: 0,
            functions: Vec::new(),
            written: 0,
        }
    }

    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
        if matches!(insn.op(), Op::Wide(_)) {
            self.insns.push(Insn::new(Opcode::WideTail));
        }
    }
    fn kind(&self, reg: Reg) -> Kind {
        self.sketch.registers[reg.index()]
    }
    fn set(&mut self, reg: Reg, kind: Kind) {
        self.sketch.registers[reg.index()] = kind;
    }
    fn full(&self) -> bool {
        self.insns.len() + 2 >= self.limit
    }

    /// Keeps context and packet where calls do not clobber them.
    fn prologue(&mut self) {
        self.push(Insn::new(Opcode::Mov64X).dst(Reg::R6).src(Reg::R1));
        self.set(Reg::R6, Kind::Context);
        let data = self.declaration.field("data").filter(|f| f.read != FieldAccess::Never);
        if let Some(data) = data.filter(|_| self.swarm.contains(&Action::PacketAccess)) {
            self.push(Insn::new(Opcode::LdxW).dst(Reg::R7).src(Reg::R1).off(data.offset as i16));
            self.set(Reg::R7, Kind::Packet(0));
            if let Some(end) = self.declaration.field("data_end") {
                self.push(Insn::new(Opcode::LdxW).dst(Reg::R8).src(Reg::R1).off(end.offset as i16));
                self.set(Reg::R8, Kind::PacketEnd);
            }
        }
    }

    fn epilogue(&mut self) {
        if self.kind(Reg::R0) != Kind::Scalar {
            let imm = self.dice.imm();
            self.push(Insn::new(Opcode::Mov64K).imm(imm));
        }
        self.push(Insn::new(Opcode::Exit));
    }

    /// Actions until the program is long enough, or a few of them inside a branch.
    fn block(&mut self, depth: usize) {
        let most = if depth == 0 { usize::MAX } else { 1 + self.dice.below(3) };
        // An action may write nothing, so the number of tries is bounded too.
        for _ in 0..most.min(4 * self.generator.options.insns) {
            if self.full() {
                return;
            }
            let at = self.dice.below(self.swarm.len());
            self.act(self.swarm[at], depth);
        }
    }

    fn act(&mut self, action: Action, depth: usize) {
        match action {
            Action::Alu => self.alu(),
            Action::Mov => self.mov(),
            Action::Wide => {
                let (dst, value) = (self.dice.pick(&NUMBERS), self.dice.wide());
                self.push(Insn::new(Opcode::Lddw).dst(dst).wide(value));
                self.set(dst, Kind::Scalar);
            }
            Action::Neg => {
                let (opcode, dst) = (self.dice.pick(&self.generator.neg), self.number());
                self.push(Insn::new(opcode).dst(dst));
            }
            Action::StackStore => self.stack_store(),
            Action::StackLoad => self.stack_load(),
            Action::ContextLoad => self.context(false),
            Action::ContextStore => self.context(true),
            Action::Branch if depth < 3 => self.branch(depth),
            Action::Branch => {}
            Action::PacketAccess => self.packet(depth),
            Action::IndexedPacket => self.indexed_packet(),
            Action::PacketLength => self.packet_length(),
            Action::Spill => self.spill(),
            Action::Fill => self.fill(),
            Action::Loop => self.counted_loop(),
            Action::ValueAccess => self.value(),
            Action::IndexedValue => self.indexed_value(),
            Action::Call => self.call(),
            Action::Lookup => self.lookup(depth),
            Action::Operator => self.operator(),
            Action::Atomic => self.atomic(),
            Action::Linked => self.linked(),
            Action::IndexedStack => self.indexed_stack(),
            Action::Wander => self.wander(),
            Action::CallLocal => self.call_local(),
            Action::CallerStack => self.caller_stack(),
        }
    }

    /// A register that holds a number; makes one if there is none.
    fn number(&mut self) -> Reg {
        self.number_beside(Reg::FP)
    }

    /// The same, other than `keep`, which is still needed.
    fn number_beside(&mut self, keep: Reg) -> Reg {
        let start = self.dice.below(NUMBERS.len());
        let mut free = NUMBERS[start];
        for at in 0..NUMBERS.len() {
            let reg = NUMBERS[(start + at) % NUMBERS.len()];
            if self.kind(reg) == Kind::Scalar {
                return reg;
            }
            if free == keep {
                free = reg;
            }
        }
        let (reg, imm) = (free, self.dice.imm());
        self.push(Insn::new(Opcode::Mov64K).dst(reg).imm(imm));
        self.set(reg, Kind::Scalar);
        reg
    }

    fn alu(&mut self) {
        let opcode = self.dice.pick(&self.generator.alu);
        let dst = self.number();
        let insn = Insn::new(opcode).dst(dst);
        let insn = if opcode.op().reads_src() { insn.src(self.number()) } else { insn.imm(self.dice.imm()) };
        self.push(insn);
    }

    fn mov(&mut self) {
        let opcode = self.dice.pick(&self.generator.mov);
        let dst = self.dice.pick(&NUMBERS);
        let insn = Insn::new(opcode).dst(dst);
        let insn = if opcode.op().reads_src() { insn.src(self.number()) } else { insn.imm(self.dice.imm()) };
        self.push(insn);
        self.set(dst, Kind::Scalar);
    }

    fn store(&mut self, size: Size, base: Reg, off: i16) {
        let source = if self.dice.chance(1, 2) { Source::K } else { Source::X };
        let insn = Insn::new(Opcode::of(Op::Store { size, source })).dst(base).off(off);
        let insn = match source {
            Source::K => insn.imm(self.dice.imm()),
            Source::X => insn.src(self.number_beside(base)),
        };
        self.push(insn);
    }

    fn load(&mut self, size: Size, base: Reg, off: i16) {
        let (dst, opcode) = (self.dice.pick(&NUMBERS), self.load_row(size));
        self.push(Insn::new(opcode).dst(dst).src(base).off(off));
        self.set(dst, Kind::Scalar);
    }

    /// A place of 8 bytes near the top of the frame, sometimes where a displacement outgrows a byte, or at its bottom.
    fn place(&mut self) -> usize {
        const BOTTOM: usize = FRAME_LEN as usize / 8 - 1;
        // Frames of callers and callees share the stack.
        if self.swarm.contains(&Action::CallLocal) {
            return self.dice.below(16);
        }
        if self.dice.chance(1, 8) { self.dice.pick(&[15, 16, 31, 32, BOTTOM]) } else { self.dice.below(8) }
    }

    fn stack_store(&mut self) {
        let (place, size) = (self.place(), self.dice.pick(&Size::ALL));
        let inside = if size == Size::Dw || self.sketch.stack >> place & 1 == 0 {
            0
        } else {
            self.dice.below(8 / size.bytes() as usize) as i16 * size.bytes() as i16
        };
        // The first store to a place writes all of it, so that it may be read in any size.
        let size = if self.sketch.stack >> place & 1 == 0 { Size::Dw } else { size };
        self.store(size, Reg::FP, -8 * (place as i16 + 1) + inside);
        self.sketch.stack |= 1 << place;
    }

    fn stack_load(&mut self) {
        let place = self.place();
        if self.sketch.stack >> place & 1 == 0 {
            return self.stack_store();
        }
        let size = self.dice.pick(&Size::ALL);
        let inside = self.dice.below(8 / size.bytes() as usize) as i16 * size.bytes() as i16;
        self.load(size, Reg::FP, -8 * (place as i16 + 1) + inside);
    }

    fn context(&mut self, write: bool) {
        let field = self.declaration.fields[self.dice.below(self.declaration.fields.len())];
        if self.kind(Reg::R6) != Kind::Context {
            return;
        }
        let sizes: Vec<Size> = if write { field.write } else { field.read }.sizes().collect();
        if sizes.is_empty() || !field.guard.contains(None) {
            return;
        }
        let size = self.dice.pick(&sizes);
        if field.kind != FieldKind::Scalar || field.len < size.bytes() || !field.offset.is_multiple_of(size.bytes()) {
            return;
        }
        let inside = self.dice.below((field.len / size.bytes()) as usize) as u32 * size.bytes();
        let off = (field.offset + inside) as i16;
        if write {
            // The kernel takes no immediate stores to a context.
            let insn = Insn::new(Opcode::of(Op::Store { size, source: Source::X })).dst(Reg::R6).off(off);
            let src = self.number();
            self.push(insn.src(src));
        } else {
            let dst = self.dice.pick(&NUMBERS);
            self.push(Insn::new(Opcode::of(Op::Load { size })).dst(dst).src(Reg::R6).off(off));
            self.set(dst, Kind::Scalar);
        }
    }

    /// `if ... { block }`, sometimes with an else block.
    fn branch(&mut self, depth: usize) {
        let opcode = self.dice.pick(&self.generator.jumps);
        let insn = Insn::new(opcode).dst(self.number());
        let insn = if opcode.op().reads_src() { insn.src(self.number()) } else { insn.imm(self.dice.imm()) };
        self.push(insn);
        let jump = self.insns.len() - 1;
        let before = self.sketch;
        self.block(depth + 1);
        if self.dice.chance(1, 4) && !self.full() {
            self.push(Insn::new(Opcode::Ja));
            let over = self.insns.len() - 1;
            self.land(jump);
            let after = std::mem::replace(&mut self.sketch, before);
            self.block(depth + 1);
            self.land(over);
            self.sketch.meet(&after);
        } else {
            self.land(jump);
            self.sketch.meet(&before);
        }
    }

    /// Lets the jump at slot `jump` lead here. A jump over nothing is fine.
    fn land(&mut self, jump: usize) {
        let distance = self.insns.len() - jump - 1;
        self.insns[jump] = self.insns[jump].off(distance as i16);
    }

    /// Compares a place in the packet with its end, and accesses what lies before it.
    fn packet(&mut self, depth: usize) {
        let Kind::Packet(known) = self.kind(Reg::R7) else { return };
        if known > 0 && self.dice.chance(2, 3) {
            return self.access_packet(known);
        }
        if depth >= 3 || self.kind(Reg::R8) != Kind::PacketEnd {
            return;
        }
        let len = self.dice.pick(&[1u16, 4, 8, 14, 15, 20, 34, 64, 136]);
        let reg = self.dice.pick(&NUMBERS);
        self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R7));
        self.push(Insn::new(Opcode::Add64K).dst(reg).imm(i32::from(len)));
        // Both orders of the operands, leaving when the end is passed.
        let check = if self.dice.chance(1, 2) {
            Insn::new(Opcode::Jgt64X).dst(reg).src(Reg::R8)
        } else {
            Insn::new(Opcode::Jlt64X).dst(Reg::R8).src(reg)
        };
        self.push(check);
        self.set(reg, Kind::Nothing);
        let jump = self.insns.len() - 1;
        let before = self.sketch;
        self.set(Reg::R7, Kind::Packet(known.max(len)));
        self.access_packet(known.max(len));
        self.block(depth + 1);
        self.land(jump);
        self.sketch.meet(&before);
    }

    /// Adds a masked number to the packet's address, compares with the end, and accesses what lies there.
    fn indexed_packet(&mut self) {
        if !matches!(self.kind(Reg::R7), Kind::Packet(_)) || self.kind(Reg::R8) != Kind::PacketEnd {
            return;
        }
        let (size, mask) = (self.dice.pick(&Size::ALL), self.dice.pick(&[3, 7, 31, 255]));
        let index = self.number();
        let others = NUMBERS.map(|reg| if reg == index { Reg::FP } else { reg });
        let (copy, end) = (self.dice.pick(&others), self.dice.pick(&others));
        if copy == Reg::FP || end == Reg::FP || copy == end {
            return;
        }
        self.push(Insn::new(Opcode::And64K).dst(index).imm(mask));
        self.push(Insn::new(Opcode::Mov64X).dst(copy).src(Reg::R7));
        self.push(Insn::new(Opcode::Add64X).dst(copy).src(index));
        self.push(Insn::new(Opcode::Mov64X).dst(end).src(copy));
        self.push(Insn::new(Opcode::Add64K).dst(end).imm(size.bytes() as i32));
        self.push(Insn::new(Opcode::Jgt64X).dst(end).src(Reg::R8));
        let jump = self.insns.len() - 1;
        self.set(copy, Kind::Nothing);
        self.set(end, Kind::Nothing);
        let before = self.sketch;
        if self.declaration.packet_write && self.dice.chance(1, 3) {
            self.store(size, copy, 0);
        } else {
            self.load_beside(size, copy, 0);
        }
        self.land(jump);
        self.sketch.meet(&before);
    }

    /// The packet's length as a number: the difference of two pointers.
    fn packet_length(&mut self) {
        if matches!(self.kind(Reg::R7), Kind::Packet(_)) && self.kind(Reg::R8) == Kind::PacketEnd {
            let reg = self.dice.pick(&NUMBERS);
            self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R8));
            self.push(Insn::new(Opcode::Sub64X).dst(reg).src(Reg::R7));
            self.set(reg, Kind::Scalar);
        }
    }

    /// Keeps a pointer on the stack.
    fn spill(&mut self) {
        let reg = self.dice.pick(&[Reg::R6, Reg::R7, Reg::R8, Reg::R0, Reg::R9]);
        let kind = self.kind(reg);
        // A frame below must find room.
        if self.function_depth > 0 {
            return;
        }
        if matches!(kind, Kind::Context | Kind::Packet(_) | Kind::PacketEnd | Kind::Value(_)) {
            let at = self.dice.below(self.sketch.spills.len());
            let off = -8 * ((SPILLS + at) as i16 + 1);
            self.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(reg).off(off));
            self.sketch.spills[at] = kind;
        }
    }

    /// Takes a pointer back from the stack.
    fn fill(&mut self) {
        let at = self.dice.below(self.sketch.spills.len());
        let kind = self.sketch.spills[at];
        let reg = match kind {
            Kind::Context => Reg::R6,
            Kind::Packet(_) => Reg::R7,
            Kind::PacketEnd => Reg::R8,
            Kind::Value(_) => self.dice.pick(&NUMBERS),
            Kind::Nothing | Kind::Scalar | Kind::Frame | Kind::Stack => return,
        };
        let off = -8 * ((SPILLS + at) as i16 + 1);
        self.push(Insn::new(Opcode::LdxDw).dst(reg).src(Reg::FP).off(off));
        self.set(reg, kind);
    }

    /// A few rounds of arithmetic; R8 counts where it does not hold the packet's end.
    fn counted_loop(&mut self) {
        if self.kind(Reg::R8) != Kind::Nothing {
            return;
        }
        let rounds = 1 + self.dice.below(4) as i32;
        self.push(Insn::new(Opcode::Mov64K).dst(Reg::R8).imm(rounds));
        // A number that lives in the loop has to be one before it.
        self.number();
        let head = self.insns.len();
        for _ in 0..=self.dice.below(2) {
            self.alu();
        }
        self.push(Insn::new(Opcode::Sub64K).dst(Reg::R8).imm(1));
        let distance = head as i16 - self.insns.len() as i16 - 1;
        self.push(Insn::new(Opcode::Jne64K).dst(Reg::R8).imm(0).off(distance));
        // The counter is not a number for others: a later loop uses it again.
        self.set(Reg::R8, Kind::Nothing);
    }

    fn access_packet(&mut self, known: u16) {
        let size = self.dice.pick(&Size::ALL);
        let Some(room) = known.checked_sub(size.bytes() as u16) else { return };
        let any = self.dice.below(usize::from(room) + 1) as u16;
        // 128 is the first displacement that outgrows a byte.
        let off = self.dice.pick(&[0, room, any, room.min(128)]) as i16;
        if self.declaration.packet_write && self.dice.chance(1, 3) {
            self.store(size, Reg::R7, off);
        } else {
            self.load(size, Reg::R7, off);
        }
    }

    /// A register that holds the address of a map value.
    fn value_register(&mut self) -> Option<(Reg, u32)> {
        let held = NUMBERS.into_iter().find_map(|reg| match self.kind(reg) {
            Kind::Value(map) => Some((reg, map)),
            _ => None,
        });
        held.map(|(reg, map)| (reg, self.maps[usize::from(map)].value_size))
    }

    fn value(&mut self) {
        let Some((reg, len)) = self.value_register() else { return };
        let size = self.dice.pick(&Size::ALL);
        if size.bytes() > len {
            return;
        }
        // Natural alignment is not asked of map values, but of atomics only.
        let room = (len - size.bytes()) as usize;
        let off = if self.dice.chance(1, 4) { room.min(128) } else { self.dice.below(room + 1) } as i16;
        if self.dice.chance(1, 2) { self.store(size, reg, off) } else { self.load_beside(size, reg, off) }
    }

    /// A load that does not overwrite its own base.
    fn load_beside(&mut self, size: Size, base: Reg, off: i16) {
        let dst = self.dice.pick(&NUMBERS);
        if dst != base {
            let opcode = self.load_row(size);
            self.push(Insn::new(opcode).dst(dst).src(base).off(off));
            self.set(dst, Kind::Scalar);
        }
    }

    /// Adds a masked or compared number to the address of a map value and accesses the byte there.
    fn indexed_value(&mut self) {
        let Some((reg, len)) = self.value_register() else { return };
        let index = self.number_beside(reg);
        let limit = (len.next_power_of_two() / if len.is_power_of_two() { 1 } else { 2 }) as i32;
        let width = self.dice.pick(&[Width::W64, Width::W32]);
        let copy = self.dice.pick(&[Reg::R2, Reg::R3, Reg::R4, Reg::R5]);
        if copy == index || copy == reg {
            return;
        }
        let and = Op::Alu { op: semantics::insn::AluOp::And, width, source: Source::K };
        self.push(Insn::new(Opcode::of(and)).dst(index).imm(limit - 1));
        self.push(Insn::new(Opcode::Mov64X).dst(copy).src(reg));
        self.push(Insn::new(Opcode::Add64X).dst(copy).src(index));
        self.set(copy, Kind::Nothing);
        if self.dice.chance(1, 2) { self.store(Size::B, copy, 0) } else { self.load_beside(Size::B, copy, 0) }
    }
}
