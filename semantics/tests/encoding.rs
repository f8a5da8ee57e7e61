//! Encoding against the table, exhaustively over opcodes and registers.

mod common;

use std::collections::BTreeSet;

use common::{IMMS, OFFS, any_program, fit, rows, slots};
use proptest::prelude::*;
use semantics::encoding::{DecodeErrorKind, FieldName, SLOT_LEN, Slot, decode, decode_slots, encode, encode_slots};
use semantics::insn::table::TABLE;
use semantics::insn::{Field, Opcode, Reg, Row, Version};

/// The bytes of a slot, with an empty second slot behind a wide one.
fn bytes(slot: Slot) -> Vec<u8> {
    let tail = if slot.code == 0x18 { vec![0; SLOT_LEN] } else { vec![] };
    [slot.to_bytes().to_vec(), tail].concat()
}

/// Whether the row admits the slot, said independently of the decoder.
fn admits(row: &Row, slot: Slot) -> bool {
    let reg = |field: Field, value: u8| field.admits(i32::from(value)) && (field != Field::Any || value <= 10);
    row.opcode != Opcode::WideTail
        && row.code == slot.code
        && reg(row.fields.dst, slot.dst)
        && reg(row.fields.src, slot.src)
        && row.fields.off.admits(i32::from(slot.off))
        && row.fields.imm.admits(slot.imm)
}

#[test]
fn every_opcode_with_all_registers_decodes_to_the_row_that_admits_it() {
    let (mut decoded, mut refused) = (0, 0);
    for code in 0..=255 {
        for (dst, src) in (0..16).flat_map(|dst| (0..16).map(move |src| (dst, src))) {
            for (off, imm) in [(0, 0), (1, 0), (0, 1), (-1, -1), (8, 0), (i16::MIN, i32::MIN)] {
                let slot = Slot { code, dst, src, off, imm };
                let expected = TABLE.iter().find(|row| admits(row, slot));
                match (decode(&bytes(slot)), expected) {
                    (Ok(insns), Some(row)) => {
                        assert_eq!(insns[0].opcode, row.opcode);
                        assert_eq!(encode(&insns), bytes(slot));
                        decoded += 1;
                    }
                    (Err(error), None) => {
                        assert_eq!(error.index, 0);
                        let known = TABLE.iter().any(|row| row.code == code && row.opcode != Opcode::WideTail);
                        assert!(!known || error.kind != DecodeErrorKind::ReservedOpcode(code), "{slot:?}");
                        refused += 1;
                    }
                    (result, row) => panic!("{slot:?}: {result:?}, but {row:?}"),
                }
            }
        }
    }
    assert_eq!(decoded + refused, 256 * 256 * 6);
    assert!(decoded > 10_000, "{decoded}");
}

/// Every code with all registers, and every combination of offsets and immediates of which some row demands one, beside
/// values that none does: each slot is an instruction with exactly these bytes, or an error that says what is wrong.
#[test]
fn every_slot_is_an_instruction_or_an_error_with_its_place() {
    let demanded = |of: fn(&Row) -> Field| {
        let only = rows().filter_map(move |row| match of(row) {
            Field::Only(value) => Some(value),
            Field::Any => None,
        });
        only.chain([0, 2, -1]).collect::<BTreeSet<i32>>()
    };
    let (offs, imms) = (demanded(|row| row.fields.off), demanded(|row| row.fields.imm));
    assert!(offs.is_superset(&[0, 1, 8, 16, 32].into()) && imms.is_superset(&[0x10, 0x40, 0xf1, 0x110].into()));
    let (mut decoded, mut refused, mut kinds) = (0_u32, 0_u32, BTreeSet::new());
    for code in 0..=255_u8 {
        let rows: Vec<&Row> = TABLE.iter().filter(|row| row.code == code && row.opcode != Opcode::WideTail).collect();
        for (dst, src) in (0..16).flat_map(|dst| (0..16).map(move |src| (dst, src))) {
            for (off, imm) in offs.iter().flat_map(|off| imms.iter().map(move |imm| (*off as i16, *imm))) {
                let slot = Slot { code, dst, src, off, imm };
                let mut slots = vec![slot];
                slots.extend((code == 0x18).then(Slot::default));
                let admitting = rows.iter().filter(|row| admits(row, slot)).count();
                match decode_slots(slots.iter().copied()) {
                    Ok(insns) => {
                        assert!(encode_slots(&insns).eq(slots), "{slot:?}");
                        assert_eq!(admitting, 1, "{slot:?}");
                        decoded += 1;
                    }
                    Err(error) => {
                        assert_eq!((error.index, admitting), (0, 0), "{slot:?}");
                        kinds.insert(check_reason(&error.kind, slot, &rows));
                        refused += 1;
                    }
                }
            }
        }
    }
    assert_eq!(kinds, ["field", "opcode", "register", "unsupported"].into(), "{decoded} decoded, {refused} refused");
    assert_eq!((decoded + refused) as usize, 256 * 256 * offs.len() * imms.len());
    assert!(decoded > 90_000 && refused > 1_000_000, "{decoded} decoded, {refused} refused");
}

