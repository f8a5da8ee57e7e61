//! Maps: definitions, creation rules, and one room per type.
//!
//! Values lie in guest memory, each element a region of its own with a red zone behind it; keys and the structure that
//! finds an element live beside it. A map keeps its addresses from load to load, so pointers repeat.

use crate::memory::{Memory, Object, Placement, Region, layout};
use crate::trap::Unsupported;

pub mod array;
pub mod def;
pub mod hash;
pub mod prog_array;

pub use crate::errno::Errno;
pub use def::{
    CLONE, Contents, FLAGS, INNER_MAP, LINK, MMAPABLE, MapDef, NO_COMMON_LRU, NO_PREALLOC, NO_USER_CONV, NUMA_NODE,
    PRESERVE_ELEMS, RDONLY, RDONLY_PROG, SEGV_ON_FAULT, STACK_BUILD_ID, ValueField, ValueFieldKind, WRONLY,
    WRONLY_PROG, ZERO_SEED,
};

/// The kernel's map types by number, in `enum bpf_map_type` order from 1.
const NAMES: [&str; 32] = [
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
];

/// A map type: the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapType(u32);

impl MapType {
    /// `BPF_MAP_TYPE_HASH`.
    pub const HASH: MapType = MapType(1);
    /// `BPF_MAP_TYPE_ARRAY`.
    pub const ARRAY: MapType = MapType(2);
    /// `BPF_MAP_TYPE_PROG_ARRAY`.
    pub const PROG_ARRAY: MapType = MapType(3);
    /// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
    pub const PERF_EVENT_ARRAY: MapType = MapType(4);
    /// `BPF_MAP_TYPE_PERCPU_HASH`.
    pub const PERCPU_HASH: MapType = MapType(5);
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    pub const PERCPU_ARRAY: MapType = MapType(6);
    /// `BPF_MAP_TYPE_STACK_TRACE`.
    pub const STACK_TRACE: MapType = MapType(7);
    /// `BPF_MAP_TYPE_CGROUP_ARRAY`.
    pub const CGROUP_ARRAY: MapType = MapType(8);
    /// `BPF_MAP_TYPE_LRU_HASH`.
    pub const LRU_HASH: MapType = MapType(9);
    /// `BPF_MAP_TYPE_LRU_PERCPU_HASH`.
    pub const LRU_PERCPU_HASH: MapType = MapType(10);
    /// `BPF_MAP_TYPE_LPM_TRIE`.
    pub const LPM_TRIE: MapType = MapType(11);
    /// `BPF_MAP_TYPE_ARRAY_OF_MAPS`.
    pub const ARRAY_OF_MAPS: MapType = MapType(12);
    /// `BPF_MAP_TYPE_HASH_OF_MAPS`.
    pub const HASH_OF_MAPS: MapType = MapType(13);
    /// `BPF_MAP_TYPE_DEVMAP`.
    pub const DEVMAP: MapType = MapType(14);
    /// `BPF_MAP_TYPE_SOCKMAP`.
    pub const SOCKMAP: MapType = MapType(15);
    /// `BPF_MAP_TYPE_CPUMAP`.
    pub const CPUMAP: MapType = MapType(16);
    /// `BPF_MAP_TYPE_XSKMAP`.
    pub const XSKMAP: MapType = MapType(17);
    /// `BPF_MAP_TYPE_SOCKHASH`.
    pub const SOCKHASH: MapType = MapType(18);
    /// `BPF_MAP_TYPE_CGROUP_STORAGE`.
    pub const CGROUP_STORAGE: MapType = MapType(19);
    /// `BPF_MAP_TYPE_REUSEPORT_SOCKARRAY`.
    pub const REUSEPORT_SOCKARRAY: MapType = MapType(20);
    /// `BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE`.
    pub const PERCPU_CGROUP_STORAGE: MapType = MapType(21);
    /// `BPF_MAP_TYPE_QUEUE`.
    pub const QUEUE: MapType = MapType(22);
    /// `BPF_MAP_TYPE_STACK`.
    pub const STACK: MapType = MapType(23);
    /// `BPF_MAP_TYPE_SK_STORAGE`.
    pub const SK_STORAGE: MapType = MapType(24);
    /// `BPF_MAP_TYPE_DEVMAP_HASH`.
    pub const DEVMAP_HASH: MapType = MapType(25);
    /// `BPF_MAP_TYPE_STRUCT_OPS`.
    pub const STRUCT_OPS: MapType = MapType(26);
    /// `BPF_MAP_TYPE_RINGBUF`.
    pub const RINGBUF: MapType = MapType(27);
    /// `BPF_MAP_TYPE_INODE_STORAGE`.
    pub const INODE_STORAGE: MapType = MapType(28);
    /// `BPF_MAP_TYPE_TASK_STORAGE`.
    pub const TASK_STORAGE: MapType = MapType(29);
    /// `BPF_MAP_TYPE_BLOOM_FILTER`.
    pub const BLOOM_FILTER: MapType = MapType(30);
    /// `BPF_MAP_TYPE_USER_RINGBUF`.
    pub const USER_RINGBUF: MapType = MapType(31);
    /// `BPF_MAP_TYPE_CGRP_STORAGE`.
    pub const CGRP_STORAGE: MapType = MapType(32);
    /// The types that are modelled.
    pub const MODELLED: [MapType; 3] = [MapType::HASH, MapType::ARRAY, MapType::PROG_ARRAY];

