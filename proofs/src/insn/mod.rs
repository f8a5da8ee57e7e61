//! Obligations about instructions: a room per family, as on every floor. All are driven by the table of instructions, so
//! that no row can be forgotten.

use crate::obligation::Obligation;
use semantics::insn::Reg;

pub mod alu;
pub mod atomic;
pub mod blinding;
pub mod call;
pub mod endian;
pub mod jump;
pub mod load_store;
pub mod lowering;
pub mod machine;
pub mod meaning;
pub mod mov;
pub mod muldiv;
pub mod packet;
pub mod shift;
pub mod transfer;
pub mod wide;

/// The obligations of all rooms.
pub fn obligations() -> Vec<Obligation> {
    [
        alu::obligations(),
        shift::obligations(),
        muldiv::obligations(),
        mov::obligations(),
        endian::obligations(),
        wide::obligations(),
        load_store::obligations(),
        atomic::obligations(),
        jump::obligations(),
        packet::obligations(),
        call::obligations(),
        meaning::obligations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The choices of registers of an instruction that reads or writes only some.
pub(crate) fn register_choices(dst: bool, src: bool) -> Vec<(Reg, Reg)> {
    let all = |used: bool| if used { &Reg::ALL[..] } else { &[Reg::R0][..] };
    all(dst).iter().flat_map(|dst| all(src).iter().map(move |src| (*dst, *src))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_choices_are_complete() {
        assert_eq!(register_choices(true, true).len(), 121);
        assert_eq!(register_choices(true, false).len(), 11);
        assert_eq!(register_choices(false, false), [(Reg::R0, Reg::R0)]);
    }
}
