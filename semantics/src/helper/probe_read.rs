//! Careful reads of kernel and user memory (`kernel/trace/bpf_trace.c`). A read that fails leaves zeros.

use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::Refused;
use crate::world::user::{Paging, is_user};

const EFAULT: ResultClass = ResultClass::Error(Errno::Efault);
const ERANGE: ResultClass = ResultClass::Error(Errno::Erange);
/// The length of a string.
const LENGTH: ResultClass = ResultClass::Range(0, i32::MAX as i64);

const fn row(id: u32, results: &'static [ResultClass], meaning: fn(&mut Call<'_>) -> Result<u64, Trap>) -> Helper {
    Helper { id, changes: &[], results, meaning }
}

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    row(id("probe_read"), &[ResultClass::Success, EFAULT, ERANGE], read),
    row(id("probe_read_str"), &[EFAULT, ERANGE, LENGTH], read_str),
    row(id("probe_read_user"), &[ResultClass::Success, EFAULT], read_user),
    row(id("probe_read_user_str"), &[EFAULT, LENGTH], read_user_str),
    row(id("probe_read_kernel"), &[ResultClass::Success, EFAULT, ERANGE], read_kernel),
    row(id("probe_read_kernel_str"), &[EFAULT, ERANGE, LENGTH], read_kernel_str),
];

/// Where the bytes go to: argument 1, of as many bytes as argument 2 says. Nothing has to be there for no bytes.
pub(super) fn destination<'a>(call: &'a mut Call<'_>) -> Result<&'a mut [u8], Trap> {
    let size = call.int(2) as u64;
    if size == 0 { Ok(&mut []) } else { call.bytes_mut(1, size) }
}

/// All the bytes in the destination, or what there is instead.
pub(super) fn finish_read(call: &mut Call<'_>, read: Result<Vec<u8>, Errno>) -> Result<u64, Trap> {
    let done = match read {
        Ok(bytes) => {
            destination(call)?.copy_from_slice(&bytes);
            Ok(0)
        }
        Err(errno) => Err(errno),
    };
    finish(call, done)
}

/// Ends a read: a failed one leaves zeros.
pub(super) fn finish(call: &mut Call<'_>, done: Result<u64, Errno>) -> Result<u64, Trap> {
    if done.is_err() {
        destination(call)?.fill(0);
    }
    Ok(done.unwrap_or_else(Errno::result))
}

/// What ended a read, as the kernel's error; what has no meaning ends the run.
fn settled(done: Result<u64, Refused>) -> Result<Result<u64, Errno>, Trap> {
    done.map_or_else(|refused| refused.errno().map(Err), |value| Ok(Ok(value)))
}

/// `bpf_probe_read(dst, size, unsafe_ptr)`: reads from the half of the address space that the address lies in.
fn read(call: &mut Call<'_>) -> Result<u64, Trap> {
    if is_user(call.arg(3)) { read_user(call) } else { read_kernel(call) }
}

/// `bpf_probe_read_str(dst, size, unsafe_ptr)`: likewise.
fn read_str(call: &mut Call<'_>) -> Result<u64, Trap> {
    if is_user(call.arg(3)) { read_user_str(call) } else { read_kernel_str(call) }
}

/// `bpf_probe_read_user(dst, size, unsafe_ptr)`: EFAULT where not all of it can be read at once. No bytes can be read anywhere
/// but in the kernel's half.
fn read_user(call: &mut Call<'_>) -> Result<u64, Trap> {
    const KERNEL: u64 = 1 << 63;
    let (size, from) = (destination(call)?.len() as u64, call.arg(3));
    let is_accessible = is_user(from) || from < KERNEL && !crate::world::user::is_kernel(from);
    let read = if is_accessible { call.world.user.read(from, size, Paging::Fault) } else { Err(Errno::Efault) };
    finish_read(call, read)
}

/// `bpf_probe_read_user_str(dst, size, unsafe_ptr)`: the length with NUL, `size` where the string was cut off; but 0 of an empty
/// one. Bytes behind the NUL are left as they are, but for those up to a multiple of 8, which are zeroed.
fn read_user_str(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, from) = (destination(call)?.len() as u64, call.arg(3));
    let done = match call.world.user_string(from, size) {
        Ok((bytes, len)) => {
            destination(call)?[..bytes.len()].copy_from_slice(&bytes);
            Ok(len)
        }
        Err(errno) => Err(errno),
    };
    finish(call, done)
}

/// `bpf_probe_read_kernel(dst, size, unsafe_ptr)`: ERANGE where kernel code does not even try, also for no bytes; EFAULT where not
/// all of it can be read. Bytes move eight at a time, so one buffer in another repeats.
fn read_kernel(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, to, from) = (destination(call)?.len() as u64, call.arg(1), call.arg(3));
    let done = settled(call.world.kernel_bytes(from, size).map(|_| 0))?;
    if done.is_ok() {
        let mut at = 0;
        while at < size {
            let len = [8, 4, 2, 1].into_iter().find(|len| at + len <= size).unwrap_or(1);
            let bytes = call.world.memory.peek(from + at, len).to_vec();
            call.world.memory.poke(to + at, &bytes);
            at += len;
        }
    }
    finish(call, done)
}

/// `bpf_probe_read_kernel_str(dst, size, unsafe_ptr)`: the length with NUL, `size` where the string was cut off. Bytes behind the
/// NUL are left as they are. Bytes move one by one, so one buffer in another repeats.
fn read_kernel_str(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, to, from) = (destination(call)?.len() as u64, call.arg(1), call.arg(3));
    if size == 0 {
        return Ok(0);
    }
    let done = match settled(call.world.kernel_rest(from))? {
        Err(errno) => Err(errno),
        Ok(rest) => {
            let mut len = 0;
            loop {
                if len == rest {
                    break Err(Errno::Efault);
                }
                let byte = call.world.memory.peek(from + len, 1)[0];
                call.world.memory.poke(to + len, &[byte]);
                len += 1;
                if byte == 0 || len == size {
                    call.world.memory.poke(to + len - 1, &[0]);
                    break Ok(len);
                }
            }
        }
    };
    finish(call, done)
}
