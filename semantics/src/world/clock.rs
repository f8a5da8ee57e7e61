//! Clocks of the modelled kernel.

use serde::{Deserialize, Serialize};

/// How the other clocks stand to the monotonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockConfig {
    /// Nanoseconds that the machine was suspended since boot: `CLOCK_BOOTTIME` is ahead by them.
    pub suspended_ns: u64,
    /// `CLOCK_TAI` less the monotonic clock, in nanoseconds.
    pub tai_offset_ns: u64,
    /// Nanoseconds between ticks (`1_000_000_000 / CONFIG_HZ`): coarse clocks stand still in between.
    pub tick_ns: u64,
}

impl Default for ClockConfig {
    /// Never suspended; booted at the turn of 2024, TAI 37 seconds ahead of UTC; 250 ticks per second.
    fn default() -> Self {
        ClockConfig { suspended_ns: 0, tai_offset_ns: 1_704_067_237_000_000_000, tick_ns: 4_000_000 }
    }
}

/// The clocks: they move on by a fixed step with each reading, so runs repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Clock {
    now_ns: u64,
    step_ns: u64,
    others: ClockConfig,
}

impl Clock {
    /// Clocks of which the monotonic one shows `now_ns`; each reading moves them on by `step_ns`.
    pub fn new(now_ns: u64, step_ns: u64, others: ClockConfig) -> Clock {
        Clock { now_ns, step_ns, others }
    }
    /// Nanoseconds since boot, suspended time excluded (`CLOCK_MONOTONIC`).
    pub fn read(&mut self) -> u64 {
        let now = self.now_ns;
        self.now_ns = now.wrapping_add(self.step_ns);
        now
    }
    /// Nanoseconds since boot, suspended time included (`CLOCK_BOOTTIME`).
    pub fn read_boot(&mut self) -> u64 {
        self.read().wrapping_add(self.others.suspended_ns)
    }
    /// International atomic time in nanoseconds (`CLOCK_TAI`).
    pub fn read_tai(&mut self) -> u64 {
        self.read().wrapping_add(self.others.tai_offset_ns)
    }
    /// The monotonic clock as of the last tick (`CLOCK_MONOTONIC_COARSE`).
    pub fn read_coarse(&mut self) -> u64 {
        let now = self.read();
        now - now % self.tick_ns()
    }
    /// Ticks (`jiffies_64`): they begin five minutes below the turn of their lower 32 bits.
    pub fn read_jiffies(&mut self) -> u64 {
        let hz = 1_000_000_000 / self.tick_ns();
        let initial = u64::from((hz as u32).wrapping_mul(300).wrapping_neg());
        initial.wrapping_add(self.read() / self.tick_ns())
    }
    /// Moves the clocks on, without a reading.
    pub fn advance(&mut self, by_ns: u64) {
        self.now_ns = self.now_ns.wrapping_add(by_ns);
    }
    /// The monotonic clock, without a reading.
    pub fn now(&self) -> u64 {
        self.now_ns
    }
    /// Nanoseconds since boot, suspended time included, without a reading.
    pub fn boot(&self) -> u64 {
        self.now_ns.wrapping_add(self.others.suspended_ns)
    }
    /// Nanoseconds since 1970 (`CLOCK_REALTIME`), without a reading: 37 seconds behind international atomic time.
    pub fn real(&self) -> u64 {
        const TAI_AHEAD_NS: u64 = 37_000_000_000;
        self.now_ns.wrapping_add(self.others.tai_offset_ns).wrapping_sub(TAI_AHEAD_NS)
    }
    /// By how much a reading moves the clocks on, in nanoseconds.
    pub fn step(&self) -> u64 {
        self.step_ns
    }
    fn tick_ns(&self) -> u64 {
        self.others.tick_ns.max(1)
    }
}
