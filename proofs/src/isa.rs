//! The meaning of an instruction as an SMT-LIB 2 script for any solver: [`exec`](semantics::insn::exec) run on text.
//!
//! A script declares the state before, defines the state after, and ends with a question whose answer is `sat`:
//!
//! - registers `dst`, `src`, `r0`, or the real names where operands are given; only those that are read or written; what
//!   is written is defined as `dst_after` and so on, and every other register keeps its value;
//! - memory as `mem` and `mem_after`, arrays of bytes over all addresses; the access is at `address`, and whether the program may
//!   make it is not part of the script;
//! - `imm`, `off`, `next_imm`: any value, or that of the instruction given;
//! - `pc` counts slots; `pc_after` is where control goes, of a jump `target` if `taken`; `exits` says that the function ends.
//!
//! What the world answers (a helper's result, the address of a map's value, bytes of a packet) is a constant that may be
//! anything. A division by 0 needs no care of the reader: `bvudiv` and its like occur only with the meaning that SMT-LIB
//! gives them.
//!
//! ```
//! use semantics::insn::Opcode;
//! let script = proofs::isa::script(Opcode::Add64X.row());
//! assert!(script.contains("(define-fun dst_after () (_ BitVec 64) (bvadd dst src))"));
//! ```

use semantics::encoding;
use semantics::insn::formula::Formula;
use semantics::insn::{self, Field, Flow, Insn, Machine, Op, Opcode, Reg, Row, Size};
use semantics::word::{Algebra, Convert, Word};
use std::cell::Cell;
use std::convert::Infallible;
use std::fmt::Write;
use term::{Full, Script, Truth, Written};

pub mod term;

/// The script of a row: any operands in different registers, any immediate and offset.
pub fn script(row: &Row) -> String {
    script_in::<Full>(row, None)
}

/// The script of one instruction, whose operands are given.
pub fn script_of(insn: &Insn) -> String {
    script_in::<Full>(insn.opcode.row(), Some(insn))
}

/// The script at the widths of any world of text; the narrow ones are for exhaustive tests.
pub fn script_in<A: Script>(row: &Row, given: Option<&Insn>) -> String {
    let mut state = State::<A>::new(row, given);
    let insn = state.operands(row, given);
    let Ok(flow) = insn::exec(&insn, &mut state);
    state.registers();
    state.control(&flow, &insn, row);
    state.finish(row, given)
}

/// Where a script is being written: a state whose registers are terms.
struct State<A: Algebra> {
    regs: [A::W64; 11],
    names: [String; 11],
    /// Registers read, a bit each.
    read: Cell<u16>,
    written: u16,
    /// Constants declared, with their sorts and what they are.
    declared: Vec<(String, String, &'static str)>,
    /// Definitions in order.
    body: String,
    /// What the state after consists of, with the sorts.
    after: Vec<(String, String)>,
    /// The current memory: `mem` or `mem_after`.
    memory: &'static str,
    uses_memory: bool,
    address: Option<String>,
    /// What the world was asked for.
    world: Cell<Option<(&'static str, &'static str)>>,
}

fn sort<W: Written>() -> String {
    W::sort()
}

/// The sort of memory.
fn memory_sort<A: Script>() -> String {
    format!("(Array {} {})", sort::<A::W64>(), sort::<A::W8>())
}

impl<A: Script> State<A> {
    fn new(row: &Row, given: Option<&Insn>) -> Self {
        let (dst, src) = registers(row, given);
        let names = Reg::ALL.map(|reg| match given {
            None if row.fields.dst == Field::Any && reg == dst => "dst".to_owned(),
            None if row.fields.src == Field::Any && reg == src => "src".to_owned(),
            _ => reg.to_string(),
        });
        State {
            regs: names.clone().map(A::W64::written),
            names,
            read: Cell::new(0),
            written: 0,
            declared: Vec::new(),
            body: String::new(),
            after: Vec::new(),
            memory: "mem",
            uses_memory: false,
            address: None,
            world: Cell::new(None),
        }
    }

