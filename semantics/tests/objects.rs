//! Objects of public collections: every program of every object loads, or is refused for exactly the reason below.
//!
//! They are not part of the project; without them the test says that it skipped. `TOUCHSTONE_SHARED` names their place.

use std::path::{Path, PathBuf};

use semantics::loader::{LoadError, LoadOptions, Object};
use semantics::program_type::ProgramType;

/// Refused: the object and program, and what the reason begins with. Without a program, the whole object.
const REFUSED: [(&str, &str, &str); 3] = [
    (
        "build/exposeptr2.o",
        "func",
        "section .maps, offset 0x0: map map: the kernel refuses it with EINVAL: an array has",
    ),
    ("build/externalfunction.o", "func", "section .text, offset 0x30, symbol bpf_map_lookup_elem: it is external"),
    ("invalid/badsymsize.o", "", "section number 10: symbols of 8 bytes, they have 24"),
];

fn root() -> Option<PathBuf> {
    let shared = std::env::var_os("TOUCHSTONE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    Some(shared.join("suites/objects")).filter(|path| path.is_dir())
}

/// All objects below a directory, sorted.
fn objects(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(objects(&path));
        } else if path.extension().is_some_and(|extension| extension == "o") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What became of the programs.
#[derive(Debug, Default)]
struct Counts {
    objects: usize,
    loaded_whole: usize,
    programs: usize,
    /// Those whose section does not name a type were loaded as socket filters.
    untyped: usize,
    refused: Vec<String>,
}

impl Counts {
    fn refuse(&mut self, name: &str, program: &str, error: &LoadError) {
        let reason = error.to_string();
        let expected = REFUSED.iter().find(|(object, of, _)| (*object, *of) == (name, program));
        let is_expected = expected.is_some_and(|(.., begin)| reason.starts_with(begin));
        assert!(is_expected, "{name}: {program}: {reason}");
        self.refused.push(format!("{name}: {program}: {reason}"));
    }
}

#[test]
fn every_program_loads_or_is_refused_for_a_known_reason() {
    let Some(root) = root() else {
        println!("skipped: no sample objects (TOUCHSTONE_SHARED names their place)");
        return;
    };
    let mut counts = Counts::default();
    for path in objects(&root) {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        counts.objects += 1;
        let before = counts.refused.len();
        match Object::parse(&bytes) {
            Err(error) => counts.refuse(&name, "", &error),
            Ok(object) => programs(&object, &name, &mut counts),
        }
        counts.loaded_whole += usize::from(counts.refused.len() == before);
    }
    println!(
        "{} objects, {} loaded whole; {} programs, {} of them in sections that name no type; {} refused:",
        counts.objects,
        counts.loaded_whole,
        counts.programs,
        counts.untyped,
        counts.refused.len()
    );
    counts.refused.iter().for_each(|line| println!("  {line}"));
    assert_eq!(counts.refused.len(), REFUSED.len(), "what is listed as refused is refused");
}

fn programs(object: &Object<'_>, name: &str, counts: &mut Counts) {
    let programs = object.programs();
    assert!(!programs.is_empty(), "{name}");
    for section in programs {
        counts.programs += 1;
        let full = format!("{}/{}", section.section, section.program);
        let mut options = LoadOptions::default();
        if section.program_type.is_none() {
            let error = object.load(Some(&full), &options).unwrap_err();
            assert!(matches!(error, LoadError::UnsupportedProgramType { .. }), "{name}: {full}: {error}");
            options.program_type = Some(ProgramType::SocketFilter);
            counts.untyped += 1;
        }
        match object.load(Some(&full), &options) {
            Ok(program) => assert!(program.insns().len() >= section.slots, "{name}: {full}"),
            Err(error) => counts.refuse(name, &section.program, &error),
        }
    }
}
