//! The buffer that a packet lies in: room before and behind it, the linear part that pointers reach, fragments.
//!
//! Fragments lie right behind the linear part in memory, outside of the packet's region: pulling bytes into the linear part
//! moves its end and nothing else. Where Linux would copy a packet into a new buffer (`pskb_expand_head`), it moves to other
//! addresses, so that a pointer into the old one leads nowhere.

use super::redirect::Redirect;
use super::skb::{SkBuff, SkbConfig};
use super::xdp::{XdpBuff, XdpConfig};
use super::{ConfigError, Device, Input, InputError, World, WorldConfig};
use crate::errno::Errno;
use crate::memory::{Memory, layout};
use crate::program_type::ProgramType;
use crate::trap::{Trap, Unsupported};

/// Bytes of an Ethernet header.
pub const ETH_HLEN: u64 = 14;

/// Bytes of a stretch of the packet window: each new buffer lies in the next one.
const STRETCH: u64 = 1 << 17;
const STRETCHES: u64 = layout::PACKETS_LEN / STRETCH;
/// Bytes at the ends of a stretch that no buffer touches.
const RED_ZONE: u64 = 1024;
/// Linux refuses to allocate more at once (`KMALLOC_MAX_SIZE`).
const ALLOCATION_MAX: u64 = 4 << 20;
/// What a longer buffer is.
const TOO_LONG: &str = "a buffer of more than 126 KiB";
/// The most room before a packet that a world can be given.
pub const HEADROOM_MAX: u64 = layout::PACKET - layout::PACKETS - RED_ZONE;

/// Why something cannot be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel's error.
    Errno(Errno),
    /// The run ends.
    Trap(Trap),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::Errno(errno)
    }
}

impl From<Trap> for Refusal {
    fn from(trap: Trap) -> Refusal {
        Refusal::Trap(trap)
    }
}

impl Refusal {
    /// The result of a helper that may be refused something.
    pub fn ends(result: Result<u64, Refusal>) -> Result<u64, Trap> {
        match result {
            Ok(result) => Ok(result),
            Err(Refusal::Errno(errno)) => Ok(errno.result()),
            Err(Refusal::Trap(trap)) => Err(trap),
        }
    }
}

/// Where a packet lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// First byte of the buffer.
    head: u64,
    /// First byte of the data.
    data: u64,
    /// Bytes before the data that belong to what is observed: metadata, or a link-layer header that the program does not see.
    before: u64,
    /// Bytes of the linear part.
    linear: u64,
    /// Bytes that the linear part may grow by in place.
    tailroom: u64,
    /// Lengths of the fragments.
    frags: Vec<u64>,
    /// The stretch of the window.
    stretch: u64,
}

impl Default for Packet {
    fn default() -> Self {
        let (head, data) = (layout::PACKET - layout::HEADROOM, layout::PACKET);
        Packet { head, data, before: 0, linear: 0, tailroom: 0, frags: Vec::new(), stretch: 0 }
    }
}

/// How a packet of so many bytes lies when it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Bytes before the data that are observed.
    pub before: u64,
    /// Room before the data.
    pub headroom: u64,
    /// Room behind the linear part.
    pub tailroom: u64,
    /// Lengths of the fragments that the packet ends with, together at most its length without `before`.
    pub frags: Vec<u64>,
}

impl Packet {
    /// A packet of `len` bytes, of which the first one arrives at [`layout::PACKET`].
    pub fn arrive(&mut self, len: u64, arrival: &Arrival) {
        let before = arrival.before.min(len);
        let paged: u64 = arrival.frags.iter().sum();
        self.data = layout::PACKET + before;
        self.head = self.data - arrival.headroom.clamp(before, HEADROOM_MAX);
        (self.before, self.linear, self.tailroom) = (before, (len - before).saturating_sub(paged), arrival.tailroom);
        self.stretch = 0;
        self.frags.clear();
        self.frags.extend_from_slice(&arrival.frags);
    }

