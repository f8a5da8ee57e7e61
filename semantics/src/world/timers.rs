//! Timers in map values: they fire when the clock is advanced (`kernel/bpf/helpers.c`, `kernel/time/hrtimer.c`).
//!
//! The first 8 bytes of a `struct bpf_timer` lead to what the kernel keeps of it. Zeroing them, as whoever replaces or
//! removes the value does, is the end of the timer.

use serde::{Deserialize, Serialize};

use super::World;
use crate::errno::Errno;
use crate::helper::Callbacks;
use crate::memory::{Memory, Object, layout};
use crate::trap::{ArgumentFault, Trap};
use crate::world::Observation;

/// What timers meet with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimerConfig {
    /// Whether user space holds the maps: without that no timer can be made.
    pub held: bool,
    /// Whether there is memory for another timer.
    pub memory: bool,
    /// Whether the program runs in an interrupt that cannot be masked, where timers cannot be reached.
    pub nmi: bool,
}

impl Default for TimerConfig {
    /// Held, with memory, in no such interrupt.
    fn default() -> Self {
        TimerConfig { held: true, memory: true, nmi: false }
    }
}

/// The clock of a timer, in the order in which those that are due at once fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerClock {
    /// `CLOCK_MONOTONIC`.
    Monotonic,
    /// `CLOCK_REALTIME`.
    Realtime,
    /// `CLOCK_BOOTTIME`.
    Boottime,
}

impl TimerClock {
    /// The clock with this number.
    pub fn from_id(id: u64) -> Option<TimerClock> {
        match id {
            0 => Some(TimerClock::Realtime),
            1 => Some(TimerClock::Monotonic),
            7 => Some(TimerClock::Boottime),
            _ => None,
        }
    }
    const fn name(self) -> &'static str {
        match self {
            TimerClock::Monotonic => "monotonic",
            TimerClock::Realtime => "realtime",
            TimerClock::Boottime => "boottime",
        }
    }
}

/// When a timer is due, by its own clock in nanoseconds, and the number of its start: those due at once fire in that
/// order.
type Due = (i64, u64);

/// What the kernel keeps of a timer (`struct bpf_hrtimer`).
#[derive(Clone, Copy, Debug)]
struct Timer {
    /// Address of the `struct bpf_timer`.
    addr: u64,
    /// The map that owns it.
    map: u32,
    clock: TimerClock,
    callback: Option<u64>,
    due: Option<Due>,
}

/// The timers of a run.
#[derive(Debug, Default)]
pub struct Timers {
    config: TimerConfig,
    advance_ns: u64,
    all: Vec<Timer>,
    /// That whose callback runs.
    running: Option<usize>,
    starts: u64,
    fired: u64,
}

/// Where the kernel's part of the first timer lies: a name, no memory lies there.
const HANDLES: u64 = layout::CODE + (1 << 44);
/// Distance between these.
const STRIDE: u64 = 128;

impl Timers {
    pub(super) fn reset(&mut self, config: TimerConfig, advance_ns: u64) {
        self.all.clear();
        (self.config, self.advance_ns) = (config, advance_ns);
        (self.running, self.starts, self.fired) = (None, 0, 0);
    }
    /// EOPNOTSUPP where timers cannot be reached.
    pub fn reach(&self) -> Result<(), Errno> {
        if self.config.nmi { Err(Errno::Eopnotsupp) } else { Ok(()) }
    }
    /// The timer whose `struct bpf_timer` lies at this address, if it was initialised.
    fn find(&self, memory: &Memory, addr: u64) -> Option<usize> {
        let bytes = memory.peek(addr, 8);
        let handle = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let number = usize::try_from(handle.checked_sub(HANDLES)? / STRIDE).ok()?;
        self.all.get(number).is_some_and(|timer| timer.addr == addr).then_some(number)
    }
    /// Makes the timer at this address, in a value of this map. One that there is already is EBUSY, without memory
    /// ENOMEM, in a map that user space does not hold EPERM.
    pub fn init(&mut self, memory: &mut Memory, addr: u64, map: u32, clock: TimerClock) -> Result<(), Errno> {
        if self.find(memory, addr).is_some() {
            return Err(Errno::Ebusy);
        }
        if !self.config.memory {
            return Err(Errno::Enomem);
        }
        if !self.config.held {
            return Err(Errno::Eperm);
        }
        memory.poke(addr, &(HANDLES + self.all.len() as u64 * STRIDE).to_le_bytes());
        self.all.push(Timer { addr, map, clock, callback: None, due: None });
        Ok(())
    }
    /// Says what the timer calls. One that was not made is EINVAL. EPERM would be one that was made while user space
    /// let go of the map: here nothing happens at the same time.
    pub fn set_callback(&mut self, memory: &Memory, addr: u64, function: u64) -> Result<(), Errno> {
        let number = self.find(memory, addr).ok_or(Errno::Einval)?;
        self.all[number].callback = Some(function);
        Ok(())
    }
    /// Starts the timer, anew if it runs: `nsecs` nanoseconds from `now` on, or at that time of its clock. One without
    /// a function is EINVAL.
    pub fn start(
        &mut self,
        memory: &Memory,
        addr: u64,
        nsecs: i64,
        now: impl Fn(TimerClock) -> i64,
        is_absolute: bool,
    ) -> Result<(), Errno> {
        let number = self.find(memory, addr).filter(|number| self.all[*number].callback.is_some());
        let timer = &mut self.all[number.ok_or(Errno::Einval)?];
        let at = if is_absolute { nsecs } else { later(now(timer.clock), nsecs) };
        timer.due = Some((at, self.starts));
        self.starts += 1;
        Ok(())
    }
    /// Stops the timer, which forgets its function: whether it was started. One that was not made is EINVAL, one whose
    /// function runs EDEADLK.
    pub fn cancel(&mut self, memory: &Memory, addr: u64) -> Result<bool, Errno> {
        let number = self.find(memory, addr).ok_or(Errno::Einval)?;
        if self.running == Some(number) {
            return Err(Errno::Edeadlk);
        }
        let timer = &mut self.all[number];
        timer.callback = None;
        Ok(timer.due.take().is_some())
    }

