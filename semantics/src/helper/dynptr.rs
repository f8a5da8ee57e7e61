//! Dynptrs: 16 bytes that lead to memory whose length is known at run time only (`kernel/bpf/helpers.c`,
//! `struct bpf_dynptr_kern`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::memory::Memory;
use crate::trap::{ArgumentFault, Trap, Unsupported};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("dynptr_from_mem"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::E2big), ResultClass::Error(Errno::Einval)],
        meaning: from_mem,
    },
    Helper {
        id: id("dynptr_read"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::E2big), ResultClass::Error(Errno::Einval)],
        meaning: read,
    },
    Helper {
        id: id("dynptr_write"),
        changes: &[Change::Dynptr],
        results: &[ResultClass::Success, ResultClass::Error(Errno::E2big), ResultClass::Error(Errno::Einval)],
        meaning: write,
    },
    Helper { id: id("dynptr_data"), changes: &[], results: &[ResultClass::Null, ResultClass::Memory], meaning: data },
];

/// What a dynptr leads to (`enum bpf_dynptr_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DynptrType {
    /// Memory of the program: a map value, a sample from user space.
    Local,
    /// A record of a ring buffer.
    Ringbuf,
    /// Of another kind: packets have some that kernel functions make.
    Other(u8),
}

/// A dynptr. In memory: the address, then the length in 24 bits with the type in bits 28 to 30 and bit 31 for
/// read-only, then how far from the address its memory begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynptr {
    /// Address of the memory; 0 for a dynptr that leads nowhere.
    pub data: u64,
    /// Bytes of it.
    pub size: u32,
    /// Bytes that were cut off before it.
    pub offset: u32,
    /// What it leads to.
    pub of: DynptrType,
    /// Whether it may be written.
    pub is_read_only: bool,
}

impl Dynptr {
    /// Bytes of a `struct bpf_dynptr`.
    pub const LEN: u64 = 16;
    /// The longest memory (`DYNPTR_MAX_SIZE`).
    pub const SIZE_MAX: u32 = (1 << 24) - 1;
    /// One that leads nowhere.
    pub const NULL: [u8; Dynptr::LEN as usize] = [0; Dynptr::LEN as usize];

