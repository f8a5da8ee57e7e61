//! What is provable of an eBPF program without running it.
//!
//! Read in this order: [`tnum`] and [`scalar`], what is known of a number; [`insn`], what instructions do to it, a room per
//! family; [`rules`], those functions as rows of a table; [`state`], what is known of registers and the stack; [`explore`],
//! all paths of a program; [`refusal`], why one is rejected; [`explain`], how it came to that; [`states`], what was explored, to compare runs with.
//!
//! The domain is written over [`semantics::word::Algebra`]: the same functions verify programs, are proven sound by a
//! solver and are counted exhaustively at small widths. Verdicts and messages are those of Linux, in the version that
//! [`dialect`] names.

pub mod bounds;
pub mod dialect;
pub mod domain;
pub mod explain;
pub mod explained;
pub mod explore;
pub mod insn;
pub mod invariant;
pub mod log;
pub mod plant;
pub mod precision;
pub mod prune;
pub mod range;
pub mod refusal;
pub mod rules;
pub mod scalar;
pub mod state;
pub mod states;
pub mod tnum;
pub mod verdict;

mod access;
mod branch;
mod env;
mod flow;
mod frames;
mod helper;
mod load;
mod pointer;
mod returns;
mod stack;

pub use dialect::Dialect;
pub use domain::Domain;
pub use explore::{Options, PROGRAM_TYPES, Verifier, verify};
pub use helper::map::takes_map;
pub use prune::Pruning;
pub use refusal::{LoadRefusal, MemoryRefusal, Refusal, Unsupported};
pub use states::{Escape, Snapshot, States};
pub use verdict::{Accepted, Rejection, Stats, Step, Verdict};