/// The error names what is wrong with the slot. The kind of its reason.
fn check_reason(kind: &DecodeErrorKind, slot: Slot, rows: &[&Row]) -> &'static str {
    match *kind {
        DecodeErrorKind::ReservedOpcode(code) => {
            assert!(rows.is_empty() && code == slot.code, "{slot:?}");
            "opcode"
        }
        DecodeErrorKind::Unsupported { code, .. } => {
            assert_eq!(code, slot.code);
            "unsupported"
        }
        DecodeErrorKind::RegisterOutOfRange { field, value, .. } => {
            assert_eq!(value, if field == FieldName::Dst { slot.dst } else { slot.src });
            assert!(value > 10);
            "register"
        }
        DecodeErrorKind::ReservedField { field, value, opcode, .. } => {
            let fields = opcode.row().fields;
            let (admitted, held) = match field {
                FieldName::Dst => (fields.dst, i32::from(slot.dst)),
                FieldName::Src => (fields.src, i32::from(slot.src)),
                FieldName::Off => (fields.off, i32::from(slot.off)),
                FieldName::Imm => (fields.imm, slot.imm),
                FieldName::Code => panic!("{slot:?}: the code selects the row"),
            };
            assert_eq!((opcode.row().code, held), (slot.code, value));
            assert!(!admitted.admits(value), "{slot:?}");
            "field"
        }
        other => panic!("{slot:?}: {other}"),
    }
}

