//! `BPF_MAP_TYPE_HASH`: at most `max_entries` elements under keys of any bytes (kernel/bpf/hashtab.c).

use std::collections::HashMap;

use super::{
    Contents, Errno, MapDef, MapError, MapOps, NO_PREALLOC, NUMA_NODE, RDONLY, RDONLY_PROG, WRONLY, WRONLY_PROG,
    ZERO_SEED, are_elements, check_flags, place_values, refuse, stride, update,
};
use crate::memory::Memory;

/// A preallocated hash table. As in the kernel, replacing a value swaps in a spare slot, so a pointer taken before the
/// update keeps showing the old value.
///
/// Where the kernel's random seed and per-CPU free lists leave the order open, slots are used and elements iterated in
/// the order of insertion.
#[derive(Debug)]
pub struct Hash {
    base: u64,
    stride: u64,
    max_entries: u32,
    /// Where in `elements` a key is.
    places: HashMap<Box<[u8]>, usize>,
    /// Key and slot of each element.
    elements: Vec<(Box<[u8]>, u32)>,
    /// The slot that takes the next replacement; there is one slot more than elements.
    spare: u32,
    /// What it holds from the start.
    contents: Vec<(Vec<u8>, Vec<u8>)>,
}

/// `KMALLOC_MAX_SIZE` with 4 KiB pages: key and value of an element must fit.
const ELEMENT_MAX: u64 = 1 << 22;

/// `htab_map_alloc_check`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size == 0 || def.value_size == 0 {
        return refuse(def, Errno::Einval, "a hash has keys and values of at least 1 byte and at least 1 entry");
    }
    check_flags(def, NUMA_NODE | NO_PREALLOC | RDONLY | WRONLY | ZERO_SEED | RDONLY_PROG | WRONLY_PROG)?;
    if u64::from(def.key_size) + u64::from(def.value_size) >= ELEMENT_MAX {
        return refuse(def, Errno::E2big, "key and value together are longer than the kernel can allocate");
    }
    match &def.contents {
        Contents::Empty => Ok(()),
        Contents::Elements(elements) if are_elements(def, elements) && elements.len() <= def.max_entries as usize => {
            Ok(())
        }
        _ => refuse(def, Errno::Einval, "what it holds from the start are no elements of it"),
    }
}

impl Hash {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Hash, MapError> {
        let base = place_values(def, index, memory)?;
        Ok(Hash {
            base,
            stride: stride(def),
            max_entries: def.max_entries,
            places: HashMap::new(),
            elements: Vec::new(),
            spare: 0,
            contents: if let Contents::Elements(elements) = &def.contents { elements.clone() } else { Vec::new() },
        })
    }
    fn address(&self, slot: u32) -> u64 {
        self.base + u64::from(slot) * self.stride
    }
}

impl MapOps for Hash {
    fn lookup(&self, key: &[u8]) -> Option<u64> {
        self.places.get(key).map(|place| self.address(self.elements[*place].1))
    }
    /// EINVAL for other flags, then EEXIST or ENOENT by flag, then E2BIG for a new key in a full table.
    fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        // BPF_F_LOCK needs a spin lock in the value, which no modelled value has.
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        let slot = match (self.places.get(key), flags) {
            (Some(_), update::NOEXIST) => return Err(Errno::Eexist),
            (None, update::EXIST) => return Err(Errno::Enoent),
            (Some(place), _) => {
                let element = &mut self.elements[*place];
                std::mem::swap(&mut element.1, &mut self.spare);
                element.1
            }
            (None, _) if self.elements.len() == self.max_entries as usize => return Err(Errno::E2big),
            (None, _) => {
                let slot = self.elements.len() as u32 + 1;
                self.places.insert(key.into(), self.elements.len());
                self.elements.push((key.into(), slot));
                slot
            }
        };
        memory.poke(self.address(slot), value);
        Ok(())
    }
    fn reset(&mut self, memory: &mut Memory) {
        if !self.elements.is_empty() {
            memory.clear(self.base, self.stride * (self.elements.len() as u64 + 1));
            self.elements.clear();
            self.places.clear();
            self.spare = 0;
        }
        let contents = std::mem::take(&mut self.contents);
        for (key, value) in &contents {
            let stored = self.update(memory, key, value, update::ANY);
            debug_assert!(stored.is_ok(), "`check` saw to it that there is room");
        }
        self.contents = contents;
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], u64)) {
        for (key, slot) in &self.elements {
            visit(key, self.address(*slot));
        }
    }
}