    /// The address of the first byte that is observed.
    pub fn start(&self) -> u64 {
        self.data - self.before
    }
    /// The address of the first byte of the data.
    pub fn data(&self) -> u64 {
        self.data
    }
    /// The address behind the linear part.
    pub fn end(&self) -> u64 {
        self.data + self.linear
    }
    /// The first address of the buffer.
    pub fn head(&self) -> u64 {
        self.head
    }
    /// Bytes before the data that are observed.
    pub fn before(&self) -> u64 {
        self.before
    }
    /// Bytes of the linear part (`skb_headlen`).
    pub fn linear(&self) -> u64 {
        self.linear
    }
    /// Bytes of the data, fragments included.
    pub fn len(&self) -> u64 {
        self.linear + self.frags.iter().sum::<u64>()
    }
    /// Whether there are no data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes that are observed: those before the data, and all data.
    pub fn observed(&self) -> u64 {
        self.before + self.len()
    }
    /// Bytes before the data in the buffer.
    pub fn headroom(&self) -> u64 {
        self.data - self.head
    }
    /// Bytes behind the linear part in the buffer; none where there are fragments (`skb_tailroom`).
    pub fn tailroom(&self) -> u64 {
        if self.frags.is_empty() { self.tailroom } else { 0 }
    }
    /// Bytes behind the linear part that fragments can be pulled into.
    pub(super) fn pulled_tailroom(&self) -> u64 {
        self.tailroom
    }
    /// Lengths of the fragments.
    pub fn frags(&self) -> &[u64] {
        &self.frags
    }

    /// The region follows the linear part.
    pub(super) fn place(&self, memory: &mut Memory) {
        memory.move_packet(self.start(), self.before + self.linear);
    }

    /// Moves the first byte of the data, and what is observed with it (`skb_push`, `skb_pull`).
    pub(crate) fn move_data(&mut self, by: i64) {
        self.data = self.data.wrapping_add_signed(by);
        self.linear = self.linear.wrapping_add_signed(-by);
        self.before = self.before.saturating_sub(by.min(0).unsigned_abs());
    }
    /// Gives the bytes before the data another length.
    pub(crate) fn set_before(&mut self, before: u64) {
        self.before = before;
    }
    /// Makes `bytes` of the fragments linear (`__pskb_pull_tail`), where there is room for them.
    pub(super) fn pull_frags(&mut self, mut bytes: u64) {
        self.linear += bytes;
        self.tailroom = self.tailroom.saturating_sub(bytes);
        for frag in &mut self.frags {
            let taken = bytes.min(*frag);
            *frag -= taken;
            bytes -= taken;
        }
        self.frags.retain(|frag| *frag > 0);
    }
    /// Moves the end of a linear packet.
    pub(crate) fn move_end(&mut self, by: i64) {
        self.linear = self.linear.wrapping_add_signed(by);
        self.tailroom = self.tailroom.saturating_add_signed(-by);
    }
    /// Gives the last fragment another length, none takes it away.
    pub(crate) fn set_last_frag(&mut self, len: u64) {
        if let Some(last) = self.frags.last_mut() {
            *last = len;
        }
        self.frags.retain(|frag| *frag > 0);
    }

    /// Copies the packet into a new buffer with so much more room on both sides: by how much its bytes moved.
    pub(super) fn expand(&mut self, memory: &mut Memory, head: u64, tail: u64) -> Result<i64, Refusal> {
        let headroom = self.headroom() + head;
        let bytes = headroom + self.len() + self.tailroom + tail;
        if bytes > ALLOCATION_MAX {
            return Err(Errno::Enomem.into());
        }
        if bytes > STRETCH - 2 * RED_ZONE {
            return Err(Trap::from(Unsupported::Packet(TOO_LONG)).into());
        }
        // What lies before the data is copied, too.
        let old = memory.peek(self.head, self.headroom() + self.len()).to_vec();
        self.stretch = (self.stretch + 1) % STRETCHES;
        let base = layout::PACKETS + self.stretch * STRETCH + RED_ZONE;
        memory.poke(base + head, &old);
        let by = (base + headroom).wrapping_sub(self.data) as i64;
        (self.head, self.data, self.tailroom) = (base, base + headroom, self.tailroom + tail);
        Ok(by)
    }
}

impl WorldConfig {
    /// Whether `BPF_PROG_TEST_RUN` can set up packet, devices and the rest like this.
    pub fn is_as_in_test_run(&self, program_type: ProgramType) -> bool {
        let is_usual = match program_type {
            // Metadata can be stated there.
            ProgramType::Xdp => self.xdp == XdpConfig { meta: self.xdp.meta, ..XdpConfig::default() },
            _ => self.skb == SkbConfig::default(),
        };
        is_usual && self.devices == [Device::default()] && self.has_usual_rooms()
    }
}