    fn declare<W: Written>(&mut self, name: &str, what: &'static str) -> W {
        self.declared.push((name.to_owned(), W::sort(), what));
        W::written(name)
    }
    fn define(&mut self, name: &str, sort: &str, term: &str) {
        // A `String` takes whatever is written.
        let _ = writeln!(self.body, "(define-fun {name} () {sort} {term})");
    }
    fn define_after(&mut self, name: &str, sort: &str, term: &str) {
        self.define(name, sort, term);
        self.after.push((name.to_owned(), sort.to_owned()));
    }

    /// The instruction with its operands: symbols for what the encoding leaves open.
    fn operands(&mut self, row: &Row, given: Option<&Insn>) -> Insn<A> {
        let (dst, src) = registers(row, given);
        let mut insn = Insn { dst, src, ..Insn::new(row.opcode) };
        if row.fields.off == Field::Any {
            insn.off = self.operand("off", given.map(|insn| u64::from(insn.off)), "the offset, signed");
        }
        if row.fields.imm == Field::Any {
            insn.imm = self.operand("imm", given.map(|insn| u64::from(insn.imm)), "the immediate");
        }
        if matches!(row.op, Op::Wide(kind) if kind.has_high_half()) {
            let value = given.map(|insn| u64::from(insn.imm_hi));
            insn.imm_hi = self.operand("next_imm", value, "the immediate of the second slot");
        }
        insn
    }
    fn operand<W: Written>(&mut self, name: &str, value: Option<u64>, what: &'static str) -> W {
        match value {
            None => return self.declare(name, what),
            Some(value) => self.define(name, &W::sort(), W::lit(value).text()),
        }
        W::written(name)
    }

    /// A constant of the world.
    fn ask(&self, name: &'static str, what: &'static str) -> A::W64 {
        self.world.set(Some((name, what)));
        A::W64::written(name)
    }

    /// Defines the registers that were written.
    fn registers(&mut self) {
        let written = self.written;
        for reg in Reg::ALL.into_iter().filter(|reg| written & (1 << reg.number()) != 0) {
            let (name, term) = (format!("{}_after", self.names[reg.index()]), self.regs[reg.index()].text().to_owned());
            // What a call leaves is declared by that name already.
            if name != term {
                self.define_after(&name, &sort::<A::W64>(), &term);
            }
        }
    }

    /// Defines where control goes.
    fn control(&mut self, flow: &Flow<Truth>, insn: &Insn<A>, row: &Row) {
        if matches!(flow, Flow::Exit) {
            return self.define_after("exits", "Bool", "true");
        }
        let pc: A::W64 = self.declare("pc", "the slot of this instruction");
        let word = sort::<A::W64>();
        let next = pc.add(&A::W64::lit(if matches!(row.op, Op::Wide(_)) { 2 } else { 1 }));
        if let Some(distance) = Formula::of(row.op).distance().and_then(|distance| distance.constant::<A>(insn)) {
            self.define("target", &word, next.add(&distance).text());
        }
        let target = A::W64::written("target");
        let after = match flow {
            Flow::Next | Flow::Exit => next,
            Flow::Branch(taken) => {
                self.define_after("taken", "Bool", taken.text());
                A::W64::select(&Truth::written("taken"), &target, &next)
            }
            Flow::Call => target,
            // Where it goes otherwise is the program that the call has found.
            Flow::Tail(tail) => {
                self.define_after("tail_after", "Bool", tail.text());
                next
            }
            Flow::Leave(exits) => {
                self.define_after("exits", "Bool", exits.text());
                next
            }
        };
        self.define_after("pc_after", &word, after.text());
    }

