//! Shifts: transfer functions; and their lowering, for processors with BMI2 and without.
//!
//! `operator` obligations are about amounts that are known and below the width, before views are synchronised. Otherwise
//! the result is anything, for which nothing is to prove but that a 32-bit operation leaves 32 bits.

use super::lowering;
use super::transfer::{Registers, applied, instance, operators_and_transfers};
use crate::domain::{self, Everywhere, InDomain, claim_contains, claim_row};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::{Op, Opcode, Room, ShiftOp, Width};
use semantics::word::{Flag, Word};
use verifier::Domain;
use verifier::insn::{alu, shift};

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let verifier = operators_and_transfers(
        Room::Shift,
        &ShiftOp::ALL,
        |op, width| Operator { op, width },
        |row, registers| Everywhere(Transfer { opcode: row.opcode, op: row.op, registers }),
    );
    let lowering = lowering::obligations(Room::Shift).chain(lowering::obligations_without_bmi2(Room::Shift));
    verifier.into_iter().chain(lowering).collect()
}

/// `unsynced` contains every result where the amount is a constant below the width.
struct Operator {
    op: ShiftOp,
    width: Width,
}

impl Statement for Operator {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("dst"), cx.word("src"));
        let dst = domain::scalar(cx, "dst", &x);
        let (src, bits) = match self.width {
            Width::W64 => (y.clone(), A::W64::BITS),
            Width::W32 => (A::zext(&A::low(&y)), A::W32::BITS),
        };
        cx.assume(&src.ult(&A::W64::lit(u64::from(bits))));
        // A constant is the same in all views: `is_constant` asks for no less, and `Transfer` relies on it.
        let amount = verifier::scalar::Scalar::constant(&src);
        let result = shift::unsynced(self.op, self.width, &dst, &amount);
        claim_contains(cx, "the result", &result, &applied::<A>(self.op, self.width, &x, &y));
    }
}

/// The row of the verifier's table for an instruction contains what the instruction leaves, in every domain.
struct Transfer {
    opcode: Opcode,
    op: Op,
    registers: Registers,
}

impl InDomain for Transfer {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let Op::Shift { op, width, source } = self.op else { unreachable!("{:?} is of another room", self.op) };
        let rules = domain::rules(cx);
        let run = instance(cx, self.opcode, source, self.registers, rules.at(width));
        let result = rules.at(width).shift(op)(domain, &run.dst, &run.src);
        let proven = shift::transfer(op, width, domain, &run.dst, &run.src);
        let value = applied::<A>(op, width, &run.dst_value, &run.src_value);
        // What passes for a constant amount is the operator's constant.
        let known = alu::is_constant(width, &run.src);
        let amount = match width {
            Width::W64 => run.src.umin.same(&run.src_value),
            Width::W32 => run.src.u32_min.same(&A::low(&run.src_value)),
        };
        claim_row(cx, &result, &proven, &run.result, &[known.implies(&amount), run.result.same(&value)]);
    }
}
