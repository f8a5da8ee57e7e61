//! Signals to the current task (`kernel/trace/bpf_trace.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::Room;
use crate::world::task::Target;

const RESULTS: &[ResultClass] = &[
    ResultClass::Success,
    ResultClass::Error(Errno::Eperm),
    ResultClass::Error(Errno::Einval),
    ResultClass::Error(Errno::Ebusy),
];
const CHANGES: &[Change] = &[Change::Room(Room::Task)];

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("send_signal"), changes: CHANGES, results: RESULTS, meaning: send_signal },
    Helper { id: id("send_signal_thread"), changes: CHANGES, results: RESULTS, meaning: send_signal_thread },
];

/// `bpf_send_signal(sig)`: to any thread of the current process. EPERM for a thread of the kernel, a task on its way out, and the
/// first process; EINVAL for no signal; EBUSY for a second one while interrupts are off. (The manual's EAGAIN does not occur:
/// signals of the kernel's own need no room in a queue.)
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn send_signal(call: &mut Call<'_>) -> Result<u64, Trap> {
    let signal = call.int(1) as u32;
    Ok(Errno::returned(call.world.task.send(signal, Target::Process)))
}

/// `bpf_send_signal_thread(sig)`: to the current thread.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn send_signal_thread(call: &mut Call<'_>) -> Result<u64, Trap> {
    let signal = call.int(1) as u32;
    Ok(Errno::returned(call.world.task.send(signal, Target::Thread)))
}
