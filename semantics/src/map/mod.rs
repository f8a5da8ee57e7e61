//! Maps: definitions, creation rules, and one room per type.
//!
//! Values lie in guest memory, each element a region of its own with a red zone behind it; keys and the structure that
//! finds an element live beside it. A map keeps its addresses from load to load, so pointers repeat.

use crate::memory::{Memory, Placement, layout};
use crate::trap::Unsupported;

mod array;
mod array_of_maps;
mod bloom_filter;
mod buckets;
mod cgroup_array;
mod cgroup_storage;
mod cgrp_storage;
mod chained;
mod cpumap;
pub mod def;
mod devmap;
mod devmap_hash;
mod free_list;
mod hash;
mod hash_of_maps;
mod held;
mod htab;
mod inode_storage;
mod jhash;
mod lpm_trie;
mod lru_hash;
mod lru_list;
mod lru_percpu_hash;
mod percpu_array;
mod percpu_cgroup_storage;
mod percpu_hash;
mod perf_event_array;
mod prog_array;
mod queue;
mod reuseport_sockarray;
mod ring;
pub mod ringbuf;
mod sk_storage;
mod sockets;
mod sockhash;
mod sockmap;
mod stack;
mod stack_trace;
mod storage;
mod struct_ops;
mod task_storage;
mod user;
pub mod user_ringbuf;
mod values;
mod xskmap;

pub use crate::errno::Errno;
pub use def::{
    CLONE, Contents, FLAGS, INNER_MAP, LINK, MMAPABLE, MapDef, NO_COMMON_LRU, NO_PREALLOC, NO_USER_CONV, NUMA_NODE,
    PRESERVE_ELEMS, RDONLY, RDONLY_PROG, SEGV_ON_FAULT, STACK_BUILD_ID, ValueField, ValueFieldKind, WRONLY,
    WRONLY_PROG, ZERO_SEED,
};
pub use held::Held;
pub use user::Batch;

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
    /// The types that are modelled: all whose maps programs use.
    pub const MODELLED: [MapType; 31] = {
        let (mut all, mut at) = ([MapType(0); 31], 0);
        let mut id = 1;
        while id <= NAMES.len() as u32 {
            if id != MapType::STRUCT_OPS.0 {
                all[at] = MapType(id);
                at += 1;
            }
            id += 1;
        }
        all
    };

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
        self != MapType::STRUCT_OPS
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

/// What maps see of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// How many CPUs there are.
    pub cpus: u32,
    /// The one that runs, from 0.
    pub current: u32,
    /// What hash functions start from, unless a map says otherwise.
    pub seed: u32,
}

impl Default for Setting {
    /// That of the default world.
    fn default() -> Self {
        Setting { cpus: 2, current: 0, seed: 0 }
    }
}

/// Where a walk over the elements of a map stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// The next index, or the next bucket.
    next: u32,
    /// The slot behind in the bucket of the element that was visited.
    behind: Option<u32>,
}

/// What every type of map can do. Addresses are guest addresses of values; keys have `key_size` bytes.
///
/// What programs do is named as in `struct bpf_map_ops`; what user space does in its own way begins with `user_`. What a type
/// lacks is ENOTSUPP.
pub trait MapOps: std::fmt::Debug + Send {
    /// Empties it, as after creation.
    fn reset(&mut self, memory: &mut Memory, setting: &Setting);

