//! Lowering against the semantics: the code of an instruction, run by the meaning of the subset, does what `exec` does.
//! Exhaustively at an eighth of the width, on random states at the real one; planted mistakes are found.

mod common;

use std::collections::HashMap;
use std::convert::Infallible;

use common::Random;
use jit::blind::is_blinded;
use jit::insn::{SCRATCH, is_lowered, native};
use jit::link::is_linked;
use jit::plant::plants;
use jit::x64::meaning::{Cpu, Outside, run};
use jit::{Rules, x64};
use semantics::helper::tail_call;
use semantics::insn::table::{Field, TABLE};
use semantics::insn::{AtomicOp, Flow, Insn, Machine, MulDivOp, Op, Opcode, Reg, Room, Size, exec};
use semantics::word::narrow::Eighth;
use semantics::word::{Algebra, Concrete, Flag, Word};

/// One access or call, as both sides see it.
type Seen<A> = (u8, <A as Algebra>::W64, <A as Algebra>::W64);

/// Memory that answers every load with bytes made from its address, except where something was stored; helpers that
/// answer with a mixture of their arguments.
struct Memory<A: Algebra> {
    stored: HashMap<String, A::W64>,
    log: Vec<Seen<A>>,
}

impl<A: Algebra> Memory<A> {
    fn new() -> Self {
        Memory { stored: HashMap::new(), log: Vec::new() }
    }
    fn key(size: Size, addr: &A::W64) -> String {
        format!("{size:?} {addr:?}")
    }
    fn read(&mut self, size: Size, addr: &A::W64) -> A::W64 {
        self.log.push((size.bytes() as u8, addr.clone(), A::W64::lit(0)));
        let made = addr.mul(&A::W64::lit(0x9e37_79b9_7f4a_7c15)).add(&A::W64::lit(size.bytes() as u64));
        truncate::<A>(size, self.stored.get(&Self::key(size, addr)).unwrap_or(&made))
    }
    fn write(&mut self, size: Size, addr: &A::W64, value: &A::W64) {
        let value = truncate::<A>(size, value);
        self.log.push((0x80 | size.bytes() as u8, addr.clone(), value.clone()));
        self.stored.insert(Self::key(size, addr), value);
    }
    fn call(&mut self, id: &A::W32, args: [&A::W64; 5]) -> A::W64 {
        let mut mixed = A::zext(id);
        for arg in args {
            mixed = mixed.mul(&A::W64::lit(31)).xor(arg);
        }
        self.log.push((0xff, mixed.clone(), A::zext(id)));
        mixed
    }
    /// A target for every other one.
    fn tail(&mut self, args: [&A::W64; 3]) -> A::W64 {
        let [a, b, c] = args;
        let zero = A::W64::lit(0);
        let mixed = self.call(&A::W32::lit(u64::from(tail_call::ID)), [a, b, c, &zero, &zero]);
        A::W64::select(&mixed.is_negative(), &mixed, &zero)
    }
    /// Bytes made from the place, at every other one.
    fn packet(&mut self, size: Size, context: &A::W64, offset: &A::W32) -> (A::W64, A::Flag) {
        let value = self.read(size, &context.add(&A::sext(offset)));
        let found = value.and(&A::W64::lit(1)).is_zero();
        (value, found)
    }
}

fn truncate<A: Algebra>(size: Size, value: &A::W64) -> A::W64 {
    let bits = u64::from(A::W64::BITS / 8 * size.bytes());
    value.and(&A::W64::lit(u64::MAX >> (64 - bits)))
}

struct Bpf<A: Algebra> {
    regs: [A::W64; 11],
    memory: Memory<A>,
    /// Where a tail call leads.
    target: A::W64,
}

