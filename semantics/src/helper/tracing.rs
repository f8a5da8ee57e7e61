//! The function that a program is attached to (`kernel/trace/bpf_trace.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::memory::layout;
use crate::program_type::{AttachType, ProgramType};
use crate::trap::{Trap, Unsupported};
use crate::world::{Room, symbols};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("get_func_ip"), changes: &[], results: &[ResultClass::U64], meaning: func_ip },
    Helper { id: id("get_attach_cookie"), changes: &[], results: &[ResultClass::U64], meaning: attach_cookie },
    Helper {
        id: id("get_func_arg"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval)],
        meaning: func_arg,
    },
    Helper {
        id: id("get_func_ret"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Eopnotsupp)],
        meaning: func_ret,
    },
    Helper {
        id: id("get_func_arg_cnt"),
        changes: &[],
        results: &[ResultClass::Range(0, ARGS_MAX as i64)],
        meaning: func_arg_cnt,
    },
    Helper {
        id: id("override_return"),
        changes: &[Change::Context, Change::Room(Room::Traced)],
        results: &[ResultClass::Success],
        meaning: override_return,
    },
];

/// The most arguments of a function that is traced (`MAX_BPF_FUNC_ARGS`).
const ARGS_MAX: u32 = 12;

/// `bpf_get_func_ip(ctx)`: the address of the function; 0 for a kprobe that does not sit at its first instruction.
fn func_ip(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let traced = call.world.traced.config;
    let is_inside = traced.inside && call.world.program_type() == ProgramType::Kprobe;
    Ok(if is_inside { 0 } else { traced.ip })
}

/// `bpf_get_attach_cookie(ctx)`: the number that was given with the attachment.
fn attach_cookie(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    Ok(call.world.traced.config.cookie)
}

/// How many arguments the function has.
fn count(call: &Call<'_>) -> Result<u32, Trap> {
    let known = call.world.traced.config.args.or(call.world.target_args());
    known.map(|count| count.min(ARGS_MAX)).ok_or_else(|| Unsupported::TracedFunction.into())
}

/// The word of the context at this distance in bytes, which wraps.
fn word(call: &Call<'_>, offset: u64) -> Result<[u8; 8], Trap> {
    let word = call.world.memory.read(layout::CONTEXT.wrapping_add(offset), 8);
    word.ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Unsupported::AroundArguments.into())
}

/// `bpf_get_func_arg(ctx, n, value)`: argument `n`, or EINVAL where the function has fewer.
///
/// In programs of type `tracing` the verifier puts instructions in its place that compare the lower half of `n` and read by all of
/// it, so that a number with bits above leads anywhere.
fn func_arg(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let is_inline = call.world.program_type() == ProgramType::Tracing;
    let narrow = u64::from(call.arg(2) as u32);
    if narrow >= u64::from(count(call)?) {
        return Ok(Errno::Einval.result());
    }
    let index = if is_inline { call.arg(2) } else { narrow };
    let value = word(call, index << 3)?;
    call.write(3, &value)?;
    Ok(0)
}

/// `bpf_get_func_ret(ctx, value)`: what the function returned; EOPNOTSUPP where the program runs before it does. Hooks of security
/// modules see 0 there, or what those before them returned.
fn func_ret(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let attach = call.world.attach_type();
    let sees_result = matches!(attach, Some(AttachType::TraceFexit | AttachType::ModifyReturn))
        || call.world.program_type() == ProgramType::Lsm;
    if !sees_result {
        return Ok(Errno::Eopnotsupp.result());
    }
    let value = word(call, 8 * u64::from(count(call)?))?;
    call.write(2, &value)?;
    Ok(0)
}

/// `bpf_get_func_arg_cnt(ctx)`: how many arguments the function has.
fn func_arg_cnt(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    Ok(u64::from(count(call)?))
}

/// `bpf_override_return(regs, rc)`: makes the function return `rc` instead of running: the register of the result holds it, and the
/// task goes on in a function that just returns.
fn override_return(call: &mut Call<'_>) -> Result<u64, Trap> {
    use crate::program_type::context::layout::PT_REGS;
    let context = call.context(1)?;
    let value = call.arg(2);
    for (name, to) in [("ax", value), ("ip", symbols::JUST_RETURN_FUNC)] {
        if let Some((_, offset, ..)) = PT_REGS.iter().find(|(row, ..)| *row == name) {
            call.world.memory.poke(context + u64::from(*offset), &to.to_le_bytes());
        }
    }
    call.world.traced.returned = Some(value);
    Ok(0)
}