    /// What a program gets that looks up `key` (`map_lookup_elem`): the address of a value, or the handle of a map.
    fn lookup(&mut self, key: &[u8]) -> Option<u64> {
        self.find(key)
    }
    /// The same without consequences.
    fn find(&self, _key: &[u8]) -> Option<u64> {
        None
    }
    /// The address of the value that a CPU has under `key` (`map_lookup_percpu_elem`).
    fn lookup_percpu(&mut self, _key: &[u8], _cpu: u32) -> Option<u64> {
        None
    }
    /// Stores a copy of `value` under `key` for a program (`map_update_elem`).
    fn update(&mut self, _memory: &mut Memory, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::Enotsupp)
    }
    /// Removes the element under `key` (`map_delete_elem`).
    fn delete(&mut self, _memory: &mut Memory, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::Enotsupp)
    }
    /// Adds a copy of `value` (`map_push_elem`).
    fn push(&mut self, _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::Enotsupp)
    }
    /// Takes the next value out (`map_pop_elem`). Also where it fails, `value` is what the kernel makes of it.
    fn pop(&mut self, _value: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::Enotsupp)
    }
    /// Reads the next value, or looks for `value` (`map_peek_elem`).
    fn peek(&mut self, _value: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::Enotsupp)
    }
    /// The next element of a walk: its key, and the address of its value on the current CPU (`map_for_each_callback`).
    fn walk(&self, _at: &mut Walk) -> Option<(Vec<u8>, u64)> {
        None
    }

    /// Bytes of a value as user space sees it, `None` if there are none (`bpf_map_value_size`).
    fn user_len(&self) -> Option<usize> {
        None
    }
    /// Reads the value under `key` into `value`, of [`MapOps::user_len`] bytes; without keys, the next one
    /// (`bpf_map_copy_value`).
    fn user_lookup(&mut self, _memory: &Memory, _key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.peek(value)
    }
    /// Stores a value of [`MapOps::user_len`] bytes under `key` (`bpf_map_update_value`).
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.update(memory, key, value, flags)
    }
    /// Reads a value, and removes the element (`map_lookup_and_delete_elem`).
    fn lookup_and_delete(&mut self, _memory: &mut Memory, _key: &[u8], _value: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::Enotsupp)
    }
    /// The key behind `key`, or the first (`map_get_next_key`).
    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::Enotsupp)
    }
    /// The keys of a bucket of a hash table; `None` behind the last bucket.
    fn bucket(&self, _number: u32) -> Option<Vec<Vec<u8>>> {
        None
    }
    /// Makes it hold this from the start, which may be more than user space can do.
    fn put(&mut self, memory: &mut Memory, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.user_update(memory, key, value, update::ANY)
    }

    /// The address of the first value, if a program may hold it as a constant (`map_direct_value_addr`).
    fn direct(&self) -> Option<u64> {
        None
    }
    /// Of a program array: the part under the index, if one is there; `None` beyond the array.
    fn program(&self, _index: u32) -> Option<Option<u32>> {
        None
    }
    /// Of a map of the kernel's objects: what is under the key.
    fn held(&self, _key: &[u8]) -> Option<Held> {
        None
    }
    /// A ring buffer that programs write.
    fn ringbuf(&mut self) -> Option<&mut ringbuf::Ringbuf> {
        None
    }
    /// A ring buffer that programs read.
    fn user_ringbuf(&mut self) -> Option<&mut user_ringbuf::UserRingbuf> {
        None
    }
    /// Takes down its state besides values.
    fn show(&self, _memory: &Memory, _room: &mut crate::world::Observation<'_>) {}
    /// Whether an element had to make room for another since the last reset: which one is the kernel's to choose.
    fn has_evicted(&self) -> bool {
        false
    }
    /// Calls `visit` with the key of each element that lies in guest memory and the address of its value, or by CPU of its
    /// values, in the order of iteration.
    fn each(&self, _visit: &mut dyn FnMut(&[u8], &[u64])) {}
    /// Calls `visit` with key and value of each element that does not lie in guest memory.
    fn observe(&self, _memory: &Memory, _visit: &mut dyn FnMut(&[u8], &[u8])) {}
}

