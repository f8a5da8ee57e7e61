//! Proofs: for all values, that the verifier's domain over-approximates what instructions do, and that the machine code
//! of the JIT does what they do.

pub mod bounds;
pub mod check;
pub mod domain;
pub mod explore;
pub mod frame;
pub mod helper;
pub mod insn;
pub mod isa;
pub mod layout;
pub mod memory;
pub mod obligation;
pub mod plant;
pub mod prove;
pub mod range;
pub mod report;
pub mod runner;
pub mod scalar;
pub mod second;
pub mod solver;
pub mod sym;
pub mod theory;
pub mod tnum;
pub mod whole;
pub mod witness;
pub mod x64;

/// Every obligation, by floor and room.
pub fn obligations() -> Vec<obligation::Obligation> {
    [
        tnum::obligations(),
        range::obligations(),
        scalar::obligations(),
        bounds::obligations(),
        insn::obligations(),
        helper::obligations(),
        x64::obligations(),
        frame::obligations(),
        layout::obligations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
