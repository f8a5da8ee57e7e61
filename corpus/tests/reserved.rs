//! What no instruction is: `corpus/insn/reserved.yaml` lists, made from the instruction table, one slot per field that a row
//! fixes, per register field, per second slot and per code without a row, each refused with index and field.
//!
//! The cases are in the file so that every engine and every other implementation can be tried on them; this test keeps the
//! file equal to the list. After a change of the table, write it anew:
//! `TOUCHSTONE_UPDATE=1 cargo test -p touchstone-corpus --test reserved`.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use corpus::runner::{CaseResult, Runner};
use semantics::encoding::{self, DecodeErrorKind, Slot};
use semantics::insn::table::TABLE;
use semantics::insn::{Field, Op, Opcode, Row, Version};
use semantics::memory::Memory;
use semantics::world::World;

const HEAD: &str = "\
# What no instruction is (RFC 9669 section 3): reserved fields of each row, registers above 10, broken second slots, and codes
# without an instruction. Made from the instruction table by corpus/tests/reserved.rs, which says how to write it anew.

";

/// What Linux defines beyond the RFC and has no row: code, a slot with it, its name, and since when.
const EXTENSIONS: [(Slot, &str, Version); 4] = [
    (Slot { code: 0xbf, dst: 1, src: 1, off: 1, imm: 1 }, "addr_space_cast", Version(6, 9)),
    (Slot { code: 0xbf, dst: 1, src: 1, off: 1, imm: 0x1_0000 }, "addr_space_cast", Version(6, 9)),
    (Slot { code: 0xe5, dst: 0, src: 0, off: 1, imm: 0 }, "may_goto", Version(6, 9)),
    (Slot { code: 0x0d, dst: 1, src: 0, off: 0, imm: 0 }, "gotox", Version(6, 19)),
];

/// A case: its name, the slots that stand for the instruction, and what the refusal says.
struct Wrong {
    name: String,
    slots: Vec<Slot>,
    at: usize,
    says: String,
}

const FIELDS: [&str; 4] = ["dst", "src", "off", "imm"];

fn field(row: &Row, name: &str) -> Field {
    match name {
        "dst" => row.fields.dst,
        "src" => row.fields.src,
        "off" => row.fields.off,
        _ => row.fields.imm,
    }
}

fn with(slot: Slot, name: &str, value: i32) -> Slot {
    match name {
        "dst" => Slot { dst: value as u8, ..slot },
        "src" => Slot { src: value as u8, ..slot },
        "off" => Slot { off: value as i16, ..slot },
        _ => Slot { imm: value, ..slot },
    }
}

/// A slot of the row: zeros wherever anything may stand.
fn plain(row: &Row) -> Slot {
    let fixed = |slot, name| match field(row, name) {
        Field::Only(value) => with(slot, name, value),
        Field::Any => slot,
    };
    FIELDS.into_iter().fold(Slot { code: row.code, ..Slot::default() }, fixed)
}

fn is_admitted(slot: Slot) -> bool {
    let admits = |row: &Row| {
        let values = [i32::from(slot.dst), i32::from(slot.src), i32::from(slot.off), slot.imm];
        row.code == slot.code && FIELDS.into_iter().zip(values).all(|(name, value)| field(row, name).admits(value))
    };
    TABLE.iter().filter(|row| row.opcode != Opcode::WideTail).any(admits)
}

/// The slots that an instruction of this row takes, the first one given.
fn whole(row: &Row, first: Slot) -> Vec<Slot> {
    let tail = matches!(row.op, Op::Wide(_)).then_some(Slot::default());
    [first].into_iter().chain(tail).collect()
}

