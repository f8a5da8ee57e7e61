//! Arrays of sockets: [`xskmap`](super::xskmap), [`sockmap`](super::sockmap) and
//! [`reuseport_sockarray`](super::reuseport_sockarray), which differ in what they refuse and how.

use std::collections::BTreeMap;

use super::held::{Held, number, socket};
use super::{Errno, MapDef, MapOps, MapType, Setting, index, next_index, update};
use crate::memory::Memory;

/// EEXIST or ENOENT by flag.
pub(super) fn check_presence(is_there: bool, flags: u64) -> Result<(), Errno> {
    match (is_there, flags) {
        (true, update::NOEXIST) => Err(Errno::Eexist),
        (false, update::EXIST) => Err(Errno::Enoent),
        _ => Ok(()),
    }
}

/// Writes the cookie of a socket, which takes 8 bytes (ENOSPC).
pub(super) fn read_cookie(held: Option<Held>, value: &mut [u8]) -> Result<(), Errno> {
    if value.len() != 8 {
        return Err(Errno::Enospc);
    }
    value.copy_from_slice(&held.ok_or(Errno::Enoent)?.bytes());
    Ok(())
}

/// Sockets under indices.
#[derive(Debug)]
pub(super) struct Sockets {
    held: BTreeMap<u32, Held>,
    of: MapType,
    max_entries: u32,
    len: usize,
}

impl Sockets {
    pub(super) fn create(def: &MapDef) -> Sockets {
        let len = def.value_size as usize;
        Sockets { held: BTreeMap::new(), of: def.map_type, max_entries: def.max_entries, len }
    }
}

impl MapOps for Sockets {
    fn reset(&mut self, _: &mut Memory, _: &Setting) {
        self.held.clear();
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.held.get(&index(key)).copied()
    }
    /// Each type has errors of its own for an index that there is not, and for an empty one.
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let (beyond, empty) = match self.of {
            MapType::XSKMAP => (Errno::Einval, None),
            MapType::SOCKMAP => (Errno::Einval, Some(Errno::Einval)),
            _ => (Errno::E2big, Some(Errno::Enoent)),
        };
        if index(key) >= self.max_entries {
            return Err(beyond);
        }
        match (self.held.remove(&index(key)), empty) {
            (None, Some(errno)) => Err(errno),
            _ => Ok(()),
        }
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.len)
    }
    fn user_lookup(&mut self, _: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        if self.of == MapType::XSKMAP {
            return Err(Errno::Eopnotsupp);
        }
        read_cookie(self.held(key), value)
    }
    /// Unknown flags (EINVAL), the index (E2BIG), the socket, EEXIST and ENOENT by flag. A socket is in one array for
    /// `SO_REUSEPORT` at most (EBUSY); in an array for `AF_XDP` it may be put where it is, whatever the flag.
    fn user_update(&mut self, _: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let early = if self.of == MapType::SOCKMAP { Some(socket(value)?) } else { None };
        if flags > update::EXIST {
            return Err(Errno::Einval);
        }
        if index(key) >= self.max_entries {
            return Err(Errno::E2big);
        }
        let number = match early {
            Some(number) => number,
            None if self.len == 8 => socket(value)?,
            None => number(value)?,
        };
        let (old, new) = (self.held(key), Held::Socket(number));
        if self.of == MapType::XSKMAP && old == Some(new) {
            return Ok(());
        }
        check_presence(old.is_some(), flags)?;
        if self.of == MapType::REUSEPORT_SOCKARRAY && self.held.values().any(|held| *held == new) {
            return Err(Errno::Ebusy);
        }
        self.held.insert(index(key), new);
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.max_entries)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.held.iter().for_each(|(at, held)| visit(&at.to_le_bytes(), &held.bytes()[..self.len]));
    }
}
