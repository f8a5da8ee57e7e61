//! The exported scripts mean what `exec` does. A script's text is read back by a solver and evaluated there, and the machine
//! integers of `exec` are compared with that; what is claimed for all 64-bit values is proven.
//!
//! Enumerated at narrow widths: with registers of 4 bits, every value of every variable of each row that accesses no memory;
//! with registers of 8 bits, every address and offset of plain loads and stores, and of 32-bit atomic operations every
//! old value with every source (and R0). What is left, 64-bit atomics, is sampled at 8 bits.

use proofs::isa::term::{EighthScript, Full, SixteenthScript};
use proofs::isa::{script, script_in, script_of};
use semantics::insn::formula::Formula;
use semantics::insn::table::TABLE;
use semantics::insn::{self, AtomicOp, Field, Flow, Insn, Machine, Op, Opcode, Reg, Row, Size, Wide};
use semantics::word::narrow::{Eighth, Narrow, Sixteenth};
use semantics::word::{Algebra, Concrete, Convert, Word};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use z3::ast::{Array, Ast, BV, Bool, Dynamic};
use z3::{Solver, Sort};

/// A world of numbers with the world of text of the same widths.
trait Numbers: Algebra<Flag = bool> {
    fn number(word: &Self::W64) -> u64;
    fn script(row: &Row) -> String;
}
impl Numbers for Concrete {
    fn number(word: &u64) -> u64 {
        *word
    }
    fn script(row: &Row) -> String {
        script_in::<Full>(row, None)
    }
}
impl Numbers for Eighth {
    fn number(word: &Narrow<8>) -> u64 {
        u64::from(word.get())
    }
    fn script(row: &Row) -> String {
        script_in::<EighthScript>(row, None)
    }
}
impl Numbers for Sixteenth {
    fn number(word: &Narrow<4>) -> u64 {
        u64::from(word.get())
    }
    fn script(row: &Row) -> String {
        script_in::<SixteenthScript>(row, None)
    }
}

/// The values of one comparison.
#[derive(Clone, Copy, Debug, Default)]
struct Input {
    regs: [u64; 11],
    off: u64,
    imm: u64,
    next_imm: u64,
    pc: u64,
    /// What the bytes of memory and of the packet are made from.
    seed: u64,
    /// What the world answers.
    world: u64,
}

