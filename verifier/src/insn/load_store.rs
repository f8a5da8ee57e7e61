//! Loads and stores: which memory, and what is known of what is read (kernel: `check_mem_access`).

use super::{readable, writable};
use crate::access;
use crate::env::Env;
use crate::refusal::Stop;
use crate::stack::Stored;
use crate::state::State;
use semantics::insn::{Insn, Size, Source};

/// `dst = *(size *)(src + off)`.
pub(crate) fn check_load(env: &Env<'_>, state: &mut State, size: Size, insn: &Insn) -> Result<(), Stop> {
    readable(state, insn.src)?;
    writable(insn.dst)?;
    let loaded = access::load(env, state, insn.src, insn.off as i16, size)?;
    state.set(insn.dst, loaded);
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
