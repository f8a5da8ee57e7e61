//! What eBPF programs mean.
pub mod insn;
pub mod memory;
pub mod word;