    /// The whole script.
    fn finish(mut self, row: &Row, given: Option<&Insn>) -> String {
        let mut script = header(row, given, A::W64::BITS);
        if let Some((name, what)) = self.world.take() {
            self.declared.push((name.to_owned(), sort::<A::W64>(), what));
        }
        if self.uses_memory {
            self.declared.push(("mem".to_owned(), memory_sort::<A>(), "memory, by address"));
        }
        let arrays = self.declared.iter().any(|(_, sort, _)| sort.starts_with("(Array"));
        let logic = if arrays { "QF_ABV" } else { "QF_BV" };
        let _ = writeln!(script, "(set-info :status sat)\n(set-logic {logic})\n\n; the state before");
        let used = self.read.get() | self.written;
        for reg in Reg::ALL.into_iter().filter(|reg| used & (1 << reg.number()) != 0) {
            let _ = writeln!(script, "(declare-const {} {})", self.names[reg.index()], sort::<A::W64>());
        }
        for (name, sort, what) in &self.declared {
            let _ = writeln!(script, "(declare-const {name} {sort}) ; {what}");
        }
        let _ = writeln!(script, "\n; the state after; every other register keeps its value\n{}", self.body);
        let _ = writeln!(script, "; some state is the one after: sat");
        for (name, sort) in &self.after {
            let seen = format!("{}_seen", name.trim_end_matches("_after"));
            let _ = writeln!(script, "(declare-const {seen} {sort})\n(assert (= {seen} {name}))");
        }
        script + "(check-sat)\n"
    }

    /// A call: what it is of, and all that it leaves open.
    fn called(&mut self, id: &A::W32) {
        self.define("called", &sort::<A::W32>(), id.text());
        for reg in Reg::ARGS {
            let _ = self.reg(reg);
        }
        let result = self.declare("r0_after", "what the call returns: anything");
        self.set_reg(Reg::R0, result);
        for reg in Reg::ARGS {
            let open = self.declare(&format!("{reg}_after"), "open");
            self.set_reg(reg, open);
        }
        self.uses_memory = true;
        self.declared.push(("mem_after".to_owned(), memory_sort::<A>(), "memory as the call leaves it: anything"));
    }

    /// The address of the access, named.
    fn at(&mut self, addr: &A::W64) -> A::W64 {
        // One instruction accesses one place.
        if let Some(known) = &self.address {
            assert_eq!(known, addr.text(), "an instruction with two addresses");
        } else {
            self.define("address", &sort::<A::W64>(), addr.text());
            self.address = Some(addr.text().to_owned());
        }
        self.uses_memory = true;
        A::W64::written("address")
    }
}

/// The registers of the operands: those given, or two different ones.
fn registers(row: &Row, given: Option<&Insn>) -> (Reg, Reg) {
    let used = |field: Field, reg: Reg| if field == Field::Any { reg } else { Reg::R0 };
    match given {
        Some(insn) => (insn.dst, insn.src),
        None => (used(row.fields.dst, Reg::R1), used(row.fields.src, Reg::R2)),
    }
}

/// What the script is about, in comments.
fn header(row: &Row, given: Option<&Insn>, bits: u32) -> String {
    let mut text = String::new();
    let what = given.map_or_else(|| row.op.assembly(), ToString::to_string);
    let _ = writeln!(text, "; {}: {what}", row.name);
    let _ = writeln!(text, "; {}", row.op.words());
    let _ = writeln!(text, "; {}", Formula::of(row.op));
    let fields = row.fields.required().map(|(name, only)| match only {
        Some(value) => format!("{name}={value}"),
        None => format!("{name}=any"),
    });
    let _ = writeln!(text, "; encoding: code {:#04x}, {}", row.code, fields.join(", "));
    if let Some(insn) = given {
        let tail = matches!(row.op, Op::Wide(_)).then(|| Insn::new(Opcode::WideTail));
        let insns: Vec<Insn> = [*insn].into_iter().chain(tail).collect();
        let bytes: Vec<String> = encoding::encode(&insns).iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "; bytes: {}", bytes.join(" "));
    }
    let _ = match row.op.section() {
        Some(section) => writeln!(text, "; RFC 9669 section {section}"),
        None => writeln!(text, "; not in RFC 9669; Linux {} and later", row.op.since()),
    };
    if given.is_none() && row.fields.dst == Field::Any && row.fields.src == Field::Any {
        let _ = writeln!(text, "; dst and src stand for different registers; give the instruction for others");
    }
    if bits != 64 {
        let _ = writeln!(text, "; scaled down: registers of {bits} bits");
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(text, "; written by Touchstone {version}: the interpreter's semantics, run on terms\n");
    text
}

impl<A: Script> Machine<A> for State<A> {
    type Fault = Infallible;

