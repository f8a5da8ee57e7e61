//! Arithmetic and logic: transfer functions and lowering.
//!
//! `operator` obligations show that the result contains the concrete one before its views are synchronised. A `transfer`
//! obligation is about a row of the verifier's table as it is called for an instruction. It is enough that the row is that
//! operator followed by `Scalar::sync`, proven in `scalar::sync`; where it is not, the row itself is put to the solver.

use super::lowering;
use super::transfer::{Registers, applied, instance, operators_and_transfers};
use crate::domain::{self, Everywhere, InDomain, claim_contains_bits_by, claim_row, same_tnum};
use crate::obligation::Obligation;
use crate::theory::{Context, Theory};
use semantics::insn::{AluOp, Op, Opcode, Room, Source, Width};
use semantics::word::Word;
use verifier::Domain;
use verifier::insn::alu;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let verifier = operators_and_transfers(
        Room::Alu,
        &AluOp::ALL,
        |op, width| Everywhere(Operator { op, width }),
        |row, registers| Everywhere(Transfer { opcode: row.opcode, op: row.op, registers }),
    );
    let lowering = lowering::obligations(Room::Alu).chain(lowering::obligations_blinded(Room::Alu));
    verifier.into_iter().chain(lowering).collect()
}

/// `unsynced` contains every result, whatever the two abstract operands. For the known bits it is enough that they are
/// the tnum operator's, proven in `tnum`, of operands truncated and a result extended as in `tnum::subreg`.
struct Operator {
    op: AluOp,
    width: Width,
}

impl InDomain for Operator {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("dst"), cx.word("src"));
        let (dst, src) = (domain::scalar(cx, "dst", &x), domain::scalar(cx, "src", &y));
        let value = applied::<A>(self.op, self.width, &x, &y);
        let result = alu::unsynced(self.op, self.width, domain, &dst, &src);
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

impl InDomain for Transfer {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let rules = domain::rules(cx);
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
        let lemmas = [run.src.contains(&run.src_value), run.result.same(&value)];
        claim_row(cx, &result, &proven, &run.result, &lemmas);
    }
}
