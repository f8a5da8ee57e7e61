//! `BPF_MAP_TYPE_USER_RINGBUF`: records from user space for programs, in order (`kernel/bpf/ringbuf.c`).

use serde::{Deserialize, Serialize};

pub(super) use super::ringbuf::check;
use super::ringbuf::{BUSY, DISCARD, Data, FORCE_WAKEUP, HEADER, NO_WAKEUP, record, taken};
use super::{Errno, MapDef, MapError, MapOps, Setting};
use crate::helper::dynptr::Dynptr;
use crate::memory::{Memory, Object};
use crate::world::{Bytes, Observation};

/// What user space put into the user ring buffers of a program.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserRingbufConfig {
    /// Bytes that went through each buffer before the first of these samples: a multiple of 8.
    pub position: u64,
    /// The samples, in order.
    pub samples: Vec<Sample>,
    /// How many bytes more or less than the samples take the producer's position says: user space can write there what
    /// it likes.
    pub excess: i64,
}

/// A sample.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// Its bytes, in hexadecimal.
    pub data: Bytes,
    /// The length that its header states, where that is another.
    pub stated: Option<u32>,
    /// It is still being written.
    pub busy: bool,
    /// It is to be skipped.
    pub discarded: bool,
}

/// What a program finds that asks for the next sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, or something that is still being written.
    Nothing,
    /// One that was to be skipped, and is.
    Skipped,
    /// A sample.
    Sample {
        /// Its address.
        addr: u64,
        /// Its bytes.
        len: u32,
    },
}

/// A user ring buffer.
#[derive(Debug)]
pub struct UserRingbuf {
    map: u32,
    data: Data,
    consumer: u64,
    producer: u64,
    /// Whether a program takes samples out at this moment.
    pub(crate) is_busy: bool,
    /// Where the samples lie, and their lengths.
    samples: Vec<(u64, u64)>,
    wakeups: u64,
}

impl UserRingbuf {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<UserRingbuf, MapError> {
        let map = index as u32;
        let data = Data::place(def, Object::Record(map), memory)?;
        let (consumer, producer, wakeups) = (0, 0, 0);
        Ok(UserRingbuf { map, data, consumer, producer, is_busy: false, samples: Vec::new(), wakeups })
    }

    /// Makes it as user space has it before a run. A sample that has no room is refused, with its number.
    pub(crate) fn begin(&mut self, memory: &mut Memory, config: &UserRingbufConfig) -> Result<(), usize> {
        (self.consumer, self.producer) = (config.position, config.position);
        for (number, sample) in config.samples.iter().enumerate() {
            let len = sample.data.0.len() as u64;
            if self.producer + taken(len) - self.consumer > self.data.len() {
                return Err(number);
            }
            let flag = |is_set, flag| if is_set { flag } else { 0 };
            let stated = sample.stated.unwrap_or(len as u32);
            let header = stated | flag(sample.busy, BUSY) | flag(sample.discarded, DISCARD);
            memory.poke(self.data.at(self.producer), &header.to_le_bytes());
            let addr = self.data.unroll(memory, self.producer + HEADER, len);
            memory.poke(addr, &sample.data.0);
            self.data.roll_up(memory, addr, len);
            self.samples.push((self.producer + HEADER, len));
            self.producer += taken(len);
        }
        self.producer = self.producer.wrapping_add_signed(config.excess);
        Ok(())
    }

    /// The next sample (`__bpf_user_ringbuf_peek`). A producer's position that is no multiple of 8, or a sample that
    /// goes beyond it, is EINVAL; one longer than the buffer, or than a dynptr can be, E2BIG.
    pub(crate) fn peek(&mut self, memory: &mut Memory) -> Result<Next, Errno> {
        if !self.producer.is_multiple_of(8) {
            return Err(Errno::Einval);
        }
        if self.consumer >= self.producer {
            return Ok(Next::Nothing);
        }
        let header = self.data.header(memory, self.consumer);
        let len = header & !(BUSY | DISCARD);
        let total = taken(u64::from(len));
        if total > self.producer - self.consumer {
            return Err(Errno::Einval);
        }
        if total > self.data.len() || len > Dynptr::SIZE_MAX {
            return Err(Errno::E2big);
        }
        if header & DISCARD != 0 {
            self.consumer += total;
            return Ok(Next::Skipped);
        }
        if header & BUSY != 0 {
            return Ok(Next::Nothing);
        }
        let addr = self.data.unroll(memory, self.consumer + HEADER, len.into());
        memory.place_passing(record(self.map, addr, len.into()));
        Ok(Next::Sample { addr, len })
    }
    /// The sample was taken out.
    pub(crate) fn release(&mut self, memory: &mut Memory, addr: u64, len: u32) {
        memory.remove_passing(addr);
        self.data.roll_up(memory, addr, len.into());
        self.consumer += taken(len.into());
    }
    /// Wakes user space up, which may wait for room: if any sample was looked at, or by flag.
    pub(crate) fn wake(&mut self, flags: u64, is_touched: bool) {
        if flags & FORCE_WAKEUP != 0 || (flags & NO_WAKEUP == 0 && is_touched) {
            self.wakeups += 1;
        }
    }
}

