//! Wide constants that only the whole program tells: addresses of map values and of subprograms.
//!
//! Linking makes a plain 64-bit immediate of such an instruction, which is then lowered as any other.

use semantics::insn::{Insn, Op, Opcode, Wide};
use semantics::map;
use semantics::memory::layout;
use semantics::program::Program;
use semantics::trap::Unsupported;
use semantics::word::{Algebra, Word};

use crate::engine::NAME;

/// The instruction that loads the constant, given the address that it names.
pub fn linked<A: Algebra>(insn: &Insn<A>, address: &A::W64) -> Insn<A> {
    let value = match insn.op() {
        Op::Wide(Wide::MapValue | Wide::MapIndexValue) => address.add(&A::zext(&insn.imm_hi)),
        _ => address.clone(),
    };
    let (imm, imm_hi) = (A::low(&value), A::low(&value.lshr(&A::W64::lit(u64::from(A::W32::BITS)))));
    Insn { dst: insn.dst, imm, imm_hi, ..Insn::new(Opcode::Lddw) }
}

/// Whether an instruction is linked before it is lowered.
pub const fn is_linked(op: Op) -> bool {
    matches!(op, Op::Wide(Wide::MapValue | Wide::MapIndexValue | Wide::Code))
}

/// The address that the instruction at `slot` names; the same in every world that loads the program.
pub fn address(program: &Program, slot: usize) -> Result<u64, Unsupported> {
    let insn = &program.insns()[slot];
    if insn.op() == Op::Wide(Wide::Code) {
        return Ok(layout::code_handle(insn.target(slot) as u64));
    }
    let def = &program.maps()[insn.imm as usize];
    if let Some(lack) = def.lack() {
        return Err(lack);
    }
    let value = map::direct_values(program.maps()).nth(insn.imm as usize).flatten();
    value.ok_or(Unsupported::Facility { engine: NAME, facility: "a map whose value has a constant address" })
}
