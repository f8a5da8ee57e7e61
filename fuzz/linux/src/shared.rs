//! Memory that host and guest map: asks at its start, answers behind [`ASKS_LEN`].

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use wire::{ANSWERS_LEN, ASKS_LEN, SHARED_LEN};

/// The memory, without a name in any file system.
#[derive(Debug)]
pub struct Shared {
    pub memory: File,
    at: *mut u8,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Shared {}

impl Shared {
    pub fn new() -> io::Result<Shared> {
        // SAFETY: a new descriptor, closed at exec, with a name that ends with 0.
        let fd = unsafe { libc::memfd_create(c"touchstone-guest".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made for us.
        let memory = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        memory.set_len(SHARED_LEN as u64)?;
        let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), SHARED_LEN, read_write, shared, memory.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Shared { memory, at: at.cast() }) }
    }

    /// Puts an ask there, which fits [`ASKS_LEN`].
    pub fn ask(&mut self, message: &[u8]) {
        assert!(message.len() <= ASKS_LEN, "an ask of {} bytes", message.len());
        // SAFETY: the message fits the mapping, and the guest reads it only after the signal.
        unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), self.at, message.len()) };
    }

    /// A copy of bytes that the guest has written; `None` outside of the answers.
    pub fn answer(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(len).filter(|end| *end <= ANSWERS_LEN)?;
        let mut bytes = vec![0; end - at];
        // SAFETY: the range lies in the mapping. The guest may write at any time: whatever is copied is checked.
        unsafe { std::ptr::copy_nonoverlapping(self.at.add(ASKS_LEN + at), bytes.as_mut_ptr(), len) };
        Some(bytes)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.at.cast(), SHARED_LEN) };
    }
}

#[cfg(test)]
mod tests {
    use super::Shared;
    use wire::ANSWERS_LEN;

    #[test]
    fn only_answers_can_be_read() {
        let shared = Shared::new().unwrap();
        assert_eq!(shared.answer(ANSWERS_LEN - 2, 2), Some(vec![0; 2]));
        assert_eq!(shared.answer(ANSWERS_LEN - 2, 3), None);
        assert_eq!(shared.answer(usize::MAX, 2), None);
    }
}
