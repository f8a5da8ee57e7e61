//! Ring buffers that programs read (`kernel/bpf/ringbuf.c`).

use super::dynptr::{Dynptr, DynptrType};
use super::map_elem::map_of;
use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::map::MapType;
use crate::map::ringbuf::{FORCE_WAKEUP, NO_WAKEUP};
use crate::map::user_ringbuf::{Next, UserRingbuf};
use crate::memory::{Memory, Object};
use crate::trap::{ArgumentFault, Trap};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("user_ringbuf_drain"),
    changes: &[Change::Records],
    results: &[
        ResultClass::Range(0, SAMPLES_MAX),
        ResultClass::Error(Errno::Einval),
        ResultClass::Error(Errno::Ebusy),
        ResultClass::Error(Errno::E2big),
    ],
    meaning: drain,
}];

/// So many samples are looked at in one call (`BPF_MAX_USER_RINGBUF_SAMPLES`).
const SAMPLES_MAX: i64 = 128 * 1024;
/// The number of the dynptr that a callback is given among the kernel's objects.
const DYNPTR: u32 = u32::MAX;

fn ring<'c>(call: &'c mut Call<'_>, index: usize) -> Result<(&'c mut UserRingbuf, &'c mut Memory), Trap> {
    let fault = call.fault(1, ArgumentFault::MapType);
    let world = &mut *call.world;
    let ring = world.maps[index].ops.user_ringbuf().ok_or(fault)?;
    Ok((ring, &mut world.memory))
}

/// `bpf_user_ringbuf_drain(map, callback_fn, ctx, flags)`: calls `callback_fn(dynptr, ctx)` for each sample until one
/// returns other than 0; how many there were, without those that were skipped. Other flags than for waking user space
/// up first (EINVAL), then a buffer that is being drained (EBUSY), then what is wrong with a sample (EINVAL, E2BIG),
/// also behind good ones.
fn drain(call: &mut Call<'_>) -> Result<u64, Trap> {
    let flags = call.arg(4);
    if flags & !(NO_WAKEUP | FORCE_WAKEUP) != 0 {
        return Ok(Errno::Einval.result());
    }
    let index = map_of(call, |of| of == MapType::USER_RINGBUF)?;
    let (of, _) = ring(call, index)?;
    if std::mem::replace(&mut of.is_busy, true) {
        return Ok(Errno::Ebusy.result());
    }
    let (touched, result) = samples(call, index)?;
    let (of, _) = ring(call, index)?;
    of.is_busy = false;
    of.wake(flags, touched > 0);
    Ok(result.map_or_else(Errno::result, |count| count as u64))
}

/// Hands the samples over: how many were looked at, and how many of these were not skipped.
fn samples(call: &mut Call<'_>, index: usize) -> Result<(i64, Result<i64, Errno>), Trap> {
    let (mut touched, mut skipped, mut stops) = (0, 0, false);
    while touched < SAMPLES_MAX && !stops {
        let (of, memory) = ring(call, index)?;
        match of.peek(memory) {
            Err(errno) => return Ok((touched, Err(errno))),
            Ok(Next::Nothing) => break,
            Ok(Next::Skipped) => skipped += 1,
            Ok(Next::Sample { addr, len }) => {
                stops = hand_over(call, addr, len)?;
                let (of, memory) = ring(call, index)?;
                of.release(memory, addr, len);
            }
        }
        touched += 1;
    }
    Ok((touched, Ok(touched - skipped)))
}

/// Calls back with a dynptr of a sample: whether the function wants no other.
fn hand_over(call: &mut Call<'_>, addr: u64, len: u32) -> Result<bool, Trap> {
    let (function, context) = (call.arg(2), call.arg(3));
    let memory = &mut call.world.memory;
    // Frames end before this does.
    let dynptr = memory.place_nested(Object::Kernel(DYNPTR), Dynptr::LEN).ok_or(Trap::CallDepth)?;
    memory.poke(dynptr, &Dynptr::new(addr, len, DynptrType::Local).bytes());
    let returned = call.callback(function, [dynptr, context, 0, 0, 0])?;
    call.world.memory.remove_passing(dynptr);
    Ok(returned != 0)
}
