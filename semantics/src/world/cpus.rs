//! The processors of the modelled machine.

use serde::{Deserialize, Serialize};

use super::config::ConfigError;

/// How many processors there are, and which one the program runs on. A per-CPU map has a value for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CpuConfig {
    /// Processors, all of them possible and online.
    pub count: u32,
    /// The one that the program runs on, from 0.
    pub current: u32,
    /// Memory node of that processor; -1 where there are no nodes.
    pub numa_node: i32,
}

impl CpuConfig {
    /// The most processors.
    pub const MAX: u32 = 64;

    /// Whether there can be such processors.
    pub fn check(&self) -> Result<(), ConfigError> {
        let CpuConfig { count, current, .. } = *self;
        if count == 0 || count > CpuConfig::MAX {
            return Err(ConfigError::CpuCount(count));
        }
        if current >= count {
            return Err(ConfigError::CurrentCpu { current, count });
        }
        Ok(())
    }
}

impl Default for CpuConfig {
    /// Two processors of one memory node; the program runs on the first.
    fn default() -> Self {
        CpuConfig { count: 2, current: 0, numa_node: 0 }
    }
}
