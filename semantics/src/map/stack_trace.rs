//! `BPF_MAP_TYPE_STACK_TRACE`: stack traces under the low bits of their hash (`kernel/bpf/stackmap.c`).
//!
//! Programs put traces in and never look at them; user space reads and deletes them.

use std::collections::BTreeMap;

use super::{
    Errno, MapDef, MapError, MapOps, NUMA_NODE, RDONLY, STACK_BUILD_ID, Setting, WRONLY, check_flags, index, refuse,
};
use crate::memory::Memory;

/// `sysctl_perf_event_max_stack` unless somebody changes it.
const DEPTH_MAX: u32 = 127;
/// `sizeof(struct bpf_stack_build_id)`.
const BUILD_ID_LEN: u32 = 32;

/// `stack_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    check_flags(def, NUMA_NODE | RDONLY | WRONLY | STACK_BUILD_ID)?;
    if def.max_entries == 0 || def.key_size != 4 || def.value_size < 8 || !def.value_size.is_multiple_of(8) {
        return refuse(def, Errno::Einval, "a map of traces has 4-byte keys, values of words and at least 1 entry");
    }
    let frame = if def.flags & STACK_BUILD_ID != 0 { BUILD_ID_LEN } else { 8 };
    if !def.value_size.is_multiple_of(frame) || def.value_size / frame > DEPTH_MAX {
        return refuse(def, Errno::Einval, "a value is as long as the frames of a trace, at most 127");
    }
    if def.max_entries > 1 << 31 {
        return refuse(def, Errno::E2big, "there would be more buckets than the kernel makes");
    }
    Ok(())
}

/// Traces by number.
#[derive(Debug)]
pub(super) struct StackTrace {
    traces: BTreeMap<u32, Vec<u8>>,
    buckets: u64,
    len: usize,
}

impl StackTrace {
    pub(super) fn create(def: &MapDef) -> StackTrace {
        let buckets = u64::from(def.max_entries).next_power_of_two();
        StackTrace { traces: BTreeMap::new(), buckets, len: def.value_size as usize }
    }
}

impl MapOps for StackTrace {
    fn reset(&mut self, _: &mut Memory, _: &Setting) {
        self.traces.clear();
    }
    /// A number that there is not (E2BIG), then one without a trace (ENOENT).
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        if u64::from(index(key)) >= self.buckets {
            return Err(Errno::E2big);
        }
        self.traces.remove(&index(key)).map(|_| ()).ok_or(Errno::Enoent)
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.len)
    }
    /// The trace, and zeros behind it.
    fn user_lookup(&mut self, _: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        let trace = self.traces.get(&index(key)).ok_or(Errno::Enoent)?;
        value.fill(0);
        value[..trace.len()].copy_from_slice(trace);
        Ok(())
    }
    fn user_update(&mut self, _: &mut Memory, _: &[u8], _: &[u8], _: u64) -> Result<(), Errno> {
        Err(Errno::Einval)
    }
    fn put(&mut self, _: &mut Memory, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        if u64::from(index(key)) >= self.buckets {
            return Err(Errno::E2big);
        }
        self.traces.insert(index(key), value.to_vec());
        Ok(())
    }
    /// Behind a number without a trace comes the first with one.
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let key = key.map(index).filter(|key| self.traces.contains_key(key));
        let next = match key {
            Some(key) => self.traces.range(key + 1..).next(),
            None => self.traces.first_key_value(),
        };
        next.map(|(key, _)| key.to_le_bytes().to_vec()).ok_or(Errno::Enoent)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.traces.iter().for_each(|(at, trace)| visit(&at.to_le_bytes(), trace));
    }
}
