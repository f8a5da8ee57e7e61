//! `BPF_MAP_TYPE_RINGBUF`: records from programs for user space, in order (`kernel/bpf/ringbuf.c`).
//!
//! The kernel maps the data pages twice in a row, so that a record that begins before their end goes on behind it. Here
//! what lies behind the end is a copy of the beginning for as long as a record lies there: nobody else can reach these
//! bytes until it is submitted.

use serde::{Deserialize, Serialize};

use super::{Errno, MapDef, MapError, MapOps, NUMA_NODE, Setting, check_flags, refuse, refused};
use crate::memory::{Memory, Object, Region};
use crate::world::Observation;

/// `ringbuf_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    check_flags(def, NUMA_NODE)?;
    let is_size = def.max_entries.is_power_of_two() && def.max_entries.is_multiple_of(PAGE as u32);
    if def.key_size != 0 || def.value_size != 0 || !is_size {
        return refuse(def, Errno::Einval, "a ring buffer has no keys, no values, and a power of two of whole pages");
    }
    Ok(())
}

const PAGE: u64 = 4096;
/// Bytes of the header of a record: its length with the two flags, and which page of the buffer it lies on.
pub(super) const HEADER: u64 = 8;
/// The record is being written (`BPF_RINGBUF_BUSY_BIT`).
pub(super) const BUSY: u32 = 1 << 31;
/// The record is to be skipped (`BPF_RINGBUF_DISCARD_BIT`).
pub(super) const DISCARD: u32 = 1 << 30;
/// The longest record (`RINGBUF_MAX_RECORD_SZ`).
const RECORD_MAX: u64 = u32::MAX as u64 / 4;
/// Pages of the kernel's structure before the data: its own, the consumer's, the producer's.
const PAGES_BEFORE: u64 = 3;

