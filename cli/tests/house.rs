//! The house is in order: each thing has its room, of the same name, on every floor, and no room is an orphan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jit::insn::is_lowered;
use semantics::helper;
use semantics::insn::table::TABLE;
use semantics::insn::{Op, Room};
use semantics::map::MapType;
use semantics::program_type::ProgramType;
use verifier::insn::is_followed;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Names of the files of this kind in a folder, without `mod`.
fn rooms(folder: &str, extension: &str) -> BTreeSet<String> {
    let path = root().join(folder);
    let entries = std::fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    entries
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "mod")
        .collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// A folder, which instructions the floor has, and what its rooms share.
type Floor = (&'static str, fn(Op) -> bool, &'static [&'static str]);

#[test]
fn every_instruction_family_has_its_room_on_every_floor() {
    // A floor has the rooms of the instructions that it has.
    let families = |has: fn(Op) -> bool| {
        let has = |room: &Room| TABLE.iter().any(|row| row.op.room() == *room && has(row.op));
        names(Room::ALL.into_iter().filter(has).map(Room::name))
    };
    // What the rooms of a floor share lies beside them.
    let floors: [Floor; 4] = [
        ("semantics/src/insn", |_| true, &["describe", "formula", "table"]),
        ("verifier/src/insn", is_followed, &[]),
        ("jit/src/insn", is_lowered, &[]),
        (
            "proofs/src/insn",
            |op| is_followed(op) || is_lowered(op),
            &["blinding", "lowering", "machine", "meaning", "transfer"],
        ),
    ];
    for (floor, has, shared) in floors {
        let expected: BTreeSet<String> = families(has).into_iter().chain(names(shared.iter().copied())).collect();
        assert_eq!(rooms(floor, "rs"), expected, "{floor}");
    }
    // What belongs to no room is reserved.
    let cases: BTreeSet<String> = families(|_| true).into_iter().chain(names(["reserved"])).collect();
    assert_eq!(rooms("corpus/insn", "yaml"), cases);
    for row in TABLE {
        assert!(Room::ALL.contains(&row.op.room()), "{} has no room", row.name);
    }
}

#[test]
fn every_helper_has_its_topic_and_its_cases() {
    let topics: BTreeSet<String> = helper::modelled().map(|(topic, _)| topic.to_owned()).collect();
    let mut files = rooms("semantics/src/helper", "rs");
    // The kernel's table, the check that a helper keeps to its row, and formats.
    assert!(["contract", "facts", "format"].iter().all(|shared| files.remove(*shared)));
    assert_eq!(files, topics);
    let helpers = names(helper::modelled().map(|(_, helper)| helper.fact().name));
    assert_eq!(rooms("corpus/helper", "yaml"), helpers);
}

#[test]
fn every_map_type_has_its_room_and_its_cases() {
    let types = names(MapType::MODELLED.map(MapType::name));
    // How maps are declared lies beside the rooms, and what is made of the same parts; one type has a rule of creation only.
    let parts = [
        "buckets",
        "chained",
        "free_list",
        "held",
        "htab",
        "jhash",
        "lru_list",
        "ring",
        "sockets",
        "storage",
        "values",
    ];
    let beside = names(parts.into_iter().chain(["def", "user", "struct_ops"]));
    let expected: BTreeSet<String> = types.iter().cloned().chain(beside).collect();
    assert_eq!(rooms("semantics/src/map", "rs"), expected);
    assert_eq!(rooms("corpus/map", "yaml"), types);
}

#[test]
fn every_program_type_has_its_room() {
    let types = names(ProgramType::ALL.map(ProgramType::name));
    // What the rooms share lies beside them.
    let expected: BTreeSet<String> =
        types.into_iter().chain(names(["attach_type", "facts", "section", "target"])).collect();
    assert_eq!(rooms("semantics/src/program_type", "rs"), expected);
}

/// A missing or an extra room is noticed.
#[test]
fn a_missing_room_would_be_noticed() {
    let mut families = names(Room::ALL.into_iter().map(Room::name));
    families.remove("mov");
    assert_ne!(rooms("jit/src/insn", "rs"), families);
}
