//! Reads of user memory that wait for pages (`kernel/bpf/helpers.c`). A read that fails leaves zeros.

use super::probe_read::{destination, finish, finish_read};
use super::{Call, Change, Helper, ResultClass, id, task};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::Room;
use crate::world::objects::KnownTask;
use crate::world::user::{Paging, is_user};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("copy_from_user"),
        changes: &[Change::Room(Room::User)],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Efault)],
        meaning: copy_from_user,
    },
    Helper {
        id: id("copy_from_user_task"),
        changes: &[Change::Room(Room::User)],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Efault)],
        meaning: copy_from_user_task,
    },
];

/// Reads into the destination: all of it, or EFAULT.
fn copy(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, from) = (destination(call)?.len() as u64, call.arg(3));
    if size == 0 {
        return Ok(0);
    }
    let read = if is_user(from) { call.world.user.read(from, size, Paging::Wait) } else { Err(Errno::Efault) };
    finish_read(call, read)
}

/// `bpf_copy_from_user(dst, size, user_ptr)`: EFAULT where not all of it can be read; no bytes can be read anywhere.
fn copy_from_user(call: &mut Call<'_>) -> Result<u64, Trap> {
    copy(call)
}

/// `bpf_copy_from_user_task(dst, size, user_ptr, tsk, flags)`: from the memory of a task, all of it or EFAULT. Flags first
/// (EINVAL, and the destination is left as it is); no bytes can be read anywhere. The world has the memory of the current process
/// only.
fn copy_from_user_task(call: &mut Call<'_>) -> Result<u64, Trap> {
    let known = task::task(call, 4)?;
    if call.arg(5) != 0 {
        return Ok(Errno::Einval.result());
    }
    if known == KnownTask::Other && !destination(call)?.is_empty() {
        return finish(call, Err(Errno::Efault));
    }
    copy(call)
}