#[test]
fn each_reserved_field_of_each_row_is_refused_by_name() {
    let mut tried = 0;
    for row in rows() {
        let fields = row.fields;
        for name in [FieldName::Dst, FieldName::Src, FieldName::Off, FieldName::Imm] {
            let field = match name {
                FieldName::Dst => fields.dst,
                FieldName::Src => fields.src,
                FieldName::Off => fields.off,
                _ => fields.imm,
            };
            let Field::Only(only) = field else { continue };
            let good = encode(&slots(fit(row, Reg::R1, Reg::R2, 3, 7, 0)));
            let mut slot = Slot::from_bytes(*good.first_chunk().unwrap());
            // A value that selects no other instruction.
            let wrong = 9;
            assert_ne!(wrong, only);
            match name {
                FieldName::Dst => slot.dst = 9,
                FieldName::Src => slot.src = 9,
                FieldName::Off => slot.off = 9,
                _ => slot.imm = 9,
            }
            let error = decode(&bytes(slot)).unwrap_err();
            let DecodeErrorKind::ReservedField { field, value, mnemonic, .. } = error.kind else {
                panic!("{}: {name} = {wrong}: {error}", row.name)
            };
            assert_eq!((field, value), (name, wrong));
            // Rows that share the code are told apart by this very field.
            let named = TABLE.iter().find(|row| row.name == mnemonic).unwrap();
            assert_eq!(named.code, row.code, "{mnemonic} for {}", row.name);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn registers_above_ten_are_refused() {
    for row in rows() {
        for number in 11..16 {
            let good = Slot::from_bytes(*encode(&[fit(row, Reg::R0, Reg::R0, 0, 0, 0)]).first_chunk().unwrap());
            let tries = [
                (row.fields.dst, FieldName::Dst, Slot { dst: number, ..good }),
                (row.fields.src, FieldName::Src, Slot { src: number, ..good }),
            ];
            for (_, name, slot) in tries.into_iter().filter(|(field, ..)| *field == Field::Any) {
                let kind = decode(&bytes(slot)).unwrap_err().kind;
                let expected = DecodeErrorKind::RegisterOutOfRange { field: name, value: number, mnemonic: row.name };
                assert_eq!(kind, expected);
                assert!(kind.to_string().starts_with(&format!("R{number} is invalid")), "{kind}");
            }
        }
    }
}

#[test]
fn edges_of_immediates_and_offsets_survive() {
    for row in rows() {
        for (imm, off) in IMMS.into_iter().flat_map(|imm| OFFS.map(|off| (imm, off))) {
            let insns = slots(fit(row, Reg::R3, Reg::R10, off, imm, imm.reverse_bits() as u32));
            assert_eq!(decode(&encode(&insns)).unwrap(), insns);
        }
    }
}

#[test]
fn what_only_a_later_linux_has_is_named() {
    let names = [
        (Slot { code: 0xbf, dst: 1, src: 2, off: 1, imm: 1 }, "addr_space_cast", Version(6, 9)),
        (Slot { code: 0xe5, off: 3, ..Slot::default() }, "may_goto", Version(6, 9)),
        (Slot { code: 0x0d, dst: 1, ..Slot::default() }, "gotox", Version(6, 19)),
    ];
    for (slot, what, since) in names {
        let kind = decode(&bytes(slot)).unwrap_err().kind;
        assert_eq!(kind, DecodeErrorKind::Unsupported { code: slot.code, what, since });
    }
    // Among them calls by register, packet access of 8 bytes, and calls and exits of 32 bits.
    let reserved = [0x00, 0x01, 0x8c, 0x8d, 0x38, 0x58, 0x99, 0xdf, 0xe7, 0xff, 0x86, 0x96, 0x0e];
    for code in reserved {
        let kind = decode(&bytes(Slot { code, ..Slot::default() })).unwrap_err().kind;
        assert_eq!(kind, DecodeErrorKind::ReservedOpcode(code));
    }
}

#[test]
fn broken_second_slots_and_ends() {
    let wide = Slot { code: 0x18, dst: 1, imm: 5, ..Slot::default() };
    let exit = Slot { code: 0x95, ..Slot::default() };
    let fail = |slots: &[Slot]| decode(&slots.iter().flat_map(|slot| slot.to_bytes()).collect::<Vec<_>>()).unwrap_err();
    assert_eq!(fail(&[exit, wide]).to_string(), "insn 1: invalid bpf_ld_imm64 insn: its second slot is missing");
    assert_eq!(fail(&[wide, exit]).to_string(), "insn 1: invalid bpf_ld_imm64 insn: code of the second slot is 149");
    let with_off = Slot { off: 1, ..Slot::default() };
    let kind = DecodeErrorKind::ReservedTailField { field: FieldName::Off, value: 1 };
    assert_eq!(fail(&[wide, with_off]).kind, kind);
    // The high half of a map reference is reserved.
    let high = Slot { imm: 1, ..Slot::default() };
    let kind = DecodeErrorKind::ReservedTailField { field: FieldName::Imm, value: 1 };
    assert_eq!(fail(&[Slot { src: 1, ..wide }, high]).kind, kind);
    let error = decode(&[0x95, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]).unwrap_err();
    assert_eq!(error.to_string(), "insn 1: 3 bytes at the end, a slot has 8");
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(program in any_program()) {
        prop_assert_eq!(decode(&encode(&program)), Ok(program));
    }
    #[test]
    fn encoding_undoes_decoding(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(insns) = decode(&bytes) {
            prop_assert_eq!(encode(&insns), bytes);
        }
    }
}
