//! Reads of any address that kernel code makes without trusting it (mm/maccess.c, `lib/strncpy_from_user.c`).
//!
//! Kernel memory is what programs can reach: packet, context, frames, map values, objects. What lies between regions is a fault,
//! where Linux may have other memory.

use super::World;
use super::user::{Paging, is_kernel, is_user};
use crate::errno::Errno;
use crate::memory::{Object, layout};
use crate::program_type::ProgramType;
use crate::trap::{Trap, Unsupported};

/// Why a read is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As the kernel refuses it.
    Errno(Errno),
    /// What lies there has no meaning here.
    Unsupported(Unsupported),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Refused {
        Refused::Errno(errno)
    }
}

impl Refused {
    /// The kernel's error; what has no meaning ends the run.
    pub fn errno(self) -> Result<Errno, Trap> {
        match self {
            Refused::Errno(errno) => Ok(errno),
            Refused::Unsupported(what) => Err(what.into()),
        }
    }
}

/// Whether the context that programs of this type see is the kernel's own memory, and not a view of another structure.
fn shows_itself(program_type: ProgramType) -> bool {
    use ProgramType as T;
    matches!(
        program_type,
        T::Kprobe
            | T::Tracepoint
            | T::RawTracepoint
            | T::RawTracepointWritable
            | T::Tracing
            | T::Lsm
            | T::StructOps
            | T::Syscall
            | T::CgroupDevice
    )
}

impl World {
    /// How many bytes of kernel memory can be read from an address on, without a fault: ERANGE where kernel code does not even
    /// try, EFAULT where there are none.
    pub fn kernel_rest(&self, addr: u64) -> Result<u64, Refused> {
        if !is_kernel(addr) {
            return Err(Errno::Erange.into());
        }
        if layout::in_map_handles(addr) {
            return Err(Refused::Unsupported(Unsupported::MapStructure));
        }
        match self.memory.object_at(addr) {
            None => Err(Errno::Efault.into()),
            Some((Object::Context | Object::FlowKeys, _)) if !shows_itself(self.program_type()) => {
                let context = self.program_type().declaration().context;
                Err(Refused::Unsupported(Unsupported::ContextStructure(context)))
            }
            Some(_) => Ok(self.memory.rest(addr)),
        }
    }

    /// `len` bytes of kernel memory (`copy_from_kernel_nofault`).
    pub fn kernel_bytes(&self, addr: u64, len: u64) -> Result<&[u8], Refused> {
        match self.kernel_rest(addr) {
            // Nothing is read, so nothing can be amiss with it, but that no kernel code would read there.
            Err(Refused::Errno(Errno::Erange)) => Err(Errno::Erange.into()),
            _ if len == 0 => Ok(&[]),
            Ok(rest) if rest >= len => Ok(self.memory.peek(addr, len)),
            Ok(_) => Err(Errno::Efault.into()),
            Err(refused) => Err(refused),
        }
    }

    /// A string of kernel memory in at most `max` bytes, its NUL among them, which takes the place of the last byte of a longer
    /// one (`strncpy_from_kernel_nofault`).
    pub fn kernel_string(&self, addr: u64, max: u64) -> Result<Vec<u8>, Refused> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let rest = self.kernel_rest(addr)?;
        let bytes = self.memory.peek(addr, rest.min(max));
        let mut string = match bytes.iter().position(|byte| *byte == 0) {
            Some(end) => bytes[..=end].to_vec(),
            None if rest >= max => bytes.to_vec(),
            None => return Err(Errno::Efault.into()),
        };
        if let Some(last) = string.last_mut() {
            *last = 0;
        }
        Ok(string)
    }

    /// A string of user memory in at most `max` bytes, and the length that is told of it, with its NUL; but that of an empty
    /// one is 0 (`strncpy_from_user_nofault`, until 6.13). The bytes may go on behind the NUL: with zeros, up to a multiple of 8.
    pub fn user_string(&mut self, addr: u64, max: u64) -> Result<(Vec<u8>, u64), Errno> {
        if max == 0 {
            return Ok((Vec::new(), 0));
        }
        if !is_user(addr) {
            return Err(Errno::Efault);
        }
        let mut string = Vec::new();
        while (string.len() as u64) < max {
            let (at, room) = (addr + string.len() as u64, max - string.len() as u64);
            // Eight bytes at once where there are as many; where not, one by one.
            let word = if room >= 8 { self.user.read(at, 8, Paging::Fault).ok() } else { None };
            let bytes = match word {
                Some(word) => word,
                None => self.user.read(at, 1, Paging::Fault)?,
            };
            let end = bytes.iter().position(|byte| *byte == 0);
            let len = string.len() + end.unwrap_or(0);
            string.extend_from_slice(&bytes);
            if end.is_some() {
                string[len..].fill(0);
                return Ok((string, if len == 0 { 0 } else { len as u64 + 1 }));
            }
        }
        if let Some(last) = string.last_mut() {
            *last = 0;
        }
        Ok((string, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::world::Input;
    use crate::world::{Bytes, UserRange};

    fn world(bytes: &[u8]) -> World {
        let mut input = Input { packet: b"packet\0".to_vec(), ..Input::default() };
        input.world.user.ranges = vec![UserRange {
            at: 0x40_0000,
            bytes: Bytes(bytes.to_vec()),
            len: 0,
            readable: true,
            writable: true,
            present: true,
        }];
        let mut world = World::new(Memory::detached().unwrap());
        world.reset(&input).unwrap();
        world
    }

    #[test]
    fn kernel_reads() {
        let world = world(b"x");
        let packet = layout::PACKET;
        assert_eq!(world.kernel_bytes(packet, 7), Ok(&b"packet\0"[..]));
        assert_eq!(world.kernel_bytes(packet, 8), Err(Errno::Efault.into()));
        assert_eq!(world.kernel_bytes(0, 0), Err(Errno::Erange.into()));
        assert_eq!(world.kernel_bytes(u64::MAX, 0), Ok(&[][..]));
        assert_eq!(world.kernel_bytes(u64::MAX, 1), Err(Errno::Efault.into()));
        assert_eq!(world.kernel_string(packet, 4), Ok(b"pac\0".to_vec()));
        assert_eq!(world.kernel_string(packet, 99), Ok(b"packet\0".to_vec()));
        assert_eq!(world.kernel_string(packet + 6, 9), Ok(b"\0".to_vec()));
        assert_eq!(world.kernel_string(0, 0), Ok(Vec::new()));
        // An XDP program's context is a view of another structure.
        assert!(matches!(world.kernel_bytes(layout::CONTEXT, 1), Err(Refused::Unsupported(_))));
    }

    #[test]
    fn user_strings() {
        let mut world = world(b"0123456789\0bcdefghij");
        let at = 0x40_0000;
        assert_eq!(world.user_string(at, 20), Ok((b"0123456789\0\0\0\0\0\0".to_vec(), 11)));
        assert_eq!(world.user_string(at, 12), Ok((b"0123456789\0".to_vec(), 11)));
        assert_eq!(world.user_string(at, 11), Ok((b"0123456789\0".to_vec(), 11)));
        assert_eq!(world.user_string(at, 10), Ok((b"012345678\0".to_vec(), 10)));
        assert_eq!(world.user_string(at + 10, 8), Ok((vec![0; 8], 0)));
        assert_eq!(world.user_string(at + 11, 30), Err(Errno::Efault));
        assert_eq!(world.user_string(layout::PACKET, 3), Err(Errno::Efault));
    }
}
