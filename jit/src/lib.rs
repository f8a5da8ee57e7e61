//! What runs: lowering of eBPF to a typed x86-64 subset, its encoder and its meaning, and executable memory.
//!
//! A reading order: [`x64`] is the subset, [`insn`] the rooms that lower to it, [`rules`] the table of these,
//! [`plant`] mistakes to put into it.

pub mod insn;
pub mod plant;
pub mod rules;
pub mod x64;
