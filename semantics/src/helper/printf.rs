//! Printing to the trace, and into buffers (`kernel/trace/bpf_trace.c`, `kernel/bpf/helpers.c`).

use super::{Call, Change, Helper, ResultClass, format, id};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::Room;

const EINVAL: ResultClass = ResultClass::Error(Errno::Einval);
const ENOSPC: ResultClass = ResultClass::Error(Errno::Enospc);
const EBUSY: ResultClass = ResultClass::Error(Errno::Ebusy);
/// How many bytes were printed, or would have been.
const LENGTH: ResultClass = ResultClass::Range(0, i32::MAX as i64);

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("trace_printk"),
        changes: &[Change::Room(Room::Trace)],
        results: &[EINVAL, ENOSPC, EBUSY, LENGTH],
        meaning: trace_printk,
    },
    Helper {
        id: id("trace_vprintk"),
        changes: &[Change::Room(Room::Trace)],
        results: &[EINVAL, ENOSPC, EBUSY, LENGTH],
        meaning: trace_vprintk,
    },
    Helper { id: id("snprintf"), changes: &[], results: &[EINVAL, ENOSPC, EBUSY, LENGTH], meaning: snprintf },
];

/// Bytes of a record of the trace (`MAX_BPRINTF_BUF`), its NUL among them.
const RECORD_LEN: usize = 1024;
/// The most arguments in an array (`MAX_BPRINTF_VARARGS`).
const ARGS_MAX: u64 = 12;
/// Programs of one processor that can print at once (`MAX_BPRINTF_NEST_LEVEL`).
const USERS_MAX: u32 = 3;

/// The format in argument 1, whose bytes argument 2 counts, up to its NUL; `None` without one.
fn counted_format(call: &Call<'_>) -> Result<Option<Vec<u8>>, Trap> {
    let bytes = call.bytes(1, call.int(2) as u64)?;
    Ok(bytes.iter().position(|byte| *byte == 0).map(|end| bytes[..end].to_vec()))
}

/// The arguments in the array that argument `number` points to, whose bytes the next one counts: a multiple of 8, 12 numbers at
/// most (EINVAL).
fn array(call: &Call<'_>, number: u8) -> Result<Result<Vec<u64>, Errno>, Trap> {
    let len = call.int(number + 1) as u64;
    if !len.is_multiple_of(8) || len > 8 * ARGS_MAX || len != 0 && call.arg(number) == 0 {
        return Ok(Err(Errno::Einval));
    }
    if len == 0 {
        return Ok(Ok(Vec::new()));
    }
    let bytes = call.bytes(number, len)?.chunks_exact(8);
    Ok(Ok(bytes.map(|word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))).collect()))
}

/// Prints a record: the length that it would have without an end.
fn record(call: &mut Call<'_>, format: Option<&[u8]>, args: &[u64]) -> Result<u64, Trap> {
    let Some(format) = format else { return Ok(Errno::Einval.result()) };
    if call.world.trace.config.buffers_in_use >= USERS_MAX {
        return Ok(Errno::Ebusy.result());
    }
    let arguments = match format::prepare(call.world, format, args)? {
        Ok(arguments) => arguments,
        Err(errno) => return Ok(errno.result()),
    };
    let printed = format::print(call.world, format, &arguments, RECORD_LEN);
    let text = &printed.text[..printed.text.len().min(RECORD_LEN - 1)];
    call.world.trace.print(text);
    Ok(printed.len as u64)
}

/// `bpf_trace_printk(fmt, fmt_size, ...)`: a format that ends inside its bytes (EINVAL), with up to three numbers. No verifier
/// asks whether the program wrote them: one that it did not write is whatever the register holds, which is open.
fn trace_printk(call: &mut Call<'_>) -> Result<u64, Trap> {
    let format = counted_format(call)?;
    record(call, format.as_deref(), &[call.arg(3), call.arg(4), call.arg(5)])
}

/// `bpf_trace_vprintk(fmt, fmt_size, data, data_len)`: likewise, with an array of numbers, which is looked at first.
fn trace_vprintk(call: &mut Call<'_>) -> Result<u64, Trap> {
    let format = counted_format(call)?;
    match array(call, 3)? {
        Ok(args) => record(call, format.as_deref(), &args),
        Err(errno) => Ok(errno.result()),
    }
}

/// `bpf_snprintf(str, str_size, fmt, data, data_len)`: prints into the buffer, with a NUL behind it or in the place of its last
/// byte; how many bytes all of it takes, with NUL. The bytes behind are left as they are.
fn snprintf(call: &mut Call<'_>) -> Result<u64, Trap> {
    let format = call.string(3)?.to_vec();
    let args = match array(call, 4)? {
        Ok(args) => args,
        Err(errno) => return Ok(errno.result()),
    };
    // Without arguments no buffer is needed for them.
    if !args.is_empty() && call.world.trace.config.buffers_in_use >= USERS_MAX {
        return Ok(Errno::Ebusy.result());
    }
    let arguments = match format::prepare(call.world, &format, &args)? {
        Ok(arguments) => arguments,
        Err(errno) => return Ok(errno.result()),
    };
    let size = call.int(2) as usize;
    let printed = format::print(call.world, &format, &arguments, size);
    if size > 0 {
        let len = printed.text.len().min(size - 1);
        let buffer = call.bytes_mut(1, size as u64)?;
        buffer[..len].copy_from_slice(&printed.text[..len]);
        buffer[len] = 0;
    }
    Ok(printed.len as u64 + 1)
}
