//! Maps without keys: queues, stacks, bloom filters (`kernel/bpf/helpers.c`).

use super::map_elem::map_of;
use super::{Call, Change, Helper, ResultClass, id};
use crate::map::{Errno, MapOps, MapType};
use crate::trap::Trap;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("map_push_elem"),
        changes: &[Change::MapValues],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::E2big)],
        meaning: push,
    },
    Helper {
        id: id("map_pop_elem"),
        changes: &[Change::MapValues],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Enoent)],
        meaning: pop,
    },
    Helper {
        id: id("map_peek_elem"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Enoent)],
        meaning: peek,
    },
];

fn is_queue(of: MapType) -> bool {
    matches!(of, MapType::QUEUE | MapType::STACK)
}

fn has_values(of: MapType) -> bool {
    is_queue(of) || of == MapType::BLOOM_FILTER
}

/// `bpf_map_push_elem(map, value, flags)`: adds a copy of the value.
fn push(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, has_values)?;
    let value = call.bytes(2, u64::from(call.world.maps[index].def.value_size))?.to_vec();
    let flags = call.arg(3);
    Ok(Errno::returned(call.world.maps[index].ops.push(&value, flags)))
}

/// `bpf_map_pop_elem(map, value)`: takes the next value out; zeros where there is none.
fn pop(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, is_queue)?;
    take(call, index, |map, value| map.pop(value))
}

/// `bpf_map_peek_elem(map, value)`: copies the next value, zeros where there is none; of a bloom filter, whether the value may
/// be in it.
fn peek(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, has_values)?;
    if is_queue(call.world.maps[index].def.map_type) {
        return take(call, index, |map, value| map.peek(value));
    }
    let mut value = call.bytes(2, u64::from(call.world.maps[index].def.value_size))?.to_vec();
    Ok(Errno::returned(call.world.maps[index].ops.peek(&mut value)))
}

/// Writes a value to argument 2, also the one that comes with an error.
fn take(
    call: &mut Call<'_>,
    index: usize,
    take: fn(&mut dyn MapOps, &mut [u8]) -> Result<(), Errno>,
) -> Result<u64, Trap> {
    let len = call.world.maps[index].def.value_size;
    // Nothing is taken out for memory that is not there.
    call.bytes_mut(2, u64::from(len))?;
    let mut value = vec![0; len as usize];
    let taken = take(&mut *call.world.maps[index].ops, &mut value);
    call.write(2, &value)?;
    Ok(Errno::returned(taken))
}
