//! Multiplication, division and modulo: their lowering.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::Muldiv).chain(lowering::obligations_blinded(Room::Muldiv)).collect()
}