impl World {
    /// The packet of an input arrives, and nothing was done with it.
    pub(super) fn arrive(&mut self, input: &Input) -> Result<(), InputError> {
        let (config, len) = (&input.world, input.packet.len() as u64);
        let arrival = match self.program_type {
            ProgramType::Xdp => config.xdp.arrival(len),
            program_type => config.skb.arrival(program_type, len),
        };
        let arrival = arrival.ok_or(ConfigError::Fragments(len))?;
        self.packet.arrive(len, &arrival);
        self.place_locals(&input.packet);
        self.skb = SkBuff::new(&config.skb, self.program_type, &self.packet);
        self.xdp = XdpBuff::new(&config.xdp);
        if self.devices != config.devices {
            self.devices.clone_from(&config.devices);
        }
        (self.redirect, self.flow_key) = (Redirect::default(), None);
        self.sent.clear();
        self.as_in_test_run = config.is_as_in_test_run(self.program_type);
        Ok(())
    }
    /// Whether `BPF_PROG_TEST_RUN` can set up packet, devices and the rest like this.
    pub fn is_as_in_test_run(&self) -> bool {
        self.as_in_test_run && !self.holds_perf_events()
    }
    /// The first `len` bytes of the packet as its buffer has it; `None` if it has fewer.
    pub(crate) fn packet_start(&self, len: u64) -> Option<Vec<u8>> {
        (len <= self.packet.len()).then(|| self.memory.peek(self.packet.data(), len).to_vec())
    }
    /// Two bytes at an address, little-endian; 0 where the packet ends before.
    pub(crate) fn half_at(&self, addr: u64) -> u16 {
        let end = self.packet.data() + self.packet.len();
        let mut bytes = [0; 2];
        if addr >= self.packet.head() && addr + 2 <= end {
            bytes.copy_from_slice(self.memory.peek(addr, 2));
        }
        u16::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(memory: &mut Memory, bytes: &[u8], arrival: &Arrival) -> Packet {
        let mut packet = Packet::default();
        packet.arrive(bytes.len() as u64, arrival);
        memory.poke(layout::PACKET, bytes);
        packet
    }

    #[test]
    fn pulling_moves_the_end_and_nothing_else() {
        let mut memory = Memory::detached().unwrap();
        let arrival = Arrival { headroom: 64, tailroom: 10, frags: vec![2, 3], ..Arrival::default() };
        let mut packet = packet(&mut memory, &[0, 1, 2, 3, 4, 5, 6, 7], &arrival);
        assert_eq!((packet.linear(), packet.len(), packet.tailroom()), (3, 8, 0));
        packet.pull_frags(3);
        assert_eq!((packet.linear(), packet.len(), packet.frags()), (6, 8, [2].as_slice()));
        packet.pull_frags(2);
        assert_eq!((packet.linear(), packet.tailroom()), (8, 5));
        assert_eq!(memory.peek(packet.data(), 8), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_new_buffer_lies_elsewhere_and_holds_the_same() {
        let mut memory = Memory::detached().unwrap();
        let arrival = Arrival { before: 2, headroom: 64, tailroom: 0, frags: vec![1] };
        let mut packet = packet(&mut memory, &[9, 8, 7, 6, 5], &arrival);
        let mut seen = vec![packet.data()];
        for _ in 0..STRETCHES + 2 {
            let (data, headroom) = (packet.data(), packet.headroom());
            let by = packet.expand(&mut memory, 64, 128).unwrap();
            assert_eq!((packet.data(), packet.headroom()), (data.wrapping_add_signed(by), headroom + 64));
            assert_eq!(memory.peek(packet.start(), packet.observed()), [9, 8, 7, 6, 5]);
            assert_ne!(seen.last(), Some(&packet.data()));
            seen.push(packet.data());
        }
        assert_eq!(packet.expand(&mut memory, ALLOCATION_MAX, 0), Err(Errno::Enomem.into()));
        assert_eq!(packet.expand(&mut memory, STRETCH, 0), Err(Trap::from(Unsupported::Packet(TOO_LONG)).into()));
    }
}
