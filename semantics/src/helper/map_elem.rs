//! Elements of maps under keys: lookup, update, delete (`kernel/bpf/helpers.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::map::{Errno, Map, MapType};
use crate::trap::{ArgumentFault, Trap, Unsupported};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("map_lookup_elem"),
        changes: &[],
        results: &[ResultClass::Null, ResultClass::MapValue, ResultClass::Map],
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
            ResultClass::Error(Errno::Enospc),
        ],
        meaning: update,
    },
    Helper {
        id: id("map_delete_elem"),
        changes: &[Change::MapValues],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Enoent)],
        meaning: delete,
    },
];

/// The index of the map that the first argument names, if it has a meaning and the helper takes its type.
pub(super) fn map_of(call: &Call<'_>, takes: fn(MapType) -> bool) -> Result<usize, Trap> {
    let index = call.map(1)?;
    let def = &call.world.maps[index].def;
    match def.lack() {
        Some(lack @ Unsupported::MapType(_)) => Err(lack.into()),
        _ if !takes(def.map_type) => Err(call.fault(1, ArgumentFault::MapType)),
        lack => lack.map_or(Ok(index), |lack| Err(lack.into())),
    }
}

/// Types whose elements programs look up (`check_map_func_compatibility`).
fn has_lookup(of: MapType) -> bool {
    let others = [
        MapType::ARRAY_OF_MAPS,
        MapType::HASH_OF_MAPS,
        MapType::DEVMAP,
        MapType::DEVMAP_HASH,
        MapType::XSKMAP,
        MapType::SOCKMAP,
        MapType::SOCKHASH,
    ];
    has_elements(of) || others.contains(&of)
}

/// Types whose elements programs make and remove.
pub(super) fn has_elements(of: MapType) -> bool {
    let types = [
        MapType::HASH,
        MapType::ARRAY,
        MapType::PERCPU_HASH,
        MapType::PERCPU_ARRAY,
        MapType::LRU_HASH,
        MapType::LRU_PERCPU_HASH,
        MapType::LPM_TRIE,
    ];
    types.contains(&of)
}

fn is_of_sockets(of: MapType) -> bool {
    matches!(of, MapType::SOCKMAP | MapType::SOCKHASH)
}

/// `bpf_map_lookup_elem(map, key)`: the address of the value under the key, or the handle of the map, else NULL. In a per-CPU
/// map that is the value of the current CPU; in one that evicts, the element counts as looked at.
fn lookup(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, has_lookup)?;
    let addr = call.arg(2);
    let world = &mut *call.world;
    let map = &mut world.maps[index];
    let len = u64::from(map.def.key_size);
    let Ok(key) = world.memory.read(addr, len) else {
        return Err(call.fault(2, ArgumentFault::Unreadable(len)));
    };
    match map.ops.lookup(key) {
        Some(found) => Ok(found),
        None => nothing(map, key),
    }
}

/// NULL, but where there is an object that has no structure here.
fn nothing(map: &Map, key: &[u8]) -> Result<u64, Trap> {
    match map.ops.held(key) {
        Some(_) => Err(Unsupported::MapProperty("sockets").into()),
        None => Ok(0),
    }
}

/// `bpf_map_update_elem(map, key, value, flags)`: stores a copy of the value.
fn update(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, |of| has_elements(of) || is_of_sockets(of))?;
    let def = &call.world.maps[index].def;
    if is_of_sockets(def.map_type) {
        return Err(Unsupported::MapProperty("sockets").into());
    }
    // Copies, since key and value may lie in the map itself.
    let key = call.bytes(2, u64::from(def.key_size))?.to_vec();
    let value = call.bytes(3, u64::from(def.value_size))?.to_vec();
    let flags = call.arg(4);
    let world = &mut *call.world;
    Ok(Errno::returned(world.maps[index].ops.update(&mut world.memory, &key, &value, flags)))
}

/// `bpf_map_delete_elem(map, key)`: removes the element under the key.
fn delete(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, |of| has_elements(of) || is_of_sockets(of))?;
    let key = call.bytes(2, u64::from(call.world.maps[index].def.key_size))?.to_vec();
    let world = &mut *call.world;
    Ok(Errno::returned(world.maps[index].ops.delete(&mut world.memory, &key)))
}
