//! An obligation: a named statement with three results that count, proven, refuted with a counterexample that fails on
//! the running code too, or unknown.

use crate::check;
use crate::prove;
use crate::theory::Statement;
use semantics::insn::Room;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};

/// Which floor of the house an obligation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// The meaning of instructions.
    Semantics,
    /// The verifier's abstract domain.
    Verifier,
    /// The JIT's lowering and encoding.
    Jit,
}

impl Floor {
    /// The crate that it is about.
    pub fn name(self) -> &'static str {
        match self {
            Floor::Semantics => "semantics",
            Floor::Verifier => "verifier",
            Floor::Jit => "jit",
        }
    }
}

/// A named statement.
pub struct Obligation {
    /// A path such as `insn::alu::transfer::add64`.
    pub name: String,
    /// What it is about.
    pub floor: Floor,
    /// The family of instructions that it belongs to, if to one.
    pub room: Option<Room>,
    /// Whether it also means something in the scaled-down worlds; otherwise narrow runs sample it at full width.
    pub scales: bool,
    claim: Box<dyn Provable>,
}

impl Debug for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Obligation").field("name", &self.name).field("floor", &self.floor).finish_non_exhaustive()
    }
}

/// A statement with its type erased.
trait Provable: Send + Sync {
    fn prove(&self, plant: Option<&str>) -> Outcome;
    fn check(&self, scales: bool, plant: Option<&str>) -> Outcome;
    fn replay(&self, counterexample: &Counterexample, plant: Option<&str>) -> bool;
    fn cases(&self) -> usize;
}

impl<S: Statement> Provable for S {
    fn prove(&self, plant: Option<&str>) -> Outcome {
        prove::prove(self, plant)
    }
    fn check(&self, scales: bool, plant: Option<&str>) -> Outcome {
        check::check(self, scales, plant)
    }
    fn replay(&self, counterexample: &Counterexample, plant: Option<&str>) -> bool {
        check::replay(self, counterexample, plant)
    }
    fn cases(&self) -> usize {
        Statement::cases(self)
    }
}

impl Obligation {
    /// An obligation about the verifier, which means something at every width.
    pub fn verifier(name: impl Into<String>, room: Option<Room>, statement: impl Statement) -> Self {
        Obligation { name: name.into(), floor: Floor::Verifier, room, scales: true, claim: Box::new(statement) }
    }
    /// An obligation about the semantics. Memory is sampled, so it is checked at full width only.
    pub fn semantics(name: impl Into<String>, room: Option<Room>, statement: impl Statement) -> Self {
        Obligation { name: name.into(), floor: Floor::Semantics, room, scales: false, claim: Box::new(statement) }
    }
    /// An obligation about the JIT, whose instructions have one width only.
    pub fn jit(name: impl Into<String>, room: Option<Room>, statement: impl Statement) -> Self {
        Obligation { name: name.into(), floor: Floor::Jit, room, scales: false, claim: Box::new(statement) }
    }
    /// How many cases it has.
    pub fn cases(&self) -> usize {
        self.claim.cases()
    }
    /// Proves or refutes it for all values, in the solver session of this thread.
    pub fn prove(&self, plant: Option<&str>) -> Outcome {
        self.claim.prove(plant)
    }
    /// Looks for a counterexample by running it: on all or many values of the scaled-down worlds, or on samples at full
    /// width. [`Outcome::Proven`] then means that none was found.
    pub fn check(&self, plant: Option<&str>) -> Outcome {
        self.claim.check(self.scales, plant)
    }
    /// Whether the code that runs fails on this counterexample: the assumptions hold and a goal does not.
    pub fn replay(&self, counterexample: &Counterexample, plant: Option<&str>) -> bool {
        self.claim.replay(counterexample, plant)
    }
}

/// The result of an obligation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Outcome {
    /// It holds for all values.
    Proven,
    /// It does not hold: this fails on the code that runs.
    Refuted(Counterexample),
    /// Neither: a failure of the proof.
    Unknown {
        /// Why.
        reason: Unknown,
    },
}

impl From<Unknown> for Outcome {
    fn from(reason: Unknown) -> Self {
        Outcome::Unknown { reason }
    }
}

/// Why there is neither a proof nor a refutation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Unknown {
    /// The solver gave up.
    #[error("{goal}: the solver gave up: {reason}")]
    Solver {
        /// On what.
        goal: String,
        /// Its words.
        reason: String,
    },
    /// The statement, or the code that it is about, panicked.
    #[error("panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The assumptions of a case cannot be met, or none of its values was drawn.
    #[error("vacuous: no value meets the assumptions of {case:?}")]
    Vacuous {
        /// The case.
        case: String,
    },
    /// A case claims nothing.
    #[error("nothing is claimed of {case:?}")]
    Empty {
        /// The case.
        case: String,
    },
    /// The solver's counterexample does not fail on the code that runs: the proof's model of it is wrong.
    #[error("the counterexample does not fail when it is replayed: {counterexample}")]
    Spurious {
        /// What the solver found.
        counterexample: Counterexample,
    },
    /// The run was stopped before this obligation.
    #[error("stopped before it was tried")]
    Stopped,
}

/// Values for which a claim fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counterexample {
    /// The number of the case.
    pub case: usize,
    /// The case, such as a choice of registers.
    pub case_name: String,
    /// The world that it is a value of: 64 for the real one, else the width of its registers.
    pub bits: u32,
    /// What fails.
    pub goal: String,
    /// The variables.
    pub values: BTreeMap<String, u64>,
    /// The bytes of initial memory that were read; all others are 0.
    pub memory: BTreeMap<u64, u8>,
}

impl Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fails", self.goal)?;
        if !self.case_name.is_empty() {
            write!(f, " for {}", self.case_name)?;
        }
        if self.bits != 64 {
            write!(f, " at {} bits", self.bits)?;
        }
        let mut separator = " at";
        for (name, value) in &self.values {
            write!(f, "{separator} {name}={value:#x}")?;
            separator = ",";
        }
        for (addr, byte) in &self.memory {
            write!(f, "{separator} [{addr:#x}]={byte:#x}")?;
            separator = ",";
        }
        Ok(())
    }
}
