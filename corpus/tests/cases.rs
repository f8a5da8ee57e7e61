//! Every case file of the corpus on the interpreter: one test per case.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use corpus::runner::{CaseResult, Runner};
use libtest_mimic::{Arguments, Failed, Trial};
use semantics::memory::Memory;
use semantics::world::World;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = Arc::new(Mutex::new(World::new(Memory::detached().expect("guest memory"))));
    let mut trials = Vec::new();
    for file in corpus::read::files(root).expect("the corpus") {
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
                    CaseResult::Passed(_) => Ok(()),
                    other => Err(Failed::from(other.to_string())),
                }
            });
            trials.push(trial.with_ignored_flag(only_verdict));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
