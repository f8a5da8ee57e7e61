//! `BPF_MAP_TYPE_CPUMAP`: queues to other CPUs that packets are redirected to, under the CPU's number (`kernel/bpf/cpumap.c`).

use std::collections::BTreeMap;

use super::devmap;
use super::held::Held;
use super::{Errno, MapDef, MapError, MapOps, NUMA_NODE, Setting, check_flags, index, next_index, refuse, update};
use crate::memory::Memory;

/// `NR_CPUS` of the kernels of distributions.
const CPUS_MAX: u32 = 8192;
/// The longest queue.
const QUEUE_MAX: u32 = 16_384;

/// `cpu_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 4 || !matches!(def.value_size, 4 | 8) {
        return refuse(
            def,
            Errno::Einval,
            "a map of CPUs has 4-byte keys, values of 4 or 8 bytes and at least 1 entry",
        );
    }
    check_flags(def, NUMA_NODE)?;
    if def.max_entries > CPUS_MAX {
        return refuse(def, Errno::E2big, "there are more entries than CPUs that the kernel can have");
    }
    Ok(())
}

/// An array of queues.
#[derive(Debug)]
pub(super) struct Cpumap {
    entries: BTreeMap<u32, Held>,
    max_entries: u32,
    cpus: u32,
    len: usize,
}

impl Cpumap {
    pub(super) fn create(def: &MapDef) -> Cpumap {
        let len = def.value_size as usize;
        Cpumap { entries: BTreeMap::new(), max_entries: def.max_entries, cpus: Setting::default().cpus, len }
    }
}

impl MapOps for Cpumap {
    fn reset(&mut self, _: &mut Memory, setting: &Setting) {
        self.entries.clear();
        self.cpus = setting.cpus;
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.entries.get(&index(key)).copied()
    }
    /// An index that there is not is EINVAL; an empty one is no mistake.
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        if index(key) >= self.max_entries {
            return Err(Errno::Einval);
        }
        self.entries.remove(&index(key));
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.len)
    }
    fn user_lookup(&mut self, _: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        let held = self.held(key).ok_or(Errno::Enoent)?;
        value.copy_from_slice(&held.bytes()[..self.len]);
        Ok(())
    }
    /// Unknown flags (EINVAL), the index (E2BIG), NOEXIST (EEXIST), a queue that is too long (EOVERFLOW), a CPU that there is not
    /// (ENODEV). A queue for no packets empties the entry.
    fn user_update(&mut self, _: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let (cpu, qsize) = (index(key), index(value));
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        if cpu >= self.max_entries {
            return Err(Errno::E2big);
        }
        if flags == update::NOEXIST {
            return Err(Errno::Eexist);
        }
        if qsize > QUEUE_MAX {
            return Err(Errno::Eoverflow);
        }
        if cpu >= self.cpus {
            return Err(Errno::Enodev);
        }
        let program = devmap::program(value);
        if qsize == 0 {
            self.entries.remove(&cpu);
        } else {
            self.entries.insert(cpu, Held::Cpu { qsize, program });
        }
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.max_entries)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.entries.iter().for_each(|(cpu, held)| visit(&cpu.to_le_bytes(), &held.bytes()[..self.len]));
    }
}
