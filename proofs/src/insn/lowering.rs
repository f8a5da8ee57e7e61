//! The theorem of the JIT's lowering: the code of an instruction does to the processor what the instruction does to the
//! program.
//!
//! From any state of the program, and the processor in a state that represents it, run both. Then nothing faults; control
//! goes the same way; every register that stands for a BPF register holds its value; the stack pointer and the other
//! registers that calls keep are as before; memory is equal byte by byte; and memory was accessed at the same addresses,
//! with the same sizes, in the same order, so that the code faults only where the program itself is out of bounds.
//!
//! It is proven for each choice of registers, with symbolic immediates, offsets, register contents and memory. Not part of
//! it: where branches lead once everything has its place, prologue and epilogue, the helper stub.

use super::blinding;
use super::machine::Bpf;
use super::register_choices;
use crate::obligation::Obligation;
use crate::theory::{Context, Memory, Statement, Theory};
use jit::blind::is_blinded;
use jit::insn::{SCRATCH, is_lowered, native};
use jit::rules::Rules;
use jit::x64::{self, Inst, encode, meaning};
use semantics::insn::table::{Field, Row, TABLE};
use semantics::insn::{self, Flow, Insn, Op, Reg, Room};
use semantics::word::{Algebra, Flag, Word};

/// Which processor code is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processor {
    Bmi2,
    WithoutBmi2,
    /// Any; constants are blinded. The rows that hold one are the same with BMI2 and without.
    Blinded,
}

/// The rules under proof, with the mistake that the context asks for.
fn rules<A: Theory>(processor: Processor, cx: &Context<'_, A>) -> Rules<A> {
    let mut rules = match processor {
        Processor::Bmi2 => Rules::standard(),
        Processor::WithoutBmi2 => Rules::without_bmi2(),
        Processor::Blinded => Rules::standard().blinded(0),
    };
    let plants = || jit::plant::plants();
    if let Some(plant) = cx.plant().and_then(|name| plants().into_iter().find(|plant| plant.name == name)) {
        (plant.install)(&mut rules);
    }
    rules
}

/// The rules for a processor with BMI2, with the mistake that the context asks for.
pub fn standard<A: Theory>(cx: &Context<'_, A>) -> Rules<A> {
    rules(Processor::Bmi2, cx)
}

/// One obligation per row of the room that has a rule.
pub fn obligations(room: Room) -> impl Iterator<Item = Obligation> {
    rows(room).map(move |row| {
        let name = format!("insn::{}::lower::{}", room.name(), row.path());
        Obligation::jit(name, Some(room), Lowering::new(row, Processor::Bmi2))
    })
}

/// One obligation per row of the room that a processor without BMI2 has other code for.
pub fn obligations_without_bmi2(room: Room) -> impl Iterator<Item = Obligation> {
    rows(room).filter(|row| row.op.reads_src()).map(move |row| {
        let name = format!("insn::{}::lower_without_bmi2::{}", room.name(), row.path());
        Obligation::jit(name, Some(room), Lowering::new(row, Processor::WithoutBmi2))
    })
}

/// One obligation per row of the room that holds a constant to be blinded, for any key.
pub fn obligations_blinded(room: Room) -> impl Iterator<Item = Obligation> {
    rows(room).filter(|row| is_blinded(row.op)).map(move |row| {
        let name = format!("insn::{}::lower_blinded::{}", room.name(), row.path());
        Obligation::jit(name, Some(room), Lowering::new(row, Processor::Blinded))
    })
}

fn rows(room: Room) -> impl Iterator<Item = &'static Row> {
    // A call of a subprogram leaves the code in the middle: it has an obligation of its own.
    TABLE.iter().filter(move |row| row.op.room() == room && is_lowered(row.op) && row.op != Op::CallLocal)
}

/// The lowering of one row of the table.
struct Lowering {
    row: &'static Row,
    processor: Processor,
    choices: Vec<(Reg, Reg)>,
}

impl Lowering {
    fn new(row: &'static Row, processor: Processor) -> Self {
        let choices = register_choices(row.fields.dst == Field::Any, row.fields.src == Field::Any);
        Lowering { row, processor, choices }
    }
    /// Any instruction of this row with these registers.
    fn any<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) -> Insn<A> {
        let (dst, src) = self.choices[case];
        let zero: Insn<A> = Insn::new(self.row.opcode);
        Insn {
            dst,
            src,
            off: if self.row.fields.off == Field::Any { cx.word("off") } else { zero.off },
            imm: if self.row.fields.imm == Field::Any { cx.word("imm") } else { zero.imm },
            imm_hi: if matches!(self.row.op, Op::Wide(_)) { cx.word("imm_hi") } else { zero.imm_hi },
            opcode: self.row.opcode,
        }
    }
}

