//! Objects with mistakes in them: whatever the bytes are, the loader gives a program or an error, in bounded memory.

use std::path::{Path, PathBuf};

use semantics::loader::{LoadOptions, Object, read_btf};
use semantics::map::Contents;
use semantics::program::INSNS_MAX;
use semantics::program_type::ProgramType;

/// Mutants of each object.
const ROUNDS: u64 = 2_000;
/// Mutants of each of the many objects of public collections.
const ROUNDS_SHARED: u64 = 100;

/// A small generator of numbers; the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below.max(1)
    }
}

/// Words that break what counts and points.
const WORDS: [u32; 8] = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0xffff, 0x10000];

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len());
        match dice.roll(6) {
            0 => bytes[at] = dice.roll(256) as u8,
            1 => bytes[at] ^= 1 << dice.roll(8),
            2 | 3 => {
                let at = at & !3;
                let word = WORDS[dice.roll(WORDS.len())].to_le_bytes();
                bytes.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = new);
            }
            4 => {
                let (from, len) = (dice.roll(bytes.len()), dice.roll(64));
                let part: Vec<u8> = bytes.iter().copied().skip(from).take(len).collect();
                bytes.iter_mut().skip(at).zip(part).for_each(|(byte, new)| *byte = new);
            }
            // Cut off, mostly late: the section headers lie at the end.
            _ => bytes.truncate(at.max(bytes.len() - bytes.len() / 8)),
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// Programs that loaded and that did not.
#[derive(Default)]
struct Counts {
    loaded: usize,
    refused: usize,
}

fn exercise(bytes: &[u8], counts: &mut Counts) {
    let _ = read_btf(bytes);
    let object = match Object::parse(bytes) {
        Ok(object) => object,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            counts.refused += 1;
            return;
        }
    };
    let options = LoadOptions { program_type: Some(ProgramType::SocketFilter), ..LoadOptions::default() };
    for program in object.load_all(&options) {
        match program {
            Ok(program) => {
                counts.loaded += 1;
                assert!(program.insns().len() <= INSNS_MAX);
                let held = program.maps().iter().map(|map| match &map.contents {
                    Contents::Bytes(bytes) => bytes.len(),
                    _ => 0,
                });
                assert!(held.sum::<usize>() <= 17 << 20);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                counts.refused += 1;
            }
        }
    }
}

fn objects(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            objects(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "o") {
            found.push(path);
        }
    }
    found.sort();
}

/// Mutates each object below a directory.
fn campaign(dir: &Path, rounds: u64) -> Counts {
    let mut found = Vec::new();
    objects(dir, &mut found);
    let mut counts = Counts::default();
    for (number, path) in found.iter().enumerate() {
        let original = std::fs::read(path).unwrap();
        for round in 0..rounds {
            let mut dice = Dice(number as u64 * 10_000 + round);
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut dice);
            exercise(&bytes, &mut counts);
        }
    }
    counts
}

#[test]
fn mutants_of_the_corpus() {
    let counts = campaign(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/program"), ROUNDS);
    // Mutants that all load or all fail would test nothing.
    assert!(counts.loaded > 100 && counts.refused > 100, "{} loaded, {} refused", counts.loaded, counts.refused);
}

#[test]
fn mutants_of_public_objects() {
    let shared = std::env::var_os("TOUCHSTONE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let root = shared.join("suites/objects");
    if !root.is_dir() {
        println!("skipped: no sample objects (TOUCHSTONE_SHARED names their place)");
        return;
    }
    let counts = campaign(&root, ROUNDS_SHARED);
    assert!(counts.loaded > 100 && counts.refused > 100, "{} loaded, {} refused", counts.loaded, counts.refused);
}