    /// One for all of this memory.
    pub fn new(data: u64, size: u32, of: DynptrType) -> Dynptr {
        Dynptr { data, size, offset: 0, of, is_read_only: false }
    }
    /// What lies in memory.
    pub fn bytes(self) -> [u8; Dynptr::LEN as usize] {
        let of = match self.of {
            DynptrType::Local => 1,
            DynptrType::Ringbuf => 2,
            DynptrType::Other(of) => of,
        };
        let size = self.size | u32::from(of) << 28 | u32::from(self.is_read_only) << 31;
        let mut bytes = Dynptr::NULL;
        bytes[..8].copy_from_slice(&self.data.to_le_bytes());
        bytes[8..12].copy_from_slice(&size.to_le_bytes());
        bytes[12..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }
    /// The dynptr that lies there; `None` for no readable bytes.
    pub fn read(memory: &Memory, addr: u64) -> Option<Dynptr> {
        let bytes = memory.read(addr, Dynptr::LEN).ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let size = word(8);
        Some(Dynptr {
            data: u64::from(word(4)) << 32 | u64::from(word(0)),
            size: size & Dynptr::SIZE_MAX,
            offset: word(12),
            of: match size >> 28 & 7 {
                1 => DynptrType::Local,
                2 => DynptrType::Ringbuf,
                other => DynptrType::Other(other as u8),
            },
            is_read_only: size >> 31 != 0,
        })
    }
    /// Where its memory begins.
    pub fn start(self) -> u64 {
        self.data.wrapping_add(u64::from(self.offset))
    }
    /// The address of `len` bytes from `offset` on; E2BIG beyond the end (`bpf_dynptr_check_off_len`).
    fn part(self, offset: u32, len: u32) -> Result<u64, Errno> {
        if len > self.size || offset > self.size - len {
            return Err(Errno::E2big);
        }
        Ok(self.start().wrapping_add(u64::from(offset)))
    }
}

/// The dynptr that argument `number` points to.
pub(super) fn given(call: &Call<'_>, number: u8) -> Result<Dynptr, Trap> {
    let dynptr = Dynptr::read(&call.world.memory, call.arg(number));
    let dynptr = dynptr.ok_or_else(|| call.fault(number, ArgumentFault::Unreadable(Dynptr::LEN)))?;
    if dynptr.data != 0 && matches!(dynptr.of, DynptrType::Other(_)) {
        return Err(Unsupported::KernelObject("dynptr of a packet").into());
    }
    Ok(dynptr)
}

/// A fault of a dynptr whose memory is not there: only one that no helper made.
fn stray(call: &Call<'_>, number: u8) -> Trap {
    call.fault(number, ArgumentFault::NotADynptr)
}

/// `bpf_dynptr_from_mem(data, size, flags, ptr)`: makes `ptr` lead to these bytes. More than 2^24 - 1 of them (E2BIG),
/// then any flag (EINVAL); `ptr` leads nowhere then.
fn from_mem(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (data, size) = (call.arg(1), call.int(2) as u32);
    let made = if size > Dynptr::SIZE_MAX {
        Err(Errno::E2big)
    } else if call.arg(3) != 0 {
        Err(Errno::Einval)
    } else {
        Ok(Dynptr::new(data, size, DynptrType::Local).bytes())
    };
    call.write(4, &made.unwrap_or(Dynptr::NULL))?;
    Ok(Errno::returned(made.map(|_| ())))
}

/// `bpf_dynptr_read(dst, len, src, offset, flags)`: copies bytes out of `src`. One that leads nowhere, or any flag, is
/// EINVAL; what lies beyond its end E2BIG. The two may overlap.
fn read(call: &mut Call<'_>) -> Result<u64, Trap> {
    let dynptr = given(call, 3)?;
    if dynptr.data == 0 || call.arg(5) != 0 {
        return Ok(Errno::Einval.result());
    }
    let len = call.int(2) as u32;
    let from = match dynptr.part(call.int(4) as u32, len) {
        Ok(from) => from,
        Err(errno) => return Ok(errno.result()),
    };
    if len > 0 {
        let bytes = call.world.memory.read(from, len.into()).map_err(|_| stray(call, 3))?.to_vec();
        call.write(1, &bytes)?;
    }
    Ok(0)
}

/// `bpf_dynptr_write(dst, offset, src, len, flags)`: copies bytes into `dst`. One that leads nowhere or is read-only is
/// EINVAL, what lies beyond its end E2BIG, then any flag EINVAL, which before 6.4 comes first. The two may overlap.
fn write(call: &mut Call<'_>) -> Result<u64, Trap> {
    let dynptr = given(call, 1)?;
    if dynptr.data == 0 || dynptr.is_read_only {
        return Ok(Errno::Einval.result());
    }
    let len = call.int(4) as u32;
    let to = match dynptr.part(call.int(2) as u32, len) {
        Ok(to) => to,
        Err(errno) => return Ok(errno.result()),
    };
    if call.arg(5) != 0 {
        return Ok(Errno::Einval.result());
    }
    if len > 0 {
        let bytes = call.bytes(3, len.into())?.to_vec();
        let Ok(memory) = call.world.memory.write(to, len.into()) else { return Err(stray(call, 1)) };
        memory.copy_from_slice(&bytes);
    }
    Ok(0)
}

/// `bpf_dynptr_data(ptr, offset, len)`: the address of `len` bytes behind `ptr`; NULL beyond its end, and of one that
/// leads nowhere or is read-only.
fn data(call: &mut Call<'_>) -> Result<u64, Trap> {
    let dynptr = given(call, 1)?;
    if dynptr.data == 0 || dynptr.is_read_only {
        return Ok(0);
    }
    Ok(dynptr.part(call.int(2) as u32, call.int(3) as u32).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynptr_lies_in_memory_as_the_kernel_has_it() {
        let dynptr = Dynptr { is_read_only: true, offset: 3, ..Dynptr::new(0x1122, 0x00ab_cdef, DynptrType::Ringbuf) };
        assert_eq!(dynptr.bytes(), [0x22, 0x11, 0, 0, 0, 0, 0, 0, 0xef, 0xcd, 0xab, 0xa0, 3, 0, 0, 0]);
        let mut memory = Memory::detached().unwrap();
        let base = memory
            .place_map_values(crate::memory::Region {
                object: crate::memory::Object::MapValue(0),
                base: 0,
                len: 16,
                stride: 24,
                count: 1,
                writable: true,
            })
            .unwrap();
        memory.poke(base, &dynptr.bytes());
        assert_eq!(Dynptr::read(&memory, base), Some(dynptr));
        assert_eq!(Dynptr::read(&memory, base + 1), None);
    }

    #[test]
    fn no_byte_beyond_the_end() {
        let dynptr = Dynptr { offset: 2, ..Dynptr::new(100, 8, DynptrType::Local) };
        assert_eq!(dynptr.part(0, 8), Ok(102));
        assert_eq!(dynptr.part(8, 0), Ok(110));
        assert_eq!(dynptr.part(9, 0), Err(Errno::E2big));
        assert_eq!(dynptr.part(1, 8), Err(Errno::E2big));
        assert_eq!(dynptr.part(u32::MAX, 2), Err(Errno::E2big));
    }
}
