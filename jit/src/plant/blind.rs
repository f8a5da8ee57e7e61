//! Planted mistakes of blinding: other rows of the rules that hold while constants are blinded.

use semantics::insn::table::TABLE;
use semantics::insn::{AluOp, Cond, MulDivOp, Op, Opcode, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::Plant;
use crate::blind::{is_blinded, lower_blinded};
use crate::insn::{lower_op, native};
use crate::rules::{LowerBlinded, Rules};
use crate::x64::{self, Branch, Cc, Inst, Reg};

/// All of them.
pub(super) fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let plant = |name, story, install| Plant { name, story, install };
    vec![
        plant("blind::key_kept", "a blinded move leaves the constant under its key", key_kept),
        plant(
            "blind::key_zero_extended",
            "a 64-bit constant, sign-extended under the key, is unblinded with the key zero-extended",
            key_zero_extended,
        ),
        plant("blind::constant_in_the_clear", "a store's constant is not blinded at all", constant_in_the_clear),
        plant(
            "blind::high_half_in_the_clear",
            "a wide constant is blinded with a key of 32 bits, so its upper half stands there",
            high_half_in_the_clear,
        ),
        plant(
            "blind::sign_shows",
            "the code of r &= imm is another for a negative immediate, also where it is blinded",
            sign_shows,
        ),
        plant("blind::compare_in_place", "a comparison blinds its other operand and leaves it so", compare_in_place),
        plant(
            "blind::blinded_again",
            "a constant is put under its key again behind the comparison, which changes the flags",
            blinded_again,
        ),
        plant("blind::divisor_over_rax", "a divisor is unblinded where rax was put aside", divisor_over_rax),
        plant(
            "blind::sign_forgotten",
            "a signed division becomes an unsigned one where its constant is blinded (Linux, 7058e3a31ee4)",
            sign_forgotten,
        ),
    ]
}

/// Replaces the blinded rows of every opcode with an immediate whose operation `matches`.
fn replace_blinded<A: Algebra>(rules: &mut Rules<A>, matches: fn(Op) -> bool, row: LowerBlinded<A>) {
    let constant = |op: Op| is_blinded(op) && matches(op);
    for opcode in TABLE.iter().filter(|row| constant(row.op)).map(|row| row.opcode) {
        rules.set_blinded(opcode, Some(row));
    }
}

fn key_kept<A: Algebra>(rules: &mut Rules<A>) {
    replace_blinded(
        rules,
        |op| matches!(op, Op::Mov { .. }),
        |insn, key, out| {
            lower_blinded(insn.op(), insn, key, out);
            out.pop_if(|last| matches!(last, Inst::AluRi { .. }));
        },
    );
}

fn key_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Alu { op: AluOp::Or, width: Width::W64, .. });
    replace_blinded(rules, matches, |insn, key, out| {
        let (width, dst, src, key) = (Width::W64, native(insn.dst), Reg::R10, A::low(key));
        out.push(Inst::MovSx { dst: src, imm: insn.imm.xor(&key) });
        out.push(Inst::MovZx { dst: Reg::R11, imm: key });
        out.push(Inst::AluRr { op: x64::AluOp::Xor, width, dst: src, src: Reg::R11 });
        out.push(Inst::AluRr { op: x64::AluOp::Or, width, dst, src });
    });
}

fn constant_in_the_clear<A: Algebra>(rules: &mut Rules<A>) {
    replace_blinded(rules, |op| matches!(op, Op::Store { .. }), |insn, _, out| lower_op(insn.op(), insn, out));
}

fn high_half_in_the_clear<A: Algebra>(rules: &mut Rules<A>) {
    replace_blinded(
        rules,
        |op| matches!(op, Op::Wide(_)),
        |insn, key, out| lower_blinded(insn.op(), insn, &A::zext(&A::low(key)), out),
    );
}

fn sign_shows<A: Algebra>(rules: &mut Rules<A>) {
    rules.set_blinded(
        Opcode::And64K,
        Some(|insn, key, out| {
            let width = if insn.imm.is_negative().decide() { Width::W64 } else { Width::W32 };
            lower_blinded(Op::Alu { op: AluOp::And, width, source: Source::K }, insn, key, out);
        }),
    );
}

fn compare_in_place<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Jump { cond: Cond::Eq, .. });
    replace_blinded(rules, matches, |insn, key, out| {
        let Op::Jump { width, .. } = insn.op() else { return };
        let (dst, key) = (native(insn.dst), A::low(key));
        out.push(Inst::AluRi { op: x64::AluOp::Xor, width, dst, imm: key.clone() });
        out.push(Inst::AluRi { op: x64::AluOp::Cmp, width, dst, imm: insn.imm.xor(&key) });
        out.push(Inst::Branch(Branch::Jcc(Cc::E)));
    });
}

fn blinded_again<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Jump { cond: Cond::Lt, .. });
    replace_blinded(rules, matches, |insn, key, out| {
        let Op::Jump { width, .. } = insn.op() else { return };
        lower_blinded(insn.op(), insn, key, out);
        let again = Inst::AluRi { op: x64::AluOp::Xor, width, dst: Reg::R10, imm: A::low(key) };
        out.insert(out.len() - 1, again);
    });
}

fn sign_forgotten<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Sdiv | MulDivOp::Smod, .. });
    replace_blinded(rules, matches, |insn, key, out| {
        let Op::MulDiv { op, width, source } = insn.op() else { return };
        let op = if op == MulDivOp::Sdiv { MulDivOp::Div } else { MulDivOp::Mod };
        lower_blinded(Op::MulDiv { op, width, source }, insn, key, out);
    });
}

fn divisor_over_rax<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Mod, .. });
    replace_blinded(rules, matches, |insn, key, out| {
        let start = out.len();
        lower_blinded(insn.op(), insn, key, out);
        for inst in &mut out[start..] {
            match inst {
                Inst::MovSx { dst, .. } | Inst::MovZx { dst, .. } | Inst::AluRi { dst, .. } => *dst = Reg::R10,
                Inst::Div { src, .. } => *src = Reg::R10,
                _ => {}
            }
        }
    });
}