impl Statement for Lowering {
    fn cases(&self) -> usize {
        self.choices.len()
    }
    fn case_name(&self, case: usize) -> String {
        let (dst, src) = self.choices[case];
        format!("{} dst {dst} src {src}", self.row.name)
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let insn: Insn<A> = self.any(case, cx);
        let used = |field: Field, reg: Reg| (field == Field::Any).then_some(reg);
        let (dst, src) = (used(self.row.fields.dst, insn.dst), used(self.row.fields.src, insn.src));
        let calls = matches!(self.row.op, Op::CallHelper | Op::Packet { .. });
        let mut program = Bpf::any(cx, dst, src, calls);
        let mut code: Vec<Inst<A>> = Vec::new();
        let rules = rules(self.processor, cx);
        let lowered = if self.processor == Processor::Blinded {
            let key = cx.word("key");
            blinding::claim(&rules, &insn, &key, cx);
            rules.lower_blinded(&insn, &key, &mut code)
        } else {
            rules.lower_at(&insn, &program.address(), &mut code)
        };
        if lowered.is_none() {
            return cx.claim("it is lowered", A::Flag::lit(false));
        }
        if self.row.op == Op::WideTail {
            // Never executed by itself: control passes it on the way from the first slot to the next instruction.
            return cx.claim("the tail is no code", A::Flag::lit(code.is_empty()));
        }
        cx.claim("jumps inside land on instructions", A::Flag::lit(inner_jumps_land(&code)));
        let mut cpu = program.processor(cx);
        let before = cpu.regs.clone();
        let Ok(expected) = insn::exec(&insn, &mut program);
        let Ok(actual) = meaning::run(&code, &mut cpu) else {
            return cx.claim("no fault", A::Flag::lit(false));
        };
        cx.claim("control", same_flow(&expected, &actual));
        if let (Some(target), Some(entered)) = (&program.target, &cpu.outside.entered) {
            cx.claim("the program that the tail call has found", target.same(entered));
        }
        for reg in Reg::ALL {
            cx.claim(format!("{reg}"), program.regs[reg.index()].same(&cpu.regs[native(reg).index()]));
        }
        let represents = |reg: &x64::Reg| Reg::ALL.iter().any(|bpf| native(*bpf) == *reg);
        for reg in x64::Reg::ALL.iter().filter(|reg| !represents(reg) && !SCRATCH.contains(reg)) {
            cx.claim(format!("{reg:?} is kept"), cpu.regs[reg.index()].same(&before[reg.index()]));
        }
        cx.claim("memory", program.memory.same(&cpu.outside.memory));
        cx.claim("accesses", program.memory.same_accesses(&cpu.outside.memory));
    }
}

/// Whether jumps inside the code lead exactly over the instructions that the meaning leaves out, and back to an instruction
/// that has only moved values since what it tries again.
fn inner_jumps_land<A: Algebra>(code: &[Inst<A>]) -> bool {
    let length = |part: &[Inst<A>]| part.iter().map(encode::len).sum::<usize>();
    code.iter().enumerate().all(|(at, inst)| match inst {
        Inst::Skip { count, bytes, .. } => {
            let over = code.get(at + 1..=at + usize::from(*count));
            over.is_some_and(|over| length(over) == usize::from(*bytes) && *bytes < 0x80)
        }
        Inst::Retry { bytes } => {
            let starts_there = |start: &usize| length(&code[*start..=at]) == usize::from(*bytes);
            (0..at).find(starts_there).is_some_and(|start| {
                let accesses = |inst: &&Inst<A>| matches!(inst, Inst::Load { .. } | Inst::Lock { .. });
                code[start..at].iter().filter(accesses).count() == 1
            })
        }
        _ => true,
    })
}

fn same_flow<F: Flag>(expected: &Flow<F>, actual: &Flow<F>) -> F {
    match (expected, actual) {
        (Flow::Next, Flow::Next) | (Flow::Exit, Flow::Exit) | (Flow::Call, Flow::Call) => F::lit(true),
        // The code has decided which way it goes.
        (Flow::Tail(found), Flow::Next) => found.not(),
        (Flow::Tail(found), Flow::Tail(entered)) => found.iff(entered),
        (Flow::Leave(leaves), Flow::Exit) => leaves.clone(),
        (Flow::Leave(leaves), Flow::Next) => leaves.not(),
        (Flow::Leave(expected), Flow::Leave(actual)) | (Flow::Branch(expected), Flow::Branch(actual)) => {
            expected.iff(actual)
        }
        _ => F::lit(false),
    }
}
