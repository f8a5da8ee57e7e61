//! The 64-bit immediate: a number, a map, a value of one, a function (kernel: `check_ld_imm`).

use super::writable;
use crate::env::Env;
use crate::refusal::{MemoryRefusal, Stop, Unsupported};
use crate::scalar::Scalar;
use crate::state::{Kind, RegState, State};
use semantics::insn::{Insn, Wide};
use semantics::map::{ValueField, ValueFieldKind};
use semantics::word::Algebra;

/// What `dst = imm ll` leaves.
#[inline(always)]
pub fn transfer<A: Algebra>(insn: &Insn<A>) -> Scalar<A> {
    Scalar::constant(&insn.wide_imm())
}

/// `dst = constant`, the address of a map or of its value, or of a function.
pub(crate) fn check(env: &mut Env<'_>, state: &mut State, kind: Wide, insn: &Insn, pc: usize) -> Result<(), Stop> {
    writable(insn.dst)?;
    let value = match kind {
        Wide::Imm64 => RegState::scalar(transfer(insn)),
        Wide::Map | Wide::MapIndex => RegState { map: insn.imm, ..RegState::pointer(Kind::MapPtr) },
        Wide::MapValue | Wide::MapIndexValue => {
            let is_lock = |field: &ValueField| field.kind == ValueFieldKind::SpinLock;
            let id = if env.map(insn.imm).fields.iter().any(is_lock) { env.new_id() } else { 0 };
            RegState { map: insn.imm, off: insn.imm_hi as i32, id, ..RegState::pointer(Kind::MapValue) }
        }
        Wide::Code => {
            let what = env.subprogram_at(insn.target(pc) as usize);
            if what == 0 {
                return Err(MemoryRefusal::MainAsCallback.into());
            }
            RegState { what, ..RegState::pointer(Kind::Func) }
        }
        Wide::Variable => return Err(Unsupported::Insn { name: insn.opcode.row().name }.into()),
    };
    state.set(insn.dst, value);
    Ok(())
}
