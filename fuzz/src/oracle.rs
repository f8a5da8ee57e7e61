//! The oracles: what is asked of every run.

use semantics::insn::Insn;
use semantics::interpreter::{Observer, Registers};
use semantics::outcome::Outcome;
use semantics::provenance::Provenance;
use semantics::world::World;
use serde::{Deserialize, Serialize};
use verifier::{Escape, Snapshot, States};

use crate::finding::Objection;

/// A question asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Oracle {
    /// All engines come to the same outcome.
    Agree,
    /// The run of an accepted program stays inside the verifier's states, and does not trap.
    Contained,
    /// No state on any path is one that cannot be.
    Invariant,
    /// The verdict does not depend on which paths are cut short.
    Pruned,
    /// Each helper keeps to its declaration.
    Contract,
    /// Nothing of ours panics.
    NoPanic,
    /// A kernel takes what our verifier accepts by the rules of its version.
    Verdict,
    /// No kernel warns, hangs or dies over a test.
    Survives,
}

impl Oracle {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Oracle::Agree => "agree",
            Oracle::Contained => "contained",
            Oracle::Invariant => "invariant",
            Oracle::Pruned => "pruned",
            Oracle::Contract => "contract",
            Oracle::NoPanic => "no_panic",
            Oracle::Verdict => "verdict",
            Oracle::Survives => "survives",
        }
    }
}

/// `agree`: whether the outcome of `engine` is that of the interpreter.
pub fn agree(interpreter: &Outcome, engine: &str, other: &Outcome) -> Option<Objection> {
    interpreter.difference(other).map(|difference| Objection::disagreement(engine, &difference))
}

/// `contained`: watches a run of the interpreter against the states that the verifier recorded.
#[derive(Debug)]
pub struct Containment<'a> {
    states: &'a States,
    origins: Provenance,
    /// The first escape.
    pub escape: Option<Objection>,
}

impl<'a> Containment<'a> {
    /// Nothing has escaped yet.
    pub fn new(states: &'a States) -> Self {
        Containment { states, origins: Provenance::default(), escape: None }
    }
}

impl Observer for Containment<'_> {
    #[inline]
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &mut World) {
        if self.escape.is_some() {
            return;
        }
        self.origins.arrive(pc, registers, world);
        let (memory, origins) = (&world.memory, Some(&self.origins));
        let run = Snapshot { regs: registers, memory, packet: &world.packet, origins };
        if let Err(escape) = self.states.contains(pc, &run) {
            self.escape = Some(Objection::escape(pc, &escape.to_string(), place(&escape)));
        }
        self.origins.step(pc, insn, registers, world);
    }
}

/// Where a run escaped, without values: registers change places while a finding shrinks.
fn place(escape: &Escape) -> &'static str {
    match escape {
        Escape::Unexplored { .. } => "unexplored",
        Escape::Register { .. } => "register",
        Escape::Stack { .. } => "stack",
        Escape::Link { .. } => "link",
    }
}