    /// The type with this number, 1 to 32.
    pub fn from_id(id: u32) -> Option<MapType> {
        (1..=NAMES.len() as u32).contains(&id).then_some(MapType(id))
    }
    /// The type of this name: the kernel's in lower case without `BPF_MAP_TYPE_`.
    pub fn from_name(name: &str) -> Option<MapType> {
        NAMES.iter().position(|n| *n == name).map(|at| MapType(at as u32 + 1))
    }
    /// The kernel's number.
    pub fn id(self) -> u32 {
        self.0
    }
    /// The kernel's name in lower case without `BPF_MAP_TYPE_`.
    pub fn name(self) -> &'static str {
        NAMES[self.0 as usize - 1]
    }
    /// Whether it has a meaning here.
    pub fn is_modelled(self) -> bool {
        MapType::MODELLED.contains(&self)
    }
}

impl std::fmt::Display for MapType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Flags of an update.
pub mod update {
    /// `BPF_ANY`: create or replace.
    pub const ANY: u64 = 0;
    /// `BPF_NOEXIST`: create only.
    pub const NOEXIST: u64 = 1;
    /// `BPF_EXIST`: replace only.
    pub const EXIST: u64 = 2;
    /// `BPF_F_LOCK`: under the value's spin lock.
    pub const LOCK: u64 = 4;
}

/// Why a map cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// A type or a property without a meaning here.
    #[error("map {name}: {lack}")]
    Unsupported {
        /// The map.
        name: String,
        /// What has no meaning.
        lack: Unsupported,
    },
    /// The kernel refuses such a map (`map_alloc_check`).
    #[error("map {name}: the kernel refuses it with {}: {reason}", errno.name())]
    Refused {
        /// The map.
        name: String,
        /// The kernel's error.
        errno: Errno,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The values do not fit the window of guest memory.
    #[error("map {name}: its values take {bytes} bytes, more than guest memory has left")]
    TooLarge {
        /// The map.
        name: String,
        /// What it needs.
        bytes: u64,
    },
}

/// What every type of map can do. Addresses are guest addresses of values; keys have `key_size` bytes.
pub trait MapOps: std::fmt::Debug + Send {
    /// The address of the value under `key` (`map_lookup_elem`).
    fn lookup(&self, key: &[u8]) -> Option<u64>;
    /// Stores a copy of `value` under `key` (`map_update_elem`).
    fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno>;
    /// Empties it, as after creation.
    fn reset(&mut self, memory: &mut Memory);
    /// The address of the first value, if a program may hold it as a constant (`map_direct_value_addr`).
    fn direct(&self) -> Option<u64> {
        None
    }
    /// Of a program array: puts the parts of a program under these indices, at each reset.
    fn hold(&mut self, _programs: Vec<(u32, u32)>) {}
    /// Of a program array: the part under the index, if one is there; `None` beyond the array.
    fn program(&self, _index: u32) -> Option<Option<u32>> {
        None
    }
    /// Calls `visit` with key and address of the value of each element, in the order of iteration.
    fn each(&self, visit: &mut dyn FnMut(&[u8], u64));
}

/// A map of the world.
#[derive(Debug)]
pub struct Map {
    /// How it was declared.
    pub def: MapDef,
    /// Its behaviour.
    pub ops: Box<dyn MapOps>,
}

impl Map {
    /// Makes the map, number `index` of its program, with values in guest memory. One whose type or properties have no
    /// meaning here ([`MapDef::lack`]) is a handle: whatever is asked of it is a typed [`Unsupported`].
    pub fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Map, MapError> {
        if let Err(error) = check(def) {
            return match error {
                MapError::Unsupported { .. } => Ok(Map { def: def.clone(), ops: Box::new(Unmodelled) }),
                error => Err(error),
            };
        }
        let ops: Box<dyn MapOps> = match def.map_type {
            MapType::ARRAY => Box::new(array::Array::create(def, index, memory)?),
            MapType::HASH => Box::new(hash::Hash::create(def, index, memory)?),
            MapType::PROG_ARRAY => Box::new(prog_array::ProgArray::create(def)),
            map_type => {
                return Err(MapError::Unsupported { name: def.name.clone(), lack: Unsupported::MapType(map_type) });
            }
        };
        Ok(Map { def: def.clone(), ops })
    }
}