fn mix(seed: u64, value: u64) -> u64 {
    let z = seed.wrapping_add(value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The state that `exec` runs on.
struct State<A: Algebra> {
    regs: [A::W64; 11],
    input: Input,
    /// Bytes read or written and their neighbours, as they were; and those written.
    before: RefCell<BTreeMap<u64, u64>>,
    written: BTreeMap<u64, u64>,
    packet: RefCell<BTreeMap<u64, u64>>,
}

impl<A: Numbers> State<A> {
    fn byte(&self, addr: u64) -> u64 {
        let mask = (1 << A::W8::BITS) - 1;
        // Narrow memory holds the number `seed` at every address that is a multiple of 8, so that it can be enumerated.
        let byte = if A::W64::BITS == 64 { mix(self.input.seed, addr) } else { self.input.seed >> (addr % 8) };
        *self.before.borrow_mut().entry(addr).or_insert(byte & mask)
    }
    fn addresses(size: Size, addr: &A::W64) -> Vec<u64> {
        (0..size.bytes()).map(|k| A::number(&addr.add(&A::W64::lit(u64::from(k))))).collect()
    }
    fn joined(bytes: impl Iterator<Item = u64>) -> A::W64 {
        let shifted = bytes.enumerate().map(|(k, byte)| byte << (A::W8::BITS * k as u32));
        A::W64::lit(shifted.fold(0, |all, byte| all | byte))
    }
}

impl<A: Numbers> Machine<A> for State<A> {
    type Fault = Infallible;
    fn reg(&self, reg: Reg) -> &A::W64 {
        &self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: A::W64) {
        self.regs[reg.index()] = value;
    }
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        let bytes = Self::addresses(size, addr).into_iter();
        Ok(Self::joined(bytes.map(|at| self.written.get(&at).copied().unwrap_or_else(|| self.byte(at)))))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        let (one, count) = (A::W64::lit(1), A::W64::lit(u64::from(size.bytes())));
        // The neighbours are looked at too: they must stay.
        for at in [addr.sub(&one), addr.add(&count)] {
            self.byte(A::number(&at));
        }
        for (k, at) in Self::addresses(size, addr).into_iter().enumerate() {
            self.byte(at);
            self.written.insert(at, A::number(value) >> (A::W8::BITS * k as u32) & ((1 << A::W8::BITS) - 1));
        }
        Ok(())
    }
    fn call_helper(&mut self, _: &A::W32) -> Result<bool, Infallible> {
        Ok(self.input.world & 1 == 1)
    }
    fn call_kfunc(&mut self, _: &A::W32) -> Result<(), Infallible> {
        Ok(())
    }
    fn load_packet(&mut self, size: Size, offset: &A::W32) -> Result<(A::W64, bool), Infallible> {
        let byte = |k: u32| {
            let at = A::number(&A::zext(&offset.add(&A::W32::lit(u64::from(k)))));
            let byte = mix(self.input.seed, at) & ((1 << A::W8::BITS) - 1);
            self.packet.borrow_mut().insert(at, byte);
            byte
        };
        let bytes: Vec<u64> = (0..size.bytes()).map(byte).collect();
        Ok((Self::joined(bytes.into_iter().rev()), self.input.world & 1 == 1))
    }
    fn map_value(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(A::W64::lit(self.input.world))
    }
    fn variable(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(A::W64::lit(self.input.world))
    }
    fn code(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(A::W64::lit(self.input.world))
    }
}

/// A script as the solver read it: what it defines of the state after, by name.
struct Parsed(BTreeMap<String, Dynamic>);

fn parse(text: &str) -> Parsed {
    let solver = Solver::new();
    solver.from_string(text);
    let outputs = solver.get_assertions().into_iter().map(|assertion| {
        let sides = assertion.children();
        (sides[0].decl().name().trim_end_matches("_seen").to_owned(), sides[1].clone())
    });
    let outputs: BTreeMap<String, Dynamic> = outputs.collect();
    assert_eq!(outputs.len(), text.matches("(assert ").count(), "not read whole:\n{text}");
    assert!(!outputs.is_empty(), "{text}");
    Parsed(outputs)
}

/// Comparing one row's script with `exec` in the world `A`.
struct Comparison<'a, A> {
    row: &'a Row,
    dst: Reg,
    src: Reg,
    /// Registers by their real names: the script of an instruction that is given.
    given: bool,
    parsed: Parsed,
    world: std::marker::PhantomData<A>,
}

impl<'a, A: Numbers> Comparison<'a, A> {
    fn new(row: &'a Row, text: &str, given: Option<&Insn>) -> Self {
        let used = |field: Field, reg: Reg| if field == Field::Any { reg } else { Reg::R0 };
        let (dst, src) = match given {
            Some(insn) => (insn.dst, insn.src),
            None => (used(row.fields.dst, Reg::R1), used(row.fields.src, Reg::R2)),
        };
        Comparison { row, dst, src, given: given.is_some(), parsed: parse(text), world: std::marker::PhantomData }
    }
    fn name(&self, reg: Reg) -> String {
        match reg {
            _ if self.given => reg.to_string(),
            reg if self.row.fields.dst == Field::Any && reg == self.dst => "dst".to_owned(),
            reg if self.row.fields.src == Field::Any && reg == self.src => "src".to_owned(),
            reg => reg.to_string(),
        }
    }

