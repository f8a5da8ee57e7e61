//! Shifts: their lowering, for processors with BMI2 and without.

use super::lowering;
use crate::obligation::Obligation;
use semantics::insn::Room;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    lowering::obligations(Room::Shift).chain(lowering::obligations_without_bmi2(Room::Shift)).collect()
}
