//! Clocks (kernel/bpf/helpers.c).

use super::{Call, Change, Helper, ResultClass, id};
use crate::trap::Trap;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("ktime_get_ns"),
    changes: &[Change::Clock],
    results: &[ResultClass::U64],
    meaning: ktime_get_ns,
}];

/// `bpf_ktime_get_ns()`: nanoseconds of the monotonic clock since boot, suspend time excluded.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn ktime_get_ns(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.world.clock.read())
}