/// Checks a definition as the kernel does on creation; what is no mistake may still have no meaning here.
pub fn check(def: &MapDef) -> Result<(), MapError> {
    let is_modelled = def.map_type.is_modelled();
    if is_modelled && def.extra != 0 {
        return refuse(def, Errno::Einval, "only a bloom filter has map_extra");
    }
    match def.map_type {
        MapType::ARRAY => array::check(def)?,
        MapType::HASH => hash::check(def)?,
        MapType::PROG_ARRAY => prog_array::check(def)?,
        _ => {}
    }
    match def.lack() {
        Some(lack) => Err(MapError::Unsupported { name: def.name.clone(), lack }),
        None => Ok(()),
    }
}

/// A map of a type without a meaning. The helpers look at the type before they come here.
#[derive(Debug)]
struct Unmodelled;

impl MapOps for Unmodelled {
    fn lookup(&self, _: &[u8]) -> Option<u64> {
        None
    }
    fn update(&mut self, _: &mut Memory, _: &[u8], _: &[u8], _: u64) -> Result<(), Errno> {
        Err(Errno::Einval)
    }
    fn reset(&mut self, _: &mut Memory) {}
    fn each(&self, _: &mut dyn FnMut(&[u8], u64)) {}
}

/// Whether the elements that a map holds from the start have its sizes.
fn are_elements(def: &MapDef, elements: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let fits = |bytes: &[u8], len: u32| bytes.len() == len as usize;
    elements.iter().all(|(key, value)| fits(key, def.key_size) && fits(value, def.value_size))
}

fn refuse(def: &MapDef, errno: Errno, reason: &'static str) -> Result<(), MapError> {
    Err(MapError::Refused { name: def.name.clone(), errno, reason })
}

/// Flags other than `known` are refused, and those that exclude each other (`bpf_map_flags_access_ok`,
/// `bpf_get_file_flag`).
fn check_flags(def: &MapDef, known: u32) -> Result<(), MapError> {
    let both = |pair: u32| def.flags & pair == pair;
    if def.flags & !known != 0 {
        return refuse(def, Errno::Einval, "this type of map has no such flag");
    }
    if both(RDONLY | WRONLY) || both(RDONLY_PROG | WRONLY_PROG) {
        return refuse(def, Errno::Einval, "a map is read-only or write-only, not both");
    }
    Ok(())
}

/// Distance between values: a red zone behind each.
fn stride(def: &MapDef) -> u64 {
    u64::from(def.value_size).next_multiple_of(8) + layout::RED_ZONE
}

/// How many values a map has in guest memory.
fn value_count(def: &MapDef) -> u64 {
    match def.map_type {
        _ if def.lack().is_some() => 0,
        MapType::ARRAY => u64::from(def.max_entries),
        // One more: what replaces a value.
        MapType::HASH => u64::from(def.max_entries) + 1,
        _ => 0,
    }
}

/// Where the first value of each map lies, if programs may hold its address as a constant: what a world that loads these maps
/// answers, without one.
pub fn direct_values(defs: &[MapDef]) -> impl Iterator<Item = Option<u64>> {
    let mut placement = Placement::default();
    defs.iter().map(move |def| {
        let count = value_count(def);
        let base = if count > 0 { placement.place(stride(def), count) } else { None };
        base.filter(|_| array::is_direct(def))
    })
}

/// Reserves guest memory for the values of a map and says where the first lies.
fn place_values(def: &MapDef, index: usize, memory: &mut Memory) -> Result<u64, MapError> {
    memory
        .place_map_values(Region {
            object: Object::MapValue(index as u32),
            base: 0,
            len: u64::from(def.value_size),
            stride: stride(def),
            count: value_count(def),
            writable: !def.is_read_only(),
        })
        .ok_or_else(|| MapError::TooLarge {
            name: def.name.clone(),
            bytes: stride(def).saturating_mul(value_count(def)),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel refuses is refused before anybody asks whether it has a meaning here.
    #[test]
    fn mistakes_come_before_what_is_not_modelled() {
        let def = |flags| MapDef { flags, ..MapDef::new("m", MapType::HASH, 4, 8, 1) };
        assert_eq!(check(&def(RDONLY_PROG)), Ok(()));
        assert!(matches!(check(&def(WRONLY_PROG)), Err(MapError::Unsupported { .. })));
        let exclusive = [RDONLY_PROG | WRONLY_PROG, RDONLY | WRONLY, WRONLY_PROG | MMAPABLE];
        for flags in exclusive {
            assert!(matches!(check(&def(flags)), Err(MapError::Refused { errno: Errno::Einval, .. })), "{flags:#x}");
        }
    }
}