    /// The constants of the script with the values of this run.
    fn substitution(&self, state: &State<A>, input: &Input) -> Vec<(Dynamic, Dynamic)> {
        let mut pairs: Vec<(Dynamic, Dynamic)> = Vec::new();
        let mut word = |name: &str, bits: u32, value: u64| {
            pairs
                .push((BV::new_const(name, bits).into(), BV::from_u64(value & (u64::MAX >> (64 - bits)), bits).into()));
        };
        let (wide, byte) = (A::W64::BITS, A::W8::BITS);
        for reg in Reg::ALL {
            word(&self.name(reg), wide, input.regs[reg.index()]);
        }
        word("off", A::W16::BITS, input.off);
        word("imm", A::W32::BITS, input.imm);
        word("next_imm", A::W32::BITS, input.next_imm);
        word("pc", wide, input.pc);
        for name in ["map_value", "variable", "code"] {
            word(name, wide, input.world);
        }
        for name in ["in_packet", "tail"] {
            pairs.push((Bool::new_const(name).into(), Bool::from_bool(input.world & 1 == 1).into()));
        }
        for (name, bits, bytes) in
            [("mem", wide, &*state.before.borrow()), ("packet", A::W32::BITS, &*state.packet.borrow())]
        {
            let (index, element) = (Sort::bitvector(bits), Sort::bitvector(byte));
            let array = Array::const_array(&index, &BV::from_u64(0, byte));
            let array = bytes
                .iter()
                .fold(array, |array, (at, value)| array.store(&BV::from_u64(*at, bits), &BV::from_u64(*value, byte)));
            pairs.push((Array::new_const(name, &index, &element).into(), array.into()));
        }
        pairs
    }

    /// The first difference on this input.
    fn difference(&self, input: &Input) -> Option<String> {
        let row = self.row;
        let insn: Insn<A> = Insn {
            opcode: row.opcode,
            dst: self.dst,
            src: self.src,
            off: A::W16::lit(input.off),
            imm: A::W32::lit(input.imm),
            imm_hi: A::W32::lit(input.next_imm),
        };
        let regs = input.regs.map(A::W64::lit);
        let mut state = State::<A> {
            regs: regs.clone(),
            input: *input,
            before: RefCell::default(),
            written: BTreeMap::new(),
            packet: RefCell::default(),
        };
        let Ok(flow) = insn::exec(&insn, &mut state);
        let pairs = self.substitution(&state, input);
        let pairs: Vec<(&Dynamic, &Dynamic)> = pairs.iter().map(|(from, to)| (from, to)).collect();
        let seen = |name: &str| self.parsed.0.get(name).map(|term| term.substitute(&pairs));
        let number = |term: Dynamic| term.simplify().as_bv().and_then(|term| term.as_u64());
        let truth = |term: Dynamic| term.simplify().as_bool().and_then(|term| term.as_bool());
        let found = |what: String, expected: u64, actual: Option<u64>| {
            (actual != Some(expected)).then(|| {
                let bits = A::W64::BITS;
                format!("{} at {bits} bits, {what}: exec {expected:#x}, script {actual:x?}, on {input:x?}", row.name)
            })
        };
        for reg in Reg::ALL {
            let expected = A::number(&state.regs[reg.index()]);
            let name = self.name(reg);
            let actual = match seen(&name) {
                Some(term) => number(term),
                // What is not defined keeps its value; what a call leaves is declared, not defined.
                None => Some(A::number(&regs[reg.index()])),
            };
            if let Some(text) = found(name, expected, actual) {
                return Some(text);
            }
        }
        let after = seen("mem").map(|term| term.as_array().expect("memory is an array"));
        for (at, before) in state.before.borrow().iter() {
            let expected = state.written.get(at).copied().unwrap_or(*before);
            let actual = match &after {
                Some(after) => number(after.select(&BV::from_u64(*at, A::W64::BITS))),
                None => Some(*before),
            };
            if let Some(text) = found(format!("byte {at:#x}"), expected, actual) {
                return Some(text);
            }
        }
        self.control(&flow, &insn, input).into_iter().find_map(|(name, expected)| {
            let term = seen(name);
            let actual = term.and_then(|term| if name == "pc" { number(term) } else { truth(term).map(u64::from) });
            found(name.to_owned(), expected, actual)
        })
    }

