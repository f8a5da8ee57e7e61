//! Values of other CPUs (`kernel/bpf/helpers.c`).

use super::map_elem::map_of;
use super::{Call, Helper, ResultClass, id};
use crate::map::MapType;
use crate::trap::{ArgumentFault, Trap};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("map_lookup_percpu_elem"),
    changes: &[],
    results: &[ResultClass::Null, ResultClass::MapValue],
    meaning: lookup_percpu,
}];

fn is_per_cpu(of: MapType) -> bool {
    matches!(of, MapType::PERCPU_ARRAY | MapType::PERCPU_HASH | MapType::LRU_PERCPU_HASH)
}

/// `bpf_map_lookup_percpu_elem(map, key, cpu)`: the address of the value that a CPU has under the key; NULL if there is no such
/// CPU, or no element. The CPU is a `u32`: the upper half of the register does not count.
fn lookup_percpu(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, is_per_cpu)?;
    let (addr, cpu) = (call.arg(2), call.arg(3) as u32);
    let world = &mut *call.world;
    let map = &mut world.maps[index];
    let len = u64::from(map.def.key_size);
    let Ok(key) = world.memory.read(addr, len) else {
        return Err(call.fault(2, ArgumentFault::Unreadable(len)));
    };
    Ok(map.ops.lookup_percpu(key, cpu).unwrap_or(0))
}
