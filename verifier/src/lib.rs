//! What is provable of an eBPF program without running it.
//!
//! Read in this order: [`tnum`] and [`scalar`], what is known of a number; [`insn`], what instructions do to it, a room per
//! family; [`rules`], those functions as rows of a table.
//!
//! The domain is written over [`semantics::word::Algebra`]: the same functions verify programs, are proven sound by a
//! solver and are counted exhaustively at small widths.

pub mod insn;
pub mod plant;
pub mod range;
pub mod rules;
pub mod scalar;
pub mod tnum;
