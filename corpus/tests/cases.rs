//! Every case file of the corpus on the interpreter: one test per case.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use corpus::runner::{CaseResult, Runner};
use libtest_mimic::{Arguments, Failed, Trial};
use semantics::memory::Memory;
use semantics::world::World;

/// Case files below a directory, in a fixed order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != "src" && name != "tests") {
            files.extend(self::files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "yaml") {
            files.push(entry);
        }
    }
    files
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = Arc::new(Mutex::new(World::new(Memory::detached().expect("guest memory"))));
    let mut trials = Vec::new();
    for file in files(root) {
        let place = file.strip_prefix(root).expect("below the root").display().to_string();
        let cases = match corpus::read::read(&file) {
            Ok(cases) => cases,
            Err(error) => {
                trials.push(Trial::test(place, move || Err(Failed::from(error))));
                continue;
            }
        };
        for case in cases {
            let world = Arc::clone(&world);
            // A case that only a verifier can judge is shown as ignored here; the engines' test judges it.
            let only_verdict = case.runs.is_empty() && case.program().is_ok();
            let name = format!("{place}: {}", case.name);
            let trial = Trial::test(name, move || {
                let mut world = world.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match Runner::new(&mut world).run(&case) {
                    CaseResult::Passed => Ok(()),
                    other => Err(Failed::from(other.to_string())),
                }
            });
            trials.push(trial.with_ignored_flag(only_verdict));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