impl<A: Algebra> Machine<A> for Bpf<A> {
    type Fault = Infallible;
    fn reg(&self, reg: Reg) -> &A::W64 {
        &self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: A::W64) {
        self.regs[reg.index()] = value;
    }
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        Ok(self.memory.read(size, addr))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        self.memory.write(size, addr, value);
        Ok(())
    }
    fn call_helper(&mut self, id: &A::W32) -> Result<A::Flag, Infallible> {
        let args = Reg::ARGS.map(|reg| self.regs[reg.index()].clone());
        let is_tail = id.same(&A::W32::lit(u64::from(tail_call::ID))).decide();
        self.regs[0] = if is_tail {
            let [context, map, index, ..] = args.each_ref();
            self.target = self.memory.tail([context, map, index]);
            A::W64::lit(0)
        } else {
            self.memory.call(id, args.each_ref())
        };
        for reg in Reg::ARGS.into_iter().filter(|reg| !is_tail || *reg != Reg::R1) {
            self.regs[reg.index()] = junk::<A>(native(reg));
        }
        Ok(A::Flag::lit(is_tail).and(&self.target.is_zero().not()))
    }
    fn call_kfunc(&mut self, _: &A::W32) -> Result<(), Infallible> {
        unreachable!("it is not lowered")
    }
    fn load_packet(&mut self, size: Size, offset: &A::W32) -> Result<(A::W64, A::Flag), Infallible> {
        let found = self.memory.packet(size, &self.regs[Reg::R6.index()], offset);
        for reg in Reg::ARGS {
            self.regs[reg.index()] = junk::<A>(native(reg));
        }
        // The stub says in the register of R3 whether it found the bytes.
        let missing = A::W64::select(&found.1, &A::W64::lit(0), &A::W64::lit(1));
        self.regs[Reg::R3.index()] = missing;
        Ok(found)
    }
    fn map_value(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(address::<A>())
    }
    fn variable(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        unreachable!("it is not lowered")
    }
    fn code(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(address::<A>())
    }
}

/// What a wide constant names that only the whole program tells.
fn address<A: Algebra>() -> A::W64 {
    A::W64::lit(0x2123_4567_89ab_cdef)
}

fn junk<A: Algebra>(reg: x64::Reg) -> A::W64 {
    A::W64::lit(0x5eed_0000 + u64::from(reg.number()))
}

impl<A: Algebra> Outside<A> for Memory<A> {
    type Fault = Infallible;
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        Ok(self.read(size, addr))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        self.write(size, addr, value);
        Ok(())
    }
    fn call_helper(&mut self, id: &A::W32, args: [&A::W64; 5]) -> Result<A::W64, Infallible> {
        Ok(self.call(id, args))
    }
    fn tail_call(&mut self, args: [&A::W64; 3]) -> Result<A::W64, Infallible> {
        Ok(self.tail(args))
    }
    fn enter(&mut self, addr: &A::W64) {
        self.log.push((0xfe, addr.clone(), A::W64::lit(0)));
    }
    fn load_packet(&mut self, size: Size, context: &A::W64, offset: &A::W32) -> Result<(A::W64, A::Flag), Infallible> {
        Ok(self.packet(size, context, offset))
    }
    fn clobbered(&mut self, reg: x64::Reg) -> A::W64 {
        junk::<A>(reg)
    }
}

/// Runs `insn` on both sides from `regs`, its constant under the key if there is one; an explanation where they differ.
fn differs<A: Algebra<W64: PartialEq, Flag: PartialEq>>(
    rules: &Rules<A>,
    insn: &Insn<A>,
    key: Option<&A::W64>,
    regs: &[A::W64; 11],
) -> Option<String> {
    let mut code = Vec::new();
    match key {
        None => rules.lower_at(insn, &address::<A>(), &mut code)?,
        Some(key) if is_linked(insn.op()) => {
            rules.lower_blinded(&(rules.link)(insn, &address::<A>()), key, &mut code)?;
        }
        Some(key) => rules.lower_blinded(insn, key, &mut code)?,
    }
    let mut bpf = Bpf { regs: regs.clone(), memory: Memory::new(), target: A::W64::lit(0) };
    let flow = match exec(insn, &mut bpf).unwrap_or_else(|never| match never {}) {
        Flow::Leave(leaves) => {
            if leaves.decide() {
                Flow::Exit
            } else {
                Flow::Next
            }
        }
        Flow::Tail(found) if !found.decide() => Flow::Next,
        other => other,
    };
    if matches!(flow, Flow::Tail(_)) {
        bpf.memory.enter(&bpf.target.clone());
    }
    let mut cpu =
        Cpu { regs: std::array::from_fn(|at| A::W64::lit(0xacc0 + at as u64)), flags: None, outside: Memory::new() };
    for reg in Reg::ALL {
        cpu.set(native(reg), regs[reg.index()].clone());
    }
    let untouched = cpu.regs.clone();
    let explain = |what: &str| Some(format!("{what} of {insn:?} on {regs:x?} as {code:x?}"));
    match run(&code, &mut cpu) {
        Ok(native) if native == flow => {}
        other => return explain(&format!("{other:?} is not {flow:?}: flow")),
    }
    if Reg::ALL.iter().any(|reg| cpu.regs[native(*reg).index()] != bpf.regs[reg.index()]) {
        return explain("registers");
    }
    let called = matches!(insn.op(), Op::CallHelper | Op::Packet { .. });
    for reg in x64::Reg::ALL {
        let mapped = Reg::ALL.iter().any(|bpf| native(*bpf) == reg);
        let changed = cpu.regs[reg.index()] != untouched[reg.index()];
        let may_change = mapped || SCRATCH.contains(&reg) || (called && x64::Reg::CALLER_SAVED.contains(&reg));
        if changed && !may_change {
            return explain(&format!("{reg:?} changed: registers"));
        }
    }
    // A loop around a compare-and-exchange loads what it will compare with once more.
    cpu.outside.log.dedup();
    bpf.memory.log.dedup();
    if cpu.outside.log != bpf.memory.log || cpu.outside.stored != bpf.memory.stored {
        return explain("accesses");
    }
    None
}

