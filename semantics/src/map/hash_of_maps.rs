//! `BPF_MAP_TYPE_HASH_OF_MAPS`: maps under keys of any bytes (`kernel/bpf/hashtab.c`, `kernel/bpf/map_in_map.c`).

use std::collections::HashMap;

use super::array_of_maps::{check_inner, fit, fitting};
use super::held::{Held, number};
use super::htab::{self, Htab};
use super::{Errno, MapDef, MapError, MapOps, Setting, refuse};
use crate::memory::{Memory, layout};

/// `fd_htab_map_alloc_check`, `htab_of_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.value_size != 4 {
        return refuse(def, Errno::Einval, "maps are named by values of 4 bytes");
    }
    htab::check(def)?;
    check_inner(def)
}

/// A hash table of maps.
#[derive(Debug)]
pub(super) struct HashOfMaps {
    table: Htab,
    held: HashMap<u32, Held>,
    fit: Vec<bool>,
}

impl HashOfMaps {
    pub(super) fn create(def: &MapDef, all: &[MapDef]) -> HashOfMaps {
        HashOfMaps { table: Htab::new(def), held: HashMap::new(), fit: fit(def, all) }
    }
}

impl MapOps for HashOfMaps {
    fn reset(&mut self, _: &mut Memory, setting: &Setting) {
        self.table.clear(setting);
        self.held.clear();
    }
    fn find(&self, key: &[u8]) -> Option<u64> {
        match self.held(key)? {
            Held::Map(number) => Some(layout::map_handle(number)),
            _ => None,
        }
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.table.find(key).and_then(|slot| self.held.get(&slot)).copied()
    }
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let slot = self.table.delete(key)?;
        self.held.remove(&slot);
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(4)
    }
    fn user_lookup(&mut self, _: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        let held = self.held(key).ok_or(Errno::Enoent)?;
        value.copy_from_slice(&held.bytes()[..4]);
        Ok(())
    }
    /// `bpf_fd_htab_map_update_elem`: the map first, then all that a hash table looks at.
    fn user_update(&mut self, _: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let map = fitting(&self.fit, number(value)?)?;
        let target = self.table.update(key, flags)?;
        if let Some(old) = target.replaced {
            self.held.remove(&old);
        }
        self.held.insert(target.slot, map);
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.table.next_key(key)
    }
    fn bucket(&self, number: u32) -> Option<Vec<Vec<u8>>> {
        self.table.bucket(number)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for slot in self.table.slots() {
            if let Some(held) = self.held.get(&slot) {
                visit(self.table.key(slot), &held.bytes()[..4]);
            }
        }
    }
}
