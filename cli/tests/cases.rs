//! Every case of the corpus on the verifier and on every engine: one test per case.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use corpus::runner::{CaseResult, Judgement, Runner, Skip};
use jit::Jit;
use libtest_mimic::{Arguments, Failed, Trial};
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::world::World;
use verifier::{Options, Verdict, Verifier};

/// What is used again from case to case; guest memory that native code can run in there is once per process.
struct Bench {
    world: World,
    verifier: Verifier,
    jit: Jit,
}

impl Bench {
    fn run(&mut self, case: &corpus::Case) -> CaseResult {
        let Bench { world, verifier, jit } = self;
        let options = Options { log: true, ..Options::default() };
        let mut verify = |program: &Arc<Program>| match verifier.verify(program, &options) {
            Verdict::Accept(accepted) => Judgement::Accepted { verified: accepted.verified, log: accepted.log },
            Verdict::Reject(rejection) => {
                Judgement::Rejected { log: format!("{}\n{}", rejection.log, rejection.message()) }
            }
            Verdict::Unsupported(what) => Judgement::Unsupported(Skip::Verifier(what.to_string())),
        };
        Runner::new(world).verify(&mut verify).engine(jit).run(case)
    }
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let bench = Arc::new(Mutex::new(Bench {
        world: World::new(Memory::native().expect("guest memory")),
        verifier: Verifier::default(),
        jit: Jit::new().expect("executable memory"),
    }));
    let mut trials = Vec::new();
    for file in corpus::read::files(&root).expect("the corpus") {
        let place = file.strip_prefix(&root).expect("below the root").display().to_string();
        let cases = match corpus::read::read(&file) {
            Ok(cases) => cases,
            Err(error) => {
                trials.push(Trial::test(place, move || Err(Failed::from(error))));
                continue;
            }
        };
        for case in cases {
            let bench = Arc::clone(&bench);
            trials.push(Trial::test(format!("{place}: {}", case.name), move || {
                match bench.lock().unwrap_or_else(PoisonError::into_inner).run(&case) {
                    CaseResult::Passed => Ok(()),
                    other => Err(Failed::from(other.to_string())),
                }
            }));
        }
    }
    assert!(!trials.is_empty(), "no case files in {}", root.display());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
