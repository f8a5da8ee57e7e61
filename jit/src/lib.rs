//! What runs: lowering of eBPF to a typed x86-64 subset, its encoder and its meaning, and executable memory.
//!
//! A reading order: [`x64`] is the subset; [`insn`] the rooms that lower to it, [`rules`] the table of these, [`plant`]
//! mistakes to put into it; [`link`] fills in addresses, [`blind`] hides constants, and [`layout`] gives everything its
//! place behind the code of [`frame`]; [`image`] holds it, [`runtime`] enters it, [`fault`] leads out of it where the
//! processor refuses, [`engine`] is all of it behind one trait, [`disasm`] shows it.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("the JIT makes and runs x86-64 code on Linux");

pub mod blind;
pub mod disasm;
pub mod engine;
pub mod fault;
pub mod frame;
pub mod image;
pub mod insn;
pub mod layout;
pub mod link;
pub mod plant;
pub mod rules;
pub mod runtime;
pub mod x64;

pub use engine::Jit;
pub use layout::{Code, compile};
pub use rules::Rules;
