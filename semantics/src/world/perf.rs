//! Perf events, and the records that programs put into their buffers (`kernel/events`, `kernel/trace/bpf_trace.c`).
//!
//! A map of perf events names them by number, as user space does by file descriptor. An event writes records with a raw
//! sample and nothing else (`PERF_SAMPLE_RAW`), into a buffer that is not read before the program is done.

use serde::{Deserialize, Serialize};

use super::World;
use crate::errno::Errno;
use crate::world::Observation;

/// The perf events of the world.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerfConfig {
    /// Events by number. Where there are none, event N is the one for programs' output of CPU N.
    pub events: Vec<PerfEvent>,
    /// How many outputs were interrupted by the program: 3 can be at once.
    pub nested: u32,
}

/// A perf event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerfEvent {
    /// The CPU that it is active on.
    pub cpu: u32,
    /// Whether it is one for the output of programs (`PERF_COUNT_SW_BPF_OUTPUT`).
    pub is_output: bool,
    /// Pages of its buffer that take records: a power of two, or 0 where user space did not map it.
    pub pages: u32,
}

impl Default for PerfEvent {
    /// For output, on the first CPU, with 16 pages.
    fn default() -> Self {
        PerfEvent { cpu: 0, is_output: true, pages: 16 }
    }
}

/// Bytes of the header of a record (`struct perf_event_header`).
const HEADER: u64 = 8;
/// Bytes of the length of a raw sample.
const RAW_LEN: u64 = 4;
/// Bytes of the record that says how many were lost.
const LOST: u64 = 24;
const PAGE: u64 = 4096;
/// How many outputs can be under way on a CPU.
const NESTED_MAX: u32 = 3;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    event: u32,
    cpu: u32,
    sample: Vec<u8>,
}

/// The events of a run and what they took.
#[derive(Debug, Default)]
pub struct Perf {
    config: PerfConfig,
    records: Vec<Record>,
    /// Bytes in use of the buffer of each event that took something or lost something, and whether something was lost.
    used: Vec<(u32, u64, bool)>,
}

impl Perf {
    pub(super) fn reset(&mut self, config: &PerfConfig) {
        self.config.clone_from(config);
        self.records.clear();
        self.used.clear();
    }
    /// The event with this number, on a machine with so many CPUs.
    fn event(&self, number: u32, cpus: u32) -> Option<PerfEvent> {
        if self.config.events.is_empty() {
            return (number < cpus).then_some(PerfEvent { cpu: number, ..PerfEvent::default() });
        }
        self.config.events.get(number as usize).copied()
    }
    /// EBUSY where too many outputs are under way.
    pub fn enter(&self) -> Result<(), Errno> {
        if self.config.nested >= NESTED_MAX { Err(Errno::Ebusy) } else { Ok(()) }
    }
    /// Takes a sample into the buffer of the event; ENOSPC where that has no room.
    fn store(&mut self, number: u32, event: PerfEvent, sample: Vec<u8>) -> Result<(), Errno> {
        if !self.used.iter().any(|(of, _, _)| *of == number) {
            self.used.push((number, 0, false));
        }
        let Some((_, used, has_lost)) = self.used.iter_mut().find(|(of, _, _)| *of == number) else { unreachable!() };
        let raw = (sample.len() as u64 + RAW_LEN).next_multiple_of(8);
        let len = HEADER + raw + if *has_lost { LOST } else { 0 };
        // As in every ring of the kernel that counts in powers of two, one byte stays free.
        if *used + len >= u64::from(event.pages) * PAGE {
            *has_lost = true;
            return Err(Errno::Enospc);
        }
        (*used, *has_lost) = (*used + len, false);
        self.records.push(Record { event: number, cpu: event.cpu, sample });
        Ok(())
    }
    /// Takes down all records, in order.
    pub(super) fn observe(&self, room: &mut Observation<'_>) {
        for (at, record) in self.records.iter().enumerate() {
            room.number(&format!("record {at} cpu"), record.cpu);
            room.number(&format!("record {at} event"), record.event);
            room.bytes(&format!("record {at}"), &record.sample);
        }
    }
}

impl World {
    /// Puts a sample into the event with this number, on the current CPU. One that is not for output is EINVAL, one of
    /// another CPU EOPNOTSUPP, a full buffer ENOSPC; ENOENT where there is none (`__bpf_perf_event_output`).
    pub fn perf_output(&mut self, number: u32, sample: Vec<u8>) -> Result<(), Errno> {
        let event = self.perf.event(number, self.cpus.count).ok_or(Errno::Enoent)?;
        if !event.is_output {
            return Err(Errno::Einval);
        }
        if event.cpu != self.cpus.current {
            return Err(Errno::Eopnotsupp);
        }
        self.perf.store(number, event, sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_full_and_says_so_once_there_is_room_again() {
        let (mut perf, event) = (Perf::default(), PerfEvent { pages: 1, ..PerfEvent::default() });
        assert_eq!(perf.store(0, event, vec![0; 4000]), Ok(()));
        // 4016 are in use; 80 are not.
        assert_eq!(perf.store(0, event, vec![0; 68]), Err(Errno::Enospc), "not the last byte");
        assert_eq!(perf.store(0, event, vec![0; 60]), Err(Errno::Enospc), "with the note of the loss it is too long");
        assert_eq!(perf.store(0, event, vec![0; 36]), Ok(()));
        assert_eq!(perf.store(1, PerfEvent { pages: 0, ..event }, Vec::new()), Err(Errno::Enospc));
    }
}
