//! Memory of the current process: ranges with rights, some of them not paged in (mm/, arch/x86/lib/usercopy).

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::config::ConfigError;
use super::room::{Observation, Room};
use crate::errno::Errno;
use crate::memory::layout;
use crate::outcome::Outcome;

/// Memory of the current process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserConfig {
    /// Its mappings, in the order of their addresses.
    pub ranges: Vec<UserRange>,
    /// Somebody changes the mappings at this moment, so that none can be looked up.
    pub locked: bool,
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRange {
    /// Address of the first byte.
    pub at: u64,
    /// What it holds, from its beginning; zeros behind.
    #[serde(default)]
    pub bytes: Bytes,
    /// Its bytes; 0 for as many as `bytes` has.
    #[serde(default)]
    pub len: u64,
    /// Whether the process may read it.
    #[serde(default = "yes")]
    pub readable: bool,
    /// Whether the process may write it.
    #[serde(default = "yes")]
    pub writable: bool,
    /// Whether its pages are there. Those that are not come with the first access that may wait for them, all at once.
    #[serde(default = "yes")]
    pub present: bool,
}

fn yes() -> bool {
    true
}

impl Default for UserConfig {
    /// A page with a string at its beginning, and one behind it that cannot be written.
    fn default() -> Self {
        let range = |at, text: &str, writable| UserRange {
            at,
            bytes: Bytes(text.as_bytes().to_vec()),
            len: PAGE,
            readable: true,
            writable,
            present: true,
        };
        UserConfig {
            ranges: vec![range(DATA, "user data\0", true), range(DATA + PAGE, "user text\0", false)],
            locked: false,
        }
    }
}

const PAGE: u64 = 4096;
/// Where the default world has user memory.
const DATA: u64 = 0x40_0000;

impl UserRange {
    /// One past its last byte.
    pub fn end(&self) -> u64 {
        self.at + self.len.max(self.bytes.0.len() as u64)
    }
    fn byte(&self, addr: u64) -> u8 {
        self.bytes.0.get((addr - self.at) as usize).copied().unwrap_or(0)
    }
}

impl UserConfig {
    /// The most mappings.
    pub const MAX: usize = 64;
    /// The most bytes of one.
    pub const LEN_MAX: u64 = 1 << 24;

    /// Whether there can be such mappings.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.ranges.len() > UserConfig::MAX {
            return Err(ConfigError::TooManyRanges(self.ranges.len()));
        }
        let mut last = 0;
        for range in &self.ranges {
            let len = range.len.max(range.bytes.0.len() as u64);
            let is_long = range.len != 0 && range.len < range.bytes.0.len() as u64;
            let in_packets =
                range.at < layout::PACKETS + layout::PACKETS_LEN && layout::PACKETS < range.at.saturating_add(len);
            let is_user =
                range.at >= last && len > 0 && len <= UserConfig::LEN_MAX && range.at.saturating_add(len) <= END;
            if is_long || in_packets || !is_user {
                return Err(ConfigError::UserRange(range.at));
            }
            last = range.end();
        }
        Ok(())
    }
}

/// Addresses of user space end here: behind lies what the model takes for kernel space, from locals on.
pub const END: u64 = layout::LOCALS;

/// Whether an address belongs to user space: it lies below all that programs reach, and is not the packet's, which lies low here.
pub fn is_user(addr: u64) -> bool {
    addr < END && addr.wrapping_sub(layout::PACKETS) >= layout::PACKETS_LEN
}

/// Whether kernel code that is careful reads at an address at all (`copy_from_kernel_nofault_allowed`): not in user space, at
/// addresses that no processor has, or where the old system call page was.
pub fn is_kernel(addr: u64) -> bool {
    const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
    const CANONICAL: u64 = 1 << 47;
    let is_canonical = addr < CANONICAL || addr >= CANONICAL.wrapping_neg();
    !is_user(addr) && is_canonical && addr & !(PAGE - 1) != VSYSCALL
}

/// How pages that are not there are dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// They are a fault: the reader must not wait.
    Fault,
    /// They are brought in.
    Wait,
}

/// User memory in a run.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// As it is now.
    pub config: UserConfig,
    /// It was changed since it was set up.
    is_dirty: bool,
    /// What the program wrote: address and bytes, in order.
    written: Vec<(u64, Vec<u8>)>,
    /// The mappings that were paged in.
    paged_in: Vec<u64>,
    /// There is none: a thread of the kernel.
    is_none: bool,
}

impl User {
    /// As it is before a run.
    pub fn reset(&mut self, config: &UserConfig, is_none: bool) {
        if self.is_dirty || self.config != *config {
            self.config.clone_from(config);
        }
        self.is_dirty = false;
        self.is_none = is_none;
        self.written.clear();
        self.paged_in.clear();
    }

    /// The mappings; none of a thread of the kernel.
    pub fn ranges(&self) -> &[UserRange] {
        if self.is_none { &[] } else { &self.config.ranges }
    }
    /// The mapping that an address lies in.
    pub fn range_at(&self, addr: u64) -> Option<usize> {
        self.ranges().iter().position(|range| (range.at..range.end()).contains(&addr))
    }

