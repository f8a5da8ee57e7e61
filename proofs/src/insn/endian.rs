//! Byte order: transfer functions; and their lowering.

use super::lowering;
use super::transfer::low_bytes;
use crate::domain::{self, Everywhere, InDomain, claim_contains, claim_row};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Opcode, Order, Reg, Room, Size};
use semantics::word::{Convert, Word};
use verifier::Domain;
use verifier::insn::endian;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let swaps = Obligation::verifier("insn::endian::operator::swapped", Some(Room::Endian), Swapped);
    let rows = TABLE.iter().filter(|row| row.op.room() == Room::Endian);
    let transfers = rows.map(|row| {
        let name = format!("insn::endian::transfer::{}", row.path());
        Obligation::verifier(name, Some(Room::Endian), Everywhere(Transfer { opcode: row.opcode, op: row.op }))
    });
    [swaps].into_iter().chain(transfers).chain(lowering::obligations(Room::Endian)).collect()
}

/// The low bytes in opposite order.
fn swapped<A: Theory>(size: Size, word: &A::W64) -> A::W64 {
    match size {
        Size::B => low_bytes::<A>(size, word),
        Size::H => Convert::<A::W16>::zx(word).swap_bytes().zx(),
        Size::W => A::zext(&A::low(word).swap_bytes()),
        Size::Dw => word.swap_bytes(),
    }
}

/// What is swapped contains the swapped bytes, before views are synchronised.
struct Swapped;

impl Statement for Swapped {
    fn cases(&self) -> usize {
        3
    }
    fn case_name(&self, case: usize) -> String {
        format!("{} bytes", 2 << case)
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let size = Size::ALL[case + 1];
        let word: A::W64 = cx.word("dst");
        let dst = domain::scalar(cx, "dst", &word);
        claim_contains(cx, "what is swapped", &endian::swapped(size, &dst), &swapped::<A>(size, &word));
    }
}

/// The row of the verifier's table contains what the instruction leaves: it is `swapped` or nothing, and `Scalar::cut_to`.
struct Transfer {
    opcode: Opcode,
    op: Op,
}

impl InDomain for Transfer {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let Op::Endian { order, size } = self.op else { unreachable!("{:?} is of another room", self.op) };
        let rules = domain::rules(cx);
        let word: A::W64 = cx.word("dst");
        let dst = domain::scalar(cx, "dst", &word);
        let mut machine = super::machine::Bpf::operands(cx, word.clone(), word.clone());
        let insn = Insn { dst: Reg::R1, src: Reg::R0, ..Insn::new(self.opcode) };
        let Ok(_) = semantics::insn::exec(&insn, &mut machine);
        let left = machine.regs[1].clone();
        let result = rules.endian(order)(size, domain, &dst);
        let value = if order == Order::Le { low_bytes::<A>(size, &word) } else { swapped::<A>(size, &word) };
        claim_row(cx, &result, &endian::transfer(order, size, domain, &dst), &left, &[left.same(&value)]);
    }
}
