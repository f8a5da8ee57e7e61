//! What each family of instructions does to what is known: a room per family, as in the semantics.

pub mod alu;
pub mod jump;
pub mod mov;
