//! What is fixed about a world before a run: a setting for each room, as YAML has it under `world:`.

use serde::{Deserialize, Serialize};

use super::clock::ClockConfig;
use super::cpus::CpuConfig;

/// What is fixed about a world before a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorldConfig {
    /// Monotonic clock at the start, in nanoseconds since boot.
    pub clock_ns: u64,
    /// By how much each reading of a clock moves it on, in nanoseconds.
    pub clock_step_ns: u64,
    /// Seed of all that the specification leaves open.
    pub seed: u64,
    /// The other clocks.
    pub clocks: ClockConfig,
    /// Processors.
    pub cpus: CpuConfig,
}

impl Default for WorldConfig {
    /// One second after boot, a microsecond per reading, seed 0.
    fn default() -> Self {
        WorldConfig {
            clock_ns: 1_000_000_000,
            clock_step_ns: 1_000,
            seed: 0,
            clocks: ClockConfig::default(),
            cpus: CpuConfig::default(),
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There are none, or more than there can be.
    #[error("cpus.count: {0}, but there are 1 to {max} processors", max = CpuConfig::MAX)]
    CpuCount(u32),
    /// The program runs on a processor that there is not.
    #[error("cpus.current: {current}, but there are {count} processors")]
    CurrentCpu {
        /// The number given.
        current: u32,
        /// How many there are.
        count: u32,
    },
}

impl WorldConfig {
    /// Whether there can be such a world: what the types of the settings cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.cpus.check()
    }
}