    fn reg(&self, reg: Reg) -> &A::W64 {
        if self.written & (1 << reg.number()) == 0 {
            self.read.set(self.read.get() | 1 << reg.number());
        }
        &self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: A::W64) {
        self.written |= 1 << reg.number();
        self.regs[reg.index()] = value;
    }
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        let address = self.at(addr);
        let byte = |k: u32| format!("(select {} {})", self.memory, offset::<A::W64>(&address, k));
        let loaded = little_endian::<A>(size, byte);
        self.define("loaded", &sort::<A::W64>(), &loaded);
        Ok(A::W64::written("loaded"))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        let address = self.at(addr);
        self.define("stored", &sort::<A::W64>(), value.text());
        let value = A::W64::written("stored");
        let memory = (0..size.bytes()).fold(self.memory.to_owned(), |memory, k| {
            let byte: A::W8 = value.lshr(&A::W64::lit(u64::from(A::W8::BITS * k))).zx();
            // The lowest byte needs no shift.
            let byte = if k == 0 { value.zx() } else { byte };
            format!("(store {memory} {} {})", offset::<A::W64>(&address, k), byte.text())
        });
        self.define_after("mem_after", &memory_sort::<A>(), &memory);
        self.memory = "mem_after";
        Ok(())
    }
    fn call_helper(&mut self, id: &A::W32) -> Result<Truth, Infallible> {
        self.called(id);
        let what = "whether it is a tail call that has found a program, where control then goes";
        self.declared.push(("tail".to_owned(), "Bool".to_owned(), what));
        Ok(Truth::written("tail"))
    }
    fn call_kfunc(&mut self, id: &A::W32) -> Result<(), Infallible> {
        self.called(id);
        Ok(())
    }
    fn load_packet(&mut self, size: Size, offset: &A::W32) -> Result<(A::W64, Truth), Infallible> {
        self.define("offset", &sort::<A::W32>(), offset.text());
        let packet = format!("(Array {} {})", sort::<A::W32>(), sort::<A::W8>());
        self.declared.push(("packet".to_owned(), packet, "bytes of the packet, by offset"));
        self.declared.push((
            "in_packet".to_owned(),
            "Bool".to_owned(),
            "whether the packet has all bytes at the offset",
        ));
        let at = A::W32::written("offset");
        // Network order: the first byte is the highest.
        let byte = |k: u32| format!("(select packet {})", self::offset::<A::W32>(&at, size.bytes() - 1 - k));
        let loaded = little_endian::<A>(size, byte);
        self.define("loaded", &sort::<A::W64>(), &loaded);
        Ok((A::W64::written("loaded"), Truth::written("in_packet")))
    }
    fn map_value(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(self.ask("map_value", "the address of the first value of the map imm"))
    }
    fn variable(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(self.ask("variable", "the address of the kernel variable imm"))
    }
    fn code(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(self.ask("code", "the address of the subprogram"))
    }
}

/// The place `k` behind this one.
fn offset<W: Written>(at: &W, k: u32) -> String {
    if k == 0 { at.text().to_owned() } else { at.add(&W::lit(u64::from(k))).text().to_owned() }
}

/// Bytes, the lowest first, as a register.
fn little_endian<A: Script>(size: Size, byte: impl Fn(u32) -> String) -> String {
    let value = term::concat((0..size.bytes()).rev().map(byte));
    let bits = size.bytes() * A::W8::BITS;
    match A::W64::BITS.checked_sub(bits) {
        Some(0) => value,
        Some(rest) => format!("((_ zero_extend {rest}) {value})"),
        None => format!("((_ extract {} 0) {value})", A::W64::BITS - 1),
    }
}