    /// What must be said of control.
    fn control(&self, flow: &Flow<bool>, insn: &Insn<A>, input: &Input) -> Vec<(&'static str, u64)> {
        let pc = A::W64::lit(input.pc);
        let slots = if matches!(self.row.op, Op::Wide(_)) { 2 } else { 1 };
        let next = A::number(&pc.add(&A::W64::lit(slots)));
        let distance = match self.row.op {
            Op::Gotol | Op::CallLocal => insn.imm.sx(),
            _ => insn.off.sx(),
        };
        let target = A::number(&pc.add(&A::W64::lit(1)).add(&distance));
        match flow {
            Flow::Next => vec![("pc", next)],
            Flow::Branch(taken) => {
                vec![("taken", u64::from(*taken)), ("pc", if *taken { target } else { next })]
            }
            Flow::Call => vec![("pc", target)],
            Flow::Tail(tail) => vec![("tail", u64::from(*tail)), ("pc", next)],
            Flow::Leave(exits) => vec![("exits", u64::from(*exits)), ("pc", next)],
            Flow::Exit => vec![("exits", 1)],
        }
    }
}

/// Rows that have scripts.
fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(|row| row.op != Op::WideTail)
}

fn accesses_memory(op: Op) -> bool {
    matches!(
        op,
        Op::Load { .. }
            | Op::LoadSx { .. }
            | Op::LoadAcquire { .. }
            | Op::Store { .. }
            | Op::StoreRelease { .. }
            | Op::Atomic { .. }
    )
}

/// Boundary and random inputs at full width.
fn full_inputs(row: &Row) -> Vec<Input> {
    const EDGES: [u64; 9] = [0, 1, 63, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, i64::MAX as u64, 1 << 63, u64::MAX];
    let mut seed = u64::from(row.opcode as u8);
    let mut next = || {
        seed = mix(seed, 1);
        seed
    };
    let mut inputs = Vec::new();
    for round in 0..EDGES.len() * EDGES.len() + 40 {
        let mut input = Input { seed: next(), world: next(), pc: next(), ..Input::default() };
        input.regs = input.regs.map(|_| next());
        (input.off, input.imm, input.next_imm) = (next() & 0xffff, next() & 0xffff_ffff, next() & 0xffff_ffff);
        if let Some(dst) = EDGES.get(round / EDGES.len()) {
            let src = EDGES[round % EDGES.len()];
            (input.regs[1], input.regs[2], input.regs[0], input.imm) = (*dst, src, src, src & 0xffff_ffff);
        }
        if let (Op::Atomic { op: AtomicOp::Cmpxchg, size, .. }, 0) = (row.op, round % 2) {
            // What memory holds there, or nearly.
            let addr = input.regs[1].wrapping_add(input.off as i16 as u64);
            let byte = |k: u64| (mix(input.seed, addr.wrapping_add(k)) & 0xff) << (8 * k);
            input.regs[0] = (0..u64::from(size.bytes())).map(byte).sum::<u64>() ^ ((next() % 3) << 33);
        }
        inputs.push(input);
    }
    inputs
}

fn full_difference(row: &Row, text: &str) -> Option<String> {
    let comparison = Comparison::<Concrete>::new(row, text, None);
    full_inputs(row).iter().find_map(|input| comparison.difference(input))
}

#[test]
fn scripts_agree_with_exec_at_64_bits() {
    for row in rows() {
        if let Some(difference) = full_difference(row, &script(row)) {
            panic!("{difference}\n{}", script(row));
        }
    }
}

/// Given operands, the same register twice among them.
#[test]
fn scripts_of_given_instructions_agree_with_exec() {
    let mut count = 0;
    for row in rows() {
        let any = |field: Field, value: i32| if field == Field::Any { value } else { 0 };
        let choices = [(Reg::R1, Reg::R2), (Reg::R3, Reg::R3), (Reg::R0, Reg::R7), (Reg::R0, Reg::R0)];
        for (dst, src) in choices {
            let insn = Insn {
                opcode: row.opcode,
                dst: if row.fields.dst == Field::Any { dst } else { Reg::R0 },
                src: if row.fields.src == Field::Any { src } else { Reg::R0 },
                off: any(row.fields.off, -8) as u16,
                imm: any(row.fields.imm, -7) as u32,
                imm_hi: if matches!(row.op, Op::Wide(kind) if kind.has_high_half()) { 0x8000_0001 } else { 0 },
            };
            let text = script_of(&insn);
            let comparison = Comparison::<Concrete>::new(row, &text, Some(&insn));
            for input in full_inputs(row).into_iter().step_by(7) {
                let input = Input {
                    off: u64::from(insn.off),
                    imm: u64::from(insn.imm),
                    next_imm: u64::from(insn.imm_hi),
                    ..input
                };
                if let Some(difference) = comparison.difference(&input) {
                    panic!("{insn}: {difference}\n{text}");
                }
                count += 1;
            }
        }
    }
    assert!(count > 5000);
}

