//! Instructions for the tests of encodings and texts.

use proptest::prelude::*;
use semantics::insn::table::TABLE;
use semantics::insn::{Field, Insn, Op, Opcode, Reg, Row};

/// The rows that a program can have in any place: all but the second slot of a wide instruction.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(|row| row.opcode != Opcode::WideTail)
}

/// Values at the edges of 32 bits.
pub const IMMS: [i32; 9] = [0, 1, -1, 5, -5, 0x7f, i32::MAX, i32::MIN, i32::MIN + 1];
/// Values at the edges of 16 bits.
pub const OFFS: [i16; 7] = [0, 1, -1, 8, -8, i16::MAX, i16::MIN];

/// What the row's fields can hold of these operands.
pub fn fit(row: &'static Row, dst: Reg, src: Reg, off: i16, imm: i32, imm_hi: u32) -> Insn {
    let any = |field| field == Field::Any;
    let mut insn = Insn::new(row.opcode);
    if any(row.fields.dst) {
        insn = insn.dst(dst);
    }
    if any(row.fields.src) {
        insn = insn.src(src);
    }
    if any(row.fields.off) {
        insn = insn.off(off);
    }
    if any(row.fields.imm) {
        insn = insn.imm(imm);
    }
    if matches!(row.op, Op::Wide(kind) if kind.has_high_half()) {
        insn.imm_hi = imm_hi;
    }
    insn
}

/// With the second slot where it is due.
pub fn slots(insn: Insn) -> Vec<Insn> {
    let mut slots = vec![insn];
    if matches!(insn.op(), Op::Wide(_)) {
        slots.push(Insn::new(Opcode::WideTail));
    }
    slots
}

/// Any instruction, with its second slot.
pub fn any_insn() -> impl Strategy<Value = Vec<Insn>> {
    let row = (0..rows().count()).prop_map(|at| rows().nth(at).unwrap());
    let operands = (row, 0..11u8, 0..11u8, any::<i16>(), any::<i32>(), any::<u32>());
    operands.prop_map(|(row, dst, src, off, imm, high)| {
        let reg = |number| Reg::from_number(number).unwrap();
        slots(fit(row, reg(dst), reg(src), off, imm, high))
    })
}

/// Any program of up to 40 instructions; jumps lead anywhere.
pub fn any_program() -> impl Strategy<Value = Vec<Insn>> {
    proptest::collection::vec(any_insn(), 0..40).prop_map(|insns| insns.concat())
}