impl MapOps for UserRingbuf {
    fn reset(&mut self, memory: &mut Memory, _: &Setting) {
        if !self.samples.is_empty() {
            self.data.clear(memory);
            self.samples.clear();
        }
        (self.consumer, self.producer, self.wakeups, self.is_busy) = (0, 0, 0, false);
    }
    fn user_ringbuf(&mut self) -> Option<&mut UserRingbuf> {
        Some(self)
    }
    /// The positions, how often user space was woken up, and what became of its samples.
    fn show(&self, memory: &Memory, room: &mut Observation<'_>) {
        room.number("consumer", self.consumer);
        room.number("producer", self.producer);
        room.number("wakeups", self.wakeups);
        for (number, (position, len)) in self.samples.iter().enumerate() {
            room.bytes(&format!("sample {number}"), &self.data.bytes(memory, *position, *len));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MapType;
    use super::*;

    fn ring(config: &UserRingbufConfig) -> (Memory, UserRingbuf) {
        let mut memory = Memory::detached().unwrap();
        let def = MapDef::new("commands", MapType::USER_RINGBUF, 0, 0, 4096);
        let mut ring = UserRingbuf::create(&def, 0, &mut memory).unwrap();
        ring.begin(&mut memory, config).unwrap();
        (memory, ring)
    }
    fn samples(of: &[(&[u8], bool)]) -> Vec<Sample> {
        of.iter()
            .map(|(data, discarded)| Sample { data: Bytes(data.to_vec()), discarded: *discarded, ..Sample::default() })
            .collect()
    }

    #[test]
    fn samples_come_in_order_and_wrap() {
        let samples = samples(&[(b"abcdefghijkl", false), (b"no", true), (b"yes", false)]);
        let (mut memory, mut ring) = ring(&UserRingbufConfig { position: 4096 - 16, samples, excess: 0 });
        let Ok(Next::Sample { addr, len: 12 }) = ring.peek(&mut memory) else { panic!() };
        assert_eq!(memory.read(addr, 12).unwrap(), b"abcdefghijkl");
        memory.write(addr + 8, 1).unwrap()[0] = b'I';
        ring.release(&mut memory, addr, 12);
        assert_eq!(memory.object_at(addr), None);
        assert_eq!(ring.data.bytes(&memory, 4096 - 8, 12), b"abcdefghIjkl");
        assert_eq!(ring.peek(&mut memory), Ok(Next::Skipped));
        let Ok(Next::Sample { addr, len: 3 }) = ring.peek(&mut memory) else { panic!() };
        ring.release(&mut memory, addr, 3);
        assert_eq!(ring.peek(&mut memory), Ok(Next::Nothing));
        assert_eq!(ring.consumer, ring.producer);
    }

    #[test]
    fn what_user_space_gets_wrong_is_refused() {
        let one = |sample: Sample, excess| {
            let (mut memory, mut ring) = ring(&UserRingbufConfig { position: 0, samples: vec![sample], excess });
            ring.peek(&mut memory)
        };
        let sample = Sample { data: Bytes(b"abc".to_vec()), ..Sample::default() };
        assert_eq!(one(sample.clone(), 4), Err(Errno::Einval));
        assert_eq!(one(sample.clone(), -8), Err(Errno::Einval));
        assert_eq!(one(Sample { busy: true, ..sample.clone() }, 0), Ok(Next::Nothing));
        assert_eq!(one(Sample { stated: Some(9), ..sample.clone() }, 0), Err(Errno::Einval));
        assert_eq!(one(Sample { stated: Some(5000), ..sample }, 8192), Err(Errno::E2big));
        let (mut memory, mut ring) = ring(&UserRingbufConfig::default());
        let samples = samples(&[(&[0; 4080], false), (&[0; 8], false)]);
        assert_eq!(ring.begin(&mut memory, &UserRingbufConfig { position: 0, samples, excess: 0 }), Err(1));
    }
}
