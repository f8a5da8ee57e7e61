//! What is common to the transfer functions of the rooms: the abstract result contains what the instruction leaves.

use super::machine::Bpf;
use crate::theory::{Context, Theory};
use semantics::insn::{self, Insn, Opcode, Reg, Size, Source};
use semantics::word::Convert;
use verifier::Domain;
use verifier::rules::AtWidth;
use verifier::scalar::Scalar;

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

/// The domains as cases of a statement.
pub fn domain(case: usize) -> &'static Domain {
    const ALL: &[Domain] = &Domain::ALL;
    &ALL[case % ALL.len()]
}