fn list() -> Vec<Wrong> {
    let mut all = Vec::new();
    for (number, row) in TABLE.iter().enumerate().filter(|(_, row)| row.opcode != Opcode::WideTail) {
        for name in FIELDS {
            let is_register = matches!(name, "dst" | "src");
            let values = match (is_register, field(row, name)) {
                // Over the table each number has its turn.
                (true, Field::Any) => {
                    let value = 11 + (number % 5) as i32;
                    let slots = whole(row, with(plain(row), name, value));
                    all.push(Wrong {
                        name: format!("{}, {name} is r{value}", row.name),
                        slots,
                        at: 1,
                        says: format!("R{value} is invalid"),
                    });
                    continue;
                }
                (false, Field::Any) => continue,
                (true, Field::Only(_)) => [1, 15],
                (false, Field::Only(_)) if name == "off" => [1, i32::from(i16::MIN)],
                (false, Field::Only(_)) => [1, i32::MIN],
            };
            for value in values {
                // The least value from here on that is no other instruction.
                let free = (value..=i32::MAX)
                    .map(|value| (value, with(plain(row), name, value)))
                    .find(|(_, slot)| !is_admitted(*slot));
                let Some((value, slot)) = free else { continue };
                all.push(Wrong {
                    name: format!("{}, {name} is {value}", row.name),
                    slots: whole(row, slot),
                    at: 1,
                    says: format!("{name} is {value}"),
                });
            }
        }
        if let Op::Wide(kind) = row.op {
            let tails = [("code", 0x95), ("dst", 1), ("src", 1), ("off", 1), ("imm", 1)];
            for (name, value) in tails.into_iter().filter(|(name, _)| !(*name == "imm" && kind.has_high_half())) {
                let tail = if name == "code" {
                    Slot { code: value as u8, ..Slot::default() }
                } else {
                    with(Slot::default(), name, value)
                };
                let says = format!("{name} of the second slot is {value}");
                all.push(Wrong { name: format!("{}, {says}", row.name), slots: vec![plain(row), tail], at: 2, says });
            }
        }
    }
    let known = |code: u8| {
        TABLE.iter().any(|row| row.code == code && row.opcode != Opcode::WideTail)
            || EXTENSIONS.iter().any(|(slot, ..)| slot.code == code)
    };
    for code in (0..=u8::MAX).filter(|code| !known(*code)) {
        let name = if code == 0x8d { "callx".to_owned() } else { format!("code {code:#04x}") };
        all.push(Wrong {
            name,
            slots: vec![Slot { code, ..Slot::default() }],
            at: 1,
            says: format!("unknown opcode {code:02x}"),
        });
    }
    let mut seen = HashSet::new();
    all.retain(|wrong| seen.insert(wrong.slots.clone()));
    all
}

fn text() -> String {
    let mut text = HEAD.to_owned();
    let (start, end) = (Slot { code: 0xb7, ..Slot::default() }, Slot { code: 0x95, ..Slot::default() });
    for Wrong { name, slots, at, says } in list() {
        let slots = [start].into_iter().chain(slots).chain([end]);
        let hex: Vec<String> = slots.map(|slot| corpus::text::hex(&slot.to_bytes())).collect();
        let hex = hex.join(" ");
        let expect = format!("{{verdict: reject, message: [\"insn {at}: \", \"{says}\"]}}");
        let _ = writeln!(text, "- {{name: \"{name}\", hex: {hex}, expect: {expect}}}");
    }
    text
}

#[test]
fn the_file_is_the_list() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn/reserved.yaml");
    let text = text();
    if std::env::var_os("TOUCHSTONE_UPDATE").is_some() {
        std::fs::write(&file, &text).expect("the file can be written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == text, "corpus/insn/reserved.yaml is not what the table says; this file says how to write it anew");
}

/// Each is refused as it is, and would not be if the wrong field were right: the list names the cause.
#[test]
fn each_is_refused_for_what_it_names() {
    let cases = corpus::read::parse(&text(), Path::new("reserved.yaml")).unwrap_or_else(|error| panic!("{error}"));
    assert!(cases.len() > 500, "{} cases", cases.len());
    let mut world = World::new(Memory::detached().expect("guest memory"));
    for case in cases {
        let result = Runner::new(&mut world).run(&case);
        assert!(matches!(result, CaseResult::Passed(_)), "{}: {result}", case.name);
    }
    for row in TABLE.iter().filter(|row| row.opcode != Opcode::WideTail) {
        assert!(encoding::decode_slots(whole(row, plain(row))).is_ok(), "{}", row.name);
    }
}

/// Each of the 256 codes has a row, or belongs to an extension that is named with its version, or is reserved.
#[test]
fn every_code_is_known_for_what_it_is() {
    for (slot, name, version) in EXTENSIONS {
        let error = encoding::decode_slots([slot]).expect_err(name);
        assert_eq!(error.kind, DecodeErrorKind::Unsupported { code: slot.code, what: name, since: version });
    }
    let reserved: HashSet<u8> =
        list().iter().filter(|wrong| wrong.says.starts_with("unknown")).map(|wrong| wrong.slots[0].code).collect();
    let mut counts = [0; 3];
    for code in 0..=u8::MAX {
        let rows = TABLE.iter().any(|row| row.code == code && row.opcode != Opcode::WideTail);
        let extension = EXTENSIONS.iter().any(|(slot, ..)| slot.code == code);
        let at = if rows { 0 } else { 2 - usize::from(extension) };
        counts[at] += 1;
        assert_eq!(at == 2, reserved.contains(&code), "{code:#04x}");
    }
    assert_eq!(counts, [256 - 2 - reserved.len(), 2, reserved.len()]);
    assert!(reserved.contains(&0x8d), "callx is reserved");
}
