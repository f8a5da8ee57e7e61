//! Values in the order in which they came: what [`queue`](super::queue) and [`stack`](super::stack) are made of
//! (`kernel/bpf/queue_stack_maps.c`).

use std::collections::VecDeque;

use super::htab::KMALLOC_MAX;
use super::{
    Errno, MapDef, MapError, MapOps, MapType, NUMA_NODE, RDONLY, RDONLY_PROG, Setting, WRONLY, WRONLY_PROG,
    check_access, refuse, update,
};
use crate::memory::Memory;

/// `queue_stack_map_alloc_check`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 0 || def.value_size == 0 {
        return refuse(def, Errno::Einval, "it has no keys, values of at least 1 byte and at least 1 entry");
    }
    check_access(def, NUMA_NODE | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG)?;
    if u64::from(def.value_size) > KMALLOC_MAX {
        return refuse(def, Errno::E2big, "the value is longer than the kernel can allocate");
    }
    Ok(())
}

/// At most so many values, the oldest first. Programs only get copies of them.
#[derive(Debug)]
pub(super) struct Ring {
    values: VecDeque<Box<[u8]>>,
    len: usize,
    max_entries: u32,
    /// Whether the newest value comes out first.
    is_stack: bool,
}

impl Ring {
    pub(super) fn create(def: &MapDef) -> Ring {
        let is_stack = def.map_type == MapType::STACK;
        Ring { values: VecDeque::new(), len: def.value_size as usize, max_entries: def.max_entries, is_stack }
    }
}

impl MapOps for Ring {
    fn reset(&mut self, _: &mut Memory, _: &Setting) {
        self.values.clear();
    }
    fn delete(&mut self, _: &mut Memory, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Einval)
    }
    /// NOEXIST and unknown flags first (EINVAL). Where there is no room (E2BIG), EXIST drops the oldest value.
    fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags & update::NOEXIST != 0 || flags > update::EXIST {
            return Err(Errno::Einval);
        }
        if self.values.len() == self.max_entries as usize {
            if flags & update::EXIST == 0 {
                return Err(Errno::E2big);
            }
            self.values.pop_front();
        }
        self.values.push_back(value.into());
        Ok(())
    }
    fn pop(&mut self, value: &mut [u8]) -> Result<(), Errno> {
        self.peek(value)?;
        if self.is_stack {
            self.values.pop_back()
        } else {
            self.values.pop_front()
        };
        Ok(())
    }
    /// An empty one gives zeros, and ENOENT.
    fn peek(&mut self, value: &mut [u8]) -> Result<(), Errno> {
        let next = if self.is_stack { self.values.back() } else { self.values.front() };
        let Some(next) = next else {
            value.fill(0);
            return Err(Errno::Enoent);
        };
        value.copy_from_slice(next);
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.len)
    }
    fn user_update(&mut self, _: &mut Memory, _: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.push(value, flags)
    }
    fn lookup_and_delete(&mut self, _: &mut Memory, _: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.pop(value)
    }
    fn next_key(&self, _: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::Einval)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.values.iter().for_each(|value| visit(&[], value));
    }
}
