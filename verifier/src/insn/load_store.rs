//! Loads and stores: which memory, and what is known of what is read (kernel: `check_mem_access`).

use super::{readable, writable};
use crate::access;
use crate::env::Env;
use crate::refusal::{Refusal, Stop};
use crate::stack::Stored;
use crate::state::{Kind, RegState, State};
use semantics::insn::{Insn, Size, Source};

/// `dst = *(size *)(src + off)`.
pub(crate) fn check_load(env: &mut Env<'_>, state: &mut State, size: Size, insn: &Insn) -> Result<(), Stop> {
    readable(state, insn.src)?;
    writable(insn.dst)?;
    let loaded = access::load(env, state, insn.src, insn.off as i16, size)?;
    state.set(insn.dst, loaded);
    Ok(())
}

/// `dst = *(signed size *)(src + off)`: a number is sign-extended; what else memory holds is read whole or not at all.
pub(crate) fn check_load_sx(env: &mut Env<'_>, state: &mut State, size: Size, insn: &Insn) -> Result<(), Stop> {
    let base = *state.reg(insn.src);
    check_load(env, state, size, insn)?;
    let loaded = *state.reg(insn.dst);
    if env.dialect.unsigned_pointers && base.is(Kind::Ctx) && loaded.kind != Kind::Scalar {
        let off = i64::from(base.off) + i64::from(insn.off as i16);
        return Err(Refusal::Context { reg: insn.src, off, size: size.bytes() }.into());
    }
    if loaded.kind == Kind::Scalar {
        let var = (env.rules.load_sx)(size, &env.dialect.domain, &loaded.var);
        let id = if loaded.var.umax < 1 << (size.bits() - 1) { loaded.id } else { 0 };
        state.set(insn.dst, RegState { id, var, ..loaded });
    }
    Ok(())
}

/// `*(size *)(dst + off) = source`.
pub(crate) fn check_store(
    env: &mut Env<'_>,
    state: &mut State,
    size: Size,
    source: Source,
    insn: &Insn,
) -> Result<(), Stop> {
    let value = match source {
        Source::X => Stored::Reg(*readable(state, insn.src)?),
        Source::K => Stored::Imm(insn.imm as i32),
    };
    readable(state, insn.dst)?;
    access::store(env, state, insn.dst, insn.off as i16, size, &value, insn.src)
}
