//! Clocks of the modelled kernel.

/// The monotonic clock: moves on by a fixed step with each reading, so runs repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Clock {
    now_ns: u64,
    step_ns: u64,
}

impl Clock {
    /// A clock that shows `now_ns` and moves on by `step_ns` with each reading.
    pub fn new(now_ns: u64, step_ns: u64) -> Clock {
        Clock { now_ns, step_ns }
    }
    /// Nanoseconds since boot.
    pub fn read(&mut self) -> u64 {
        let now = self.now_ns;
        self.now_ns = now.wrapping_add(self.step_ns);
        now
    }
}
