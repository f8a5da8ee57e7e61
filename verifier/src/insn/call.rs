//! Calls of the program's own subprograms, and exit (kernel: `check_func_call`, `prepare_func_exit`).

use crate::env::{Env, Later};
use crate::refusal::{MemoryRefusal, Refusal, Stop};
use crate::returns;
use crate::state::{Callback, Entry, Kind, RegState, State};
use semantics::insn::{Insn, Reg};
use semantics::memory::layout::FRAMES_MAX;

/// `call subprogram` at `pc`: where the path goes on.
pub(crate) fn check_local(env: &Env<'_>, state: &mut State, insn: &Insn, pc: usize) -> Result<usize, Stop> {
    if state.lock.is_some() {
        return Err(Refusal::CallUnderLock.into());
    }
    let target = insn.target(pc) as usize;
    let entry = Entry { site: pc, subprogram: env.subprogram_at(target), ..Entry::default() };
    enter(env, state, entry)?;
    Ok(target)
}

/// Gives the subprogram its frame; it gets R1 to R5, which the caller loses (`__check_func_call`).
fn enter(env: &Env<'_>, state: &mut State, entry: Entry) -> Result<(), Refusal> {
    let frames = state.depth() + 2;
    if frames > FRAMES_MAX as usize {
        return Err(Refusal::TooManyFrames { frames });
    }
    let arguments = Reg::ARGS.map(|reg| *state.reg(reg));
    for reg in Reg::ALL.into_iter().filter(|reg| env.rules.clobbered >> reg.number() & 1 != 0) {
        state.set(reg, RegState::NOT_INIT);
    }
    state.push_frame(entry);
    for (reg, held) in Reg::ARGS.into_iter().zip(arguments) {
        state.set(reg, held);
    }
    Ok(())
}

/// `exit`: where the path goes on, or `None` where it ends.
pub(crate) fn check_exit(env: &Env<'_>, state: &mut State) -> Result<Option<usize>, Stop> {
    let alike = env.dialect.leaks_alike;
    if state.lock.is_some() {
        return Err(if alike { MemoryRefusal::ExitLocked.into() } else { Refusal::UnlockMissing.into() });
    }
    let then = if alike { "BPF_EXIT instruction in main prog would lead to reference leak" } else { "" };
    returns::check_references(state, then)?;
    if state.depth() == 0 {
        crate::returns::check(env, state)?;
        return Ok(None);
    }
    leave(env, state).map(Some)
}

/// Leaves a subprogram: where the path goes on (`prepare_func_exit`).
pub(crate) fn leave(env: &Env<'_>, state: &mut State) -> Result<usize, Stop> {
    let result = *state.reg(Reg::R0);
    if result.kind == Kind::Fp {
        return Err(Refusal::ReturnsStack.into());
    }
    let entry = state.entry;
    if let Some(callback) = entry.callback {
        if result.kind != Kind::Scalar {
            return Err(Refusal::CallbackResult.into());
        }
        returns::check_range(env, &result, (0, callback.result_max as i32), "callback return")?;
        state.pop_frame();
        // The helper may call back once more.
        return Ok(entry.site);
    }
    state.pop_frame();
    state.set(Reg::R0, result);
    Ok(entry.site + 1)
}

/// A helper that is called at `pc` may call `function` back, with these arguments, any number of times: that becomes a path
/// of its own, which comes back to the call as it was before it. `state` is that before the call. An asynchronous callback
/// runs later, on its own (`push_callback_call`).
pub(crate) fn call_back(
    env: &mut Env<'_>,
    state: &State,
    callback: Callback,
    function: &RegState,
    arguments: [RegState; 5],
    pc: usize,
) -> Result<(), Stop> {
    let target = env.program.subprograms()[function.what as usize];
    let entry = Entry { site: pc, subprogram: function.what, callback: Some(callback), ..Entry::default() };
    env.is_async[function.what as usize] |= callback.is_async;
    let mut called = if callback.is_async { State::entry() } else { state.clone() };
    if callback.is_async {
        called.entry = Entry { async_depth: state.entry.async_depth + 1, ..entry };
    } else {
        let frames = state.depth() + 2;
        if frames > FRAMES_MAX as usize {
            return Err(Refusal::TooManyFrames { frames }.into());
        }
        called.push_frame(entry);
    }
    for (reg, held) in Reg::ARGS.into_iter().zip(arguments) {
        called.set(reg, held);
    }
    env.later.push(Later { pc: target, state: called, alone: callback.is_async });
    Ok(())
}
