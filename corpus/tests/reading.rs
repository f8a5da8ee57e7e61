//! Reading says where a file is wrong and never panics; writing is its inverse.

use std::path::Path;

use corpus::case::{Case, Code, Element, Ending, Expected, FindingNote, Load, Run, Verdict};
use corpus::read::parse;
use corpus::write::to_yaml;
use proptest::prelude::*;
use semantics::map::{Contents, MapDef, MapType, RDONLY, RDONLY_PROG, ValueField, ValueFieldKind, ZERO_SEED};
use semantics::program_type::{AttachType, ProgramType};
use semantics::world::{Input, WorldConfig};

/// The message for a text, without the file.
fn refusal(text: &str) -> String {
    let error = parse(text, Path::new("f")).expect_err(text).to_string();
    error.strip_prefix("f:").map(str::to_owned).unwrap_or(error)
}

const ASM: &str = "- name: n\n  asm: exit\n";

/// The message for a property of a map.
fn field(property: &str) -> String {
    let map = format!("    m: {{type: hash, key_size: 1, value_size: 16, max_entries: 1, {property}}}\n");
    let text = refusal(&format!("{ASM}  maps:\n{map}"));
    let (place, reason) = text.split_once(": case `n`: ").expect("a place");
    assert!(place.starts_with("4:"), "{text}");
    reason.to_owned()
}

#[test]
fn errors_name_line_column_and_reason() {
    let tables: &[(&str, &str)] = &[
        ("- name: n\n  asm: |\n    r0 = 1\n\n    exot\n", "5:5: case `n`: expected"),
        ("- name: n\n  asm: r0 = 1; r0 = q\n", "2:21: case `n`: expected"),
        ("- name: n\n  asm: |2\n      r0 = 1\n    exot\n", "4:5: case `n`: expected"),
        ("- name: n\n  asm: |\n    r1 = map[m] ll\n", "3:14: case `n`: there is no map `m`"),
        ("- name: n\n  hex: 95000000000000\n", "2:8: case `n`: 7 bytes are no whole number of slots"),
        ("- name: n\n  hex: 95x\n", "2:8: case `n`: `x` is not a hexadecimal digit"),
        ("- name: n\n  hex: 950\n", "2:8: case `n`: 3 hexadecimal digits"),
        ("- name: n\n", "1:3: case `n`: a case has exactly one of"),
        ("- name: n\n  asm: exit\n  hex: ''\n", "1:3: case `n`: a case has exactly one of"),
        ("- name: n\n  asm: exit\n- name: n\n  asm: exit\n", "3:9: case `n`: the name `n` stands twice"),
        ("- name: n\n  asm: exit\n  color: red\n", "3:3: unknown field `color`"),
        ("- name: n\n  asm: exit\n  program_type: xpd\n", "3:17: case `n`: there is no program type `xpd`"),
        ("- name: n\n  asm: exit\n  section: s\n", "3:12: case `n`: `section` belongs to `object`"),
        ("- name: n\n  object: none.o\n", "2:11: case `n`: none.o: "),
        ("- name: n\n  asm: exit\n  result: 0x1g\n", "3:11: case `n`: `0x1g` is not a number"),
        ("- name: n\n  asm: exit\n  result: 1\n  inputs: []\n", "4:11: case `n`: the short form"),
        ("- name: [\n", "1:9: invalid type: sequence"),
        ("- name: \"n\n", "2:1: found unexpected end of stream"),
        ("- 5\n", "1:3: invalid type: integer `5`"),
        ("name: n\n", "1:1: invalid type: map"),
    ];
    for (text, expected) in tables {
        let refusal = refusal(text);
        assert!(refusal.starts_with(expected), "{text:?}\n gives    {refusal:?}\n expected {expected:?}");
    }
}

