//! The values of a map in guest memory: one for each slot, or one for each slot and CPU.

use super::{Errno, MapDef, MapError, Setting, ValueFieldKind, stride};
use crate::memory::{Memory, Object, Region};
use crate::world::CpuConfig;

/// How many CPUs the maps have room for.
pub(super) const CPUS_MAX: u32 = CpuConfig::MAX;

/// Where the values of a map lie. Those of the first CPU come first, by slot, then those of the next.
#[derive(Debug)]
pub(super) struct Values {
    base: u64,
    stride: u64,
    /// Bytes of a value.
    len: usize,
    slots: u64,
    is_per_cpu: bool,
    cpus: u32,
    /// Distance of the values of the current CPU from `base`.
    here: u64,
    /// Bytes of a value that only the kernel touches: copies leave them out.
    fields: Vec<(usize, usize)>,
    /// Those of them that are given up with what a value held.
    freed: Vec<(usize, usize)>,
}

impl Values {
    /// Reserves guest memory for `slots` values, of all CPUs if `is_per_cpu`.
    pub(super) fn place(
        def: &MapDef,
        index: usize,
        memory: &mut Memory,
        slots: u64,
        is_per_cpu: bool,
    ) -> Result<Values, MapError> {
        let count = count(slots, is_per_cpu);
        let region = Region {
            object: Object::MapValue(index as u32),
            base: 0,
            len: u64::from(def.value_size),
            stride: stride(def),
            count,
            writable: !def.is_read_only(),
        };
        let bytes = stride(def).saturating_mul(count);
        let base =
            memory.place_map_values(region).ok_or_else(|| MapError::TooLarge { name: def.name.clone(), bytes })?;
        let places = |is_one: fn(ValueFieldKind) -> bool| {
            let fields = def.fields.iter().filter(move |field| is_one(field.kind));
            fields.map(|field| (field.offset as usize, field.kind.layout().0 as usize)).collect()
        };
        Ok(Values {
            base,
            stride: stride(def),
            len: def.value_size as usize,
            slots,
            is_per_cpu,
            cpus: 1,
            here: 0,
            fields: places(|_| true),
            freed: places(ValueFieldKind::is_freed),
        })
    }

    /// Takes over which CPUs there are.
    pub(super) fn set(&mut self, setting: &Setting) {
        if self.is_per_cpu {
            self.cpus = setting.cpus;
            self.here = u64::from(setting.current) * self.slots * self.stride;
        }
    }
    /// The address of the value in a slot, on the current CPU.
    #[inline]
    pub(super) fn address(&self, slot: u32) -> u64 {
        self.base + self.here + u64::from(slot) * self.stride
    }
    /// The address of the value in a slot on this CPU; `None` if there is no such CPU.
    pub(super) fn address_on(&self, slot: u32, cpu: u32) -> Option<u64> {
        let first = u64::from(cpu) * self.slots + u64::from(slot);
        (cpu < self.cpus).then(|| self.base + first * self.stride)
    }
    /// The addresses of the values in a slot, by CPU.
    pub(super) fn addresses(&self, slot: u32) -> impl Iterator<Item = u64> {
        (0..self.cpus).filter_map(move |cpu| self.address_on(slot, cpu))
    }
    /// Where the slot is whose value begins there on the current CPU.
    pub(super) fn base(&self) -> u64 {
        self.base
    }
    /// Bytes of a value as user space sees it: those of all CPUs, each up to the next multiple of 8.
    pub(super) fn user_len(&self) -> usize {
        if self.is_per_cpu { self.cpus as usize * self.len.next_multiple_of(8) } else { self.len }
    }

    /// What a program stores: the value of the current CPU. The kernel's members stay as they are.
    pub(super) fn store(&self, memory: &mut Memory, slot: u32, value: &[u8]) {
        self.copy_in(memory, self.address(slot), value);
    }
    /// What a program makes: the value of the current CPU, with zeros on the others and in the kernel's members.
    pub(super) fn make(&self, memory: &mut Memory, slot: u32, value: &[u8]) {
        let here = self.address(slot);
        for addr in self.addresses(slot).filter(|addr| *addr != here) {
            memory.clear(addr, (self.len as u64).next_multiple_of(8));
        }
        self.clear_fields(memory, here);
        self.copy_in(memory, here, value);
    }
    /// What user space stores: the values of all CPUs.
    pub(super) fn store_all(&self, memory: &mut Memory, slot: u32, values: &[u8]) {
        if !self.is_per_cpu {
            return self.store(memory, slot, values);
        }
        let rounded = self.len.next_multiple_of(8);
        for (addr, value) in self.addresses(slot).zip(values.chunks_exact(rounded)) {
            self.copy_in(memory, addr, value);
        }
    }
    fn copy_in(&self, memory: &mut Memory, addr: u64, value: &[u8]) {
        let mut from = 0;
        for (offset, len) in &self.fields {
            memory.poke(addr + from as u64, &value[from..*offset]);
            from = offset + len;
        }
        memory.poke(addr + from as u64, &value[from..]);
    }
    /// Zeroes the members that only the kernel touches, of a value that begins there.
    pub(super) fn clear_fields(&self, memory: &mut Memory, addr: u64) {
        for (offset, len) in &self.fields {
            memory.clear(addr + *offset as u64, *len as u64);
        }
    }
    /// Gives up what the kernel's members of the values in a slot hold: timers, objects (`bpf_obj_free_fields`).
    pub(super) fn free_fields(&self, memory: &mut Memory, slot: u32) {
        if self.freed.is_empty() {
            return;
        }
        for addr in self.addresses(slot) {
            self.freed.iter().for_each(|(offset, len)| memory.clear(addr + *offset as u64, *len as u64));
        }
    }
    /// What user space reads: the values of all CPUs, with zeros in the kernel's members. `into` has [`Values::user_len`] bytes.
    fn read(&self, memory: &Memory, slot: u32, into: &mut [u8]) {
        let len = if self.is_per_cpu { self.len.next_multiple_of(8) } else { self.len };
        for (addr, into) in self.addresses(slot).zip(into.chunks_exact_mut(len)) {
            into.copy_from_slice(memory.peek(addr, len as u64));
            self.fields.iter().for_each(|(offset, len)| into[*offset..offset + len].fill(0));
        }
    }
    /// The same for the slot of an element, if there is one (ENOENT).
    pub(super) fn copy(&self, memory: &Memory, slot: Option<u32>, into: &mut [u8]) -> Result<(), Errno> {
        self.read(memory, slot.ok_or(Errno::Enoent)?, into);
        Ok(())
    }
    /// Zeroes the values of these slots on all CPUs.
    pub(super) fn clear(&self, memory: &mut Memory, slots: std::ops::Range<u32>) {
        let (first, count) = (slots.start, u64::from(slots.end.saturating_sub(slots.start)));
        if count > 0 {
            for addr in self.addresses(first) {
                memory.clear(addr, count * self.stride);
            }
        }
    }
}

/// How many values `slots` slots take.
pub(super) fn count(slots: u64, is_per_cpu: bool) -> u64 {
    if is_per_cpu { slots.saturating_mul(u64::from(CPUS_MAX)) } else { slots }
}
