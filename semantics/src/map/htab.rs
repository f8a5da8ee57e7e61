//! The kernel's hash table: elements in slots, and where the slots come from (`kernel/bpf/hashtab.c`).
//!
//! All tables are made of it: [`hash`](super::hash), [`percpu_hash`](super::percpu_hash), the two with least recently used
//! elements, and [`hash_of_maps`](super::hash_of_maps).

use std::collections::VecDeque;

use super::buckets::{BUCKETS_MAX, Buckets};
use super::free_list::FreeLists;
use super::lru_list::Lru;
use super::values::{CPUS_MAX, Values};
use super::{
    Errno, MapDef, MapError, MapOps, MapType, NO_COMMON_LRU, NO_PREALLOC, NUMA_NODE, RDONLY, RDONLY_PROG, Setting,
    WRONLY, WRONLY_PROG, Walk, ZERO_SEED, check_access, refuse, update,
};
use crate::memory::Memory;

/// `KMALLOC_MAX_SIZE` with 4 KiB pages.
pub(super) const KMALLOC_MAX: u64 = 1 << 22;
/// `sizeof(struct htab_elem)`: what an element has before its key.
const ELEMENT_HEADER: u64 = 48;
/// `PCPU_MIN_UNIT_SIZE`: the longest value that each CPU can have its own of.
pub(super) const PER_CPU_MAX: u32 = 32 << 10;

/// `htab_map_alloc_check`, in its order.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    let (is_per_cpu, is_lru) = (is_per_cpu(def.map_type), is_lru(def.map_type));
    let has = |flag: u32| def.flags & flag != 0;
    let known = NO_PREALLOC | NO_COMMON_LRU | NUMA_NODE | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG | ZERO_SEED;
    check_access(def, known)?;
    if !is_lru && has(NO_COMMON_LRU) {
        return refuse(def, Errno::Einval, "only tables with least recently used elements have lists of them");
    }
    if is_lru && has(NO_PREALLOC) {
        return refuse(def, Errno::Enotsupp, "elements of which the least recently used go all exist from the start");
    }
    if has(NUMA_NODE) && (is_per_cpu || has(NO_COMMON_LRU)) {
        return refuse(def, Errno::Einval, "what each CPU has its own of lies on the node of that CPU");
    }
    if def.max_entries == 0 || def.key_size == 0 || def.value_size == 0 {
        return refuse(def, Errno::Einval, "a hash has keys and values of at least 1 byte and at least 1 entry");
    }
    if u64::from(def.key_size) + u64::from(def.value_size) >= KMALLOC_MAX - ELEMENT_HEADER {
        return refuse(def, Errno::E2big, "key and value together are longer than the kernel can allocate");
    }
    if is_per_cpu && u64::from(def.value_size).next_multiple_of(8) > u64::from(PER_CPU_MAX) {
        return refuse(def, Errno::E2big, "the value is longer than a CPU can have its own of");
    }
    if u64::from(def.max_entries).next_power_of_two() > BUCKETS_MAX {
        return refuse(def, Errno::E2big, "there would be more buckets than the kernel makes");
    }
    Ok(())
}

/// Whether each CPU has values of its own.
pub(super) fn is_per_cpu(map_type: MapType) -> bool {
    matches!(map_type, MapType::PERCPU_HASH | MapType::LRU_PERCPU_HASH)
}

fn is_lru(map_type: MapType) -> bool {
    matches!(map_type, MapType::LRU_HASH | MapType::LRU_PERCPU_HASH)
}

/// How many slots a table has.
pub(super) fn slot_count(def: &MapDef) -> u64 {
    let entries = u64::from(def.max_entries);
    if def.flags & NO_PREALLOC != 0 {
        return entries + OnDemand::spare(def.max_entries);
    }
    // One more for each CPU: what takes the place of an element that is replaced; with lists for each CPU, what makes them
    // equally long.
    entries + u64::from(CPUS_MAX)
}

/// Elements under keys, in slots.
#[derive(Debug)]
pub(super) struct Htab {
    buckets: Buckets,
    slots: Slots,
    max_entries: u32,
    cpu: u32,
    has_zero_seed: bool,
    is_per_cpu: bool,
}

/// Where slots come from.
#[derive(Debug)]
enum Slots {
    /// All exist from the start. A replacement takes the spare slot of its CPU, which gets the old one.
    Preallocated { free: FreeLists, spare: Vec<u32> },
    /// They are made when needed.
    OnDemand(OnDemand),
    /// All exist from the start, and are taken from other elements if need be.
    Lru(Lru),
}

