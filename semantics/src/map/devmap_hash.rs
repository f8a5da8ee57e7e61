//! `BPF_MAP_TYPE_DEVMAP_HASH`: a [`devmap`](super::devmap) with any numbers for keys (`kernel/bpf/devmap.c`).

use super::chained::Chained;
use super::devmap::{self, Devices, Entry};
use super::held::Held;
use super::{Errno, MapDef, MapError, MapOps, Setting, index, refuse, update};
use crate::memory::Memory;

/// `dev_map_init_map`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    devmap::check(def)?;
    if def.max_entries > 1 << 31 {
        return refuse(def, Errno::Einval, "there would be more buckets than the kernel makes");
    }
    Ok(())
}

/// A hash table of devices.
#[derive(Debug)]
pub(super) struct DevmapHash {
    devices: Devices,
    entries: Chained<Entry>,
    max_entries: u32,
}

impl DevmapHash {
    pub(super) fn create(def: &MapDef, number: usize, memory: &mut Memory) -> Result<DevmapHash, MapError> {
        // The bucket is the low bits of the key itself.
        let entries = Chained::new(def.max_entries, index);
        Ok(DevmapHash { devices: Devices::place(def, number, memory)?, entries, max_entries: def.max_entries })
    }
}

impl MapOps for DevmapHash {
    fn reset(&mut self, memory: &mut Memory, _: &Setting) {
        self.entries.clear();
        self.devices.reset(memory);
    }
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.entries.get(key).map(|entry| self.devices.address(*entry))
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.entries.get(key).map(|entry| entry.held)
    }
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let old = self.entries.remove(key).ok_or(Errno::Enoent)?;
        self.devices.free(Some(old));
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.devices.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.devices.read(memory, self.entries.get(key).copied(), value)
    }
    /// Unknown flags and device 0 (EINVAL), NOEXIST for an entry that is there (EEXIST), then a full map (E2BIG). EXIST means
    /// nothing.
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags > update::EXIST || index(value) == 0 {
            return Err(Errno::Einval);
        }
        let is_new = self.entries.get(key).is_none();
        if !is_new && flags & update::NOEXIST != 0 {
            return Err(Errno::Eexist);
        }
        let held = Devices::device(value)?.ok_or(Errno::Einval)?;
        if is_new && self.entries.len() >= self.max_entries as usize {
            return Err(Errno::E2big);
        }
        let entry = self.devices.make(memory, held)?;
        let old = self.entries.insert(key, entry);
        self.devices.free(old);
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.entries.next_key(key)
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        self.entries.iter().for_each(|(key, entry)| visit(key, &[self.devices.address(*entry)]));
    }
}
