//! Ring buffers that programs write (`kernel/bpf/ringbuf.c`).

use super::dynptr::{self, Dynptr, DynptrType};
use super::map_elem::map_of;
use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::map::MapType;
use crate::map::ringbuf::{FORCE_WAKEUP, NO_WAKEUP, Ringbuf};
use crate::memory::{Memory, Object};
use crate::trap::{ArgumentFault, Trap};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("ringbuf_output"),
        changes: &[Change::Records],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Eagain)],
        meaning: output,
    },
    Helper {
        id: id("ringbuf_reserve"),
        changes: &[Change::Records],
        results: &[ResultClass::Null, ResultClass::Record],
        meaning: reserve,
    },
    Helper {
        id: id("ringbuf_submit"),
        changes: &[Change::Records],
        results: &[ResultClass::Success],
        meaning: |call| commit(call, false),
    },
    Helper {
        id: id("ringbuf_discard"),
        changes: &[Change::Records],
        results: &[ResultClass::Success],
        meaning: |call| commit(call, true),
    },
    Helper { id: id("ringbuf_query"), changes: &[], results: &[ResultClass::U64], meaning: query },
    Helper {
        id: id("ringbuf_reserve_dynptr"),
        changes: &[Change::Records],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::E2big)],
        meaning: reserve_dynptr,
    },
    Helper {
        id: id("ringbuf_submit_dynptr"),
        changes: &[Change::Records],
        results: &[ResultClass::Success],
        meaning: |call| commit_dynptr(call, false),
    },
    Helper {
        id: id("ringbuf_discard_dynptr"),
        changes: &[Change::Records],
        results: &[ResultClass::Success],
        meaning: |call| commit_dynptr(call, true),
    },
];

/// The ring buffer that argument 1 names, with the memory that it lies in.
fn ring<'c>(call: &'c mut Call<'_>) -> Result<(&'c mut Ringbuf, &'c mut Memory), Trap> {
    let index = map_of(call, |of| of == MapType::RINGBUF)?;
    let fault = call.fault(1, ArgumentFault::MapType);
    let world = &mut *call.world;
    let ring = world.maps[index].ops.ringbuf().ok_or(fault)?;
    Ok((ring, &mut world.memory))
}

/// `bpf_ringbuf_output(ringbuf, data, size, flags)`: a record with a copy of the data, submitted at once. Flags other
/// than `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP` first (EINVAL), then whatever keeps a record from being reserved
/// (EAGAIN).
fn output(call: &mut Call<'_>) -> Result<u64, Trap> {
    let flags = call.arg(4);
    if flags & !(NO_WAKEUP | FORCE_WAKEUP) != 0 {
        return Ok(Errno::Einval.result());
    }
    let bytes = call.bytes(2, call.arg(3))?.to_vec();
    let (ring, memory) = ring(call)?;
    let has_room = ring.output(memory, &bytes, flags);
    Ok(if has_room { 0 } else { Errno::Eagain.result() })
}

/// `bpf_ringbuf_reserve(ringbuf, size, flags)`: the address of a new record, which holds whatever lies there; NULL for
/// any flag, for one that is too long, and where there is no room.
fn reserve(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, flags) = (call.arg(2), call.arg(3));
    let (ring, memory) = ring(call)?;
    if flags != 0 {
        return Ok(0);
    }
    Ok(ring.reserve(memory, size).unwrap_or(0))
}

/// `bpf_ringbuf_submit(data, flags)`, `bpf_ringbuf_discard(data, flags)`: the record is for user space now, to read or
/// to skip. Other flags than those that wake user space up, or do not, mean nothing.
fn commit(call: &mut Call<'_>, discard: bool) -> Result<u64, Trap> {
    let (record, flags) = (call.arg(1), call.arg(2));
    finish(call, record, flags, discard)
}

/// Submits or discards the record at this address, which argument 1 led to.
fn finish(call: &mut Call<'_>, record: u64, flags: u64, discard: bool) -> Result<u64, Trap> {
    let fault = call.fault(1, ArgumentFault::NotARecord);
    let Some(Object::Record(map)) = call.world.memory.passing_at(record) else { return Err(fault) };
    let world = &mut *call.world;
    let ring = world.maps.get_mut(map as usize).and_then(|map| map.ops.ringbuf()).ok_or(fault)?;
    ring.commit(&mut world.memory, record, flags, discard);
    Ok(0)
}

/// `bpf_ringbuf_query(ringbuf, flags)`: bytes that are not read yet (0), bytes of the buffer (1), how far user space
/// has read (2), how far programs have reserved (3); 0 for other flags.
fn query(call: &mut Call<'_>) -> Result<u64, Trap> {
    let flags = call.arg(2);
    let (ring, _) = ring(call)?;
    Ok(match flags {
        0 => ring.available(),
        1 => ring.size(),
        2 => ring.consumer(),
        3 => ring.producer(),
        _ => 0,
    })
}

/// `bpf_ringbuf_reserve_dynptr(ringbuf, size, flags, ptr)`: makes `ptr` lead to a new record. Any flag first (EINVAL),
/// then more bytes than a dynptr can lead to (E2BIG), then whatever keeps a record from being reserved (EINVAL); `ptr`
/// leads nowhere then.
fn reserve_dynptr(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, flags) = (call.int(2) as u32, call.arg(3));
    let (ring, memory) = ring(call)?;
    let made = if flags != 0 {
        Err(Errno::Einval)
    } else if size > Dynptr::SIZE_MAX {
        Err(Errno::E2big)
    } else {
        let record = ring.reserve(memory, size.into()).ok_or(Errno::Einval);
        record.map(|record| Dynptr::new(record, size, DynptrType::Ringbuf).bytes())
    };
    call.write(4, &made.unwrap_or(Dynptr::NULL))?;
    Ok(Errno::returned(made.map(|_| ())))
}

/// `bpf_ringbuf_submit_dynptr(ptr, flags)`, `bpf_ringbuf_discard_dynptr(ptr, flags)`: as for a record; `ptr` leads
/// nowhere afterwards. One that leads nowhere already stays so.
fn commit_dynptr(call: &mut Call<'_>, discard: bool) -> Result<u64, Trap> {
    let dynptr = dynptr::given(call, 1)?;
    if dynptr.data == 0 {
        return Ok(0);
    }
    finish(call, dynptr.data, call.arg(2), discard)?;
    call.write(1, &Dynptr::NULL)?;
    Ok(0)
}
