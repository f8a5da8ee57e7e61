//! Planted mistakes of short code: where a constant or a choice of registers makes less do, or seems to.

use semantics::insn::{AluOp, MulDivOp, Op, Size, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::{Plant, but, replace};
use crate::insn::{lower_op, native};
use crate::rules::Rules;
use crate::x64::{self, Inst, Reg, ShiftOp};

/// All of them.
pub(super) fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let plant = |name, story, install| Plant { name, story, install };
    vec![
        plant(
            "muldiv::sign_bit_is_a_power",
            "a 64-bit division by 0x80000000, which is sign-extended, becomes a shift by 31",
            sign_bit_is_a_power,
        ),
        plant("muldiv::masked_with_the_power", "x % 2^k masks with 2^k instead of with 2^k - 1", masked_with_the_power),
        plant(
            "muldiv::remainder_for_quotient",
            "a quotient that belongs in rdx stays in rax, so rdx keeps the remainder",
            remainder_for_quotient,
        ),
        plant("alu::byte_as_half", "r &= 0xff extends from 16 bits", byte_as_half),
        plant(
            "alu::minus_128_negated_once",
            "r -= -128, as r -= 128 may, becomes an addition of -128",
            minus_128_negated_once,
        ),
    ]
}

fn sign_bit_is_a_power<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Div, width: Width::W64, source: Source::K });
    replace(rules, matches, |insn, out| {
        let exponent = u64::from(A::W32::BITS - 1);
        if insn.imm.same(&A::W32::lit(1 << exponent)).decide() {
            let (op, width, dst) = (ShiftOp::Shr, Width::W64, native(insn.dst));
            out.push(Inst::ShiftImm { op, width, dst, amount: A::W8::lit(exponent) });
        } else {
            lower_op(insn.op(), insn, out);
        }
    });
}

fn masked_with_the_power<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Mod, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| match inst {
            Inst::AluRi { op: x64::AluOp::And, width, dst, imm } => {
                let imm = imm.add(&A::W32::lit(1));
                Some(Some(Inst::AluRi { op: x64::AluOp::And, width: *width, dst: *dst, imm }))
            }
            _ => None,
        });
    });
}

fn remainder_for_quotient<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Div | MulDivOp::Sdiv, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| matches!(inst, Inst::MovRr { dst: Reg::Rdx, src: Reg::Rax, .. }).then_some(None));
    });
}

fn byte_as_half<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Alu { op: AluOp::And, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| match inst {
            Inst::MovZxRr { size: Size::B, dst, src } => {
                Some(Some(Inst::MovZxRr { size: Size::H, dst: *dst, src: *src }))
            }
            _ => None,
        });
    });
}

fn minus_128_negated_once<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Alu { op: AluOp::Sub, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        let Op::Alu { width, .. } = insn.op() else { return };
        if insn.imm.same(&A::W32::lit(128).neg()).decide() {
            let dst = native(insn.dst);
            out.push(Inst::AluRi { op: x64::AluOp::Add, width, dst, imm: insn.imm.clone() });
        } else {
            lower_op(insn.op(), insn, out);
        }
    });
}