#[test]
fn errors_in_maps_and_inputs_name_their_place() {
    let map = "  maps:\n    m: {type: hash, key_size: 1, value_size: 2, max_entries: 1}\n";
    let case = |rest: &str| refusal(&format!("{ASM}{map}{rest}"));
    let input = |rest: &str| case(&format!("  inputs:\n    - {rest}\n"));
    for (found, expected) in [
        (input("maps: {q: []}"), "6:14: case `n`: the program has no map `q`"),
        (input("maps: {m: [{key: '00', value: '00'}]}"), "6:37: case `n`: a value of map m has 2 bytes, these are 1"),
        (input("context: {data: 1}"), "6:17: case `n`: the context of socket_filter programs has no field `data`"),
        (input("context: {mark: 0x100000000}"), "6:23: case `n`: 0x100000000 does not fit into 32 bits"),
        (input("expect: {result: 1, trap: x}"), "6:33: case `n`: a run ends in one way"),
        (input("packet: 0x"), "6:15: case `n`: `x` is not a hexadecimal digit"),
        (input("world: {seed: red}"), "6:21: invalid type: string \"red\", expected u64"),
        (input("world: {sead: 1}"), "6:15: unknown field `sead`, expected one of `clock_ns`"),
        (input("world: {cpus: {count: 0}}"), "6:14: case `n`: cpus.count: 0, but there are 1 to 64 processors"),
        (input("expect: {world: {attic: {}}}"), "6:24: case `n`: the world has no room `attic`"),
        (
            refusal(&format!("{ASM}  maps:\n    m: {{type: heap, key_size: 1, value_size: 2, max_entries: 1}}\n")),
            "4:15: case `n`: Linux has no map type `heap`",
        ),
        (
            refusal(&format!("{ASM}  maps:\n    m: {{type: array, key_size: 1, value_size: 2, max_entries: 1}}\n")),
            "4:8: case `n`: map m: the kernel refuses it with EINVAL",
        ),
        (
            refusal(&format!("{ASM}  load: {{attach_type: nowhere}}\n")),
            "3:23: case `n`: there is no attach type `nowhere`",
        ),
        (field("flags: [rdonly, red]"), "there is no map flag `red`"),
        (field("fields: [{kind: lock, offset: 0}]"), "there is no field `lock`"),
        (field("fields: [{kind: timer, offset: 8}]"), "a timer has 16 bytes, aligned to 8: at 8"),
        (field("fields: [{kind: kptr, offset: 0}]"), "`of` names the kernel's structure"),
        (field("elements: [], programs: {0: main}"), "a map holds one kind of things"),
        (field("maps: {0: other}"), "the program has no map `other`"),
        (
            case("    m: {type: array, key_size: 4, value_size: 2, max_entries: 1}\n"),
            "5:5: case `n`: the name `m` stands twice",
        ),
    ] {
        assert!(found.starts_with(expected), "found    {found:?}\nexpected {expected:?}");
    }
}

#[test]
fn numbers_and_strings_may_stand_without_quotes() {
    let text = "- {name: 5, story: null, asm: exit, packet: 0800, result: -1}";
    let case = parse(text, Path::new("f")).expect("a case").remove(0);
    assert_eq!((case.name.as_str(), case.story.as_str()), ("5", ""));
    assert_eq!(case.runs[0].input.packet, [8, 0]);
    assert_eq!(case.runs[0].expect.result, Some(Ending::Result(u64::MAX)));
}

prop_compose! {
    fn map_def(name: String)(of in 0usize..4, key in 1u32..9, value in 1u32..9, entries in 1u32..5) -> MapDef {
        let types = [(MapType::HASH, key), (MapType::ARRAY, 4), (MapType::PERCPU_HASH, key), (MapType::QUEUE, 0)];
        let (map_type, key_size) = types[of];
        MapDef::new(name.clone(), map_type, key_size, value, entries)
    }
}

/// Properties that the model gives a meaning to some of.
fn with_properties(def: MapDef) -> impl Strategy<Value = MapDef> {
    let fields = proptest::collection::vec((0usize..ValueFieldKind::ALL.len(), "[a-z_]{1,4}"), 0..3);
    let inner = proptest::option::of(map_def("m.inner".to_owned()));
    let bytes = |len: u32| proptest::collection::vec(any::<u8>(), len as usize);
    let elements = proptest::collection::vec((bytes(7), bytes(48)), 0..3);
    let numbers = (any::<u32>(), any::<u64>(), 0usize..3);
    (numbers, fields, inner, elements, any::<bool>()).prop_map(
        move |((flags, extra, held), fields, inner, elements, frozen)| MapDef {
            map_type: [MapType::BLOOM_FILTER, MapType::LRU_HASH, MapType::HASH_OF_MAPS][held],
            key_size: [0, 7, 4][held],
            value_size: [48, 48, 4][held],
            // Those that all three take.
            flags: flags & (ZERO_SEED | RDONLY | RDONLY_PROG),
            extra: if held == 0 { extra & 0xf } else { 0 },
            fields: (0..if held == 2 { 0 } else { 8 })
                .zip(fields)
                .map(|(at, (kind, of))| {
                    let kind = ValueFieldKind::ALL[kind];
                    ValueField { kind, offset: 16 * at, of: kind.is_pointer().then_some(of) }
                })
                .collect(),
            inner: inner.map(|mut inner| {
                inner.name = format!("{}.inner", def.name);
                Box::new(inner)
            }),
            contents: match held {
                0 => Contents::Empty,
                1 => Contents::Elements(elements),
                _ => Contents::Maps(vec![(3, 0)]),
            },
            frozen,
            ..def.clone()
        },
    )
}