/// Slots that are made when needed. What was freed is used again only when there is no other way, oldest first: the kernel
/// waits until no program can hold it.
#[derive(Debug)]
pub(super) struct OnDemand {
    made: u32,
    slots: u32,
    freed: VecDeque<u32>,
}

impl OnDemand {
    /// Slots beyond the elements that there can be at once.
    pub(super) fn spare(max_entries: u32) -> u64 {
        u64::from(max_entries.clamp(256, 65_536))
    }
    pub(super) fn new(max_entries: u32) -> OnDemand {
        let slots = u64::from(max_entries) + OnDemand::spare(max_entries);
        OnDemand { made: 0, slots: slots.min(u64::from(u32::MAX)) as u32, freed: VecDeque::new() }
    }
    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.made < self.slots {
            self.made += 1;
            return Some(self.made - 1);
        }
        self.freed.pop_front()
    }
    pub(super) fn push(&mut self, slot: u32) {
        self.freed.push_back(slot);
    }
    /// Forgets all slots: those that were made.
    pub(super) fn clear(&mut self) -> std::ops::Range<u32> {
        self.freed.clear();
        0..std::mem::take(&mut self.made)
    }
}

/// The slots of the first elements of a table of which none evicts another, in the default world.
pub(super) fn first_slots(def: &MapDef, count: usize) -> Vec<u32> {
    let count = count.min(def.max_entries as usize);
    if def.flags & NO_PREALLOC != 0 {
        return (0..count as u32).collect();
    }
    let (mut free, setting) = (FreeLists::default(), Setting::default());
    spare(&mut free, def.max_entries, &setting);
    (0..count).filter_map(|_| free.pop(setting.current)).collect()
}

/// Makes all slots free but one for each CPU: what a replacement takes.
fn spare(free: &mut FreeLists, max_entries: u32, setting: &Setting) -> Vec<u32> {
    free.populate(max_entries + setting.cpus, setting.cpus);
    (0..setting.cpus).filter_map(|_| free.pop(setting.current)).collect()
}

/// The slot that an update stores to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub slot: u32,
    /// Whether it is that of an element that was there, and stays where it is.
    pub is_in_place: bool,
    /// The slot of an element that was replaced, and is free now.
    pub replaced: Option<u32>,
}

impl Htab {
    pub(super) fn new(def: &MapDef) -> Htab {
        let count = slot_count(def);
        let slots = if is_lru(def.map_type) {
            Slots::Lru(Lru::new(def.flags & NO_COMMON_LRU == 0, count as u32, CPUS_MAX))
        } else if def.flags & NO_PREALLOC != 0 {
            Slots::OnDemand(OnDemand::new(def.max_entries))
        } else {
            Slots::Preallocated { free: FreeLists::default(), spare: Vec::new() }
        };
        let mut table = Htab {
            buckets: Buckets::new(def.max_entries, count, def.key_size),
            slots,
            max_entries: def.max_entries,
            cpu: 0,
            has_zero_seed: def.flags & ZERO_SEED != 0,
            is_per_cpu: is_per_cpu(def.map_type),
        };
        table.fill(&Setting::default());
        table
    }

    /// Removes all elements; the slots that were in use.
    pub(super) fn clear(&mut self, setting: &Setting) -> Vec<std::ops::Range<u32>> {
        let touched = match &mut self.slots {
            // The spare slots are taken from the lists, too.
            Slots::Preallocated { free, .. } => free.touched().collect(),
            Slots::OnDemand(slots) => vec![slots.clear()],
            Slots::Lru(lru) => lru.touched().collect(),
        };
        self.fill(setting);
        touched
    }

    fn fill(&mut self, setting: &Setting) {
        self.cpu = setting.current;
        self.buckets.clear(if self.has_zero_seed { 0 } else { setting.seed });
        match &mut self.slots {
            // As many elements more as replacements can take at once; but not where values are replaced in place.
            Slots::Preallocated { free, spare } => {
                if self.is_per_cpu {
                    spare.clear();
                    free.populate(self.max_entries, setting.cpus);
                } else {
                    *spare = self::spare(free, self.max_entries, setting);
                }
            }
            Slots::OnDemand(_) => {}
            Slots::Lru(lru) => {
                let is_common = lru.is_common();
                let entries =
                    if is_common { self.max_entries } else { self.max_entries.next_multiple_of(setting.cpus) };
                lru.populate(entries, setting.cpus);
            }
        }
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        self.buckets.find(key)
    }
    pub(super) fn key(&self, slot: u32) -> &[u8] {
        self.buckets.key(slot)
    }
    /// A program looked at the element.
    #[inline]
    pub(super) fn mark(&mut self, slot: u32) {
        if let Slots::Lru(lru) = &mut self.slots {
            lru.mark(slot);
        }
    }
    /// Whether an element had to make room for another.
    pub(super) fn has_evicted(&self) -> bool {
        matches!(&self.slots, Slots::Lru(lru) if lru.has_evicted())
    }