/// The opcodes that code is made for.
fn opcodes() -> impl Iterator<Item = Opcode> {
    // The code of a call of a subprogram goes on after it: programs with calls are run in tests/engine.rs.
    let alone = |op: Op| is_lowered(op) && !matches!(op, Op::WideTail | Op::CallLocal);
    TABLE.iter().filter(move |row| alone(row.op)).map(|row| row.opcode)
}

fn random_insn(random: &mut Random, opcode: Opcode) -> Insn {
    let fields = opcode.row().fields;
    let mut insn = Insn::new(opcode);
    if fields.dst == Field::Any {
        insn = insn.dst(random.pick(&Reg::ALL));
    }
    if fields.src == Field::Any {
        insn = insn.src(random.pick(&Reg::ALL));
    }
    if fields.off == Field::Any {
        insn = insn.off(random.off());
    }
    if fields.imm == Field::Any {
        insn = insn.imm(random.imm());
    }
    if opcode == Opcode::Call && random.below(2) == 0 {
        insn = insn.imm(tail_call::ID as i32);
    }
    if matches!(opcode.op(), Op::Wide(kind) if kind.has_high_half()) {
        insn = insn.wide(random.word());
    }
    insn
}

/// The first difference that random states show.
fn sample(rules: &Rules, seed: u64, states: usize) -> Option<String> {
    let mut random = Random(seed);
    for _ in 0..states {
        for opcode in opcodes() {
            let insn = random_insn(&mut random, opcode);
            let mut regs: [u64; 11] = std::array::from_fn(|_| random.word());
            // Equal operands are a border of every condition.
            if random.below(4) == 0 {
                regs[insn.dst.index()] =
                    if random.below(2) == 0 { regs[insn.src.index()] } else { insn.imm as i32 as u64 };
            }
            // Every other compare-and-exchange succeeds, whatever the upper half of R0 holds.
            if let Op::Atomic { op: AtomicOp::Cmpxchg, size, .. } = opcode.op()
                && insn.dst != Reg::R0
                && random.below(2) == 0
            {
                let addr = regs[insn.dst.index()].wrapping_add_signed(i64::from(insn.off as i16));
                let upper = if size == Size::W { random.word() << 32 } else { 0 };
                regs[Reg::R0.index()] = Memory::<Concrete>::new().read(size, &addr) | upper;
            }
            let key = rules.blinding().map(|_| random.word());
            if let Some(found) = differs::<Concrete>(rules, &insn, key.as_ref(), &regs) {
                return Some(found);
            }
        }
    }
    None
}

#[test]
fn random_states() {
    assert_eq!(sample(&Rules::standard(), 1, 3_000), None);
    assert_eq!(sample(&Rules::without_bmi2(), 4, 1_000), None);
    assert_eq!(sample(&Rules::standard().blinded(0), 5, 3_000), None);
}

/// Every register pair, on a few states each.
#[test]
fn register_pairs() {
    let (rules, mut random) = (Rules::standard(), Random(2));
    for opcode in opcodes() {
        for (dst, src) in Reg::ALL.into_iter().flat_map(|dst| Reg::ALL.map(|src| (dst, src))) {
            for _ in 0..4 {
                let mut insn = random_insn(&mut random, opcode);
                (insn.dst, insn.src) = (dst, src);
                let regs = std::array::from_fn(|_| random.word());
                assert_eq!(differs::<Concrete>(&rules, &insn, None, &regs), None);
                let key = random.word();
                assert_eq!(differs::<Concrete>(&rules, &insn, Some(&key), &regs), None);
            }
        }
    }
}

