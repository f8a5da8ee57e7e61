//! Loops whose body is a subprogram (`kernel/bpf/bpf_iter.c`).

use super::{Call, Helper, ResultClass, id};
use crate::map::Errno;
use crate::trap::Trap;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("loop"),
    changes: &[],
    results: &[ResultClass::U32, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::E2big)],
    meaning: bpf_loop,
}];

/// The most turns (`BPF_MAX_LOOPS`).
const TURNS_MAX: u32 = 8 * 1024 * 1024;

/// `bpf_loop(nr_loops, callback_fn, callback_ctx, flags)`: calls `callback_fn(index, callback_ctx)` for each index below
/// `nr_loops`, until one returns other than 0; how many turns there were. Flags first (EINVAL), then the number (E2BIG).
fn bpf_loop(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (turns, function, context) = (call.arg(1) as u32, call.arg(2), call.arg(3));
    if call.arg(4) != 0 {
        return Ok(Errno::Einval.result());
    }
    if turns > TURNS_MAX {
        return Ok(Errno::E2big.result());
    }
    for turn in 0..u64::from(turns) {
        if call.callback(function, [turn, context, 0, 0, 0])? != 0 {
            return Ok(turn + 1);
        }
    }
    Ok(u64::from(turns))
}