    /// The byte at an address.
    pub fn byte(&mut self, addr: u64, paging: Paging) -> Option<u8> {
        let at = self.range_at(addr)?;
        let range = &mut self.config.ranges[at];
        if !range.readable {
            return None;
        }
        if !range.present {
            if paging == Paging::Fault {
                return None;
            }
            range.present = true;
            self.is_dirty = true;
            self.paged_in.push(range.at);
        }
        Some(self.config.ranges[at].byte(addr))
    }

    /// `len` bytes at an address (`copy_from_user_nofault`, `copy_from_user`): all of them, or EFAULT.
    pub fn read(&mut self, addr: u64, len: u64, paging: Paging) -> Result<Vec<u8>, Errno> {
        let byte = |offset| self.byte(addr.checked_add(offset)?, paging);
        (0..len).map(byte).collect::<Option<_>>().ok_or(Errno::Efault)
    }

    /// Writes what it can without waiting for pages; EFAULT where that is not all (`copy_to_user_nofault`).
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut count = 0;
        while count < bytes.len()
            && let Some(to) = addr.checked_add(count as u64)
            && let Some(at) = self.range_at(to)
            && let range = &mut self.config.ranges[at]
            && range.writable
            && range.present
        {
            let index = (to - range.at) as usize;
            if range.len == 0 {
                range.len = range.bytes.0.len() as u64;
            }
            if range.bytes.0.len() <= index {
                range.bytes.0.resize(index + 1, 0);
            }
            range.bytes.0[index] = bytes[count];
            count += 1;
        }
        if count > 0 {
            self.is_dirty = true;
            self.written.push((addr, bytes[..count].to_vec()));
        }
        if count == bytes.len() { Ok(()) } else { Err(Errno::Efault) }
    }

    /// What was written, and which mappings were paged in.
    pub(super) fn observe(&self, outcome: &mut Outcome) {
        let mut observation = Observation::new(outcome, Room::User);
        for (addr, bytes) in &self.written {
            observation.bytes(&format!("{addr:#x}"), bytes);
        }
        for (at, addr) in self.paged_in.iter().enumerate() {
            observation.text(&format!("paged in {at}"), &format!("{addr:#x}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(ranges: &[(u64, &[u8], bool, bool)]) -> User {
        let range = |(at, bytes, writable, present): &(u64, &[u8], bool, bool)| UserRange {
            at: *at,
            bytes: Bytes(bytes.to_vec()),
            len: 0,
            readable: true,
            writable: *writable,
            present: *present,
        };
        let config = UserConfig { ranges: ranges.iter().map(range).collect(), locked: false };
        assert_eq!(config.check(), Ok(()));
        let mut user = User::default();
        user.reset(&config, false);
        user
    }

    #[test]
    fn reads_cross_mappings_that_touch() {
        let mut user =
            memory(&[(0x1000, b"abcd", true, true), (0x1004, b"ef", false, true), (0x1007, b"g", true, true)]);
        assert_eq!(user.read(0x1002, 4, Paging::Fault), Ok(b"cdef".to_vec()));
        assert_eq!(user.read(0x1002, 5, Paging::Fault), Err(Errno::Efault));
        assert_eq!(user.read(u64::MAX, 2, Paging::Fault), Err(Errno::Efault));
        assert_eq!(user.write(0x1002, b"XYZ"), Err(Errno::Efault));
        assert_eq!(user.read(0x1000, 6, Paging::Fault), Ok(b"abXYef".to_vec()));
        assert_eq!(user.written, [(0x1002, b"XY".to_vec())]);
    }

    #[test]
    fn pages_come_with_who_can_wait() {
        let mut user = memory(&[(0x1000, b"abcd", true, false)]);
        let fresh = user.config.clone();
        assert_eq!(user.read(0x1000, 1, Paging::Fault), Err(Errno::Efault));
        assert_eq!(user.read(0x1000, 1, Paging::Wait), Ok(b"a".to_vec()));
        assert_eq!(user.read(0x1000, 1, Paging::Fault), Ok(b"a".to_vec()));
        user.reset(&fresh, false);
        assert_eq!(user.read(0x1000, 1, Paging::Fault), Err(Errno::Efault));
    }

    #[test]
    fn halves_of_the_address_space() {
        let packet = layout::PACKET;
        assert!(is_user(0) && is_user(0x40_0000) && !is_user(packet) && is_kernel(packet));
        assert!(is_kernel(layout::CONTEXT) && !is_kernel(1 << 50) && is_kernel(u64::MAX));
        assert!(!is_kernel(0xffff_ffff_ff60_0008) && is_kernel(0xffff_ffff_ff60_1000));
        let low = UserRange { at: packet, ..UserConfig::default().ranges[0].clone() };
        assert!(UserConfig { ranges: vec![low], locked: false }.check().is_err());
    }
}