/// A map of the world.
#[derive(Debug)]
pub struct Map {
    /// How it was declared.
    pub def: MapDef,
    /// Its behaviour.
    pub ops: Box<dyn MapOps>,
    /// Keys and values that it holds from the start, as user space states them.
    initial: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Map {
    /// Makes map number `index` of `defs`, all the maps of its program, with values in guest memory. One whose type or
    /// properties have no meaning here ([`MapDef::lack`]) is a handle: whatever is asked of it is a typed [`Unsupported`].
    pub fn create(defs: &[MapDef], index: usize, memory: &mut Memory) -> Result<Map, MapError> {
        let def = &defs[index];
        let ops: Box<dyn MapOps> = match check(def) {
            Ok(()) => behaviour(defs, index, memory)?,
            Err(MapError::Unsupported { .. }) => Box::new(Unmodelled),
            Err(error) => return Err(error),
        };
        let mut map = Map { def: def.clone(), ops, initial: Vec::new() };
        map.initial = map.elements();
        if map.def.lack().is_none() {
            map.fill(memory).map_err(|errno| refused(def, errno, "it does not take what it holds from the start"))?;
        }
        Ok(map)
    }

    /// What the definition says that it holds; programs come later ([`Map::hold`]).
    fn elements(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        match &self.def.contents {
            Contents::Empty | Contents::Programs(_) => Vec::new(),
            Contents::Bytes(bytes) => {
                let mut value = bytes.clone();
                value.resize(self.def.value_size as usize, 0);
                vec![(vec![0; self.def.key_size as usize], value)]
            }
            Contents::Elements(elements) => elements.clone(),
            Contents::Maps(maps) => {
                let element =
                    |(index, map): &(u32, usize)| (index.to_le_bytes().to_vec(), (*map as u32).to_le_bytes().to_vec());
                maps.iter().map(element).collect()
            }
        }
    }
    fn fill(&mut self, memory: &mut Memory) -> Result<(), Errno> {
        for (key, value) in &self.initial {
            let value = whole(&self.def, &*self.ops, value).ok_or(Errno::Einval)?;
            self.ops.put(memory, key, &value)?;
        }
        Ok(())
    }

    /// Of a program array: the parts of a program that it holds from the start, by index.
    pub fn hold(&mut self, programs: impl Iterator<Item = (u32, u32)>) {
        self.initial =
            programs.map(|(index, part)| (index.to_le_bytes().to_vec(), part.to_le_bytes().to_vec())).collect();
    }

    /// Makes it as it is before a run.
    pub fn reset(&mut self, memory: &mut Memory, setting: &Setting) {
        self.ops.reset(memory, setting);
        let filled = self.fill(memory);
        debug_assert!(filled.is_ok() || self.def.lack().is_some(), "it was filled when it was made");
    }

    /// Makes it hold an element before a run. The values of a map with one for each CPU are one for all of them, or one for each.
    /// `None` if the sizes are not its own.
    pub fn put(&mut self, memory: &mut Memory, key: &[u8], value: &[u8]) -> Option<Result<(), Errno>> {
        let value = whole(&self.def, &*self.ops, value).filter(|_| key.len() == self.def.key_size as usize)?;
        Some(self.ops.put(memory, key, &value))
    }

    /// A value as user space gives it to a command: one that is given once to a map with one for each CPU is that of all of them.
    pub fn user_value(&self, value: &[u8]) -> Vec<u8> {
        whole(&self.def, &*self.ops, value).map_or_else(|| value.to_vec(), std::borrow::Cow::into_owned)
    }

    /// Calls `visit` with key and value of each element, in the order of iteration. A value of a map with one for each CPU is all
    /// of them, each up to the next multiple of 8 bytes. In members that only the kernel touches there are zeros, as user space
    /// sees them.
    pub fn each_value(&self, memory: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let len = u64::from(self.def.value_size);
        let mut all = Vec::new();
        self.ops.each(&mut |key, addresses| match addresses {
            [addr] if !self.def.is_per_cpu() && self.def.fields.is_empty() => visit(key, memory.peek(*addr, len)),
            _ => {
                let len = if self.def.is_per_cpu() { len.next_multiple_of(8) } else { len };
                all.clear();
                for addr in addresses {
                    let start = all.len();
                    all.extend_from_slice(memory.peek(*addr, len));
                    for field in &self.def.fields {
                        let first = start + field.offset as usize;
                        all[first..first + field.kind.layout().0 as usize].fill(0);
                    }
                }
                visit(key, &all);
            }
        });
        self.ops.observe(memory, visit);
    }
}

/// A value as user space sees it: of a map with one for each CPU, one that is given once is that of all of them.
fn whole<'v>(def: &MapDef, ops: &dyn MapOps, value: &'v [u8]) -> Option<std::borrow::Cow<'v, [u8]>> {
    let (len, given) = (ops.user_len()?, value.len());
    if given == len {
        return Some(value.into());
    }
    if !def.is_per_cpu() || given != def.value_size as usize {
        return None;
    }
    let mut one = value.to_vec();
    one.resize(given.next_multiple_of(8), 0);
    Some(one.repeat(len / one.len()).into())
}

