//! `BPF_MAP_TYPE_DEVMAP`: network devices that packets are redirected to, under indices (`kernel/bpf/devmap.c`).
//!
//! A value is the number of a device, and if it has 8 bytes the program that runs where packets leave to it. A program that looks
//! one up may only read it. Replacing an entry makes a new one: a pointer taken before keeps showing the old.

use std::collections::BTreeMap;

use super::held::Held;
use super::htab::OnDemand;
use super::values::Values;
use super::{
    Errno, MapDef, MapError, MapOps, NUMA_NODE, RDONLY, Setting, WRONLY, check_flags, index, next_index, refuse, update,
};
use crate::memory::Memory;

/// `dev_map_init_map`. Programs only read it, whatever its flags say.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 4 || !matches!(def.value_size, 4 | 8) {
        return refuse(
            def,
            Errno::Einval,
            "a map of devices has 4-byte keys, values of 4 or 8 bytes and at least 1 entry",
        );
    }
    check_flags(def, NUMA_NODE | RDONLY | WRONLY)
}

/// How many slots the values of a map of devices have.
pub(super) fn slot_count(def: &MapDef) -> u64 {
    u64::from(def.max_entries) + OnDemand::spare(def.max_entries)
}

/// The program that a value names behind its first number, 0 for none: a file descriptor of 0 or less is none.
pub(super) fn program(value: &[u8]) -> u32 {
    let program = value.get(4..).filter(|program| !program.is_empty());
    program.map_or(0, |program| index(program).cast_signed().max(0) as u32)
}

/// The entries of a map of devices.
#[derive(Debug)]
pub(super) struct Devices {
    values: Values,
    slots: OnDemand,
}

/// An entry: where its value is, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    slot: u32,
    pub held: Held,
}

impl Devices {
    pub(super) fn place(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Devices, MapError> {
        let values = Values::place(def, index, memory, slot_count(def), false)?;
        Ok(Devices { values, slots: OnDemand::new(def.max_entries) })
    }
    pub(super) fn reset(&mut self, memory: &mut Memory) {
        let touched = self.slots.clear();
        self.values.clear(memory, touched);
    }
    /// What a value says: `None` for device 0 (EINVAL with a program).
    pub(super) fn device(value: &[u8]) -> Result<Option<Held>, Errno> {
        let ifindex = index(value);
        let program = program(value);
        match (ifindex, program) {
            (0, 0) => Ok(None),
            (0, _) => Err(Errno::Einval),
            _ => Ok(Some(Held::Device { ifindex, program })),
        }
    }
    pub(super) fn make(&mut self, memory: &mut Memory, held: Held) -> Result<Entry, Errno> {
        let slot = self.slots.pop().ok_or(Errno::Enomem)?;
        self.values.make(memory, slot, &held.bytes()[..self.values.user_len()]);
        Ok(Entry { slot, held })
    }
    pub(super) fn free(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry {
            self.slots.push(entry.slot);
        }
    }
    pub(super) fn address(&self, entry: Entry) -> u64 {
        self.values.address(entry.slot)
    }
    pub(super) fn user_len(&self) -> usize {
        self.values.user_len()
    }
    pub(super) fn read(&self, memory: &Memory, entry: Option<Entry>, value: &mut [u8]) -> Result<(), Errno> {
        self.values.copy(memory, entry.map(|entry| entry.slot), value)
    }
}

/// An array of devices.
#[derive(Debug)]
pub(super) struct Devmap {
    devices: Devices,
    entries: BTreeMap<u32, Entry>,
    max_entries: u32,
}

impl Devmap {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Devmap, MapError> {
        let devices = Devices::place(def, index, memory)?;
        Ok(Devmap { devices, entries: BTreeMap::new(), max_entries: def.max_entries })
    }
}

impl MapOps for Devmap {
    fn reset(&mut self, memory: &mut Memory, _: &Setting) {
        self.entries.clear();
        self.devices.reset(memory);
    }
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.entries.get(&index(key)).map(|entry| self.devices.address(*entry))
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.entries.get(&index(key)).map(|entry| entry.held)
    }
    /// An index that there is not is EINVAL; an empty one is no mistake.
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        if index(key) >= self.max_entries {
            return Err(Errno::Einval);
        }
        let old = self.entries.remove(&index(key));
        self.devices.free(old);
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.devices.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.devices.read(memory, self.entries.get(&index(key)).copied(), value)
    }
    /// Unknown flags (EINVAL), the index (E2BIG), NOEXIST, which never holds (EEXIST), then the device; 0 empties the entry.
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        let index = index(key);
        if index >= self.max_entries {
            return Err(Errno::E2big);
        }
        if flags == update::NOEXIST {
            return Err(Errno::Eexist);
        }
        let old = match Devices::device(value)? {
            None => self.entries.remove(&index),
            Some(held) => {
                let entry = self.devices.make(memory, held)?;
                self.entries.insert(index, entry)
            }
        };
        self.devices.free(old);
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.max_entries)
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        self.entries.iter().for_each(|(at, entry)| visit(&at.to_le_bytes(), &[self.devices.address(*entry)]));
    }
}
