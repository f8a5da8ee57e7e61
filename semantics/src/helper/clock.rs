//! Clocks (`kernel/bpf/helpers.c`). Each reading moves them on, so that runs repeat.

use super::{Call, Change, Helper, ResultClass, id};
use crate::trap::Trap;
use crate::world::Clock;

macro_rules! clocks {
    ($($(#[$doc:meta])* $name:ident $read:path;)*) => {
        /// The helpers of this topic.
        pub const HELPERS: &[Helper] = &[$(Helper {
            id: id(stringify!($name)),
            changes: &[Change::Clock],
            results: &[ResultClass::U64],
            meaning: $name,
        }),*];

        $($(#[$doc])*
        #[allow(clippy::unnecessary_wraps)] // the type of a meaning
        fn $name(call: &mut Call<'_>) -> Result<u64, Trap> {
            Ok($read(&mut call.world.clock))
        })*
    };
}

clocks! {
    /// `bpf_ktime_get_ns()`: nanoseconds of the monotonic clock since boot, suspend time excluded.
    ktime_get_ns Clock::read;
    /// `bpf_ktime_get_boot_ns()`: nanoseconds since boot, suspend time included.
    ktime_get_boot_ns Clock::read_boot;
    /// `bpf_ktime_get_coarse_ns()`: the monotonic clock as of the last tick.
    ktime_get_coarse_ns Clock::read_coarse;
    /// `bpf_ktime_get_tai_ns()`: nanoseconds of international atomic time.
    ktime_get_tai_ns Clock::read_tai;
    /// `bpf_jiffies64()`: ticks.
    jiffies64 Clock::read_jiffies;
}