/// Every value of these variables: bits of each, and how they make an input.
fn exhaust<A: Numbers>(row: &Row, text: &str, widths: &[u32], input: impl Fn(&[u64]) -> Input) -> Result<u64, String> {
    let comparison = Comparison::<A>::new(row, text, None);
    let bits: u32 = widths.iter().sum();
    for number in 0..1u64 << bits {
        let mut rest = number;
        let values: Vec<u64> = widths
            .iter()
            .map(|width| {
                let value = rest & ((1 << width) - 1);
                rest >>= width;
                value
            })
            .collect();
        comparison.difference(&input(&values)).map_or(Ok(()), Err)?;
    }
    Ok(1 << bits)
}

/// All values at registers of 4 bits of a row that accesses no memory.
fn narrow_registers(row: &Row, text: &str) -> Result<u64, String> {
    let used = |used: bool, bits: u32| if used { bits } else { 0 };
    let op = row.op;
    let widths = [
        used(op.reads_dst(), 4),
        used(op.reads_src(), 4),
        used(row.fields.off == Field::Any, 1),
        used(row.fields.imm == Field::Any, 2),
        used(matches!(op, Op::Wide(kind) if kind.has_high_half()), 2),
        used(matches!(op, Op::Wide(kind) if kind != Wide::Imm64) || matches!(op, Op::Packet { .. }), 4),
        used(matches!(op, Op::Packet { .. }), 2),
        used(op.is_jump() || op == Op::CallLocal, 2),
    ];
    exhaust::<Sixteenth>(row, text, &widths, |v| {
        let mut input =
            Input { off: v[2], imm: v[3], next_imm: v[4], world: v[5], seed: v[6], pc: v[7], ..Input::default() };
        (input.regs[1], input.regs[2]) = (v[0], v[1]);
        input
    })
}

/// At registers of 8 bits: of plain accesses all addresses and offsets, of atomic operations all values as far as they are
/// of 4 bits, else many.
fn narrow_memory(row: &Row, text: &str) -> Result<u64, String> {
    let Op::Atomic { op, size, .. } = row.op else {
        let from_dst = matches!(row.op, Op::Store { .. } | Op::StoreRelease { .. });
        return exhaust::<Eighth>(row, text, &[8, 2], |v| {
            let (base, other) = if from_dst { (1, 2) } else { (2, 1) };
            let mut input = Input { off: v[1], imm: mix(v[0], 1) & 15, seed: mix(v[0], v[1]), ..Input::default() };
            (input.regs[base], input.regs[other]) = (v[0], mix(v[0], 2));
            input
        });
    };
    let r0 = if op == AtomicOp::Cmpxchg { 4 } else { 0 };
    let high = u64::from(size == Size::Dw);
    exhaust::<Eighth>(row, text, &[4, 4, r0], |v| {
        let spread = |value: u64, salt: u64| value | ((mix(value + 16 * v[0], salt) << 4) * high);
        let mut input = Input { seed: spread(v[0], 3), off: 0, ..Input::default() };
        (input.regs[1], input.regs[2], input.regs[0]) = (0x40, spread(v[1], 4), spread(v[2], 5));
        if r0 != 0 && v[0] == v[2] {
            input.regs[0] = input.seed;
        }
        input
    })
}

