//! How much stack chains of calls take (kernel: `check_max_stack_depth`).

use crate::env::Env;
use crate::refusal::Refusal;
use semantics::helper::tail_call;
use semantics::insn::Op;
use semantics::memory::layout::{FRAME_LEN, FRAMES_MAX};

/// Frames of the interpreter grow in steps of so many bytes.
const STEP: u32 = 32;
/// What the callers of a subprogram that makes tail calls may take, bytes.
const BEFORE_TAIL_CALL: u32 = 256;

/// Whether the frames of every chain of calls fit into the stack together.
pub(crate) fn check(env: &Env<'_>) -> Result<(), Refusal> {
    let mut roots = (0..env.is_async.len()).filter(|at| *at == 0 || env.is_async[*at]);
    roots.try_for_each(|root| chain(env, root, 0, 1))
}

/// The chains that go on with this subprogram: its callers take `depth` bytes, and it is frame number `frames`.
fn chain(env: &Env<'_>, subprogram: usize, depth: u32, frames: usize) -> Result<(), Refusal> {
    let insns = env.program.insns();
    let starts = env.program.subprograms();
    let own = starts[subprogram]..starts.get(subprogram + 1).copied().unwrap_or(insns.len());
    let makes_tail_calls = || insns[own.clone()].iter().any(|i| i.op() == Op::CallHelper && i.imm == tail_call::ID);
    if subprogram != 0 && depth >= BEFORE_TAIL_CALL && makes_tail_calls() {
        return Err(Refusal::TailCallDepth { depth });
    }
    let depth = depth + env.stack_depth(subprogram).max(1).next_multiple_of(STEP);
    if u64::from(depth) > FRAME_LEN {
        return Err(Refusal::CombinedStack { frames, depth });
    }
    for at in own {
        if !insns[at].op().names_subprogram() {
            continue;
        }
        let callee = env.subprogram_at(insns[at].target(at) as usize) as usize;
        if insns[at].op() != Op::CallLocal && env.is_async[callee] {
            continue;
        }
        if frames >= FRAMES_MAX as usize {
            return Err(Refusal::CallStack { frames });
        }
        chain(env, callee, depth, frames + 1)?;
    }
    Ok(())
}