fn maps() -> impl Strategy<Value = Vec<MapDef>> {
    let any_map = |name: String| prop_oneof![map_def(name.clone()), map_def(name).prop_flat_map(with_properties)];
    proptest::collection::btree_set("[ -~äß☃]{1,8}", 0..3)
        .prop_flat_map(move |names| names.into_iter().map(any_map).collect::<Vec<_>>())
}

fn load() -> impl Strategy<Value = Load> {
    let attach_type = proptest::option::of((0..AttachType::ALL.len()).prop_map(|at| AttachType::ALL[at]));
    (attach_type, proptest::option::of(any::<String>()), any::<[bool; 4]>()).prop_map(
        |(attach_type, attach_to, [strict_alignment, test_state_freq, sleepable, frags])| Load {
            attach_type,
            attach_to,
            strict_alignment,
            test_state_freq,
            sleepable,
            frags,
        },
    )
}

/// Elements before a run, or `after` it: a bloom filter shows its words.
fn elements(maps: &[MapDef], after: bool) -> impl Strategy<Value = Vec<(usize, Vec<Element>)>> + use<> {
    let of_map = |(at, def): (usize, &MapDef)| {
        let bytes = |len: u32| proptest::collection::vec(any::<u8>(), len as usize);
        let shows_words = after && def.map_type == MapType::BLOOM_FILTER;
        let (key_size, value_size) = if shows_words { (4, 8) } else { (def.key_size, def.value_size) };
        let cpus = if def.is_per_cpu() { 2 } else { 1 };
        let values = proptest::collection::vec(bytes(value_size), cpus).prop_map(move |mut values| {
            if cpus > 1 {
                for value in &mut values {
                    value.resize(value.len().next_multiple_of(8), 0);
                }
            }
            values.concat()
        });
        let elements = proptest::collection::vec((bytes(key_size), values), 0..3);
        elements.prop_map(move |elements| (at, elements))
    };
    maps.iter().enumerate().map(of_map).collect::<Vec<_>>()
}

fn ending() -> impl Strategy<Value = Option<Ending>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|r0| Some(Ending::Result(r0))),
        any::<u32>().prop_map(|r0| Some(Ending::Return(r0))),
        any::<String>().prop_map(|text| Some(Ending::Trap(text))),
    ]
}

fn run(maps: &[MapDef]) -> impl Strategy<Value = Run> + use<> {
    let packet = || proptest::collection::vec(any::<u8>(), 0..20);
    let context = proptest::option::of(any::<u32>());
    let world = (any::<u64>(), any::<u64>(), any::<u64>());
    let input = (packet(), context, elements(maps, false), proptest::option::of(world));
    let expect = (ending(), proptest::option::of(packet()), elements(maps, true));
    (input, expect).prop_map(|((packet, mark, before, world), (result, after, maps))| Run {
        input: Input {
            packet,
            context: mark.map(|mark| ("rx_queue_index".to_owned(), u64::from(mark))).into_iter().collect(),
            elements: before
                .into_iter()
                .flat_map(|(map, all)| all.into_iter().map(move |(k, v)| (map, k, v)))
                .collect(),
            world: world.map_or_else(WorldConfig::default, |(clock_ns, clock_step_ns, seed)| WorldConfig {
                clock_ns,
                clock_step_ns,
                seed,
                ..WorldConfig::default()
            }),
        },
        expect: Expected { result, packet: after, maps, world: Vec::new() },
    })
}

fn code() -> impl Strategy<Value = Code> {
    prop_oneof![
        Just(Code::Asm("exit".to_owned())),
        Just(Code::Asm("r0 = 1\n\nout: exit // done: \"so\"\n".to_owned())),
        Just(Code::Asm("   0: r0 = 0x0\n   1: exit\n".to_owned())),
        Just(Code::Asm("\n\tr0 = 1 \nexit\n\n".to_owned())),
        proptest::collection::vec(any::<[u8; 8]>(), 0..4).prop_map(|slots| Code::Slots(slots.concat())),
    ]
}

fn finding() -> impl Strategy<Value = Option<FindingNote>> {
    let engines = proptest::collection::vec(any::<String>(), 0..3);
    let name = || proptest::option::of(any::<String>());
    let note = (any::<String>(), engines, any::<String>(), name(), name());
    proptest::option::of(note.prop_map(|(oracle, engines, difference, plant, target)| FindingNote {
        oracle,
        engines,
        difference,
        plant,
        target,
    }))
}

