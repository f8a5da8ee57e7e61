//! Elements of maps: lookup and update (kernel/bpf/helpers.c).

use super::{Call, Change, Helper, ResultClass, id};
use crate::map::{Errno, MapType};
use crate::trap::{ArgumentFault, Trap};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("map_lookup_elem"),
        changes: &[],
        results: &[ResultClass::Null, ResultClass::MapValue],
        meaning: lookup,
    },
    Helper {
        id: id("map_update_elem"),
        changes: &[Change::MapValues],
        results: &[
            ResultClass::Success,
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::E2big),
            ResultClass::Error(Errno::Eexist),
            ResultClass::Error(Errno::Enoent),
        ],
        meaning: update,
    },
];

/// The index of the map that the first argument names, if its type is modelled.
fn modelled_map(call: &Call<'_>) -> Result<usize, Trap> {
    let index = call.map(1)?;
    let def = &call.world.maps[index].def;
    if def.map_type == MapType::PROG_ARRAY {
        return Err(call.fault(1, ArgumentFault::MapType));
    }
    def.lack().map_or(Ok(index), |lack| Err(lack.into()))
}

/// `bpf_map_lookup_elem(map, key)`: the address of the value under the key, else NULL.
fn lookup(call: &mut Call<'_>) -> Result<u64, Trap> {
    let map = &call.world.maps[modelled_map(call)?];
    let key = call.bytes(2, u64::from(map.def.key_size))?;
    Ok(map.ops.lookup(key).unwrap_or(0))
}

/// `bpf_map_update_elem(map, key, value, flags)`: stores a copy of the value.
fn update(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = modelled_map(call)?;
    let def = &call.world.maps[index].def;
    // Copies, since key and value may lie in the map itself.
    let key = call.bytes(2, u64::from(def.key_size))?.to_vec();
    let value = call.bytes(3, u64::from(def.value_size))?.to_vec();
    let flags = call.arg(4);
    let world = &mut *call.world;
    let done = world.maps[index].ops.update(&mut world.memory, &key, &value, flags);
    Ok(done.map_or_else(Errno::result, |()| 0))
}
