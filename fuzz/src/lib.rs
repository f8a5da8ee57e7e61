//! Differential fuzzing: generated programs, run on several engines inside the verifier's states, and compared.
//!
//! The way of a test: [`generate`] (or [`bytes`], which reads any byte string as a test, or [`closed`], which needs no
//! verifier) makes a [`test::Test`]; the [`judge`] verifies it, runs it on every engine and asks the [`oracle`]s; what they object to is a
//! [`finding::Finding`], which [`reduce`] shrinks until nothing can be left out and [`case`] writes into the corpus. A
//! [`campaign`] does that in worker processes, so that a worker that native code kills or hangs is a finding too.

pub mod against;
pub mod bytes;
pub mod calls;
pub mod campaign;
pub mod case;
pub mod closed;
pub mod dice;
pub mod examine;
pub mod finding;
pub mod generate;
pub mod judge;
pub mod oracle;
pub mod outside;
pub mod paths;
pub mod plant;
pub mod reduce;
pub mod target;
pub mod test;
pub mod worker;
