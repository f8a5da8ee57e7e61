//! The function that the program is attached to, and the packet's route: what surrounds a run besides its context.

use serde::{Deserialize, Serialize};

use super::room::{Observation, Room};
use crate::outcome::Outcome;

/// What the program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracedConfig {
    /// Address of the function.
    pub ip: u64,
    /// A kprobe sits behind the first instruction of its function.
    pub inside: bool,
    /// The number that was given with the attachment (`bpf_cookie`).
    pub cookie: u64,
    /// Arguments of the function, where it is not one that the model knows.
    pub args: Option<u32>,
}

impl Default for TracedConfig {
    /// `bpf_fentry_test1`, attached without a cookie.
    fn default() -> Self {
        TracedConfig { ip: 0xffff_ffff_8110_0000, inside: false, cookie: 0, args: None }
    }
}

/// The traced function in a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traced {
    /// What was set.
    pub config: TracedConfig,
    /// What the program made the function return instead of running.
    pub returned: Option<u64>,
}

impl Traced {
    /// As it is before a run.
    pub fn new(config: TracedConfig) -> Traced {
        Traced { config, returned: None }
    }
    /// What was done to the function.
    pub(super) fn observe(&self, outcome: &mut Outcome) {
        if let Some(value) = self.returned {
            Observation::new(outcome, Room::Traced).text("returns", &format!("{value:#x}"));
        }
    }
}

/// The packet's way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// Realm of the route that the packet takes (`dst_entry.tclassid`): 0 without a route.
    pub realm: u32,
}

#[allow(clippy::derivable_impls, reason = "the documentation of a default")]
impl Default for RouteConfig {
    /// No route, as in a test run.
    fn default() -> Self {
        RouteConfig { realm: 0 }
    }
}
