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
    /// The first value of the map with this index, plus the second slot's immediate (`map_val(map_by_fd(imm)) + next_imm`).
    MapValue,
    /// The kernel's variable with this BTF number (`var_addr`).
    Variable,
    /// The subprogram that begins `imm` slots behind the next slot (`code_addr`).
    Code,
    /// As [`Wide::Map`]: an index of the loader's array of maps (`map_by_idx`), which is the program's list.
    MapIndex,
    /// As [`Wide::MapValue`], by such an index.
    MapIndexValue,
}

impl Wide {
    /// All of them, in the order of the source field.
    pub const ALL: [Wide; 7] =
        [Wide::Imm64, Wide::Map, Wide::MapValue, Wide::Variable, Wide::Code, Wide::MapIndex, Wide::MapIndexValue];
    /// Whether `imm` is the index of a map.
    pub const fn names_map(self) -> bool {
        matches!(self, Wide::Map | Wide::MapValue | Wide::MapIndex | Wide::MapIndexValue)
    }
    /// Whether the second slot has an immediate.
    pub const fn has_high_half(self) -> bool {
        matches!(self, Wide::Imm64 | Wide::MapValue | Wide::MapIndexValue)
    }
}

/// `dst = constant`.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(kind: Wide, insn: &Insn<A>, machine: &mut M) -> Result<(), M::Fault> {
    let value = match kind {
        Wide::Imm64 => insn.wide_imm(),
        Wide::Map | Wide::MapIndex => map_handle::<A>(&insn.imm),
        Wide::MapValue | Wide::MapIndexValue => machine.map_value(&insn.imm)?.add(&A::zext(&insn.imm_hi)),
        Wide::Variable => machine.variable(&insn.imm)?,
        Wide::Code => machine.code(&insn.imm)?,
    };
    machine.set_reg(insn.dst, value);
    Ok(())
}

/// The handle of the map with this index.
#[inline(always)]
pub fn map_handle<A: Algebra>(index: &A::W32) -> A::W64 {
    A::zext(index).shl(&A::W64::lit(u64::from(layout::MAP_HANDLE_SHIFT))).add(&A::W64::lit(layout::MAP_HANDLES))
}

/// The constant that a wide instruction loads, where it is known without a world, also to the JIT.
#[inline(always)]
pub fn value<A: Algebra>(kind: Wide, insn: &Insn<A>) -> Option<A::W64> {
    match kind {
        Wide::Imm64 => Some(insn.wide_imm()),
        Wide::Map | Wide::MapIndex => Some(map_handle::<A>(&insn.imm)),
        Wide::MapValue | Wide::MapIndexValue | Wide::Variable | Wide::Code => None,
    }
}