    /// Takes down the timers that there are, by number, and how often any fired.
    pub(super) fn observe(&self, memory: &Memory, room: &mut Observation<'_>) {
        if self.all.is_empty() {
            return;
        }
        room.number("fired", self.fired);
        for (number, timer) in self.all.iter().enumerate() {
            if self.find(memory, timer.addr) != Some(number) {
                continue;
            }
            let state = match (timer.callback, timer.due) {
                (_, Some((at, _))) => format!("due at {at}"),
                (Some(_), None) => "stopped".to_owned(),
                (None, None) => "without a function".to_owned(),
            };
            room.text(&format!("timer {number}"), &format!("map {} {} {state}", timer.map, timer.clock.name()));
        }
    }
}

/// A time `nsecs` after `now`; what does not fit is so late that it never comes (`ktime_add_safe`).
fn later(now: i64, nsecs: i64) -> i64 {
    let at = now.wrapping_add(nsecs);
    if at < 0 || at < now || at < nsecs { i64::MAX } else { at }
}

impl World {
    /// What a clock of timers shows, without a reading.
    pub fn timer_clock(&self, clock: TimerClock) -> i64 {
        let now = match clock {
            TimerClock::Monotonic => self.clock.now(),
            TimerClock::Realtime => self.clock.real(),
            TimerClock::Boottime => self.clock.boot(),
        };
        now as i64
    }

    /// Nanoseconds of the monotonic clock at which the timer that fires next is due, and its number, if that is no
    /// later than `last`.
    fn next_timer(&self, last: u64) -> Option<(u64, usize)> {
        let due = |(number, timer): (usize, &Timer)| {
            let (at, start) = timer.due.filter(|_| self.timers.find(&self.memory, timer.addr) == Some(number))?;
            let wait = (i128::from(at) - i128::from(self.timer_clock(timer.clock))).max(0);
            let at = u64::try_from(i128::from(self.clock.now()) + wait).ok().filter(|at| *at <= last)?;
            Some((at, timer.clock, start, number))
        };
        let next = self.timers.all.iter().enumerate().filter_map(due).min();
        next.map(|(at, _, _, number)| (at, number))
    }

    /// Advances the clock once the program is done: the functions of timers that are due meanwhile are called through
    /// `engine`, each at its time. A call takes as long as a reading of the clock, and at least a nanosecond: a timer
    /// that starts itself anew for at once does not keep the clock from going on.
    pub fn pass_time(&mut self, engine: &mut dyn Callbacks) -> Result<(), Trap> {
        if self.timers.advance_ns == 0 {
            return Ok(());
        }
        let last = self.clock.now().saturating_add(self.timers.advance_ns);
        while let Some((at, number)) = self.next_timer(last) {
            self.clock.advance(at.saturating_sub(self.clock.now()));
            self.fire(number, engine)?;
            self.clock.advance(self.clock.step().max(1));
        }
        self.clock.advance(last.saturating_sub(self.clock.now()));
        Ok(())
    }

    /// Calls the function of a timer: `callback(map, key, value)` (`bpf_timer_cb`).
    fn fire(&mut self, number: usize, engine: &mut dyn Callbacks) -> Result<(), Trap> {
        let timer = &mut self.timers.all[number];
        timer.due = None;
        let Timer { addr, map, callback: Some(function), .. } = *timer else { return Ok(()) };
        // A value that was given up has no key.
        let Some((value, key)) = self.element_at(map, addr) else { return Ok(()) };
        self.timers.fired += 1;
        let key_addr = self.memory.place_key(map, key.len() as u64).ok_or(Trap::CallDepth)?;
        self.memory.poke(key_addr, &key);
        self.timers.running = Some(number);
        let returned = engine.call(self, function, [layout::map_handle(map), key_addr, value, 0, 0]);
        self.timers.running = None;
        self.memory.remove_passing(key_addr);
        let fault = ArgumentFault::NotAFunction(function);
        returned.unwrap_or(Err(Trap::Argument { helper: "timer_set_callback", number: 2, fault })).map(|_| ())
    }

    /// Address and key of the value of this map that holds the byte at `addr`.
    fn element_at(&self, map: u32, addr: u64) -> Option<(u64, Vec<u8>)> {
        let (_, value) = self.memory.object_at(addr).filter(|(object, _)| *object == Object::MapValue(map))?;
        let mut found = None;
        self.maps.get(map as usize)?.ops.each(&mut |key, addresses| {
            if addresses.contains(&value) {
                found = Some(key.to_vec());
            }
        });
        Some((value, found?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_late_never_comes() {
        assert_eq!(later(10, 5), 15);
        assert_eq!(later(10, i64::MAX), i64::MAX);
        assert_eq!(later(10, -1), i64::MAX, "not in the past");
    }
}
