//! Objects of the corpus load with their maps; whatever is wrong with an object is said with place and reason.

use std::path::{Path, PathBuf};

use semantics::asm::assemble_with;
use semantics::disasm::disassemble_program;
use semantics::insn::{Opcode, Room};
use semantics::loader::{LoadError, load, load_as, sections};
use semantics::map::{MapDef, MapType};
use semantics::program::Program;
use semantics::program_type::ProgramType;

fn object(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/program").join(name);
    std::fs::read(&path).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()))
}

fn map(name: &str, map_type: MapType, value_size: u32, max_entries: u32) -> MapDef {
    MapDef::new(name, map_type, 4, value_size, max_entries)
}

/// Name of the map that each map reference means, in order.
fn references(program: &Program) -> Vec<&str> {
    let references = program.insns().iter().filter(|insn| insn.opcode == Opcode::LddwMap);
    references.map(|insn| program.maps()[insn.imm as usize].name.as_str()).collect()
}

#[test]
fn xdp_count_drop() {
    let program = load(&object("xdp_count_drop.o"), None).unwrap();
    assert_eq!(program.name(), "xdp_count_drop");
    assert_eq!(program.program_type(), ProgramType::Xdp);
    assert_eq!(program.license(), "Dual MIT/GPL");
    let maps = [map("protocol_count", MapType::ARRAY, 8, 256), map("source_count", MapType::HASH, 8, 1024)];
    assert_eq!(program.maps(), maps);
    assert_eq!(program.insns().len(), 59);
    assert_eq!(references(&program), ["protocol_count", "source_count", "source_count"]);
    let used = |room: &Room| program.instructions().any(|(_, insn)| insn.op().room() == *room);
    let rooms = [Room::Alu, Room::Mov, Room::Wide, Room::LoadStore, Room::Jump, Room::Call];
    assert!(rooms.iter().all(used), "each of these rooms is used");
}

#[test]
fn the_missing_bounds_check_is_the_only_difference() {
    let [with, without] =
        ["xdp_count_drop.o", "xdp_count_drop_nobounds.o"].map(|name| load(&object(name), None).unwrap());
    assert_eq!(with.maps(), without.maps());
    assert_eq!(with.insns().len() - without.insns().len(), 3);
    assert_eq!(references(&with), references(&without));
}

#[test]
fn socket_length() {
    let program = load(&object("socket_length.o"), Some("socket")).unwrap();
    assert_eq!(program.program_type(), ProgramType::SocketFilter);
    let maps = [map("length_classes", MapType::ARRAY, 24, 4), map("ethertype_count", MapType::HASH, 8, 64)];
    assert_eq!(program.maps(), maps);
    assert_eq!(program.insns().len(), 55);
    let calls = program.instructions().filter(|(_, insn)| insn.opcode == Opcode::Call).map(|(_, insn)| insn.imm);
    assert_eq!(calls.collect::<Vec<_>>(), [1, 1, 2, 5, 7]);
}

#[test]
fn a_listing_names_the_maps_and_is_read_back() {
    for name in ["xdp_count_drop.o", "xdp_count_drop_nobounds.o", "socket_length.o"] {
        let program = load(&object(name), None).unwrap();
        let listing = disassemble_program(&program);
        let maps = program.maps();
        assert_eq!(listing.matches(&format!("map[{}] ll", maps[1].name)).count(), 2, "{listing}");
        let index = |name: &str| maps.iter().position(|map| map.name == name).map(|at| at as u32);
        assert_eq!(assemble_with(&listing, index).unwrap(), program.insns());
    }
}

#[test]
fn sections_are_listed_and_chosen() {
    let bytes = object("xdp_count_drop.o");
    let [section] = &sections(&bytes).unwrap()[..] else { panic!("one program") };
    assert_eq!((section.section.as_str(), section.program.as_str()), ("xdp", "xdp_count_drop"));
    assert_eq!((section.slots, section.program_type), (59, Some(ProgramType::Xdp)));
    assert_eq!(load(&bytes, Some("xdp")), load(&bytes, Some("xdp_count_drop")));
    let error = load(&bytes, Some("tc")).unwrap_err();
    assert_eq!(error.to_string(), "the object has no program `tc`, it has: xdp_count_drop");
    let as_filter = load_as(&bytes, None, Some(ProgramType::SocketFilter)).unwrap();
    assert_eq!(as_filter.program_type(), ProgramType::SocketFilter);
}

