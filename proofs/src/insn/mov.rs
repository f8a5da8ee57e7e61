//! Moves: transfer functions and lowering.

use super::transfer::{Registers, instance};
use super::{lowering, path_name};
use crate::domain::{self, claim_contains_by, same};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::TABLE;
use semantics::insn::{Op, Opcode, Room, Source, Width};
use verifier::Domain;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let rows = TABLE.iter().filter(|row| matches!(row.op, Op::Mov { .. }));
    let transfers = rows.map(|row| {
        let name = format!("insn::mov::transfer::{}", path_name(row.name));
        Obligation::verifier(name, Some(Room::Mov), Transfer { opcode: row.opcode, op: row.op })
    });
    transfers.chain(lowering::obligations(Room::Mov)).chain(lowering::obligations_blinded(Room::Mov)).collect()
}

/// The row of the verifier's table for a move contains what the move leaves. For a 32-bit move it is enough that the row is
/// `zero_extend_32`, proven in `scalar::zero_extend_32`, followed by `sync`.
struct Transfer {
    opcode: Opcode,
    op: Op,
}

impl Statement for Transfer {
    fn cases(&self) -> usize {
        Domain::ALL.len()
    }
    fn case_name(&self, case: usize) -> String {
        Domain::ALL[case].name.to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let domain = &Domain::ALL[case];
        let Op::Mov { width, source } = self.op else { unreachable!("{:?} is of another room", self.op) };
        let rules = domain::rules(cx);
        let rules = rules.at(width);
        let run = instance(cx, self.opcode, source, Registers::Distinct, rules);
        let (result, lemmas) = match (source, width) {
            (Source::K, _) => ((rules.mov_immediate)(&run.imm), vec![]),
            (Source::X, Width::W64) => ((rules.mov)(domain, &run.src), vec![]),
            (Source::X, Width::W32) => {
                let result = (rules.mov)(domain, &run.src);
                let lemma = same(&result, &run.src.zero_extend_32().sync_in(domain));
                (result, vec![lemma])
            }
        };
        claim_contains_by(cx, "the result", &result, &run.result, &lemmas);
    }
}
