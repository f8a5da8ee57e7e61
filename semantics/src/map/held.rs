//! Maps of the kernel's objects: what they hold, and arrays of it (`kernel/bpf/arraymap.c`).
//!
//! User space names an object by a file descriptor and reads its id; here both are the object's number in the world.

use std::collections::BTreeMap;

use super::{
    Errno, MapDef, MapError, MapOps, RDONLY_PROG, Setting, WRONLY_PROG, array, index, next_index, refuse, update,
};
use crate::memory::Memory;

/// An object that a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A program: 0 is the program itself, the others are its targets.
    Program(u32),
    /// A map of the program.
    Map(u32),
    /// A perf event.
    PerfEvent(u32),
    /// A cgroup.
    Cgroup(u32),
    /// A network device, and the program that runs where packets leave to it; 0 for none.
    Device {
        /// Its `ifindex`.
        ifindex: u32,
        /// The program.
        program: u32,
    },
    /// A queue to a CPU, and the program that runs there; 0 for none.
    Cpu {
        /// Packets that fit.
        qsize: u32,
        /// The program.
        program: u32,
    },
    /// A socket.
    Socket(u32),
}

impl Held {
    /// What user space reads of it (`map_fd_sys_lookup_elem` and others).
    pub fn bytes(self) -> [u8; 8] {
        let (low, high) = match self {
            Held::Program(number)
            | Held::Map(number)
            | Held::PerfEvent(number)
            | Held::Cgroup(number)
            | Held::Socket(number) => (number, 0),
            Held::Device { ifindex: low, program: high } | Held::Cpu { qsize: low, program: high } => (low, high),
        };
        (u64::from(high) << 32 | u64::from(low)).to_le_bytes()
    }
}

/// The number of an object, if it can be that of an open file (EBADF).
pub(super) fn number(value: &[u8]) -> Result<u32, Errno> {
    let number = index(value);
    if number > i32::MAX as u32 { Err(Errno::Ebadf) } else { Ok(number) }
}

/// The number of a socket, in 4 or 8 bytes: one that no file can have is EINVAL, not EBADF.
pub(super) fn socket(value: &[u8]) -> Result<u32, Errno> {
    let wide = value.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    if wide > i32::MAX as u64 { Err(Errno::Einval) } else { Ok(wide as u32) }
}

/// `fd_array_map_alloc_check`: values of 4 bytes; programs neither read nor write it.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.value_size != 4 {
        return refuse(def, Errno::Einval, "the kernel's objects are named by values of 4 bytes");
    }
    if def.flags & (RDONLY_PROG | WRONLY_PROG) != 0 {
        return refuse(def, Errno::Einval, "programs neither read nor write the kernel's objects");
    }
    array::check(def)
}

/// An array of objects of one kind.
#[derive(Debug)]
pub(super) struct FdArray {
    held: BTreeMap<u32, Held>,
    max_entries: u32,
    /// What a number is.
    kind: Kind,
}

/// What an array holds.
#[derive(Debug)]
pub(super) enum Kind {
    Program,
    PerfEvent,
    Cgroup,
    /// Those of these maps that look as the array says.
    Map(Vec<bool>),
}

impl FdArray {
    pub(super) fn create(def: &MapDef, kind: Kind) -> FdArray {
        FdArray { held: BTreeMap::new(), max_entries: def.max_entries, kind }
    }
    fn object(&self, value: &[u8]) -> Result<Held, Errno> {
        let number = number(value)?;
        Ok(match &self.kind {
            Kind::Program => Held::Program(number),
            Kind::PerfEvent => Held::PerfEvent(number),
            Kind::Cgroup => Held::Cgroup(number),
            Kind::Map(fit) => super::array_of_maps::fitting(fit, number)?,
        })
    }
}

impl MapOps for FdArray {
    fn reset(&mut self, _: &mut Memory, _: &Setting) {
        self.held.clear();
    }
    /// The handle of the map under the index; of other objects programs see nothing.
    fn find(&self, key: &[u8]) -> Option<u64> {
        match self.held.get(&index(key))? {
            Held::Map(number) => Some(crate::memory::layout::map_handle(*number)),
            _ => None,
        }
    }
    fn held(&self, key: &[u8]) -> Option<Held> {
        self.held.get(&index(key)).copied()
    }
    fn program(&self, index: u32) -> Option<Option<u32>> {
        (index < self.max_entries).then(|| match self.held.get(&index) {
            Some(Held::Program(part)) => Some(*part),
            _ => None,
        })
    }
    /// Only from user space: an index that there is not (E2BIG), then an empty one (ENOENT).
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        if index(key) >= self.max_entries {
            return Err(Errno::E2big);
        }
        self.held.remove(&index(key)).map(|_| ()).ok_or(Errno::Enoent)
    }
    fn user_len(&self) -> Option<usize> {
        Some(4)
    }
    /// Perf events and cgroups cannot be read (ENOTSUPP).
    fn user_lookup(&mut self, _: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        if matches!(self.kind, Kind::PerfEvent | Kind::Cgroup) {
            return Err(Errno::Enotsupp);
        }
        let held = self.held.get(&index(key)).ok_or(Errno::Enoent)?;
        value.copy_from_slice(&held.bytes()[..4]);
        Ok(())
    }
    /// `bpf_fd_array_map_update_elem`: any flag first (EINVAL), then the index (E2BIG), then the object.
    fn user_update(&mut self, _: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != update::ANY {
            return Err(Errno::Einval);
        }
        if index(key) >= self.max_entries {
            return Err(Errno::E2big);
        }
        let object = self.object(value)?;
        self.held.insert(index(key), object);
        Ok(())
    }
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.max_entries)
    }
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.held.iter().for_each(|(index, held)| visit(&index.to_le_bytes(), &held.bytes()[..4]));
    }
}
