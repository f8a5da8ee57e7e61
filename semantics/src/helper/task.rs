//! The current task (kernel/bpf/helpers.c, `kernel/trace/bpf_trace.c`, `kernel/bpf/task_iter.c`).

use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::{ArgumentFault, Trap};
use crate::world::objects::{KnownTask, Thing};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("get_current_pid_tgid"), changes: &[], results: &[ResultClass::U64], meaning: pid_tgid },
    Helper { id: id("get_current_uid_gid"), changes: &[], results: &[ResultClass::U64], meaning: uid_gid },
    Helper { id: id("get_current_comm"), changes: &[], results: &[ResultClass::Success], meaning: comm },
    Helper { id: id("get_current_task"), changes: &[], results: &[ResultClass::Kernel], meaning: current },
    Helper { id: id("get_current_task_btf"), changes: &[], results: &[ResultClass::Kernel], meaning: current },
    Helper { id: id("task_pt_regs"), changes: &[], results: &[ResultClass::Kernel], meaning: pt_regs },
    Helper {
        id: id("get_ns_current_pid_tgid"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Enoent)],
        meaning: ns_pid_tgid,
    },
    Helper {
        id: id("find_vma"),
        changes: &[],
        results: &[
            ResultClass::Success,
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::Enoent),
            ResultClass::Error(Errno::Ebusy),
        ],
        meaning: find_vma,
    },
];

/// `bpf_get_current_pid_tgid()`: the process above, the thread below, as the first namespace numbers them.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn pid_tgid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let task = &call.world.task.config;
    Ok(u64::from(task.tgid) << 32 | u64::from(task.pid))
}

/// `bpf_get_current_uid_gid()`: the group above, the user below.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn uid_gid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let task = &call.world.task.config;
    Ok(u64::from(task.gid) << 32 | u64::from(task.uid))
}

/// `bpf_get_current_comm(buf, size)`: as much of the task's name as fits, then at least one NUL, up to the end of the buffer.
fn comm(call: &mut Call<'_>) -> Result<u64, Trap> {
    let name = call.world.task.config.comm_bytes();
    let size = call.int(2) as usize;
    let buffer = call.bytes_mut(1, size as u64)?;
    let len = name.len().min(size.saturating_sub(1));
    buffer[..len].copy_from_slice(&name[..len]);
    buffer[len..].fill(0);
    Ok(0)
}

/// `bpf_get_current_task()`, `bpf_get_current_task_btf()`: its address.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn current(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.world.object(Thing::Task))
}

/// The task that an argument is the address of.
pub(super) fn task(call: &Call<'_>, number: u8) -> Result<KnownTask, Trap> {
    call.world.task_at(call.arg(number)).ok_or_else(|| call.fault(number, ArgumentFault::NotATask))
}

/// `bpf_task_pt_regs(task)`: where the registers lie that it entered the kernel with.
fn pt_regs(call: &mut Call<'_>) -> Result<u64, Trap> {
    task(call, 1)?;
    Ok(call.world.object(Thing::Regs))
}

/// `bpf_get_ns_current_pid_tgid(dev, ino, nsdata, size)`: the task's numbers in its own namespace, if that is the named one. The
/// size first, then the device, which has 32 bits (EINVAL); a task that has left its namespace is ENOENT; another namespace is
/// EINVAL. The numbers are 0 where there is an error.
fn ns_pid_tgid(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (dev, ino, size) = (call.arg(1), call.arg(2), call.int(4) as u64);
    let task = &call.world.task.config;
    let namespace = task.pid_namespace;
    let (pid, tgid) = task.namespace_numbers();
    let found = if size != 8 || u32::try_from(dev).is_err() {
        Err(Errno::Einval)
    } else if namespace.gone {
        Err(Errno::Enoent)
    } else if dev != u64::from(namespace.dev) || ino != namespace.ino {
        Err(Errno::Einval)
    } else {
        Ok(u64::from(tgid) << 32 | u64::from(pid))
    };
    let data = call.bytes_mut(3, size)?;
    data.fill(0);
    Ok(match found {
        Ok(numbers) => {
            data.copy_from_slice(&numbers.to_le_bytes());
            0
        }
        Err(errno) => errno.result(),
    })
}

/// `bpf_find_vma(task, addr, callback_fn, callback_ctx, flags)`: calls `callback_fn(task, vma, callback_ctx)` for the mapping
/// that holds the address. Flags first (EINVAL), then a task without memory (ENOENT), mappings that are being changed (EBUSY),
/// and no mapping there (ENOENT). What the callback returns does not count.
fn find_vma(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (addr, function, context) = (call.arg(2), call.arg(3), call.arg(4));
    let known = task(call, 1)?;
    if call.arg(5) != 0 {
        return Ok(Errno::Einval.result());
    }
    if known == KnownTask::Other || call.world.task.config.kernel_thread {
        return Ok(Errno::Enoent.result());
    }
    if call.world.user.config.locked {
        return Ok(Errno::Ebusy.result());
    }
    let Some(range) = call.world.user.range_at(addr) else { return Ok(Errno::Enoent.result()) };
    let vma = call.world.object(Thing::Vma(range as u32));
    call.callback(function, [call.arg(1), vma, context, 0, 0])?;
    Ok(0)
}
