//! `BPF_MAP_TYPE_ARRAY`: all elements exist, zeroed, under the indices below `max_entries` (`kernel/bpf/arraymap.c`).

use super::htab::PER_CPU_MAX;
use super::values::Values;
use super::{
    Errno, INNER_MAP, MMAPABLE, MapDef, MapError, MapOps, MapType, NUMA_NODE, PRESERVE_ELEMS, RDONLY, RDONLY_PROG,
    Setting, WRONLY, WRONLY_PROG, Walk, check_access, index, next_index, refuse, update,
};
use crate::memory::Memory;

/// `array_map_alloc_check`, in its order: keys of 4 bytes, values and entries at least one. All types with an index for a key
/// begin with it.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    let is_per_cpu = def.map_type == MapType::PERCPU_ARRAY;
    let has = |flags: u32| def.flags & flags != 0;
    if def.max_entries == 0 || def.key_size != 4 || def.value_size == 0 {
        return refuse(def, Errno::Einval, "an array has 4-byte keys, values of at least 1 byte and at least 1 entry");
    }
    let known = NUMA_NODE | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG | MMAPABLE | PRESERVE_ELEMS | INNER_MAP;
    check_access(def, known)?;
    if is_per_cpu && has(NUMA_NODE) {
        return refuse(def, Errno::Einval, "what each CPU has its own of lies on the node of that CPU");
    }
    if def.map_type != MapType::ARRAY && has(MMAPABLE | INNER_MAP) {
        return refuse(def, Errno::Einval, "only a plain array has such a flag");
    }
    if def.map_type != MapType::PERF_EVENT_ARRAY && has(PRESERVE_ELEMS) {
        return refuse(def, Errno::Einval, "only an array of perf events has such a flag");
    }
    if def.value_size > i32::MAX as u32 {
        return refuse(def, Errno::E2big, "the value is longer than INT_MAX bytes");
    }
    if is_per_cpu && def.value_size.next_multiple_of(8) > PER_CPU_MAX {
        return refuse(def, Errno::E2big, "the value is longer than a CPU can have its own of");
    }
    Ok(())
}

/// Whether programs may hold the address of its value: only of an array with one element (`array_map_direct_value_addr`).
pub(super) fn is_direct(def: &MapDef) -> bool {
    def.map_type == MapType::ARRAY && def.max_entries == 1
}

/// An array; also one with values for each CPU.
#[derive(Debug)]
pub(super) struct Array {
    values: Values,
    max_entries: u32,
    is_per_cpu: bool,
    is_direct: bool,
    has_lock: bool,
}

impl Array {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Array, MapError> {
        let is_per_cpu = def.map_type == MapType::PERCPU_ARRAY;
        Ok(Array {
            values: Values::place(def, index, memory, u64::from(def.max_entries), is_per_cpu)?,
            max_entries: def.max_entries,
            is_per_cpu,
            is_direct: is_direct(def),
            has_lock: def.has_lock(),
        })
    }
    fn slot(&self, key: &[u8]) -> Option<u32> {
        Some(index(key)).filter(|index| *index < self.max_entries)
    }
    /// Unknown flags first (EINVAL), then the index (E2BIG), then NOEXIST, which never holds (EEXIST).
    fn target(&self, key: &[u8], flags: u64) -> Result<u32, Errno> {
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        let slot = self.slot(key).ok_or(Errno::E2big)?;
        if flags == update::NOEXIST { Err(Errno::Eexist) } else { Ok(slot) }
    }
}

impl MapOps for Array {
    fn reset(&mut self, memory: &mut Memory, setting: &Setting) {
        self.values.clear(memory, 0..self.max_entries);
        self.values.set(setting);
    }
    #[inline]
    fn lookup(&mut self, key: &[u8]) -> Option<u64> {
        self.slot(key).map(|slot| self.values.address(slot))
    }
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.slot(key).map(|slot| self.values.address(slot))
    }
    fn lookup_percpu(&mut self, key: &[u8], cpu: u32) -> Option<u64> {
        self.values.address_on(self.slot(key)?, cpu)
    }
    /// As [`Array::target`]; then LOCK (EINVAL), which needs a spin lock in the value.
    fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let slot = self.target(key, flags & !update::LOCK)?;
        if flags & update::LOCK != 0 && !self.has_lock {
            return Err(Errno::Einval);
        }
        self.values.store(memory, slot, value);
        self.values.free_fields(memory, slot);
        Ok(())
    }
    fn delete(&mut self, _: &mut Memory, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Einval)
    }
    fn walk(&self, at: &mut Walk) -> Option<(Vec<u8>, u64)> {
        let slot = Some(at.next).filter(|slot| *slot < self.max_entries)?;
        at.next += 1;
        Some((slot.to_le_bytes().to_vec(), self.values.address(slot)))
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.values.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.values.copy(memory, self.slot(key), value)
    }
    /// The values of all CPUs have no lock (`bpf_percpu_array_update`).
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if !self.is_per_cpu {
            return self.update(memory, key, value, flags);
        }
        let slot = self.target(key, flags)?;
        self.values.store_all(memory, slot, value);
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.max_entries)
    }
    fn direct(&self) -> Option<u64> {
        self.is_direct.then_some(self.values.base())
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        let mut addresses = Vec::new();
        for slot in 0..self.max_entries {
            addresses.clear();
            addresses.extend(self.values.addresses(slot));
            visit(&slot.to_le_bytes(), &addresses);
        }
    }
}
