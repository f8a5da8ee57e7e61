//! The 64-bit immediate: its lowering.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::Wide).chain(lowering::obligations_blinded(Room::Wide)).collect()
}
