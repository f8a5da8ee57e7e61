//! Random numbers (`kernel/bpf/core.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::trap::Trap;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("get_prandom_u32"),
    changes: &[Change::Random],
    results: &[ResultClass::U32],
    meaning: get_prandom_u32,
}];

/// `bpf_get_prandom_u32()`: the next 32-bit value, zero-extended. The specification leaves it open, so the world chooses.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn get_prandom_u32(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(u64::from(call.world.choice.next_u32()))
}
