//! What comes out of a verification.

use crate::explain::Way;
use crate::refusal::{Refusal, Unsupported};
use crate::states::States;
use semantics::insn::Reg;
use semantics::program::Verified;
use std::fmt;

/// The answer.
#[derive(Debug)]
pub enum Verdict {
    /// Every path is safe.
    Accept(Accepted),
    /// Some path is not.
    Reject(Rejection),
    /// The program uses something that is not modelled.
    Unsupported(Unsupported),
}

impl Verdict {
    /// The accepted program.
    pub fn accepted(self) -> Option<Accepted> {
        if let Verdict::Accept(accepted) = self { Some(accepted) } else { None }
    }
    /// Whether every path is safe.
    pub fn is_accept(&self) -> bool {
        matches!(self, Verdict::Accept(_))
    }
}

/// A program whose every path is safe.
#[derive(Debug)]
pub struct Accepted {
    /// The program, fit to run natively.
    pub verified: Verified,
    /// The states before every instruction, if asked for and not too many.
    pub states: Option<States>,
    /// What it took.
    pub stats: Stats,
    /// The log, if asked for.
    pub log: String,
}

/// Why a program was rejected, and on which path.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The instruction, in slots.
    pub insn: usize,
    /// The reason.
    pub refusal: Refusal,
    /// The jumps that led there, from the start.
    pub path: Vec<Step>,
    /// Every instruction that led there, if asked for and if it was one path.
    pub way: Option<Box<Way>>,
    /// What it took.
    pub stats: Stats,
    /// The log, if asked for.
    pub log: String,
}

impl Rejection {
    /// The same of a program that lies `start` slots behind the first of those that were verified together. What the message
    /// counts, it counts in the program itself.
    pub(crate) fn behind(mut self, start: usize) -> Rejection {
        self.insn += start;
        self.path.iter_mut().for_each(|step| step.insn += start);
        self.way = self.way.map(|way| Box::new(way.behind(start)));
        self
    }
    /// The reason in Linux's words, one or two lines.
    pub fn message(&self) -> String {
        self.refusal.to_string()
    }
    /// The reason in plain words.
    pub fn explanation(&self) -> String {
        self.refusal.explanation()
    }
    /// The register that it is about.
    pub fn register(&self) -> Option<Reg> {
        self.refusal.register()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "insn {}: {}", self.insn, self.refusal)?;
        f.write_str(&self.explanation())?;
        if !self.path.is_empty() {
            f.write_str("\nPath:")?;
            for step in &self.path {
                write!(f, " {step}")?;
            }
        }
        Ok(())
    }
}

/// A jump on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The jump, in slots.
    pub insn: usize,
    /// Whether it was taken.
    pub taken: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.insn, if self.taken { "taken" } else { "not taken" })
    }
}

/// What a verification took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions followed, over all paths.
    pub insns: u32,
    /// States kept to compare with.
    pub saved: u32,
    /// The most of them at one instruction.
    pub most_here: u32,
}

impl std::ops::Add for Stats {
    type Output = Stats;

    fn add(self, other: Stats) -> Stats {
        Stats {
            insns: self.insns + other.insns,
            saved: self.saved + other.saved,
            most_here: self.most_here.max(other.most_here),
        }
    }
}

impl fmt::Display for Stats {
    /// The last line of the kernel's log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { insns, saved, most_here } = self;
        let limit = crate::explore::STEPS_MAX;
        write!(f, "processed {insns} insns (limit {limit}) max_states_per_insn {most_here} total_states {saved}")
    }
}
