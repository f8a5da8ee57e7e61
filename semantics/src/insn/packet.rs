//! Legacy access to packet bytes (RFC 9669 section 5.5; kernel: `bpf_gen_ld_abs`).
//!
//! The context of a socket buffer is implicit in R6. A place outside the packet ends the function with R0 = 0.

use super::{Flow, Insn, Machine, Reg, Size};
use crate::word::{Algebra, Flag, Word};

/// Where the offset comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The immediate.
    Abs,
    /// The immediate plus the low half of the source register.
    Ind,
}

/// `r0 = ntoh(*(size *)(packet + offset))`, zero-extended; R1 to R5 are open afterwards.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(
    mode: Mode,
    size: Size,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    let offset = match mode {
        Mode::Abs => insn.imm.clone(),
        Mode::Ind => A::low(machine.reg(insn.src)).add(&insn.imm),
    };
    let (value, found) = machine.load_packet(size, &offset)?;
    machine.set_reg(Reg::R0, A::W64::select(&found, &value, &A::W64::lit(0)));
    Ok(Flow::Leave(found.not()))
}