/// Makes what a map of a type that is modelled does.
fn behaviour(defs: &[MapDef], index: usize, memory: &mut Memory) -> Result<Box<dyn MapOps>, MapError> {
    let def = &defs[index];
    Ok(match def.map_type {
        MapType::ARRAY => Box::new(array::Array::create(def, index, memory)?),
        MapType::PERCPU_ARRAY => Box::new(percpu_array::Array::create(def, index, memory)?),
        MapType::HASH => Box::new(hash::HashTable::create(def, index, memory)?),
        MapType::PERCPU_HASH => Box::new(percpu_hash::HashTable::create(def, index, memory)?),
        MapType::LRU_HASH => Box::new(lru_hash::HashTable::create(def, index, memory)?),
        MapType::LRU_PERCPU_HASH => Box::new(lru_percpu_hash::HashTable::create(def, index, memory)?),
        MapType::LPM_TRIE => Box::new(lpm_trie::LpmTrie::create(def, index, memory)?),
        MapType::QUEUE => Box::new(queue::Ring::create(def)),
        MapType::STACK => Box::new(stack::Ring::create(def)),
        MapType::BLOOM_FILTER => Box::new(bloom_filter::BloomFilter::create(def)),
        MapType::PROG_ARRAY => Box::new(prog_array::create(def)),
        MapType::PERF_EVENT_ARRAY => Box::new(perf_event_array::create(def)),
        MapType::CGROUP_ARRAY => Box::new(cgroup_array::create(def)),
        MapType::ARRAY_OF_MAPS => Box::new(array_of_maps::create(def, defs)),
        MapType::HASH_OF_MAPS => Box::new(hash_of_maps::HashOfMaps::create(def, defs)),
        MapType::STACK_TRACE => Box::new(stack_trace::StackTrace::create(def)),
        MapType::DEVMAP => Box::new(devmap::Devmap::create(def, index, memory)?),
        MapType::DEVMAP_HASH => Box::new(devmap_hash::DevmapHash::create(def, index, memory)?),
        MapType::CPUMAP => Box::new(cpumap::Cpumap::create(def)),
        MapType::XSKMAP => Box::new(xskmap::Sockets::create(def)),
        MapType::SOCKMAP => Box::new(sockmap::Sockets::create(def)),
        MapType::SOCKHASH => Box::new(sockhash::Sockhash::create(def)),
        MapType::REUSEPORT_SOCKARRAY => Box::new(reuseport_sockarray::Sockets::create(def)),
        MapType::SK_STORAGE => Box::new(sk_storage::Storage::create(def, index, memory)?),
        MapType::INODE_STORAGE => Box::new(inode_storage::Storage::create(def, index, memory)?),
        MapType::TASK_STORAGE => Box::new(task_storage::Storage::create(def, index, memory)?),
        MapType::CGRP_STORAGE => Box::new(cgrp_storage::Storage::create(def, index, memory)?),
        MapType::CGROUP_STORAGE => Box::new(cgroup_storage::CgroupStorage::create(def, index, memory)?),
        MapType::RINGBUF => Box::new(ringbuf::Ringbuf::create(def, index, memory)?),
        MapType::USER_RINGBUF => Box::new(user_ringbuf::UserRingbuf::create(def, index, memory)?),
        MapType::PERCPU_CGROUP_STORAGE => Box::new(percpu_cgroup_storage::CgroupStorage::create(def, index, memory)?),
        _ => Box::new(Unmodelled),
    })
}

/// Checks a definition as the kernel does on creation, and what it holds from the start; what is no mistake may still have no
/// meaning here.
pub fn check(def: &MapDef) -> Result<(), MapError> {
    check_creation(def)?;
    check_contents(def)?;
    match def.lack() {
        Some(lack) => Err(MapError::Unsupported { name: def.name.clone(), lack }),
        None => Ok(()),
    }
}

