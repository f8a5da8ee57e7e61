//! What programs print: the records of the event `bpf_trace_printk`, as `trace_pipe` shows them.

use serde::{Deserialize, Serialize};

use super::choice::Choice;
use super::room::{Observation, Room};
use crate::outcome::Outcome;

/// How addresses are printed, and what else printing depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Buffers of the processor that programs which this one interrupted hold: with 3 of them printing is EBUSY.
    pub buffers_in_use: u32,
    /// `kernel.kptr_restrict`: from 2 on, `%pK` prints zeros; from 1 on, symbols have no addresses for programs.
    pub kptr_restrict: u32,
}

#[allow(clippy::derivable_impls, reason = "the documentation of a default")]
impl Default for TraceConfig {
    /// Nothing was interrupted; nothing is restricted.
    fn default() -> Self {
        TraceConfig { buffers_in_use: 0, kptr_restrict: 0 }
    }
}

/// Trace output in a run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What was set.
    pub config: TraceConfig,
    /// The secret that addresses are hashed with.
    key: u64,
    /// What was printed, one record each.
    lines: Vec<Vec<u8>>,
}

impl Trace {
    /// As it is before a run; `seed` is that of the world.
    pub fn reset(&mut self, config: TraceConfig, seed: u64) {
        const HASHES: u64 = 0x7074_725f_6b65_7900;
        self.config = config;
        self.key = Choice::new(seed ^ HASHES).next_u64();
        self.lines.clear();
    }
    /// Adds a record.
    pub fn print(&mut self, text: &[u8]) {
        self.lines.push(text.to_vec());
    }
    /// What `%p` shows of an address: the same for the same address, and nothing of it (`ptr_to_hashval`).
    pub fn hashed(&self, addr: u64) -> u32 {
        Choice::new(self.key ^ addr).next_u32()
    }
    /// The records, with escapes where they are no plain text.
    pub(super) fn observe(&self, outcome: &mut Outcome) {
        let mut observation = Observation::new(outcome, Room::Trace);
        for (at, line) in self.lines.iter().enumerate() {
            observation.text(&format!("line {at}"), &line.escape_ascii().to_string());
        }
    }
}
