//! What is common to the transfer functions of the rooms: the abstract result contains what the instruction leaves.

use super::machine::Bpf;
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::{Row, TABLE};
use semantics::insn::{self, AluOp, Insn, MulDivOp, Opcode, Reg, Room, ShiftOp, Size, Source, Width};
use semantics::word::{Algebra, Convert, Word};
use std::fmt::Debug;
use verifier::rules::AtWidth;
use verifier::scalar::Scalar;

/// The obligations of a room whose instructions are `dst = dst op source`: an operator at each width, then a transfer
/// function for each row, and for one that reads two registers also where they are the same.
pub fn operators_and_transfers<P: Copy + Debug, O: Statement, T: Statement>(
    room: Room,
    ops: &[P],
    operator: impl Fn(P, Width) -> O,
    transfer: impl Fn(&'static Row, Registers) -> T,
) -> Vec<Obligation> {
    let mut obligations = Vec::new();
    for (width, bits) in [(Width::W64, "64"), (Width::W32, "32")] {
        for &op in ops {
            let name = format!("insn::{}::operator::{op:?}{bits}", room.name()).to_lowercase();
            obligations.push(Obligation::verifier(name, Some(room), operator(op, width)));
        }
    }
    for row in TABLE.iter().filter(|row| row.op.room() == room) {
        let aliased = row.op.reads_src().then_some((Registers::Aliased, "_aliased"));
        for (registers, suffix) in [(Registers::Distinct, "")].into_iter().chain(aliased) {
            let name = format!("insn::{}::transfer::{}{suffix}", room.name(), row.path());
            obligations.push(Obligation::verifier(name, Some(room), transfer(row, registers)));
        }
    }
    obligations
}

/// An operation of two words, as the semantics has it.
pub trait Operation {
    /// Its result.
    fn on<W: Word>(self, dst: &W, src: &W) -> W;
}

macro_rules! operations {
    ($($family:ident)*) => {
        $(impl Operation for $family {
            fn on<W: Word>(self, dst: &W, src: &W) -> W {
                self.apply(dst, src)
            }
        })*
    };
}

operations!(AluOp ShiftOp MulDivOp);

/// The operation on registers: on their low halves it leaves zeros above.
pub fn applied<A: Algebra>(op: impl Operation, width: Width, dst: &A::W64, src: &A::W64) -> A::W64 {
    match width {
        Width::W64 => op.on(dst, src),
        Width::W32 => A::zext(&op.on(&A::low(dst), &A::low(src))),
    }
}

/// One execution of an instruction `dst = dst op source` and what is known of its operands.
#[derive(Debug)]
pub struct Instance<A: Theory> {
    /// What is known of the destination.
    pub dst: Scalar<A>,
    /// What is known of the second operand.
    pub src: Scalar<A>,
    /// The immediate, if there is one.
    pub imm: A::W32,
    /// What the destination holds.
    pub dst_value: A::W64,
    /// What the second operand is, at 64 bits.
    pub src_value: A::W64,
    /// What the destination holds afterwards.
    pub result: A::W64,
    /// Which way the instruction went, if it is a jump.
    pub taken: Option<A::Flag>,
}

/// Which register the source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// Another than the destination, or an immediate.
    Distinct,
    /// The destination.
    Aliased,
}

/// Executes `opcode` on any operands, with any knowledge of them that is right.
pub fn instance<A: Theory>(
    cx: &mut Context<'_, A>,
    opcode: Opcode,
    source: Source,
    registers: Registers,
    rules: &AtWidth<A>,
) -> Instance<A> {
    let imm: A::W32 = if source == Source::K { cx.word("imm") } else { Insn::<A>::new(opcode).imm };
    let src = if registers == Registers::Aliased { Reg::R1 } else { Reg::R2 };
    let insn = Insn { dst: Reg::R1, src, imm: imm.clone(), ..Insn::new(opcode) };
    let dst_value: A::W64 = cx.word("dst");
    let register = match (source, registers) {
        (Source::X, Registers::Distinct) => cx.word("src"),
        _ => dst_value.clone(),
    };
    let mut machine = Bpf::operands(cx, dst_value.clone(), register.clone());
    let dst = crate::domain::scalar(cx, "dst", &dst_value);
    let (src, src_value) = match (source, registers) {
        (Source::K, _) => ((rules.operand)(&imm), A::sext(&imm)),
        (Source::X, Registers::Aliased) => (dst.clone(), register),
        (Source::X, Registers::Distinct) => (crate::domain::scalar(cx, "src", &register), register),
    };
    let Ok(flow) = insn::exec(&insn, &mut machine);
    let taken = if let insn::Flow::Branch(taken) = flow { Some(taken) } else { None };
    Instance { dst, src, imm, dst_value, src_value, result: machine.regs[1].clone(), taken }
}

/// The low bytes of a register, zero-extended.
pub fn low_bytes<A: Theory>(size: Size, word: &A::W64) -> A::W64 {
    match size {
        Size::B => Convert::<A::W8>::zx(word).zx(),
        Size::H => Convert::<A::W16>::zx(word).zx(),
        Size::W => A::zext(&A::low(word)),
        Size::Dw => word.clone(),
    }
}

/// The low bytes of a register, sign-extended.
pub fn signed_low_bytes<A: Theory>(size: Size, word: &A::W64) -> A::W64 {
    match size {
        Size::B => Convert::<A::W8>::zx(word).sx(),
        Size::H => Convert::<A::W16>::zx(word).sx(),
        Size::W => A::low(word).sx(),
        Size::Dw => word.clone(),
    }
}
