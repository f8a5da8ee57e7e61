//! `BPF_MAP_TYPE_SOCKHASH`: a [`sockmap`](super::sockmap) with any bytes for keys (`net/core/sock_map.c`).

use super::buckets::BUCKETS_MAX;
use super::chained::Chained;
use super::held::{Held, socket};
use super::jhash::jhash;
use super::sockets::{check_presence, read_cookie};
use super::{Errno, MapDef, MapError, MapOps, NUMA_NODE, RDONLY, Setting, WRONLY, check_flags, refuse, update};
use crate::memory::{Memory, layout};

/// `sock_hash_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size == 0 || !matches!(def.value_size, 4 | 8) {
        return refuse(def, Errno::Einval, "a hash of sockets has keys, values of 4 or 8 bytes and at least 1 entry");
    }
    check_flags(def, NUMA_NODE | RDONLY | WRONLY)?;
    if u64::from(def.key_size) > layout::FRAME_LEN {
        return refuse(def, Errno::E2big, "the key is longer than a stack frame");
    }
    if u64::from(def.max_entries).next_power_of_two() > BUCKETS_MAX {
        return refuse(def, Errno::Einval, "there would be more buckets than the kernel makes");
    }
    Ok(())
}

/// A hash table of sockets.
#[derive(Debug)]
pub(super) struct Sockhash {
    held: Chained<Held>,
    max_entries: u32,
    len: usize,
}

impl Sockhash {
    pub(super) fn create(def: &MapDef) -> Sockhash {
        let held = Chained::new(def.max_entries, |key| jhash(key, 0));
        Sockhash { held, max_entries: def.max_entries, len: def.value_size as usize }
    }
}

impl MapOps for Sockhash {
    fn reset(&mut self, _: &mut Memory, _: &Setting) {
        self.held.clear();
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.held.get(key).copied()
    }
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        self.held.remove(key).map(|_| ()).ok_or(Errno::Enoent)
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.len)
    }
    fn user_lookup(&mut self, _: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        read_cookie(self.held(key), value)
    }
    /// The socket, then unknown flags (EINVAL), EEXIST and ENOENT by flag, then E2BIG for a new key in a full map.
    fn user_update(&mut self, _: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let number = socket(value)?;
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        let is_there = self.held.get(key).is_some();
        check_presence(is_there, flags)?;
        if !is_there && self.held.len() >= self.max_entries as usize {
            return Err(Errno::E2big);
        }
        self.held.insert(key, Held::Socket(number));
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.held.next_key(key)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.held.iter().for_each(|(key, held)| visit(key, &held.bytes()[..self.len]));
    }
}