    /// The slot for the value under `key`. Unknown flags first (EINVAL), then EEXIST and ENOENT by flag, then E2BIG for a new
    /// key in a full table; one that frees the least recently used makes room before it looks at the flag.
    pub(super) fn update(&mut self, key: &[u8], flags: u64) -> Result<Target, Errno> {
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        if matches!(self.slots, Slots::Lru(_)) {
            return self.update_lru(key, flags);
        }
        let old = self.buckets.find(key);
        check_flags(old, flags)?;
        if let Some(slot) = old.filter(|_| self.is_per_cpu) {
            return Ok(Target { slot, is_in_place: true, replaced: None });
        }
        let slot = match (&mut self.slots, old) {
            (Slots::Preallocated { spare, .. }, Some(old)) => std::mem::replace(&mut spare[self.cpu as usize], old),
            (Slots::Preallocated { free, .. }, None) => free.pop(self.cpu).ok_or(Errno::E2big)?,
            (Slots::OnDemand(_), None) if self.buckets.len() >= self.max_entries as usize => return Err(Errno::E2big),
            (Slots::OnDemand(slots), _) => slots.pop().ok_or(Errno::Enomem)?,
            (Slots::Lru(_), _) => unreachable!("has a rule of its own"),
        };
        self.put(slot, key, old);
        if let (Slots::OnDemand(slots), Some(old)) = (&mut self.slots, old) {
            slots.push(old);
        }
        Ok(Target { slot, is_in_place: false, replaced: old })
    }

    /// `htab_lru_map_update_elem`, `__htab_lru_percpu_map_update_elem`.
    fn update_lru(&mut self, key: &[u8], flags: u64) -> Result<Target, Errno> {
        let Slots::Lru(lru) = &mut self.slots else { unreachable!("only called for such a table") };
        let buckets = &mut self.buckets;
        let mut new = None;
        if !(self.is_per_cpu && flags == update::EXIST) {
            new = Some(lru.pop(self.cpu, &mut |slot| buckets.remove(slot)).ok_or(Errno::Enomem)?);
        }
        let old = buckets.find(key);
        if let Err(errno) = check_flags(old, flags) {
            if let Some(slot) = new {
                lru.push(slot);
            }
            return Err(errno);
        }
        match (old, new) {
            (Some(slot), new) if self.is_per_cpu => {
                lru.mark(slot);
                if let Some(new) = new {
                    lru.push(new);
                }
                Ok(Target { slot, is_in_place: true, replaced: None })
            }
            (old, Some(slot)) => {
                buckets.insert(slot, key);
                if let Some(old) = old {
                    lru.mark(slot);
                    buckets.remove(old);
                    lru.push(old);
                }
                Ok(Target { slot, is_in_place: false, replaced: old })
            }
            (_, None) => unreachable!("an element that must exist does"),
        }
    }

    /// Inserts the new element before the old one goes: its bucket has no gap.
    fn put(&mut self, slot: u32, key: &[u8], old: Option<u32>) {
        self.buckets.insert(slot, key);
        if let Some(old) = old {
            self.buckets.remove(old);
        }
    }

    /// Removes the element under `key`: its slot, which is free.
    pub(super) fn delete(&mut self, key: &[u8]) -> Result<u32, Errno> {
        let slot = self.buckets.find(key).ok_or(Errno::Enoent)?;
        self.buckets.remove(slot);
        match &mut self.slots {
            Slots::Preallocated { free, .. } => free.push(self.cpu, slot),
            Slots::OnDemand(slots) => slots.push(slot),
            Slots::Lru(lru) => lru.push(slot),
        }
        Ok(slot)
    }

    /// The keys of a bucket, if there is such a bucket.
    pub(super) fn bucket(&self, number: u32) -> Option<Vec<Vec<u8>>> {
        self.buckets.bucket(number)
    }
    pub(super) fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.buckets.next_key(key).map(<[u8]>::to_vec).ok_or(Errno::Enoent)
    }
    /// The slots of all elements in the order of iteration.
    pub(super) fn slots(&self) -> Vec<u32> {
        self.buckets.slots()
    }
    /// The next slot of a walk (`bpf_for_each_hash_elem`): what comes next was looked up before the element before it was
    /// visited, within a bucket.
    pub(super) fn walk(&self, at: &mut Walk) -> Option<u32> {
        let slot = if let Some(slot) = at.behind.take() {
            slot
        } else {
            let (slot, bucket) = self.buckets.first_from(at.next)?;
            at.next = bucket + 1;
            slot
        };
        at.behind = self.buckets.behind(slot);
        Some(slot)
    }
}

