//! The 64-bit immediate, two slots long (RFC 9669 section 5.4).

use super::{Insn, Machine};
use crate::memory::layout;
use crate::word::{Algebra, Word};

/// What the 64 bits stand for: the `src` field of the first slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wide {
    /// The constant itself.
    Imm64,
    /// The map with this index in the program's list (`map_by_fd`: programs here have no descriptors, the loader
    /// resolves names to indices).
    Map,
}

/// `dst = constant`.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(kind: Wide, insn: &Insn<A>, machine: &mut M) {
    machine.set_reg(insn.dst, value(kind, insn));
}

/// The constant that a wide instruction loads: known without running, also to the JIT.
#[inline(always)]
pub fn value<A: Algebra>(kind: Wide, insn: &Insn<A>) -> A::W64 {
    match kind {
        Wide::Imm64 => insn.wide_imm(),
        Wide::Map => A::zext(&insn.imm)
            .shl(&A::W64::lit(u64::from(layout::MAP_HANDLE_SHIFT)))
            .add(&A::W64::lit(layout::MAP_HANDLES)),
    }
}
