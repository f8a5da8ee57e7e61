//! Planted mistakes of the JIT: a prover or a fuzzer that does not find them proves nothing.
//!
//! Each is an error that a JIT has made, or one instruction away from it, and replaces a part of [`Rules`]. They are
//! generic over the algebra, so that the same mistake is refuted by a proof and found by running.

use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op};
use semantics::word::Algebra;

use crate::insn::lower_op;
use crate::rules::{Lower, Rules};
use crate::x64::Inst;

mod blind;
pub mod frame;
mod history;
pub mod layout;
mod rows;
mod short;

/// A mistake with a name and its story.
#[derive(Clone, Copy, Debug)]
pub struct Plant<A: Algebra> {
    /// In the style of `room::mistake`.
    pub name: &'static str,
    /// What goes wrong, in one line.
    pub story: &'static str,
    /// Puts it into the rules.
    pub install: fn(&mut Rules<A>),
}

/// All of them.
pub fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let rooms =
        [rows::plants(), blind::plants(), history::plants(), short::plants(), frame::plants(), layout::plants()];
    rooms.into_iter().flatten().collect()
}

/// Replaces the rows of every opcode whose operation `matches`.
fn replace<A: Algebra>(rules: &mut Rules<A>, matches: fn(Op) -> bool, row: Lower<A>) {
    for opcode in TABLE.iter().filter(|row| matches(row.op)).map(|row| row.opcode) {
        rules.set(opcode, Some(row));
    }
}

/// Lowers `insn` and takes the first instruction that `wrong` names for another, or for none.
fn but<A: Algebra>(insn: &Insn<A>, out: &mut Vec<Inst<A>>, wrong: fn(&Inst<A>) -> Option<Option<Inst<A>>>) {
    let start = out.len();
    lower_op(insn.op(), insn, out);
    let Some((at, other)) = (start..out.len()).find_map(|at| Some((at, wrong(&out[at])?))) else { return };
    match other {
        Some(other) => out[at] = other,
        None => drop(out.remove(at)),
    }
}
