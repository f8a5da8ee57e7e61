//! Which states need not be followed again (kernel: `is_state_visited`).
//!
//! [`compare`] says when one state covers another. Exactly, that is a theorem: every range of every register that is still
//! wanted is compared. As Linux does it, numbers are compared where a verdict depends on them ([`precision`]) and slots of
//! the stack where they are read ([`liveness`]): then it is a simulation over what is marked, and far fewer states differ.

pub(crate) mod compare;
pub(crate) mod liveness;
pub mod plant;
pub mod precision;
mod visit;

/// How states are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pruning {
    /// By what is marked, as Linux does.
    #[default]
    Linux,
    /// By every range.
    Exact,
    /// Not at all: every path is followed to its end, if there is one.
    Off,
}

impl Pruning {
    /// All of them.
    pub const ALL: [Pruning; 3] = [Pruning::Linux, Pruning::Exact, Pruning::Off];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Pruning::Linux => "linux",
            Pruning::Exact => "exact",
            Pruning::Off => "off",
        }
    }
    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Pruning> {
        Pruning::ALL.into_iter().find(|pruning| pruning.name() == name)
    }
}
