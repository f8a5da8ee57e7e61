//! Packet loads: their lowering; the bytes, and whether they are there, are open.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::Packet).chain(lowering::obligations_blinded(Room::Packet)).collect()
}