/// Replaces some bytes by as many others wherever they occur.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert!(!places.is_empty(), "{old:?} does not occur");
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
}

/// The error after one replacement in the XDP object.
fn broken(old: &[u8], new: &[u8]) -> LoadError {
    let mut bytes = object("xdp_count_drop.o");
    replace(&mut bytes, old, new);
    load(&bytes, None).unwrap_err()
}

#[test]
fn errors_have_place_and_reason() {
    // `if w1 == 0x611e goto +0x1` with another code.
    let jump = [0x16, 0x01, 0x01, 0x00, 0x1e, 0x61, 0, 0];
    let error = broken(&jump, &[0xe5, 0x00, 0x01, 0x00, 0, 0, 0, 0]);
    assert_eq!(
        error.to_string(),
        "section xdp, offset 0x1c0: insn 56: may_goto (opcode e5, Linux 6.9 and later) is not modelled"
    );
    assert!(error.is_unsupported());
    let error = broken(&jump, &[0x95, 0x01, 0, 0, 0, 0, 0, 0]);
    let message = "section xdp, offset 0x1c0: insn 56: BPF_EXIT uses reserved fields: dst is 1 in Exit";
    assert_eq!(error.to_string(), message);
    assert!(!error.is_unsupported());
    let error = broken(&jump, &[0x16, 0x01, 0xff, 0x00, 0, 0, 0, 0]);
    let message = "section xdp, program xdp_count_drop: jump out of range from insn 56 to 312";
    assert_eq!(error.to_string(), message);

    let error = broken(b".relxdp\0", b".reltcx\0");
    let message = "section tcx: its name stands for no program type that is modelled";
    assert_eq!(error.to_string(), message);
    assert!(error.is_unsupported());
    let error = broken(b"Dual MIT/GPL\0", b"Dual MIT/GP\xff\0");
    assert_eq!(error.to_string(), "section license: it is not UTF-8");
    let error = broken(&[0x9f, 0xeb, 1, 0, 0x18], &[0x9f, 0xeb, 2, 0, 0x18]);
    assert_eq!(error.to_string(), "section .BTF: offset 0x2: version 2 is not known");
    let error = broken(b"\0max_entries\0", b"\0max_entriez\0");
    let message = "section .maps, offset 0x0, map protocol_count: member max_entriez: no map has such a member";
    assert_eq!(error.to_string(), message);
}

#[test]
fn broken_headers() {
    let bytes = object("xdp_count_drop.o");
    assert!(load(&[], None).unwrap_err().to_string().starts_with("ELF header: "));
    assert!(load(b"\x7fELF", None).unwrap_err().to_string().starts_with("ELF header: "));
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        load(&bytes, None).unwrap_err()
    };
    assert!(with(4, 1).to_string().starts_with("ELF header: "), "32 bits");
    assert!(with(5, 2).to_string().starts_with("ELF header: "), "big-endian");
    assert_eq!(with(16, 2).to_string(), "ELF header: the type is 2, not 1 (relocatable)");
    assert_eq!(with(18, 62).to_string(), "ELF header: the machine is 62, not 247 (BPF)");
    for len in 0..bytes.len() {
        assert!(load(&bytes[..len], None).is_err(), "cut at {len}");
    }
}

/// Objects of public collections that need no more than what is modelled, with their number of slots.
const PUBLIC: [(&str, &str, usize); 6] = [
    ("build/correlated_branch.o", "xdp", 30),
    ("build/dependent_read.o", "xdp", 13),
    ("build/packet_start_ok.o", "xdp", 11),
    ("build/tail_call.o", "xdp_prog/0", 2),
    ("linux/xdp_redirect_kern.o", "xdp_redirect_dummy", 2),
    ("prototype-kernel/xdp_redirect_err_kern.o", "xdp_redirect_dummy", 2),
];

#[test]
fn public_objects() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suites/objects");
    if !root.is_dir() {
        println!("skipped: {} is missing", root.display());
        return;
    }
    for (path, program, slots) in PUBLIC {
        let bytes = std::fs::read(root.join(path)).unwrap();
        let program = load(&bytes, Some(program)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(program.insns().len(), slots, "{path}");
    }
    let badsymsize = std::fs::read(root.join("invalid/badsymsize.o")).unwrap();
    assert!(!load(&badsymsize, Some("xdp_redirect_map")).unwrap_err().is_unsupported());
}