/// Every value of both operands, of immediate and offset, with registers of 8 bits.
#[test]
fn every_value_of_the_narrow_machine() {
    let rules = Rules::<Eighth>::standard();
    let mut count = 0u64;
    // Widths that an instruction names do not scale.
    let names_width = |op: Op| {
        matches!(op.room(), Room::Shift | Room::Endian)
            || matches!(op, Op::MovSx { .. } | Op::Load { .. } | Op::LoadSx { .. })
    };
    for opcode in opcodes().filter(|opcode| !names_width(opcode.op())) {
        let (row, op) = (opcode.row(), opcode.op());
        let all = |any: bool, bits: u32| 0..if any { 1u64 << bits } else { 1 };
        for (dst, src) in [(Reg::R0, Reg::R1), (Reg::R6, Reg::R6)] {
            for imm in all(row.fields.imm == Field::Any, 4) {
                for off in all(row.fields.off == Field::Any && !op.is_jump(), 2) {
                    for a in all(op.reads_dst() || matches!(op, Op::Wide(_)), 8) {
                        for b in all(op.reads_src() && dst != src, 8) {
                            let mut insn = Insn::<Eighth>::new(opcode);
                            (insn.dst, insn.src) = (dst, src);
                            (insn.imm, insn.off) = (Word::lit(imm), Word::lit(off));
                            insn.imm_hi = Word::lit(a & 15);
                            let mut regs = [Word::lit(0x35); 11];
                            regs[src.index()] = Word::lit(b);
                            if op.reads_dst() || dst != src {
                                regs[dst.index()] = Word::lit(a);
                            }
                            assert_eq!(differs(&rules, &insn, None, &regs), None);
                            if is_blinded(op) {
                                let key = Word::lit(Random(count).next() >> 56);
                                assert_eq!(differs(&rules, &insn, Some(&key), &regs), None);
                            }
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(count > 1_000_000, "{count}");
}

#[test]
fn planted_mistakes_are_found() {
    // What a call of a subprogram does, and what stands around instructions, is seen only where a program is run whole; how
    // many bytes a jump inside of the code takes only in the bytes.
    let whole = ["call::frame_shared", "call::r9_not_kept", "call::arguments_pushed", "wide::tail_has_code"];
    let bytes = ["muldiv::skip_too_short"];
    let around = |name: &str| name.starts_with("frame::") || name.starts_with("layout::");
    let alone = |name: &str| !whole.contains(&name) && !bytes.contains(&name) && !around(name);
    // These change nothing of what the code does, only what it shows.
    let shown = ["blind::constant_in_the_clear", "blind::high_half_in_the_clear", "blind::sign_shows"];
    for plant in plants::<Concrete>().into_iter().filter(|plant| alone(plant.name) && !shown.contains(&plant.name)) {
        let blinded = plant.name.starts_with("blind::");
        let mut rules = if blinded { Rules::standard().blinded(0) } else { Rules::standard() };
        (plant.install)(&mut rules);
        assert!(sample(&rules, 3, 3_000).is_some(), "{} is not found: {}", plant.name, plant.story);
    }
}

/// A room of the semantics is a room here, and the other way round; every instruction has a rule.
#[test]
fn rooms_are_the_same_as_in_the_semantics() {
    let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/insn"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".rs", ""))
        .filter(|name| name != "mod")
        .collect();
    let has = |room: &Room| TABLE.iter().any(|row| row.op.room() == *room && is_lowered(row.op));
    let mut rooms: Vec<String> = Room::ALL.into_iter().filter(has).map(|room| room.name().to_owned()).collect();
    files.sort();
    rooms.sort();
    assert_eq!(files, rooms);
    let has_rule = |op: Op| is_lowered(op) && !is_linked(op);
    assert!(TABLE.iter().all(|row| Rules::<Concrete>::standard().row(row.opcode).is_some() == has_rule(row.op)));
}

/// What good code looks like: the number of instructions of the cases that lowering treats apart.
#[test]
fn code_is_short() {
    let rules = Rules::standard();
    let count = |insn: Insn| {
        let mut code = Vec::new();
        rules.lower_at(&insn, &0, &mut code).unwrap();
        code.len()
    };
    assert_eq!(count(Insn::new(Opcode::Mov64X).dst(Reg::R3).src(Reg::R3)), 0);
    assert_eq!(count(Insn::new(Opcode::Mov32X).dst(Reg::R3).src(Reg::R3)), 1);
    assert_eq!(count(Insn::new(Opcode::Add64K)), 0);
    assert_eq!(count(Insn::new(Opcode::Add32K)), 1);
    for row in TABLE.iter().filter(|row| is_lowered(row.op)) {
        let most = match row.op {
            Op::MulDiv { op: MulDivOp::Mul, .. } => 1,
            Op::MulDiv { .. } => 16,
            Op::Atomic { fetch: true, .. } => 8,
            Op::CallLocal => 12,
            Op::Packet { .. } => 7,
            _ => 2,
        };
        assert!(count(Insn::new(row.opcode).imm(5).src(Reg::R1)) <= most, "{}", row.name);
    }
}
