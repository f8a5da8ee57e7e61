//! Helper calls and exit: their lowering; a helper is an unknown function of its number, its arguments and memory.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::Call).collect()
}
