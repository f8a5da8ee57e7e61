//! Every case of the corpus on the verifier and on every engine: one test per case. What one of them does not model yet is
//! counted at the end, by its reason; the others must pass.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use corpus::runner::{CaseResult, Judgement, Runner, Skip, Untried};
use jit::{Jit, Rules};
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
    /// The same with constants blinded, for a processor without BMI2.
    blinded: Jit,
    /// How many pairs of a case and what it is tried on were skipped, by the latter and the reason.
    untried: BTreeMap<(String, String), usize>,
}

impl Bench {
    fn run(&mut self, case: &corpus::Case) -> CaseResult {
        let Bench { world, verifier, jit, blinded, untried } = self;
        let options = Options { log: true, ..Options::default() };
        let mut verify = |program: &Arc<Program>| match verifier.verify(program, &options) {
            Verdict::Accept(accepted) => Judgement::Accepted { verified: accepted.verified, log: accepted.log },
            Verdict::Reject(rejection) => {
                Judgement::Rejected { log: format!("{}\n{}", rejection.log, rejection.message()) }
            }
            Verdict::Unsupported(what) => Judgement::Unsupported(Skip::Verifier(what.to_string())),
        };
        let result = Runner::new(world).verify(&mut verify).engine(jit).engine(blinded).run(case);
        let mut note = |on: String, why: &Skip| *untried.entry((on, why.to_string())).or_default() += 1;
        match &result {
            CaseResult::Passed(skips) => skips.iter().for_each(|Untried { on, why }| note(on.to_string(), why)),
            CaseResult::Skipped(why) => note("verifier, and nothing else is asked".to_owned(), why),
            CaseResult::Failed(_) => {}
        }
        result
    }
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let bench = Arc::new(Mutex::new(Bench {
        world: World::new(Memory::native().expect("guest memory")),
        verifier: Verifier::default(),
        jit: Jit::new().expect("executable memory"),
        blinded: Jit::with_rules(Rules::without_bmi2().blinded(1)).expect("executable memory"),
        untried: BTreeMap::new(),
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
                    CaseResult::Passed(_) | CaseResult::Skipped(Skip::Verifier(_)) => Ok(()),
                    other => Err(Failed::from(other.to_string())),
                }
            }));
        }
    }
    assert!(!trials.is_empty(), "no case files in {}", root.display());
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let bench = bench.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{} pairs of a case and an engine were skipped:", bench.untried.values().sum::<usize>());
    for ((on, why), count) in &bench.untried {
        println!("{count:6} on the {on}: {why}");
    }
    conclusion.exit_code()
}