/// `check_flags`.
fn check_flags(old: Option<u32>, flags: u64) -> Result<(), Errno> {
    match (old, flags) {
        (Some(_), update::NOEXIST) => Err(Errno::Eexist),
        (None, update::EXIST) => Err(Errno::Enoent),
        _ => Ok(()),
    }
}

/// A hash table with values in guest memory.
#[derive(Debug)]
pub(super) struct HashTable {
    table: Htab,
    values: Values,
    /// Whether values hold a spin lock that updates may take.
    has_lock: bool,
}

impl HashTable {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<HashTable, MapError> {
        let values = Values::place(def, index, memory, slot_count(def), is_per_cpu(def.map_type))?;
        Ok(HashTable { table: Htab::new(def), values, has_lock: def.map_type == MapType::HASH && def.has_lock() })
    }
    /// The slot for the value under `key`. With LOCK an element that is there is changed where it is, if its value has a lock
    /// (EINVAL).
    fn target(&mut self, key: &[u8], flags: u64) -> Result<Target, Errno> {
        if flags & update::LOCK == 0 {
            return self.table.update(key, flags);
        }
        let flags = flags & !update::LOCK;
        if flags > update::EXIST || !self.has_lock {
            return Err(Errno::Einval);
        }
        match self.table.find(key) {
            Some(slot) => {
                check_flags(Some(slot), flags)?;
                Ok(Target { slot, is_in_place: true, replaced: None })
            }
            None => self.table.update(key, flags),
        }
    }
    fn copy(&self, memory: &Memory, key: &[u8], into: &mut [u8]) -> Result<(), Errno> {
        self.values.copy(memory, self.table.find(key), into)
    }
}

impl MapOps for HashTable {
    fn reset(&mut self, memory: &mut Memory, setting: &Setting) {
        for slots in self.table.clear(setting) {
            self.values.clear(memory, slots);
        }
        self.values.set(setting);
    }
    #[inline]
    fn lookup(&mut self, key: &[u8]) -> Option<u64> {
        let slot = self.table.find(key)?;
        self.table.mark(slot);
        Some(self.values.address(slot))
    }
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.table.find(key).map(|slot| self.values.address(slot))
    }
    fn lookup_percpu(&mut self, key: &[u8], cpu: u32) -> Option<u64> {
        let slot = self.table.find(key)?;
        let addr = self.values.address_on(slot, cpu)?;
        self.table.mark(slot);
        Some(addr)
    }
    fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let target = self.target(key, flags)?;
        if let Some(replaced) = target.replaced {
            self.values.free_fields(memory, replaced);
        }
        if target.is_in_place {
            self.values.store(memory, target.slot, value);
        } else {
            self.values.make(memory, target.slot, value);
        }
        Ok(())
    }
    fn delete(&mut self, memory: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let slot = self.table.delete(key)?;
        self.values.free_fields(memory, slot);
        Ok(())
    }
    fn walk(&self, at: &mut Walk) -> Option<(Vec<u8>, u64)> {
        let slot = self.table.walk(at)?;
        Some((self.table.key(slot).to_vec(), self.values.address(slot)))
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.values.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.copy(memory, key, value)
    }
    fn user_update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let target = self.target(key, flags)?;
        if let Some(replaced) = target.replaced {
            self.values.free_fields(memory, replaced);
        }
        if !target.is_in_place {
            let addr = self.values.address(target.slot);
            self.values.clear_fields(memory, addr);
        }
        self.values.store_all(memory, target.slot, value);
        Ok(())
    }
    fn lookup_and_delete(&mut self, memory: &mut Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.copy(memory, key, value)?;
        self.delete(memory, key)
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.table.next_key(key)
    }
    fn bucket(&self, number: u32) -> Option<Vec<Vec<u8>>> {
        self.table.bucket(number)
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        let mut addresses = Vec::new();
        for slot in self.table.slots() {
            addresses.clear();
            addresses.extend(self.values.addresses(slot));
            visit(self.table.key(slot), &addresses);
        }
    }
    fn has_evicted(&self) -> bool {
        self.table.has_evicted()
    }
}
