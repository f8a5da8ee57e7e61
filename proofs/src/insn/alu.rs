//! Arithmetic and logic: transfer functions and lowering.
//!
//! `operator` obligations show that the result contains the concrete one before its views are synchronised. A `transfer`
//! obligation is about a row of the verifier's table as it is called for an instruction. It is enough that the row is that
//! operator followed by `Scalar::sync`, proven in `scalar::sync`; where it is not, the row itself is put to the solver.

use super::transfer::{Registers, instance};
use super::{lowering, path_name};
use crate::domain::{self, claim_agreement, claim_contains_bits_by, claim_contains_by, same, same_tnum};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::TABLE;
use semantics::insn::{AluOp, Op, Opcode, Room, Source, Width};
use semantics::word::{Algebra, Word};
use verifier::Domain;
use verifier::insn::alu;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let operators = [Width::W64, Width::W32].into_iter().flat_map(|width| {
        AluOp::ALL.map(|op| {
            let name = format!("insn::alu::operator::{op:?}{}", bits(width)).to_lowercase();
            Obligation::verifier(name, Some(Room::Alu), Operator { op, width })
        })
    });
    let rows = TABLE.iter().filter(|row| row.op.room() == Room::Alu);
    let transfers = rows.flat_map(|row| {
        let statement = |registers| Transfer { opcode: row.opcode, op: row.op, registers };
        let name = format!("insn::alu::transfer::{}", path_name(row.name));
        let aliased = row
            .op
            .reads_src()
            .then(|| Obligation::verifier(format!("{name}_aliased"), Some(Room::Alu), statement(Registers::Aliased)));
        [Obligation::verifier(name, Some(Room::Alu), statement(Registers::Distinct))].into_iter().chain(aliased)
    });
    operators
        .chain(transfers)
        .chain(lowering::obligations(Room::Alu))
        .chain(lowering::obligations_blinded(Room::Alu))
        .collect()
}

fn bits(width: Width) -> u32 {
    if width == Width::W64 { 64 } else { 32 }
}

/// The operation on registers.
fn applied<A: Algebra>(op: AluOp, width: Width, dst: &A::W64, src: &A::W64) -> A::W64 {
    match width {
        Width::W64 => op.apply(dst, src),
        Width::W32 => A::zext(&op.apply(&A::low(dst), &A::low(src))),
    }
}

/// `unsynced` contains every result, whatever the two abstract operands. For the known bits it is enough that they are
/// the tnum operator's, proven in `tnum`, of operands truncated and a result extended as in `tnum::subreg`.
struct Operator {
    op: AluOp,
    width: Width,
}

impl Statement for Operator {
    fn cases(&self) -> usize {
        Domain::ALL.len()
    }
    fn case_name(&self, case: usize) -> String {
        Domain::ALL[case].name.to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("dst"), cx.word("src"));
        let (dst, src) = (domain::scalar(cx, "dst", &x), domain::scalar(cx, "src", &y));
        let value = applied::<A>(self.op, self.width, &x, &y);
        let result = alu::unsynced(self.op, self.width, &Domain::ALL[case], &dst, &src);
        let bits = match self.width {
            Width::W64 => alu::tnum(self.op, &dst.var_off, &src.var_off),
            Width::W32 => alu::tnum::<A::W32>(self.op, &dst.var_off.cast(), &src.var_off.cast()).cast(),
        };
        claim_contains_bits_by(cx, "the result", &result, &value, &[same_tnum(&result.var_off, &bits)]);
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
        Domain::ALL[case].name.to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (rules, domain) = (domain::rules(cx), &Domain::ALL[case]);
        let (result, proven, value, run) = match self.op {
            Op::Alu { op, width, source } => {
                let run = instance(cx, self.opcode, source, self.registers, rules.at(width));
                let result = rules.at(width).alu(op)(domain, &run.dst, &run.src);
                let value = applied::<A>(op, width, &run.dst_value, &run.src_value);
                (result, alu::transfer(op, width, domain, &run.dst, &run.src), value, run)
            }
            Op::Neg { width } => {
                let run = instance(cx, self.opcode, Source::X, Registers::Aliased, rules.at(width));
                let result = (rules.at(width).neg)(domain, &run.dst);
                let value = applied::<A>(AluOp::Sub, width, &A::W64::lit(0), &run.dst_value);
                (result, alu::transfer_neg(width, domain, &run.dst), value, run)
            }
            other => unreachable!("{other:?} is of another room"),
        };
        // The operators' proofs ask of the operands only that they contain their values.
        let lemmas = [same(&result, &proven), run.src.contains(&run.src_value), run.result.same(&value)];
        claim_contains_by(cx, "the result", &result, &run.result, &lemmas);
        claim_agreement(cx, "the result", &result, &lemmas[..1]);
    }
}
