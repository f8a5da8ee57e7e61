//! Moves: transfer functions and lowering.

use super::lowering;
use super::transfer::{Registers, instance, signed_low_bytes};
use crate::domain::{self, Everywhere, InDomain, claim_agreement, claim_contains, claim_contains_by, claim_row, same};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::TABLE;
use semantics::insn::{Op, Opcode, Room, Size, Source, Width};
use verifier::Domain;
use verifier::insn::mov;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let rows = TABLE.iter().filter(|row| matches!(row.op, Op::Mov { .. }));
    let transfers = rows.map(|row| {
        let name = format!("insn::mov::transfer::{}", row.path());
        Obligation::verifier(name, Some(Room::Mov), Everywhere(Transfer { opcode: row.opcode, op: row.op }))
    });
    let extensions = [Width::W64, Width::W32].into_iter().flat_map(|width| {
        let bits = if width == Width::W64 { 64 } else { 32 };
        let sizes: &[Size] = if width == Width::W64 { &[Size::B, Size::H, Size::W] } else { &[Size::B, Size::H] };
        sizes.iter().flat_map(move |from| {
            let name = |kind| format!("insn::mov::{kind}::movsx{}_to{bits}", from.bits());
            let (from, kind) = (*from, Some(Room::Mov));
            [
                Obligation::verifier(name("operator"), kind, SignExtended { from, width }),
                Obligation::verifier(name("transfer"), kind, Everywhere(SignExtend { from, width, load: false })),
            ]
        })
    });
    let loads = [Size::B, Size::H, Size::W].map(|from| {
        let name = format!("insn::load_store::transfer::ldxs_{}", format!("{from:?}").to_lowercase());
        Obligation::verifier(
            name,
            Some(Room::LoadStore),
            Everywhere(SignExtend { from, width: Width::W64, load: true }),
        )
    });
    let transfers = transfers.chain(extensions).chain(loads);
    transfers.chain(lowering::obligations(Room::Mov)).chain(lowering::obligations_blinded(Room::Mov)).collect()
}

/// The row of the verifier's table for a move contains what the move leaves. For a 32-bit move it is enough that the row is
/// `zero_extend_32`, proven in `scalar::zero_extend_32`, followed by `sync`.
struct Transfer {
    opcode: Opcode,
    op: Op,
}

impl InDomain for Transfer {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
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
        if (source, width) != (Source::X, Width::W64) {
            claim_agreement(cx, "the result", &result, &lemmas);
        }
    }
}

/// What sign extension leaves before views are synchronised.
struct SignExtended {
    from: Size,
    width: Width,
}

impl Statement for SignExtended {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let word: A::W64 = cx.word("src");
        let src = domain::scalar(cx, "src", &word);
        let result = mov::sign_extended(self.from, self.width, &src);
        let value = extended::<A>(self.from, self.width, &word);
        claim_contains(cx, "the result", &result, &value);
        let bits = mov::extended_bits(self.from, self.width, &src);
        cx.claim("the known bits contain it", bits.contains(&value));
    }
}

fn extended<A: Theory>(from: Size, width: Width, word: &A::W64) -> A::W64 {
    let wide = signed_low_bytes::<A>(from, word);
    match width {
        Width::W64 => wide,
        Width::W32 => A::zext(&A::low(&wide)),
    }
}

/// The row of the verifier's table for a move or a load with sign extension contains what it leaves, in every domain.
struct SignExtend {
    from: Size,
    width: Width,
    load: bool,
}

impl InDomain for SignExtend {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let rules = domain::rules(cx);
        let word: A::W64 = cx.word("src");
        let src = domain::scalar(cx, "src", &word);
        let row = if self.load { rules.load_sx } else { rules.at(self.width).mov_sx };
        let result = row(self.from, domain, &src);
        let proven = mov::sign_extend(self.from, self.width, domain, &src);
        claim_row(cx, &result, &proven, &extended::<A>(self.from, self.width, &word), &[]);
    }
}
