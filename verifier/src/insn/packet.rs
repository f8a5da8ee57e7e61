//! Legacy packet loads: a call in disguise, which may end the program (kernel: `check_ld_abs`).

use super::{call, readable};
use crate::access;
use crate::env::{Env, Later};
use crate::refusal::{MemoryRefusal, Stop};
use crate::returns;
use crate::state::{Kind, RegState, State};
use semantics::insn::{Insn, Mode, Reg};
use semantics::program_type::ProgramType;

/// Where the context must be.
const CONTEXT: Reg = Reg::R6;

/// `r0 = ntoh(*(size *)(packet + offset))` at `pc`: where the path goes on.
pub(crate) fn check(env: &mut Env<'_>, state: &mut State, mode: Mode, insn: &Insn, pc: usize) -> Result<usize, Stop> {
    use ProgramType::{SchedAct, SchedCls, SocketFilter};
    if !matches!(env.program.program_type(), SocketFilter | SchedCls | SchedAct) {
        return Err(MemoryRefusal::PacketLoad.into());
    }
    readable(state, CONTEXT)?;
    let then = if env.dialect.leaks_alike {
        "BPF_LD_[ABS|IND] would lead to reference leak"
    } else {
        "BPF_LD_[ABS|IND] cannot be mixed with socket references"
    };
    returns::check_references(state, then)?;
    if state.lock.is_some() {
        return Err(MemoryRefusal::PacketLoadLocked.into());
    }
    if !state.reg(CONTEXT).is(Kind::Ctx) {
        return Err(MemoryRefusal::PacketLoadContext.into());
    }
    if mode == Mode::Ind {
        readable(state, insn.src)?;
    }
    access::check_unmodified(env.dialect, CONTEXT, state.reg(CONTEXT))?;
    for reg in Reg::ARGS {
        state.set(reg, RegState::NOT_INIT);
    }
    if state.depth() > 0 {
        // Outside of the packet the function ends, with 0.
        let mut left = state.clone();
        left.set(Reg::R0, RegState::constant(0));
        let pc = call::leave(env, &mut left)?;
        env.later.push(Later { pc, state: left, alone: false });
    }
    state.set(Reg::R0, RegState::unknown());
    Ok(pc + 1)
}