fn case() -> impl Strategy<Value = Case> {
    maps().prop_flat_map(|maps| {
        let runs = proptest::collection::vec(run(&maps), 0..3);
        let verdict = prop_oneof![
            Just((Verdict::Accept, vec![])),
            Just((Verdict::Any, vec![])),
            proptest::collection::vec(any::<String>(), 0..3).prop_map(|messages| (Verdict::Reject, messages)),
        ];
        let words = (".+", any::<String>(), any::<String>());
        (words, load(), code(), verdict, runs, finding()).prop_map(
            move |((name, story, license), load, code, (verdict, message), runs, finding)| Case {
                name,
                story,
                program_type: ProgramType::Xdp,
                license,
                load,
                maps: maps.clone(),
                code,
                targets: Vec::new(),
                verdict,
                message,
                runs,
                finding,
            },
        )
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(case in case()) {
        let text = to_yaml(std::slice::from_ref(&case));
        let read = parse(&text, Path::new("f")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(&read, &[case], "{}", text);
    }
}

/// A small generator of choices, so that a run repeats (xorshift64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Texts that real files are broken with.
const TOKENS: [&str; 24] = [
    "- ",
    ": ",
    "|",
    "|2",
    ">",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!int ",
    "#",
    "\n",
    "\n  ",
    "0x",
    "~",
    "- name: n\n",
    "asm: ",
    "inputs:\n",
    "\u{0}",
    "\u{fffd}",
];

/// One step of breaking a text.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], choices: &mut Choices) {
    let at = choices.below(bytes.len() + 1);
    let end = (at + choices.below(40)).min(bytes.len());
    match choices.below(6) {
        0 => drop(bytes.splice(at..at, TOKENS[choices.below(TOKENS.len())].bytes())),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let from = choices.below(other.len());
            let to = (from + choices.below(60)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 if at < bytes.len() => bytes[at] = choices.below(256) as u8,
        _ => bytes.truncate(at),
    }
}

fn sources() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rooms = ["insn/mov", "insn/wide", "insn/call", "helper/map_lookup_elem", "map/hash", "program/xdp_count_drop"];
    let mut all: Vec<Vec<u8>> =
        rooms.iter().map(|room| std::fs::read(root.join(format!("{room}.yaml"))).expect("a case file")).collect();
    all.push(b"-- asm\nmov %r0, 1\nlddw %r1, 0x1122334455667788\njeq %r0, %r1, exit\nstxdw [%r10-8], %r0\nexit\n-- mem\n00 11\n-- result\n0x1\n".to_vec());
    all.push(b"- name: x\n  program_type: xdp\n  license: GPL\n  maps:\n    m: {type: hash, key_size: 8, value_size: 8, max_entries: 1, entries: [{key: '0000000000000000', value: '0000000000000000'}]}\n  map_refs: {0: m}\n  bytecode: '1811000000000000 0000000000000000 b700000001000000 9500000000000000'\n  expect:\n    verdict: accept\n    message: []\n    runs:\n      - {packet: '00', return: 1}\n".to_vec());
    all
}

/// Any text gives cases or an error, by each reader. `TOUCHSTONE_READER_SECONDS` says how long to try; default 2.
#[test]
fn broken_files_give_errors() {
    let seconds = std::env::var("TOUCHSTONE_READER_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let sources = sources();
    let mut choices = Choices(0x9e37_79b9_7f4a_7c15);
    let (mut tried, mut read) = (0u64, 0u64);
    while std::time::Instant::now() < until {
        let mut bytes = sources[choices.below(sources.len())].clone();
        // Short pieces of files reach more than whole ones do.
        let start = choices.below(bytes.len());
        bytes.drain(..if choices.below(2) == 0 { 0 } else { start });
        bytes.truncate(400 + choices.below(2000));
        let other = &sources[choices.below(sources.len())];
        for _ in 0..=choices.below(6) {
            mutate(&mut bytes, other, &mut choices);
        }
        let text = String::from_utf8_lossy(&bytes);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("program/f.yaml");
        let results = [
            parse(&text, &file).map(|cases| cases.len()),
            corpus::suite::linux::parse(&text, &file).map(|entries| entries.len()),
            corpus::suite::conformance::parse(&text, &file).map(|_| 1),
        ];
        for result in results {
            tried += 1;
            match result {
                Ok(_) => read += 1,
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
    println!("{tried} texts tried, {read} read");
    assert!(tried > 0 && read > 0);
}
