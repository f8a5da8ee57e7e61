//! Timers in map values (`kernel/bpf/helpers.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::{ArgumentFault, Trap};
use crate::world::{Room, TimerClock};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("timer_init"),
        changes: &[Change::Room(Room::Timers)],
        results: &[
            ResultClass::Success,
            ResultClass::Error(Errno::Eopnotsupp),
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::Ebusy),
            ResultClass::Error(Errno::Enomem),
            ResultClass::Error(Errno::Eperm),
        ],
        meaning: init,
    },
    Helper {
        id: id("timer_set_callback"),
        changes: &[Change::Room(Room::Timers)],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Eopnotsupp), ResultClass::Error(Errno::Einval)],
        meaning: set_callback,
    },
    Helper {
        id: id("timer_start"),
        changes: &[Change::Room(Room::Timers)],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Eopnotsupp), ResultClass::Error(Errno::Einval)],
        meaning: start,
    },
    Helper {
        id: id("timer_cancel"),
        changes: &[Change::Room(Room::Timers)],
        results: &[
            ResultClass::Range(0, 1),
            ResultClass::Error(Errno::Eopnotsupp),
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::Edeadlk),
        ],
        meaning: cancel,
    },
];

/// Bytes of a `struct bpf_timer`.
const LEN: u64 = 16;
/// Flags of [`init`] beyond these name no clock (`MAX_CLOCKS`).
const CLOCKS_MAX: u64 = 16;
/// `BPF_F_TIMER_ABS`: at a time of the clock, not so long from now.
const ABSOLUTE: u64 = 1;
/// `BPF_F_TIMER_CPU_PIN`: on this CPU.
const PINNED: u64 = 2;

/// The address of the timer that argument 1 points to.
fn timer(call: &Call<'_>) -> Result<u64, Trap> {
    call.bytes(1, LEN)?;
    Ok(call.arg(1))
}

/// `bpf_timer_init(timer, map, flags)`: makes the timer, which lies in a value of the map, for the clock that the flags
/// name. In an interrupt that cannot be masked EOPNOTSUPP, for another clock EINVAL, then EBUSY, ENOMEM and EPERM as in
/// [`Timers::init`](crate::world::Timers::init).
fn init(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (timer, map, flags) = (timer(call)?, call.map(2)?, call.arg(3));
    let owner = call.world.memory.object_at(timer).map(|(object, _)| object);
    if owner != Some(crate::memory::Object::MapValue(map as u32)) {
        return Err(call.fault(1, ArgumentFault::NotInTheMap));
    }
    let world = &mut *call.world;
    let clock = world
        .timers
        .reach()
        .and_then(|()| TimerClock::from_id(flags).filter(|_| flags < CLOCKS_MAX).ok_or(Errno::Einval));
    Ok(Errno::returned(clock.and_then(|clock| world.timers.init(&mut world.memory, timer, map as u32, clock))))
}

/// `bpf_timer_set_callback(timer, callback_fn)`: what the timer calls when it is due: `callback_fn(map, key, value)`.
fn set_callback(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (timer, function) = (timer(call)?, call.arg(2));
    let world = &mut *call.world;
    let reached = world.timers.reach();
    Ok(Errno::returned(reached.and_then(|()| world.timers.set_callback(&world.memory, timer, function))))
}

/// `bpf_timer_start(timer, nsecs, flags)`: starts it, anew if it runs already: so many nanoseconds from now on, or with
/// `BPF_F_TIMER_ABS` at that time of its clock. Other flags than that and `BPF_F_TIMER_CPU_PIN` are EINVAL.
fn start(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (timer, nsecs, flags) = (timer(call)?, call.arg(2) as i64, call.arg(3));
    let world = &mut *call.world;
    if let Err(errno) = world.timers.reach() {
        return Ok(errno.result());
    }
    if flags & !(ABSOLUTE | PINNED) != 0 {
        return Ok(Errno::Einval.result());
    }
    let clocks = [TimerClock::Monotonic, TimerClock::Realtime, TimerClock::Boottime];
    let now = clocks.map(|clock| world.timer_clock(clock));
    let now = |clock| now[clock as usize];
    Ok(Errno::returned(world.timers.start(&world.memory, timer, nsecs, now, flags & ABSOLUTE != 0)))
}

/// `bpf_timer_cancel(timer)`: stops it and forgets its function: 1 if it ran, else 0. From its own function that is
/// EDEADLK.
fn cancel(call: &mut Call<'_>) -> Result<u64, Trap> {
    let timer = timer(call)?;
    let world = &mut *call.world;
    let reached = world.timers.reach();
    let cancelled = reached.and_then(|()| world.timers.cancel(&world.memory, timer));
    Ok(cancelled.map_or_else(Errno::result, u64::from))
}
