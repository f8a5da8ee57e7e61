//! The 64-bit immediate: a number, or a map (kernel: `check_ld_imm`).

use super::writable;
use crate::refusal::{Stop, Unsupported};
use crate::scalar::Scalar;
use crate::state::{Kind, RegState, State};
use semantics::insn::{Insn, Wide};
use semantics::word::Algebra;

/// What `dst = imm ll` leaves.
#[inline(always)]
pub fn transfer<A: Algebra>(insn: &Insn<A>) -> Scalar<A> {
    Scalar::constant(&insn.wide_imm())
}

/// `dst = constant` or `dst = map`.
pub(crate) fn check(state: &mut State, kind: Wide, insn: &Insn) -> Result<(), Stop> {
    writable(insn.dst)?;
    let value = match kind {
        Wide::Imm64 => RegState::scalar(transfer(insn)),
        Wide::Map | Wide::MapIndex => RegState { map: insn.imm, ..RegState::pointer(Kind::MapPtr) },
        Wide::MapValue | Wide::MapIndexValue | Wide::Variable | Wide::Code => {
            return Err(Unsupported::Insn { name: insn.opcode.row().name }.into());
        }
    };
    state.set(insn.dst, value);
    Ok(())
}
