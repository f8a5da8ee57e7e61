//! Atomic operations: their lowering.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::Atomic).collect()
}
