//! Every room has its case file and every row, result class and map type its case; and no file is an orphan.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use corpus::Case;
use semantics::helper::{self, ResultClass};
use semantics::insn::table::TABLE;
use semantics::insn::{Opcode, Room};
use semantics::interpreter;
use semantics::map::MapType;
use semantics::memory::Memory;
use semantics::world::{Effect, World};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn cases(floor: &str, name: &str) -> Vec<Case> {
    let file = directory(floor).join(format!("{name}.yaml"));
    corpus::read::read(&file).unwrap_or_else(|error| panic!("{error}"))
}

/// The files of a directory are exactly these.
fn assert_files(floor: &str, names: BTreeSet<String>) {
    let found: BTreeSet<String> = std::fs::read_dir(directory(floor))
        .expect("a directory of the corpus")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<String> = names.into_iter().map(|name| format!("{name}.yaml")).collect();
    assert_eq!(found, expected, "files of corpus/{floor}: found on the left, needed on the right");
}

#[test]
fn files_are_rooms() {
    // What belongs to no room is reserved.
    let rooms = Room::ALL.iter().map(|room| room.name()).chain(["reserved"]);
    assert_files("insn", rooms.map(str::to_owned).collect());
    assert_files("helper", helper::modelled().map(|(_, helper)| helper.fact().name.to_owned()).collect());
    assert_files("map", MapType::MODELLED.iter().map(|of| of.name().to_owned()).collect());
}

/// An instruction counts as covered where a run of its room's cases executes it.
struct Executed(HashSet<Opcode>);

impl interpreter::Observer for Executed {
    fn before(&mut self, _: usize, insn: &semantics::insn::Insn, _: &interpreter::Registers, _: &mut World) {
        self.0.insert(insn.opcode);
        if matches!(insn.op(), semantics::insn::Op::Wide(_)) {
            self.0.insert(Opcode::WideTail);
        }
    }
}

/// Runs all inputs of the cases and shows each world afterwards.
fn run_all(cases: &[Case], observer: &mut Executed, mut after: impl FnMut(&World)) {
    let mut world = World::new(Memory::detached().expect("guest memory"));
    for case in cases {
        let Ok(program) = case.program() else { continue };
        world.load(&program).expect("maps");
        for run in &case.runs {
            world.reset(&run.input).expect("input");
            interpreter::run(&program, &mut world, 1 << 16, observer);
            after(&world);
        }
    }
}

#[test]
fn every_instruction_is_executed_by_its_room() {
    for room in Room::ALL {
        let mut executed = Executed(HashSet::new());
        run_all(&cases("insn", room.name()), &mut executed, |_| {});
        for row in TABLE.iter().filter(|row| row.op.room() == room) {
            assert!(executed.0.contains(&row.opcode), "corpus/insn/{}.yaml never executes {}", room.name(), row.name);
        }
    }
}

#[test]
fn every_result_class_is_returned() {
    for (_, helper) in helper::modelled() {
        let name = helper.fact().name;
        let mut returned: HashSet<ResultClass> = HashSet::new();
        run_all(&cases("helper", name), &mut Executed(HashSet::new()), |world| {
            let calls = world.effects.iter().map(|Effect::Call { helper, class, .. }| (*helper, *class));
            returned.extend(calls.filter(|(id, _)| *id == helper.id).map(|(_, class)| class));
        });
        for class in helper.results {
            assert!(returned.contains(class), "in corpus/helper/{name}.yaml no call returns {class}");
        }
    }
}

#[test]
fn every_map_type_is_used() {
    for of in MapType::MODELLED {
        let cases = cases("map", of.name());
        assert!(!cases.is_empty());
        assert!(cases.iter().all(|case| case.maps.iter().any(|map| map.map_type == of)), "corpus/map/{of}.yaml");
    }
}