/// `BPF_RB_NO_WAKEUP`.
pub const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`.
pub const FORCE_WAKEUP: u64 = 2;

/// What user space does with the ring buffers of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RingbufConfig {
    /// Bytes that went through each ring buffer before the program runs, all of them read: a multiple of 8.
    pub position: u64,
    /// When user space reads.
    pub reader: Reader,
}

/// When user space reads the records of a ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// Not before the program is done.
    #[default]
    AtEnd,
    /// Whenever it is woken up: all records up to the first that is not submitted.
    WhenWoken,
}

/// Where the data of a ring buffer lie, with room behind for the part of a record that goes beyond their end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    base: u64,
    len: u64,
}

impl Data {
    /// How many bytes of guest memory the data of this map take.
    pub(super) fn room(def: &MapDef) -> u64 {
        2 * u64::from(def.max_entries)
    }
    pub(super) fn place(def: &MapDef, object: Object, memory: &mut Memory) -> Result<Data, MapError> {
        // No byte of it is a program's to touch, apart from records.
        let region = Region { object, base: 0, len: 0, stride: Data::room(def), count: 1, writable: false };
        let base = memory
            .place_map_values(region)
            .ok_or_else(|| MapError::TooLarge { name: def.name.clone(), bytes: Data::room(def) })?;
        Ok(Data { base, len: u64::from(def.max_entries) })
    }
    pub(super) fn len(self) -> u64 {
        self.len
    }
    pub(super) fn clear(self, memory: &mut Memory) {
        memory.clear(self.base, 2 * self.len);
    }
    /// The address of the byte at this position.
    pub(super) fn at(self, position: u64) -> u64 {
        self.base + (position & (self.len - 1))
    }
    /// How far from the first byte an address lies.
    fn offset(self, addr: u64) -> u64 {
        addr - self.base
    }
    /// The address of `len` bytes from a position on, of which those beyond the end become what lies at the beginning.
    pub(super) fn unroll(self, memory: &mut Memory, position: u64, len: u64) -> u64 {
        let addr = self.at(position);
        let beyond = (self.offset(addr) + len).saturating_sub(self.len);
        let first = memory.peek(self.base, beyond).to_vec();
        memory.poke(self.base + self.len, &first);
        addr
    }
    /// Puts those of `len` bytes at an address that lie beyond the end where they belong.
    pub(super) fn roll_up(self, memory: &mut Memory, addr: u64, len: u64) {
        let beyond = (self.offset(addr) + len).saturating_sub(self.len);
        let over = memory.peek(self.base + self.len, beyond).to_vec();
        memory.poke(self.base, &over);
    }
    /// Length and flags in the header of the record at this position.
    pub(super) fn header(self, memory: &Memory, position: u64) -> u32 {
        super::index(memory.peek(self.at(position), 4))
    }
    /// `len` bytes from a position on.
    pub(super) fn bytes(self, memory: &Memory, position: u64, len: u64) -> Vec<u8> {
        let addr = self.at(position);
        let inside = len.min(self.len - self.offset(addr));
        [memory.peek(addr, inside), memory.peek(self.base, len - inside)].concat()
    }
}

/// Bytes that a record of `len` bytes takes with its header.
pub(super) fn taken(len: u64) -> u64 {
    (len + HEADER).next_multiple_of(8)
}

/// The region of a record.
pub(super) fn record(map: u32, base: u64, len: u64) -> Region {
    Region { object: Object::Record(map), base, len, stride: len.max(1), count: 1, writable: true }
}

/// A ring buffer.
#[derive(Debug)]
pub struct Ringbuf {
    map: u32,
    data: Data,
    /// Positions count on without end: what lies there is found by their lower bits.
    consumer: u64,
    producer: u64,
    /// No record before it is still being written.
    pending: u64,
    reader: Reader,
    /// What user space has read.
    read: Vec<Vec<u8>>,
    /// How often user space was woken up.
    wakeups: u64,
}

impl Ringbuf {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<Ringbuf, MapError> {
        if u64::from(def.max_entries) > u64::from(u32::MAX) / 2 {
            return Err(refused(def, Errno::Enomem, "so much memory is not there"));
        }
        let map = index as u32;
        let data = Data::place(def, Object::Record(map), memory)?;
        let (consumer, producer, pending, wakeups) = (0, 0, 0, 0);
        Ok(Ringbuf { map, data, consumer, producer, pending, reader: Reader::AtEnd, read: Vec::new(), wakeups })
    }

    /// Makes it as user space has it before a run.
    pub(crate) fn begin(&mut self, config: &RingbufConfig) {
        (self.consumer, self.producer, self.pending) = (config.position, config.position, config.position);
        self.reader = config.reader;
    }

    /// Bytes that are not read yet (`BPF_RB_AVAIL_DATA`).
    pub fn available(&self) -> u64 {
        self.producer.wrapping_sub(self.consumer)
    }
    /// Bytes of its data (`BPF_RB_RING_SIZE`).
    pub fn size(&self) -> u64 {
        self.data.len()
    }
    /// How far user space has read (`BPF_RB_CONS_POS`).
    pub fn consumer(&self) -> u64 {
        self.consumer
    }
    /// How far programs have reserved (`BPF_RB_PROD_POS`).
    pub fn producer(&self) -> u64 {
        self.producer
    }

    /// Makes room for a record: its address, `None` for one that is too long, or where there is no room for it
    /// (`__bpf_ringbuf_reserve`).
    ///
    /// Neither what is not read nor what lies behind the oldest record that is not submitted may take the whole buffer.
    pub(crate) fn reserve(&mut self, memory: &mut Memory, len: u64) -> Option<u64> {
        if len > RECORD_MAX || taken(len) > self.size() {
            return None;
        }
        while self.pending < self.producer {
            let header = self.data.header(memory, self.pending);
            if header & BUSY != 0 {
                break;
            }
            self.pending += taken(u64::from(header & !DISCARD));
        }
        let end = self.producer + taken(len);
        if end - self.consumer >= self.size() || end - self.pending >= self.size() {
            return None;
        }
        let header = self.data.at(self.producer);
        let page = PAGES_BEFORE + self.data.offset(header) / PAGE;
        memory.poke(header, &(len as u32 | BUSY).to_le_bytes());
        memory.poke(header + 4, &(page as u32).to_le_bytes());
        let addr = header + HEADER;
        self.data.unroll(memory, self.producer, HEADER + len);
        self.producer = end;
        memory.place_passing(record(self.map, addr, len));
        Some(addr)
    }

    /// Submits or discards the record at this address. User space is woken up if it waits for this one, and by flag
    /// (`bpf_ringbuf_commit`).
    pub(crate) fn commit(&mut self, memory: &mut Memory, addr: u64, flags: u64, discard: bool) {
        let header = addr - HEADER;
        memory.remove_passing(addr);
        let len = self.data.header(memory, self.data.offset(header)) ^ BUSY;
        self.data.roll_up(memory, header, HEADER + u64::from(len));
        memory.poke(header, &(len | if discard { DISCARD } else { 0 }).to_le_bytes());
        let is_awaited = self.data.at(self.consumer) == header;
        if flags & FORCE_WAKEUP != 0 || (is_awaited && flags & NO_WAKEUP == 0) {
            self.wakeups += 1;
            if self.reader == Reader::WhenWoken {
                let (consumer, records) = self.readable(memory);
                self.consumer = consumer;
                self.read.extend(records);
            }
        }
    }

    /// Reserves and submits at once. `false` if there is no room.
    pub(crate) fn output(&mut self, memory: &mut Memory, bytes: &[u8], flags: u64) -> bool {
        let Some(addr) = self.reserve(memory, bytes.len() as u64) else { return false };
        memory.poke(addr, bytes);
        self.commit(memory, addr, flags, false);
        true
    }

    /// What user space finds that reads now: the records up to the first that is not submitted, and how far it comes.
    fn readable(&self, memory: &Memory) -> (u64, Vec<Vec<u8>>) {
        let (mut at, mut records) = (self.consumer, Vec::new());
        while at < self.producer {
            let header = self.data.header(memory, at);
            if header & BUSY != 0 {
                break;
            }
            let len = u64::from(header & !DISCARD);
            if header & DISCARD == 0 {
                records.push(self.data.bytes(memory, at + HEADER, len));
            }
            at += taken(len);
        }
        (at, records)
    }
}

impl MapOps for Ringbuf {
    fn reset(&mut self, memory: &mut Memory, _: &Setting) {
        if self.wakeups > 0 || self.available() > 0 || !self.read.is_empty() || self.producer > 0 {
            self.data.clear(memory);
            self.read.clear();
            self.wakeups = 0;
        }
        self.begin(&RingbufConfig::default());
    }
    fn ringbuf(&mut self) -> Option<&mut Ringbuf> {
        Some(self)
    }
    /// The positions, how often user space was woken up, and all that it has read or can read, in order.
    fn show(&self, memory: &Memory, room: &mut Observation<'_>) {
        room.number("consumer", self.consumer);
        room.number("producer", self.producer);
        room.number("wakeups", self.wakeups);
        let (_, rest) = self.readable(memory);
        for (number, record) in self.read.iter().chain(&rest).enumerate() {
            room.bytes(&format!("record {number}"), record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Map, MapType};
    use super::*;

    fn ring(size: u32) -> (Memory, Ringbuf) {
        let mut memory = Memory::detached().unwrap();
        let def = MapDef::new("events", MapType::RINGBUF, 0, 0, size);
        assert!(Map::create(std::slice::from_ref(&def), 0, &mut memory).is_ok());
        let ring = Ringbuf::create(&def, 0, &mut memory).unwrap();
        (memory, ring)
    }

    /// Headers as user space finds them, read independently of the code that wrote them.
    fn header(memory: &Memory, record: u64) -> (u32, u32) {
        let word = |addr| u32::from_le_bytes(memory.peek(addr, 4).try_into().unwrap());
        (word(record - 8), word(record - 4))
    }

    #[test]
    fn a_record_has_a_header_and_is_the_program_s_until_it_is_submitted() {
        let (mut memory, mut ring) = ring(8192);
        let first = ring.reserve(&mut memory, 5).unwrap();
        assert_eq!(header(&memory, first), (0x8000_0005, 3));
        assert_eq!(memory.object_at(first + 4), Some((Object::Record(0), first)));
        assert_eq!(memory.object_at(first + 5), None);
        let second = ring.reserve(&mut memory, 5000).unwrap();
        assert_eq!(second, first + 16);
        memory.write(first, 5).unwrap().copy_from_slice(b"hello");
        ring.commit(&mut memory, second, 0, false);
        assert_eq!(ring.wakeups, 0, "nobody waits for the second");
        assert_eq!(ring.readable(&memory).1.len(), 0);
        ring.commit(&mut memory, first, 0, false);
        assert_eq!((header(&memory, first), ring.wakeups), ((5, 3), 1));
        assert_eq!(memory.object_at(first), None);
        assert_eq!(ring.readable(&memory).1[0], b"hello");
        let third = ring.reserve(&mut memory, 8).unwrap();
        assert_eq!(header(&memory, third).1, 4, "on the next page");
    }

    #[test]
    fn a_record_that_wraps_is_in_one_piece_for_the_program() {
        let (mut memory, mut ring) = ring(4096);
        ring.begin(&RingbufConfig { position: 4096 * 7 + 4080, reader: Reader::WhenWoken });
        let stale = ring.data.base;
        memory.poke(stale, &[9; 8]);
        let record = ring.reserve(&mut memory, 24).unwrap();
        assert_eq!(memory.read(record + 8, 8).unwrap(), [9; 8], "what is left over there");
        let bytes: Vec<u8> = (1..=24).collect();
        memory.write(record, 24).unwrap().copy_from_slice(&bytes);
        ring.commit(&mut memory, record, 0, false);
        assert_eq!(memory.peek(stale, 16), &bytes[8..]);
        assert_eq!(ring.read, [bytes]);
        assert_eq!((ring.consumer, ring.available()), (4096 * 8 + 16, 0));
    }

    #[test]
    fn one_byte_of_a_ring_stays_free() {
        let (mut memory, mut ring) = ring(4096);
        assert_eq!(ring.reserve(&mut memory, 4088), None, "the whole ring");
        assert!(ring.output(&mut memory, &[1; 4072], 0));
        assert_eq!((ring.available(), ring.reserve(&mut memory, 1)), (4080, None));
        assert_eq!(ring.reserve(&mut memory, u64::MAX), None);
        assert!(ring.reserve(&mut memory, 0).is_some(), "a header");
        assert!(ring.reserve(&mut memory, 0).is_none(), "no other");
    }
}
