//! `bpf(2)`: the attributes of each command at their offsets in `union bpf_attr`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `enum bpf_cmd`.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    MapNextKey = 4,
    ProgLoad = 5,
    ProgTestRun = 10,
    ObjInfo = 15,
    BtfLoad = 18,
    MapLookupAndDelete = 21,
    MapFreeze = 22,
}

/// `union bpf_attr`: zeros, and what was set. The kernel takes trailing zeros that it does not know.
#[derive(Clone)]
pub struct Attr([u8; 144]);

/// The number of an error.
pub type Errno = i32;

impl Attr {
    pub fn new() -> Attr {
        Attr([0; 144])
    }
    pub fn u32(mut self, at: usize, value: u32) -> Attr {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }
    pub fn u64(mut self, at: usize, value: u64) -> Attr {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self
    }
    /// The address of bytes, which the caller keeps for the call; 0 for none.
    pub fn pointer(self, at: usize, bytes: &[u8]) -> Attr {
        let address = if bytes.is_empty() { 0 } else { bytes.as_ptr() as u64 };
        self.u64(at, address)
    }
    /// The same for bytes that the kernel writes.
    pub fn room(self, at: usize, bytes: &mut [u8]) -> Attr {
        let address = if bytes.is_empty() { 0 } else { bytes.as_mut_ptr() as u64 };
        self.u64(at, address)
    }
    pub fn fd(self, at: usize, fd: &impl AsRawFd) -> Attr {
        self.u32(at, fd.as_raw_fd() as u32)
    }
    /// A name of up to 15 bytes of letters, digits, dots and underscores.
    pub fn name(mut self, at: usize, name: &str) -> Attr {
        let clean = name.bytes().map(|byte| if byte.is_ascii_alphanumeric() || byte == b'.' { byte } else { b'_' });
        for (to, byte) in self.0[at..at + 15].iter_mut().zip(clean) {
            *to = byte;
        }
        self
    }
    pub fn get(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    /// The call; what the kernel writes into the attributes is there afterwards.
    pub fn call(&mut self, command: Command) -> Result<i64, Errno> {
        // SAFETY: the attributes live through the call; the addresses in them are of buffers that their caller keeps.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command as i64, self.0.as_mut_ptr(), self.0.len()) };
        if result >= 0 { Ok(result) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
    }
    /// A call that makes a file descriptor.
    pub fn open(&mut self, command: Command) -> Result<OwnedFd, Errno> {
        // SAFETY: the kernel has just made the descriptor for us.
        self.call(command).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}
