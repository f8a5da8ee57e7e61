//! Plain loads and stores: their lowering.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::LoadStore).chain(lowering::obligations_blinded(Room::LoadStore)).collect()
}