/// `map_create`: what all types have in common, then what the type demands.
fn check_creation(def: &MapDef) -> Result<(), MapError> {
    if def.map_type != MapType::BLOOM_FILTER && def.extra != 0 {
        return refuse(def, Errno::Einval, "only a bloom filter has map_extra");
    }
    if def.flags & RDONLY != 0 && def.flags & WRONLY != 0 {
        return refuse(def, Errno::Einval, "a map is read-only or write-only, not both");
    }
    let check = match def.map_type {
        MapType::ARRAY => array::check,
        MapType::PERCPU_ARRAY => percpu_array::check,
        MapType::HASH => hash::check,
        MapType::PERCPU_HASH => percpu_hash::check,
        MapType::LRU_HASH => lru_hash::check,
        MapType::LRU_PERCPU_HASH => lru_percpu_hash::check,
        MapType::LPM_TRIE => lpm_trie::check,
        MapType::QUEUE => queue::check,
        MapType::STACK => stack::check,
        MapType::BLOOM_FILTER => bloom_filter::check,
        MapType::PROG_ARRAY => prog_array::check,
        MapType::PERF_EVENT_ARRAY => perf_event_array::check,
        MapType::CGROUP_ARRAY => cgroup_array::check,
        MapType::ARRAY_OF_MAPS => array_of_maps::check,
        MapType::HASH_OF_MAPS => hash_of_maps::check,
        MapType::STACK_TRACE => stack_trace::check,
        MapType::DEVMAP => devmap::check,
        MapType::DEVMAP_HASH => devmap_hash::check,
        MapType::CPUMAP => cpumap::check,
        MapType::XSKMAP => xskmap::check,
        MapType::SOCKMAP => sockmap::check,
        MapType::SOCKHASH => sockhash::check,
        MapType::REUSEPORT_SOCKARRAY => reuseport_sockarray::check,
        MapType::SK_STORAGE => sk_storage::check,
        MapType::INODE_STORAGE => inode_storage::check,
        MapType::TASK_STORAGE => task_storage::check,
        MapType::CGRP_STORAGE => cgrp_storage::check,
        MapType::CGROUP_STORAGE => cgroup_storage::check,
        MapType::PERCPU_CGROUP_STORAGE => percpu_cgroup_storage::check,
        MapType::RINGBUF => ringbuf::check,
        MapType::USER_RINGBUF => user_ringbuf::check,
        _ => struct_ops::check,
    };
    check(def)
}

/// Whether what it holds from the start is of its kind and size.
fn check_contents(def: &MapDef) -> Result<(), MapError> {
    let is_below = |index: u32| index < def.max_entries;
    let fits = match &def.contents {
        Contents::Empty => true,
        Contents::Bytes(bytes) => def.map_type == MapType::ARRAY && bytes.len() <= def.value_size as usize,
        Contents::Elements(elements) => {
            elements.iter().all(|(key, _)| key.len() == def.key_size as usize)
                && (def.is_per_cpu() || elements.iter().all(|(_, value)| value.len() == def.value_size as usize))
        }
        Contents::Maps(maps) => {
            def.is_of_maps()
                && def.key_size == 4
                && (def.map_type == MapType::HASH_OF_MAPS || maps.iter().all(|(index, _)| is_below(*index)))
        }
        Contents::Programs(programs) => {
            def.map_type == MapType::PROG_ARRAY && programs.iter().all(|(index, _)| is_below(*index))
        }
    };
    if fits { Ok(()) } else { refuse(def, Errno::Einval, "what it holds from the start is not what such a map holds") }
}

/// A map of a type or with a property that has no meaning here. The helpers look at that before they come here.
#[derive(Debug)]
struct Unmodelled;

impl MapOps for Unmodelled {
    fn reset(&mut self, _: &mut Memory, _: &Setting) {}
}

/// The first four bytes as a number: the index in an array.
#[inline]
fn index(key: &[u8]) -> u32 {
    u32::from_le_bytes([key[0], key[1], key[2], key[3]])
}

/// `array_map_get_next_key`: what is no index of the array leads to the first.
fn next_index(key: Option<&[u8]>, max_entries: u32) -> Result<Vec<u8>, Errno> {
    match key.map_or(u32::MAX, index) {
        key if key >= max_entries => Ok(0u32.to_le_bytes().to_vec()),
        key if key == max_entries - 1 => Err(Errno::Enoent),
        key => Ok((key + 1).to_le_bytes().to_vec()),
    }
}

