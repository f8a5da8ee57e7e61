//! Shifts: transfer functions; and their lowering, for processors with BMI2 and without.
//!
//! `operator` obligations are about amounts that are known and below the width, before views are synchronised. Otherwise
//! the result is anything, for which nothing is to prove but that a 32-bit operation leaves 32 bits.

use super::transfer::{self, Registers, instance};
use super::{lowering, path_name};
use crate::domain::{self, claim_agreement, claim_contains, claim_contains_by, same};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::TABLE;
use semantics::insn::{Op, Opcode, Room, ShiftOp, Width};
use semantics::word::{Algebra, Flag, Word};
use verifier::Domain;
use verifier::insn::{alu, shift};

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let operators = [(Width::W64, "64"), (Width::W32, "32")].into_iter().flat_map(|(width, bits)| {
        ShiftOp::ALL.map(|op| {
            let name = format!("insn::shift::operator::{op:?}{bits}").to_lowercase();
            Obligation::verifier(name, Some(Room::Shift), Operator { op, width })
        })
    });
    let rows = TABLE.iter().filter(|row| row.op.room() == Room::Shift);
    let transfers = rows.flat_map(|row| {
        let statement = |registers| Transfer { opcode: row.opcode, op: row.op, registers };
        let name = format!("insn::shift::transfer::{}", path_name(row.name));
        let aliased = row
            .op
            .reads_src()
            .then(|| Obligation::verifier(format!("{name}_aliased"), Some(Room::Shift), statement(Registers::Aliased)));
        [Obligation::verifier(name, Some(Room::Shift), statement(Registers::Distinct))].into_iter().chain(aliased)
    });
    operators
        .chain(transfers)
        .chain(lowering::obligations(Room::Shift))
        .chain(lowering::obligations_without_bmi2(Room::Shift))
        .collect()
}

/// The shift of registers.
fn applied<A: Algebra>(op: ShiftOp, width: Width, dst: &A::W64, src: &A::W64) -> A::W64 {
    match width {
        Width::W64 => op.apply(dst, src),
        Width::W32 => A::zext(&op.apply(&A::low(dst), &A::low(src))),
    }
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

impl Statement for Transfer {
    fn cases(&self) -> usize {
        Domain::ALL.len()
    }
    fn case_name(&self, case: usize) -> String {
        transfer::domain(case).name.to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let Op::Shift { op, width, source } = self.op else { unreachable!("{:?} is of another room", self.op) };
        let (rules, domain) = (domain::rules(cx), transfer::domain(case));
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
        let lemmas = [same(&result, &proven), known.implies(&amount), run.result.same(&value)];
        claim_contains_by(cx, "the result", &result, &run.result, &lemmas);
        claim_agreement(cx, "the result", &result, &lemmas[..1]);
    }
}