fn narrow_difference(row: &Row, change: impl Fn(String) -> String) -> Result<u64, String> {
    if accesses_memory(row.op) {
        narrow_memory(row, &change(Eighth::script(row)))
    } else {
        narrow_registers(row, &change(Sixteenth::script(row)))
    }
}

#[test]
fn scripts_agree_with_exec_on_all_narrow_values() {
    let mut values = 0;
    for row in rows() {
        values += narrow_difference(row, |text| text).unwrap_or_else(|difference| panic!("{difference}"));
    }
    println!("{values} narrow values");
    assert!(values > 20_000, "{values}");
}

/// Scripts with a mistake are noticed, at full width and at narrow ones.
#[test]
fn planted_mistakes_are_noticed() {
    let planted: [(Opcode, &str, &str); 10] = [
        (Opcode::Add64X, "(bvadd dst src)", "(bvsub dst src)"),
        (Opcode::Div64X, "bvudiv", "bvsdiv"),
        (Opcode::Smod32X, "bvsrem", "bvsmod"),
        (Opcode::Arsh64X, "bvashr", "bvlshr"),
        (Opcode::Jsgt64X, "bvslt", "bvult"),
        (Opcode::Ja, "sign_extend", "zero_extend"),
        (Opcode::Movsx8To64, "sign_extend", "zero_extend"),
        (Opcode::AtomicCmpxchg32, "r0_after () (_ BitVec 64) loaded", "r0_after () (_ BitVec 64) r0"),
        (Opcode::AtomicFetchAdd64, "bvadd loaded", "bvor loaded"),
        (Opcode::StxH, "(store (store mem address", "(store (store mem (bvnot address)"),
    ];
    for (opcode, right, wrong) in planted {
        let row = opcode.row();
        let plant = |text: String| {
            // The same place in a narrow script has other widths.
            let (right, wrong) = if text.contains(right) {
                (right.to_owned(), wrong.to_owned())
            } else {
                (right.replace("BitVec 64", "BitVec 8"), wrong.replace("BitVec 64", "BitVec 8"))
            };
            let planted = text.replace(&right, &wrong);
            assert_ne!(planted, text, "{}: {right} is not there:\n{text}", row.name);
            planted
        };
        let found = full_difference(row, &plant(script(row))).expect(row.name);
        println!("{found}");
        narrow_difference(row, plant).expect_err(row.name);
    }
}

/// Every solver takes every script and finds it satisfiable.
#[test]
fn the_second_solver_takes_every_script() {
    let directory = std::env::temp_dir().join(format!("touchstone-isa-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut files = 0;
    for row in rows() {
        // The first line says the answer, as that of a written query does.
        let text = format!("(set-info :status sat)\n{}", script(row).replace("(set-info :status sat)\n", ""));
        std::fs::write(directory.join(format!("{}.smt2", row.name)), text).unwrap();
        files += 1;
    }
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.solver");
    let opinion = proofs::second::ask(&directory, &packages, std::time::Duration::from_secs(20));
    std::fs::remove_dir_all(&directory).unwrap();
    match opinion {
        Ok(opinion) => {
            println!("{} of {} scripts are sat for both", opinion.agreed, opinion.queries);
            assert_eq!((opinion.agreed, opinion.queries), (files, files), "{opinion:?}");
        }
        Err(error) => println!("skipped: {error}"),
    }
}

/// The first solver too, and the question can fail.
#[test]
fn every_script_is_satisfiable() {
    for row in rows() {
        let solver = Solver::new();
        solver.from_string(script(row));
        assert_eq!(solver.check(), z3::SatResult::Sat, "{}", row.name);
    }
    let solver = Solver::new();
    let script = script(Opcode::Le64.row());
    solver.from_string(script.replace("(check-sat)", "(assert (distinct dst_after dst))\n(check-sat)"));
    assert_eq!(solver.check(), z3::SatResult::Unsat, "le64 changes nothing");
}

/// Where a script says a jump leads is where the formula and the program say it does.
#[test]
fn jumps_have_targets() {
    for row in rows() {
        let has = script(row).contains("(define-fun target ");
        assert_eq!(has, Formula::of(row.op).distance().is_some(), "{}", row.name);
    }
}
