//! Values that live with an object of the kernel: [`sk_storage`](super::sk_storage) and its kin
//! (`kernel/bpf/bpf_local_storage.c`).
//!
//! The key is the object, for user space a file descriptor: here its number. Where values of a map lie is room for
//! [`OWNERS_MAX`] objects; more are ENOMEM.

use std::collections::BTreeMap;

use super::held::number;
use super::sockets::check_presence;
use super::values::Values;
use super::{CLONE, Errno, MapDef, MapError, MapOps, NO_PREALLOC, Setting, check_flags, refuse, update};
use crate::memory::Memory;

/// How many objects can have a value of one map.
pub const OWNERS_MAX: u32 = 1024;

/// `BPF_LOCAL_STORAGE_MAX_VALUE_SIZE`: what a socket can keep beside the header of an element.
pub(super) const VALUE_MAX: u32 = u16::MAX as u32 - 128;

/// `bpf_local_storage_map_alloc_check`, but for the types of key and value, which are taken for given.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    check_flags(def, NO_PREALLOC | CLONE)?;
    if def.flags & NO_PREALLOC == 0 {
        return refuse(def, Errno::Einval, "values are made for each object: it needs the flag no_prealloc");
    }
    if def.max_entries != 0 || def.key_size != 4 || def.value_size == 0 {
        return refuse(def, Errno::Einval, "it has 4-byte keys, values of at least 1 byte, and no number of entries");
    }
    if def.value_size > VALUE_MAX {
        return refuse(def, Errno::E2big, "the value is longer than an object can keep");
    }
    Ok(())
}

/// The values of objects, by their numbers.
#[derive(Debug)]
pub(super) struct Storage {
    slots: BTreeMap<u32, u32>,
    free: Vec<u32>,
    values: Values,
    has_lock: bool,
}

impl Storage {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Storage, MapError> {
        let values = Values::place(def, index, memory, u64::from(OWNERS_MAX), false)?;
        Ok(Storage { slots: BTreeMap::new(), free: (0..OWNERS_MAX).rev().collect(), values, has_lock: def.has_lock() })
    }
    fn slot(&self, key: &[u8]) -> Result<Option<u32>, Errno> {
        Ok(self.slots.get(&number(key)?).copied())
    }
}

impl MapOps for Storage {
    fn reset(&mut self, memory: &mut Memory, _: &Setting) {
        for slot in std::mem::take(&mut self.slots).into_values() {
            self.values.clear(memory, slot..slot + 1);
        }
        self.free.clear();
        self.free.extend((0..OWNERS_MAX).rev());
    }
    /// Not for programs' lookups: the address of the value of the object with this number.
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.slot(key).ok().flatten().map(|slot| self.values.address(slot))
    }
    fn delete(&mut self, memory: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let slot = self.slot(key)?.ok_or(Errno::Enoent)?;
        self.values.clear(memory, slot..slot + 1);
        self.slots.remove(&number(key)?);
        self.free.push(slot);
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.values.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.values.copy(memory, self.slot(key)?, value)
    }
    /// `bpf_local_storage_update`: the object, unknown flags and a lock that there is not (EINVAL), EEXIST and ENOENT by flag.
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let (owner, slot) = (number(key)?, self.slot(key)?);
        let (lock, flags) = (flags & update::LOCK != 0, flags & !update::LOCK);
        if flags > update::EXIST || lock && !self.has_lock {
            return Err(Errno::Einval);
        }
        check_presence(slot.is_some(), flags)?;
        if let Some(slot) = slot {
            self.values.store(memory, slot, value);
            return Ok(());
        }
        let slot = self.free.pop().ok_or(Errno::Enomem)?;
        self.slots.insert(owner, slot);
        self.values.make(memory, slot, value);
        Ok(())
    }
    fn next_key(&self, _: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::Enotsupp)
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        self.slots.iter().for_each(|(owner, slot)| visit(&owner.to_le_bytes(), &[self.values.address(*slot)]));
    }
}
