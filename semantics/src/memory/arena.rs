//! The host memory behind guest addresses: four windows, at the guest's own addresses where native code is to run.

use std::sync::{Condvar, Mutex};

use super::layout;

/// Why guest memory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The addresses of a window are taken, or the system has no memory.
    #[error("cannot map {len:#x} bytes of guest memory at {address:#x}: {source}")]
    Map {
        /// Guest address.
        address: u64,
        /// Bytes.
        len: u64,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A stretch of guest addresses with host memory behind it.
#[derive(Debug)]
struct Window {
    guest: u64,
    len: u64,
    host: *mut u8,
}

/// All guest memory of one world. Bytes are reachable only through checked copies.
#[derive(Debug)]
pub struct Arena {
    windows: [Window; 4],
    native: bool,
}

// SAFETY: an arena owns its mappings; the pointers in it are not shared with any other value.
unsafe impl Send for Arena {}

/// Whether some arena of this process holds the guest's own addresses.
static NATIVE_TAKEN: Mutex<bool> = Mutex::new(false);
static NATIVE_FREED: Condvar = Condvar::new();

const WINDOWS: [(u64, u64); 4] = [
    (layout::PACKETS, layout::PACKETS_LEN),
    (layout::LOCALS, layout::LOCALS_LEN),
    (layout::MAP_VALUES, layout::MAP_VALUES_LEN),
    (layout::OBJECTS, layout::OBJECTS_LEN),
];

impl Arena {
    /// Memory at the guest's own addresses, which native code needs. There is one per process: waits for its holder.
    pub fn native() -> Result<Arena, ArenaError> {
        let mut taken = NATIVE_TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while *taken {
            taken = NATIVE_FREED.wait(taken).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let arena = Arena::map(true)?;
        *taken = true;
        Ok(arena)
    }

    /// Memory anywhere, for the interpreter only; any number per process.
    pub fn detached() -> Result<Arena, ArenaError> {
        Arena::map(false)
    }

    fn map(native: bool) -> Result<Arena, ArenaError> {
        let mut arena = Arena {
            windows: WINDOWS.map(|(guest, len)| Window { guest, len, host: std::ptr::null_mut() }),
            native: false,
        };
        for window in &mut arena.windows {
            let (hint, fixed) = if native { (window.guest, libc::MAP_FIXED_NOREPLACE) } else { (0, 0) };
            // SAFETY: a new anonymous mapping; NOREPLACE keeps it from touching an existing one.
            let host = unsafe {
                libc::mmap(
                    hint as *mut libc::c_void,
                    window.len as usize,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed,
                    -1,
                    0,
                )
            };
            if host == libc::MAP_FAILED {
                let source = std::io::Error::last_os_error();
                return Err(ArenaError::Map { address: window.guest, len: window.len, source });
            }
            window.host = host.cast();
            if native && window.host as u64 != window.guest {
                // Kernels before 4.17 take the flag for a hint.
                let source = std::io::Error::from(std::io::ErrorKind::AddrInUse);
                return Err(ArenaError::Map { address: window.guest, len: window.len, source });
            }
        }
        arena.native = native;
        Ok(arena)
    }

    /// Whether guest addresses are host addresses, so that native code can run.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.native
    }

    /// The host address of `len` guest bytes, if one window holds them all.
    #[inline]
    fn host(&self, guest: u64, len: u64) -> Option<*mut u8> {
        let window = self.windows.iter().find(|w| guest.wrapping_sub(w.guest) < w.len)?;
        let offset = guest - window.guest;
        // SAFETY: the offset lies inside the window's mapping.
        (len <= window.len - offset).then(|| unsafe { window.host.add(offset as usize) })
    }

    /// What to add to a guest address of the window that holds `guest` to get its host address.
    #[inline]
    pub(super) fn delta(&self, guest: u64) -> u64 {
        self.host(guest, 0).map_or(0, |host| (host as u64).wrapping_sub(guest))
    }

    /// Guest bytes, if they lie in one window.
    #[inline]
    pub(super) fn bytes(&self, guest: u64, len: u64) -> Option<&[u8]> {
        let host = self.host(guest, len)?;
        // SAFETY: the bytes lie in a mapping that lives as long as `self`; writers need `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(host, len as usize) })
    }

    /// Guest bytes to write, if they lie in one window.
    #[inline]
    pub(super) fn bytes_mut(&mut self, guest: u64, len: u64) -> Option<&mut [u8]> {
        let host = self.host(guest, len)?;
        // SAFETY: the bytes lie in a mapping that lives as long as `self`, which is borrowed exclusively.
        Some(unsafe { std::slice::from_raw_parts_mut(host, len as usize) })
    }

    /// Zeroes guest bytes; long stretches give their pages back.
    pub(super) fn zero(&mut self, guest: u64, len: u64) {
        const PAGE: u64 = 4096;
        const WORTH_A_CALL: u64 = 64 * PAGE;
        let (first, last) = (guest.next_multiple_of(PAGE), (guest + len) & !(PAGE - 1));
        if len < WORTH_A_CALL {
            if let Some(bytes) = self.bytes_mut(guest, len) {
                bytes.fill(0);
            }
            return;
        }
        if let Some(host) = self.host(first, last - first) {
            // SAFETY: whole pages of our own private anonymous mapping; they read as zero afterwards.
            let failed = unsafe { libc::madvise(host.cast(), (last - first) as usize, libc::MADV_DONTNEED) } != 0;
            if failed && let Some(bytes) = self.bytes_mut(first, last - first) {
                bytes.fill(0);
            }
        }
        self.zero(guest, first - guest);
        self.zero(last, guest + len - last);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for window in &self.windows {
            if !window.host.is_null() && window.host.cast() != libc::MAP_FAILED {
                // SAFETY: mapped by `map` with this length, and not used again.
                unsafe { libc::munmap(window.host.cast(), window.len as usize) };
            }
        }
        if self.native {
            *NATIVE_TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = false;
            NATIVE_FREED.notify_one();
        }
    }
}
