//! `BPF_MAP_TYPE_ARRAY`: all elements exist, zeroed, under the indices below `max_entries` (kernel/bpf/arraymap.c).

use super::{
    Contents, Errno, INNER_MAP, MMAPABLE, MapDef, MapError, MapOps, MapType, NUMA_NODE, RDONLY, RDONLY_PROG, WRONLY,
    WRONLY_PROG, are_elements, check_flags, place_values, refuse, stride, update,
};
use crate::memory::Memory;

/// An array.
#[derive(Debug)]
pub struct Array {
    base: u64,
    stride: u64,
    max_entries: u32,
    is_direct: bool,
    /// Values from the start, by index.
    contents: Vec<(u32, Vec<u8>)>,
}

/// `array_map_alloc_check`: keys of 4 bytes, values and entries at least one.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 4 || def.value_size == 0 {
        return refuse(def, Errno::Einval, "an array has 4-byte keys, values of at least 1 byte and at least 1 entry");
    }
    check_flags(def, NUMA_NODE | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG | MMAPABLE | INNER_MAP)?;
    if def.value_size > i32::MAX as u32 {
        return refuse(def, Errno::E2big, "the value is longer than INT_MAX bytes");
    }
    match &def.contents {
        Contents::Empty => {}
        Contents::Bytes(bytes) if bytes.len() <= def.value_size as usize => {}
        Contents::Elements(elements)
            if are_elements(def, elements) && elements.iter().all(|(key, _)| Array::index(key) < def.max_entries) => {}
        _ => return refuse(def, Errno::Einval, "what it holds from the start is no value of an array"),
    }
    Ok(())
}

/// Whether programs may hold the address of its value: only of an array with one element (`array_map_direct_value_addr`).
pub(super) fn is_direct(def: &MapDef) -> bool {
    def.map_type == MapType::ARRAY && def.max_entries == 1
}

impl Array {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Array, MapError> {
        let base = place_values(def, index, memory)?;
        let contents = match &def.contents {
            Contents::Bytes(bytes) => vec![(0, bytes.clone())],
            Contents::Elements(all) => all.iter().map(|(key, value)| (Array::index(key), value.clone())).collect(),
            _ => Vec::new(),
        };
        Ok(Array { base, stride: stride(def), max_entries: def.max_entries, is_direct: is_direct(def), contents })
    }
    fn index(key: &[u8]) -> u32 {
        u32::from_le_bytes([key[0], key[1], key[2], key[3]])
    }
    fn address(&self, index: u32) -> u64 {
        self.base + u64::from(index) * self.stride
    }
}

impl MapOps for Array {
    fn lookup(&self, key: &[u8]) -> Option<u64> {
        let index = Array::index(key);
        (index < self.max_entries).then(|| self.address(index))
    }
    /// Unknown flags first (EINVAL), then the index (E2BIG), then NOEXIST, which never holds (EEXIST), then LOCK (EINVAL): it
    /// needs a spin lock in the value, which no modelled value has.
    fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags & !update::LOCK > update::EXIST {
            return Err(Errno::Einval);
        }
        let index = Array::index(key);
        if index >= self.max_entries {
            return Err(Errno::E2big);
        }
        if flags & update::NOEXIST != 0 {
            return Err(Errno::Eexist);
        }
        if flags & update::LOCK != 0 {
            return Err(Errno::Einval);
        }
        memory.poke(self.address(index), value);
        Ok(())
    }
    fn reset(&mut self, memory: &mut Memory) {
        memory.clear(self.base, self.stride * u64::from(self.max_entries));
        for (index, value) in &self.contents {
            memory.poke(self.address(*index), value);
        }
    }
    fn direct(&self) -> Option<u64> {
        self.is_direct.then_some(self.base)
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], u64)) {
        for index in 0..self.max_entries {
            visit(&index.to_le_bytes(), self.address(index));
        }
    }
}
