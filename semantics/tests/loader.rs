//! Objects of the corpus load with their maps; whatever is wrong with an object is said with place and reason.

use std::path::Path;

use semantics::asm::{Options, assemble_with};
use semantics::disasm::disassemble_program;
use semantics::insn::{Opcode, Room};
use semantics::interpreter;
use semantics::loader::{Btf, LoadError, LoadOptions, Object, load, load_as, read_btf, sections};
use semantics::map::{Contents, MMAPABLE, MapDef, MapType, RDONLY_PROG};
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::world::kconfig::{Kconfig, Setting};
use semantics::world::{Input, World};

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
        assert_eq!(assemble_with(&listing, Options { maps: &index, ..Options::default() }).unwrap(), program.insns());
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
    let message = "section tcx: its name stands for no program type, and none is given";
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

/// What a program answers to a packet, and the bytes of the map `name` afterwards.
fn run(program: &Program, packet: &[u8], name: &str) -> (Result<u64, semantics::trap::Trap>, Vec<u8>) {
    let mut world = World::new(Memory::detached().unwrap());
    world.load(program).unwrap();
    world.reset(&Input { packet: packet.to_vec(), ..Input::default() }).unwrap();
    let stop = interpreter::run(program, &mut world, 10_000, &mut ());
    let map = world.maps.iter().find(|map| map.def.name == name);
    let bytes = map.map(|map| {
        let (at, len) = (map.ops.direct().unwrap(), u64::from(map.def.value_size));
        world.memory.peek(at, len).to_vec()
    });
    (stop.result, bytes.unwrap_or_default())
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// A map of one element for global data.
fn data(name: &str, value_size: u32, flags: u32, bytes: &[u8]) -> MapDef {
    let mut def = MapDef::new(name, MapType::ARRAY, 4, value_size, 1);
    def.flags = flags;
    def.frozen = flags & RDONLY_PROG != 0;
    if !bytes.is_empty() {
        def.contents = Contents::Bytes(bytes.to_vec());
    }
    def
}

#[test]
fn global_data_becomes_arrays() {
    let program = load(&object("globals.o"), None).unwrap();
    let rodata = [64, 0, 0, 0, 0x1e, 0x61, 17, 0];
    let mut kconfig = vec![0; 31];
    kconfig[..4].copy_from_slice(&1000u32.to_le_bytes());
    kconfig[4..8].copy_from_slice(&1u32.to_le_bytes());
    kconfig[8..12].copy_from_slice(&0x0006_0800u32.to_le_bytes());
    kconfig[14] = 1;
    kconfig[15..21].copy_from_slice(b"(none)");
    let maps: Vec<&MapDef> = program.maps().iter().collect();
    let bss = maps.iter().find(|map| map.name == ".bss").unwrap();
    assert_eq!((bss.value_size, bss.flags, &bss.contents), (24, MMAPABLE, &Contents::Empty));
    assert!(maps.contains(&&data(".rodata", 8, RDONLY_PROG | MMAPABLE, &rodata)), "{maps:?}");
    assert!(maps.contains(&&data(".data", 8, MMAPABLE, &1000u64.to_le_bytes())));
    assert!(maps.contains(&&data(".data.step", 4, MMAPABLE, &[3, 0, 0, 0])));
    assert!(maps.contains(&&data(".kconfig", 31, RDONLY_PROG, &kconfig)), "{maps:?}");
    assert_eq!(maps.len(), 5);
    let (result, bss) = run(&program, &[0; 64], ".bss");
    assert_eq!(result, Ok(2));
    // long_packets, kernel.
    assert_eq!(words(&bss), [1, 0, 0x0006_0800, 1000, 0x6e28_0101, 0x0001_6e6f]);
    assert_eq!(run(&program, &[0; 63], ".data"), (Ok(2), 1003u64.to_le_bytes().to_vec()));
}

#[test]
fn the_configuration_can_be_another() {
    let bytes = object("globals.o");
    let object = Object::parse(&bytes).unwrap();
    let mut config = Kconfig::parse("CONFIG_HZ=250\nCONFIG_BPF=n\nCONFIG_IPV6=m\n", 0x0006_0100).unwrap();
    let load = |config: &Kconfig| object.load(None, &LoadOptions { kconfig: Some(config), ..LoadOptions::default() });
    let message = load(&config).unwrap_err();
    assert!(message.is_unsupported());
    let place = "section xdp, offset 0xa8, symbol CONFIG_DEFAULT_HOSTNAME";
    assert_eq!(message.to_string(), format!("{place}: the kernel's configuration does not set it"));
    config.set("CONFIG_DEFAULT_HOSTNAME", Setting::Text("a".to_owned()));
    let (_, bss) = run(&load(&config).unwrap(), &[0; 64], ".bss");
    assert_eq!(words(&bss)[2..6], [0x0006_0100, 250, 0x0061_0200, 0x0001_0000]);
    config.set("CONFIG_HZ", Setting::Number(1 << 32));
    assert!(load(&config).unwrap_err().to_string().ends_with("too narrow for what the kernel's configuration sets"));
    config.set("CONFIG_HZ", Setting::Yes);
    let type_message = "its type does not fit what the kernel's configuration sets";
    assert!(load(&config).unwrap_err().to_string().ends_with(type_message));
    // A mutant once had a truth value of 65535 bytes: `_Bool`, an integer of 1 byte and 8 bits.
    let mut mutant = bytes.clone();
    replace(&mut mutant, &[1, 0, 0, 0, 8, 0, 0, 4], &[0xff, 0xff, 0, 0, 8, 0, 0, 4]);
    assert!(semantics::loader::load(&mutant, None).unwrap_err().to_string().ends_with(type_message));
}

#[test]
fn subprograms_follow_their_program() {
    let bytes = object("subprograms.o");
    let names = |program: &Program| -> Vec<(usize, String)> { program.debug().functions.clone() };
    let program = load(&bytes, Some("xdp")).unwrap();
    // In the order in which they are called: 14 slots, 8, 7, 3.
    let expected = [(0, "pythagoras"), (14, "last_byte"), (22, "sum_of_squares"), (29, "square")];
    assert_eq!(names(&program), expected.map(|(slot, name)| (slot, name.to_owned())));
    assert_eq!(program.subprograms(), [0, 14, 22, 29]);
    assert_eq!(run(&program, &[3, 4], "").0, Ok(25));
    assert_eq!(run(&program, &[3], "").0, Ok(0));
    // The address of a callback.
    let program = load(&bytes, Some("callback")).unwrap();
    let expected = [(0, "callback"), (11, "count"), (21, "square")];
    assert_eq!(names(&program), expected.map(|(slot, name)| (slot, name.to_owned())));
    let wide = program.insns().iter().position(|insn| insn.opcode == Opcode::LddwCode).unwrap();
    assert_eq!(program.insns()[wide].target(wide), 11);
    let sections = sections(&bytes).unwrap();
    let found: Vec<_> = sections.iter().map(|s| (s.section.as_str(), s.program.as_str())).collect();
    assert_eq!(found, [("xdp", "pythagoras"), ("xdp/loop", "callback")]);
    assert_eq!(load(&bytes, Some("xdp/loop/callback")).unwrap().name(), "callback");
}

#[test]
fn lines_come_with_the_functions() {
    let program = load(&object("subprograms.o"), Some("pythagoras")).unwrap();
    let line = |slot| program.debug().line_at(slot).unwrap();
    assert!(line(0).file.ends_with("subprograms.c"), "{:?}", line(0));
    assert_eq!(line(14).text, "static NOINLINE __attribute__((section(\"xdp\"))) int last_byte(struct xdp_md *ctx)");
    assert_eq!(line(23).text, "return square(a) + square(b);");
    assert_eq!(line(30).text, "return value * value;");
    assert!(line(30).line < line(23).line && line(23).line < line(14).line && line(30).column > 0);
    assert!(program.debug().lines.is_sorted_by_key(|line| line.slot));
}

#[test]
fn tables_hold_programs_and_maps() {
    let program = load(&object("tables.o"), Some("tables")).unwrap();
    let names: Vec<&str> = program.maps().iter().map(|map| map.name.as_str()).collect();
    assert_eq!(names, ["verdicts", "quiet", "busy", "by_load"]);
    let [verdicts, quiet, _, by_load] = program.maps() else { panic!("four maps") };
    assert_eq!((verdicts.map_type.name(), verdicts.key_size, verdicts.value_size), ("prog_array", 4, 4));
    assert_eq!(verdicts.contents, Contents::Programs(vec![(2, "pass".to_owned()), (5, "drop".to_owned())]));
    assert_eq!((by_load.map_type.name(), by_load.key_size, by_load.value_size), ("array_of_maps", 4, 4));
    assert_eq!(by_load.contents, Contents::Maps(vec![(0, 1), (2, 2)]));
    assert_eq!(by_load.inner.as_deref(), Some(&MapDef { name: "by_load.inner".to_owned(), ..quiet.clone() }));
    assert_eq!(references(&program), ["by_load", "verdicts"]);
}

#[test]
fn core_relocations_ask_the_worlds_types() {
    let program = load(&object("core.o"), Some("answers")).unwrap();
    let (result, bss) = run(&program, &[0; 14], ".bss");
    assert_eq!(result, Ok(2));
    let expected: [u32; 19] = [
        // The registers' interface; the destination address of an IPv4 header.
        112, 128, 16, // comm, a pointer, a length
        16, 8, 2, // task_struct.tgid, nothing, nothing; task_struct, nothing; PIDTYPE_TGID, nothing
        1, 0, 0, 1, 0, 1, 0, // tgid is signed, the instruction pointer is not
        1, 0, // the high half of a byte
        56, 60, // registers, PIDTYPE_TGID
        168, 1,
    ];
    assert_eq!(words(&bss), expected);
    let shuffled = load(&object("core.o"), Some("shuffled")).unwrap();
    assert_eq!(run(&shuffled, &[7], "").0, Ok(7));
    let error = load(&object("core.o"), Some("unguarded")).unwrap_err();
    let access = "section xdp/unguarded, offset 0x0, CO-RE relocation of struct xdp_md___shuffled.no_such_member";
    assert_eq!(error.to_string(), format!("{access}: the kernel's BTF has the type but no such field"));
    assert!(error.is_unsupported());
}

#[test]
fn core_relocations_follow_the_width_of_a_field() {
    let bytes = object("core.o");
    let program = load(&bytes, Some("resized")).unwrap();
    let first = &program.insns()[0];
    assert_eq!((first.opcode, first.off), (Opcode::LdxW, 16));
    assert_eq!(run(&program, &[0; 14], "").0, Ok(5));
    let error = load(&bytes, Some("sign")).unwrap_err();
    let place = "section xdp/signed, offset 0x0, CO-RE relocation of struct xdp_md___wide.egress_ifindex";
    assert_eq!(error.to_string(), format!("{place}: the field's width differs, and the access cannot be adjusted"));
    // Whole types: Ethernet headers have these members, UDP headers a narrower one.
    assert_eq!(run(&load(&bytes, Some("matches")).unwrap(), &[0; 14], "").0, Ok(2));
}

#[test]
fn a_version_guards_what_it_lacks() {
    let bytes = object("core.o");
    assert_eq!(run(&load(&bytes, Some("version")).unwrap(), &[0; 14], "").0, Ok(2));
    let later = Kconfig::parse("", 7 << 16).unwrap();
    let options = LoadOptions { kconfig: Some(&later), ..LoadOptions::default() };
    let error = Object::parse(&bytes).unwrap().load(Some("version"), &options).unwrap_err();
    assert!(error.to_string().ends_with("no_such_member: the kernel's BTF has the type but no such field"), "{error}");
}

#[test]
fn a_wrong_relocation_says_what_is_wrong() {
    let refused = |old: &[u8], new: &[u8]| {
        let mut bytes = object("core.o");
        replace(&mut bytes, old, new);
        load(&bytes, Some("answers")).unwrap_err().to_string()
    };
    // The first instruction, `r2 = 8`, holds another offset than the object's types say.
    let error = refused(&[0xb7, 2, 0, 0, 8, 0, 0, 0, 0x18], &[0xb7, 2, 0, 0, 9, 0, 0, 0, 0x18]);
    let place = "section xdp, offset 0x0, CO-RE relocation of struct pt_regs___core.di";
    assert_eq!(error, format!("{place}: the instruction holds 0x9, the object's types say 0x8"));
    // It becomes a jump.
    let error = refused(&[0xb7, 2, 0, 0, 8, 0, 0, 0, 0x18], &[0x05, 0, 0, 0, 0, 0, 0, 0, 0x18]);
    assert_eq!(error, format!("{place}: opcode 05 cannot be relocated"));
    let error = refused(b"\x000:1\0", b"\x000:9\0");
    let place = "section xdp, offset 0x0, CO-RE relocation of struct pt_regs___core";
    assert_eq!(error, format!("{place}: the access string does not fit the type"));
}

#[test]
fn maps_of_old() {
    let bytes = object("legacy.o");
    let error = load(&bytes, Some("entry")).unwrap_err();
    assert_eq!(error.to_string(), "section from-netdev: its name stands for no program type, and none is given");
    let program = load_as(&bytes, Some("from-netdev"), Some(ProgramType::SchedCls)).unwrap();
    let [tail_calls, counters, by_cpu] = program.maps() else { panic!("three maps") };
    assert_eq!(tail_calls.contents, Contents::Programs(vec![(3, "tail".to_owned())]));
    assert_eq!(*counters, map("counters", MapType::ARRAY, 8, 16));
    assert_eq!((by_cpu.map_type.name(), &by_cpu.contents), ("array_of_maps", &Contents::Maps(vec![(3, 1)])));
    assert_eq!(by_cpu.inner.as_deref(), Some(counters));
    assert_eq!(references(&program), ["by_cpu", "tail_calls"]);
    // Without the identifier of its inner map it has none.
    let mut bytes = bytes;
    replace(&mut bytes, &[7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let error = load_as(&bytes, Some("from-netdev"), Some(ProgramType::SchedCls)).unwrap_err();
    let place = "section maps, offset 0x48, map by_cpu";
    assert_eq!(error.to_string(), format!("{place}: it does not say what its inner maps are"));
}

#[test]
fn core_relocations_ask_other_types() {
    let bytes = object("core.o");
    let own = read_btf(&bytes).unwrap();
    let object = Object::parse(&bytes).unwrap();
    let options = LoadOptions { btf: Some(&own), ..LoadOptions::default() };
    // Against the object's own types everything is as the compiler left it.
    let (_, bss) = run(&object.load(Some("answers"), &options).unwrap(), &[0; 14], ".bss");
    assert_eq!(words(&bss), [8, 0, 4, 32, 8, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 60, 60, 16, 77]);
    assert!(object.load(Some("unguarded"), &options).is_ok());
    let kernel = std::fs::read("/sys/kernel/btf/vmlinux");
    match kernel.map_err(|error| error.to_string()).map(|bytes| Btf::parse(&bytes)) {
        Ok(kernel) => {
            let kernel = kernel.unwrap();
            let options = LoadOptions { btf: Some(&kernel), ..LoadOptions::default() };
            let (_, bss) = run(&object.load(Some("answers"), &options).unwrap(), &[0; 14], ".bss");
            assert_eq!(words(&bss)[6..13], [1, 0, 0, 1, 0, 1, 0]);
        }
        Err(error) => println!("skipped: no types of the running kernel: {error}"),
    }
}

#[test]
fn what_only_the_kernel_has() {
    let bytes = object("externs.o");
    assert_eq!(run(&load(&bytes, Some("weak")).unwrap(), &[0; 14], "").0, Ok(2));
    let refused = |name: &str| {
        let error = load(&bytes, Some(name)).unwrap_err();
        assert!(error.is_unsupported());
        error.to_string()
    };
    let variable = "section xdp/variable, offset 0x0, symbol jiffies: variables of the kernel are not modelled";
    assert_eq!(refused("variable"), variable);
    let function =
        "section xdp/function, offset 0x0, symbol bpf_rcu_read_lock: functions of the kernel are not modelled";
    assert_eq!(refused("function"), function);
    let place = "section xdp/option, offset 0x0, symbol CONFIG_NO_SUCH_OPTION";
    assert_eq!(refused("option"), format!("{place}: the kernel's configuration does not set it"));
}

#[test]
fn programs_of_one_object_have_the_same_maps() {
    let bytes = object("tables.o");
    let object = Object::parse(&bytes).unwrap();
    let all: Vec<Program> = object.load_all(&LoadOptions::default()).collect::<Result<_, _>>().unwrap();
    assert!(all.len() == 3 && all.iter().all(|program| program.maps() == all[0].maps()));
}

#[test]
fn a_file_of_types_has_types() {
    assert_eq!(
        read_btf(&[0xeb, 0x9f, 1, 0]).unwrap_err().to_string(),
        "section .BTF: offset 0x0: the byte order is big-endian, which is not modelled"
    );
    assert!(read_btf(b"\x7fELF").unwrap_err().to_string().starts_with("ELF header: "));
    assert!(read_btf(semantics::world::btf::bytes()).is_ok());
}
