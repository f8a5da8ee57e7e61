//! `BPF_MAP_TYPE_CGROUP_STORAGE`: a value for each cgroup that a program is attached to (`kernel/bpf/local_storage.c`).
//!
//! A key is the inode of the cgroup, 8 bytes; with 16 bytes also how the program is attached, so that attachments of different
//! types have values of their own. Values come and go with attachments: user space only changes them.

use super::htab::PER_CPU_MAX;
use super::storage::{OWNERS_MAX, VALUE_MAX};
use super::values::Values;
use super::{
    Errno, MapDef, MapError, MapOps, MapType, NUMA_NODE, RDONLY, RDONLY_PROG, Setting, WRONLY, WRONLY_PROG,
    check_access, refuse, update,
};
use crate::memory::Memory;

/// `cgroup_storage_map_alloc`, in its order.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    let is_per_cpu = def.map_type == MapType::PERCPU_CGROUP_STORAGE;
    let value_max = if is_per_cpu { PER_CPU_MAX } else { VALUE_MAX };
    if !matches!(def.key_size, 8 | 16) || def.value_size == 0 {
        return refuse(def, Errno::Einval, "it has keys of 8 or 16 bytes and values of at least 1 byte");
    }
    if def.value_size > value_max {
        return refuse(def, Errno::E2big, "the value is longer than a cgroup can keep");
    }
    check_access(def, NUMA_NODE | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG)?;
    if def.max_entries != 0 {
        return refuse(def, Errno::Einval, "it has no number of entries");
    }
    Ok(())
}

/// Values by cgroup.
#[derive(Debug)]
pub(super) struct CgroupStorage {
    /// The newest first; what lies in a slot has the key.
    keys: Vec<(Vec<u8>, u32)>,
    values: Values,
    is_per_cpu: bool,
    has_lock: bool,
}

impl CgroupStorage {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<CgroupStorage, MapError> {
        let is_per_cpu = def.map_type == MapType::PERCPU_CGROUP_STORAGE;
        let values = Values::place(def, index, memory, u64::from(OWNERS_MAX), is_per_cpu)?;
        Ok(CgroupStorage { keys: Vec::new(), values, is_per_cpu, has_lock: def.has_lock() })
    }
    /// The slot of a key: its padding does not count.
    fn slot(&self, key: &[u8]) -> Option<u32> {
        let counts = |key: &[u8]| key.len().min(12);
        self.keys.iter().find(|(other, _)| other[..counts(other)] == key[..counts(key)]).map(|(_, slot)| *slot)
    }
}

impl MapOps for CgroupStorage {
    fn reset(&mut self, memory: &mut Memory, setting: &Setting) {
        self.values.clear(memory, 0..self.keys.len() as u32);
        self.keys.clear();
        self.values.set(setting);
    }
    /// Not for programs' lookups: the address of the value of this cgroup.
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.slot(key).map(|slot| self.values.address(slot))
    }
    fn delete(&mut self, _: &mut Memory, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Einval)
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.values.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.values.copy(memory, self.slot(key), value)
    }
    /// NOEXIST, unknown flags, and a lock that there is not (EINVAL), then a cgroup without a value (ENOENT).
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let lock = if self.has_lock && !self.is_per_cpu { update::LOCK } else { 0 };
        if flags & !(lock | update::EXIST) != 0 {
            return Err(Errno::Einval);
        }
        let slot = self.slot(key).ok_or(Errno::Enoent)?;
        self.values.store_all(memory, slot, value);
        Ok(())
    }
    /// What the attachment of a program does, and an update after it.
    fn put(&mut self, memory: &mut Memory, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        if self.slot(key).is_none() {
            let slot = self.keys.len() as u32;
            if slot == OWNERS_MAX {
                return Err(Errno::Enomem);
            }
            self.keys.insert(0, (key.to_vec(), slot));
        }
        self.user_update(memory, key, value, update::ANY)
    }
    /// From the newest to the oldest; behind a key that is not there comes nothing.
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let next = match key {
            None => 0,
            Some(key) => {
                let slot = self.slot(key).ok_or(Errno::Enoent)?;
                1 + self.keys.iter().position(|(_, other)| *other == slot).ok_or(Errno::Enoent)?
            }
        };
        self.keys.get(next).map(|(key, _)| key.clone()).ok_or(Errno::Enoent)
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        for (key, slot) in &self.keys {
            visit(key, &self.values.addresses(*slot).collect::<Vec<_>>());
        }
    }
}
