//! Proofs: for all values, that the verifier's domain over-approximates what instructions do, and that the machine code
//! of the JIT does what they do.

pub mod check;
pub mod explore;
pub mod memory;
pub mod obligation;
pub mod prove;
pub mod solver;
pub mod sym;
pub mod theory;
