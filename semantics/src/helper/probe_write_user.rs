//! Writes to user memory (`kernel/trace/bpf_trace.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::Room;
use crate::world::user::is_user;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("probe_write_user"),
    changes: &[Change::Room(Room::User)],
    results: &[ResultClass::Success, ResultClass::Error(Errno::Eperm), ResultClass::Error(Errno::Efault)],
    meaning: probe_write_user,
}];

/// `bpf_probe_write_user(dst, src, len)`: EPERM in an interrupt, in a thread of the kernel and in a task that is on its way out;
/// EFAULT where not all of it can be written without waiting for pages: what comes before is written.
fn probe_write_user(call: &mut Call<'_>) -> Result<u64, Trap> {
    let to = call.arg(1);
    let bytes = call.bytes(2, call.int(3) as u64)?.to_vec();
    let task = &call.world.task.config;
    if task.in_interrupt || task.in_softirq || !task.is_sound() {
        return Ok(Errno::Eperm.result());
    }
    let done = if is_user(to) { call.world.user.write(to, &bytes) } else { Err(Errno::Efault) };
    Ok(Errno::returned(done))
}