fn refused(def: &MapDef, errno: Errno, reason: &'static str) -> MapError {
    MapError::Refused { name: def.name.clone(), errno, reason }
}

fn refuse(def: &MapDef, errno: Errno, reason: &'static str) -> Result<(), MapError> {
    Err(refused(def, errno, reason))
}

/// Flags other than `known` are refused.
fn check_flags(def: &MapDef, known: u32) -> Result<(), MapError> {
    if def.flags & !known == 0 { Ok(()) } else { refuse(def, Errno::Einval, "this type of map has no such flag") }
}

/// Flags other than `known` are refused, and those that exclude each other (`bpf_map_flags_access_ok`).
fn check_access(def: &MapDef, known: u32) -> Result<(), MapError> {
    check_flags(def, known)?;
    if def.flags & RDONLY_PROG != 0 && def.flags & WRONLY_PROG != 0 {
        return refuse(def, Errno::Einval, "programs only read a map, or only write it, not both");
    }
    Ok(())
}

/// Distance between values: a red zone behind each.
fn stride(def: &MapDef) -> u64 {
    u64::from(def.value_size).next_multiple_of(8) + layout::RED_ZONE
}

/// How many values a map has in guest memory.
fn value_count(def: &MapDef) -> u64 {
    let slots = match def.map_type {
        _ if def.lack().is_some() => 0,
        MapType::ARRAY | MapType::PERCPU_ARRAY => u64::from(def.max_entries),
        MapType::HASH | MapType::PERCPU_HASH | MapType::LRU_HASH | MapType::LRU_PERCPU_HASH => htab::slot_count(def),
        MapType::LPM_TRIE => lpm_trie::slot_count(def),
        MapType::DEVMAP | MapType::DEVMAP_HASH => devmap::slot_count(def),
        MapType::SK_STORAGE
        | MapType::INODE_STORAGE
        | MapType::TASK_STORAGE
        | MapType::CGRP_STORAGE
        | MapType::CGROUP_STORAGE
        | MapType::PERCPU_CGROUP_STORAGE => u64::from(storage::OWNERS_MAX),
        _ => 0,
    };
    values::count(slots, def.is_per_cpu())
}

/// The slots of a hash table that its first elements take, in the default world: an element's value lies so many strides behind
/// the first.
pub fn first_slots(def: &MapDef, count: usize) -> Vec<u32> {
    htab::first_slots(def, count)
}

/// Where the first value of each map lies, if programs may hold its address as a constant: what a world that loads these maps
/// answers, without one.
pub fn direct_values(defs: &[MapDef]) -> impl Iterator<Item = Option<u64>> {
    let mut placement = Placement::default();
    defs.iter().map(move |def| {
        let (stride, count) = match def.map_type {
            MapType::RINGBUF | MapType::USER_RINGBUF => (ringbuf::Data::room(def), 1),
            _ => (stride(def), value_count(def)),
        };
        let base = if count > 0 { placement.place(stride, count) } else { None };
        base.filter(|_| array::is_direct(def))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel refuses is refused before anybody asks whether it has a meaning here.
    #[test]
    fn mistakes_come_before_what_is_not_modelled() {
        let work = ValueField { kind: ValueFieldKind::Workqueue, offset: 0, of: None };
        let def = |flags| MapDef { flags, fields: vec![work.clone()], ..MapDef::new("m", MapType::HASH, 4, 16, 1) };
        assert_eq!(check(&MapDef { fields: Vec::new(), ..def(RDONLY_PROG) }), Ok(()));
        assert!(matches!(check(&def(0)), Err(MapError::Unsupported { .. })));
        let exclusive = [RDONLY_PROG | WRONLY_PROG, RDONLY | WRONLY, WRONLY_PROG | MMAPABLE];
        for flags in exclusive {
            assert!(matches!(check(&def(flags)), Err(MapError::Refused { errno: Errno::Einval, .. })), "{flags:#x}");
        }
    }
}
