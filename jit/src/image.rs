//! Executable memory: one memfd mapped twice, once to write and once to run, so that no page is ever both.
//!
//! Each mapping lies between pages that nothing may touch. An image is made once and filled again for each program.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::fault::Watch;
use crate::frame::Entry;

/// The page size of x86-64.
const PAGE: usize = 4096;
/// `int3`: what lies where no code does.
const BREAKPOINT: u8 = 0xcc;

/// Executable memory of one process. It is not inherited by `fork`: a child that used it would write to its parent's code.
#[derive(Debug)]
pub struct Image {
    /// Given up before the mappings are.
    watch: Watch,
    writable: Mapping,
    executable: Mapping,
    /// Bytes written by the last load.
    filled: usize,
    owner: u32,
}

impl Image {
    /// An image that holds at least `capacity` bytes.
    pub fn new(capacity: usize) -> io::Result<Image> {
        let len = capacity.max(1).next_multiple_of(PAGE);
        // SAFETY: the name is a C string; the descriptor is new and owned from here on.
        let file = unsafe {
            let fd = libc::memfd_create(c"touchstone-jit".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: changes the length of a file that this function owns.
        if unsafe { libc::ftruncate(file.as_raw_fd(), len as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The mappings keep the file alive; its descriptor is closed on return.
        let writable = Mapping::new(&file, len, libc::PROT_READ | libc::PROT_WRITE)?;
        let executable = Mapping::new(&file, len, libc::PROT_READ | libc::PROT_EXEC)?;
        let mut image = Image { watch: Watch::new(), writable, executable, filled: 0, owner: std::process::id() };
        image.bytes().fill(BREAKPOINT);
        Ok(image)
    }

    /// Replaces the code. Grows, which moves the image, where it does not fit.
    pub fn load(&mut self, code: &[u8]) -> io::Result<()> {
        if code.len() > self.writable.len {
            *self = Image::new(code.len().next_power_of_two())?;
        }
        self.watch.set(0..0);
        let stale = code.len()..self.filled.max(code.len());
        let bytes = self.bytes();
        bytes[..code.len()].copy_from_slice(code);
        bytes[stale].fill(BREAKPOINT);
        self.filled = code.len();
        serialize();
        Ok(())
    }

    /// Says that from this offset on, up to the end of the image, the code loaded last runs as the code of a program does, with
    /// its entry in `r12`: [`fault`](crate::fault) can lead out of there.
    pub(crate) fn watch(&self, body: usize) {
        let start = self.executable.start() as usize;
        self.watch.set(start + body..start + self.executable.len);
    }

    /// The addresses of the code loaded last.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        let base = self.executable.start() as usize;
        base..base + self.filled
    }

    /// Bytes that it holds without growing.
    pub fn capacity(&self) -> usize {
        self.writable.len
    }

    /// Enters the code at its first byte, with these arguments in the registers of R1 to R5.
    ///
    /// # Safety
    /// The code loaded last is a function of this type that keeps to the System V ABI and makes only accesses that this
    /// process can afford; `entry` is valid for the call.
    #[inline]
    pub unsafe fn call(&self, [r1, r2, r3, r4, r5]: [u64; 5], entry: *mut Entry) -> u64 {
        // SAFETY: the mapping is executable and, says the caller, begins with such a function.
        let function: extern "sysv64" fn(u64, u64, u64, u64, u64, *mut Entry) -> u64 =
            unsafe { std::mem::transmute(self.executable.start().cast_const()) };
        function(r1, r2, r3, r4, r5, entry)
    }

    fn bytes(&mut self) -> &mut [u8] {
        assert_eq!(self.owner, std::process::id(), "an image belongs to the process that made it");
        // SAFETY: the mapping is writable, this long and initialised; `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(self.writable.start(), self.writable.len) }
    }
}

/// `len` bytes of a file between two pages without rights.
#[derive(Debug)]
struct Mapping {
    /// The first guard page.
    base: *mut u8,
    /// Bytes without the guard pages.
    len: usize,
    owner: u32,
}

// SAFETY: a mapping belongs to its process, not to a thread, and `&Mapping` gives no access to its bytes.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &OwnedFd, len: usize, rights: i32) -> io::Result<Mapping> {
        let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len + 2 * PAGE, libc::PROT_NONE, reserve, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = Mapping { base: base.cast(), len, owner: std::process::id() };
        let shared = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: replaces pages of the mapping made above, which nothing else knows yet.
        let inner = unsafe { libc::mmap(mapping.start().cast(), len, rights, shared, file.as_raw_fd(), 0) };
        if inner == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: advice on pages of this mapping: a forked child does not get them.
        if unsafe { libc::madvise(inner, len, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        self.base.wrapping_add(PAGE)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A forked child has other things at these addresses.
        if self.owner == std::process::id() {
            // SAFETY: the whole of a mapping that this value owns; whoever borrowed from it is gone.
            unsafe { libc::munmap(self.base.cast(), self.len + 2 * PAGE) };
        }
    }
}

/// Makes the processor forget what it fetched before: code was written through another address than it runs at (Intel
/// SDM volume 3, section 9.1.3). `iretq` to the next instruction serializes and, unlike `cpuid`, costs no exit from a
/// virtual machine.
fn serialize() {
    // SAFETY: returns to the next instruction with the same segments, flags and stack; the stack is used by pushes
    // only, which the absence of `nostack` declares.
    unsafe {
        std::arch::asm!(
            "mov {sp}, rsp",
            "mov {segment:e}, ss",
            "push {segment}",
            "push {sp}",
            "pushfq",
            "mov {segment:e}, cs",
            "push {segment}",
            "lea {segment}, [rip + 2f]",
            "push {segment}",
            "iretq",
            "2:",
            sp = out(reg) _,
            segment = out(reg) _,
        );
    }
}
