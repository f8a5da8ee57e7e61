//! Runs inside the verifier's states: beside what a case states, that no run of an accepted program leaves them, that it does
//! not trap, and that none of the states is one that cannot be.

use std::sync::Arc;

use corpus::Case;
use fuzz::oracle::Containment;
use semantics::interpreter;
use semantics::program::Program;
use semantics::trap::Trap;
use semantics::world::{Input, World};
use verifier::{Dialect, Options, Verdict, Verifier};

use super::Reply;

/// Instructions that a run gets: what runs longer has shown enough.
const FUEL: u64 = 1 << 20;

/// What the runs of a program that is accepted are counted as.
pub(super) const NOTE: &str = "ran inside the verifier's states";

/// What came of the runs of a program.
pub(super) enum Containedness {
    /// There was none, or the verifier does not accept the program.
    Unasked,
    /// All of them stayed inside.
    Inside,
    /// One did not, or a state cannot be.
    Outside(Reply),
}

impl Containedness {
    /// What a case comes to that came to `reply` by what it states.
    pub(super) fn join(self, reply: Reply) -> Reply {
        match (self, reply) {
            (Containedness::Outside(failed), Reply::Passed { .. } | Reply::Skipped { .. }) => failed,
            (Containedness::Inside, Reply::Passed { note: None }) => Reply::passed(NOTE),
            (_, reply) => reply,
        }
    }
}

/// The runs of a case.
pub(super) fn case(case: &Case, dialect: Dialect, world: &mut World) -> Containedness {
    let Ok(tests) = fuzz::case::tests(case) else { return Containedness::Unasked };
    let Some(first) = tests.first() else { return Containedness::Unasked };
    let inputs: Vec<&Input> = tests.iter().map(|test| &test.input).collect();
    program(&first.program, &inputs, dialect, world)
}

/// Runs of a program on these inputs.
pub(super) fn program(program: &Arc<Program>, inputs: &[&Input], dialect: Dialect, world: &mut World) -> Containedness {
    let mut verifier = Verifier::default();
    let options = Options { dialect, record: true, check_invariants: true, ..Options::default() };
    let verdict = verifier.verify(program, &options);
    let failed = |kind: &str, why: String| Containedness::Outside(Reply::Failed { kind: kind.to_owned(), why });
    if let Some(broken) = verifier.broken() {
        return failed("invariant", format!("a state of the verifier cannot be: {broken}"));
    }
    let Verdict::Accept(accepted) = verdict else { return Containedness::Unasked };
    let Some(states) = accepted.states else { return Containedness::Unasked };
    if world.load(program).is_err() {
        return Containedness::Unasked;
    }
    let mut runs = 0;
    for input in inputs {
        if world.reset(input).is_err() {
            continue;
        }
        let mut containment = Containment::new(&states);
        let stop = interpreter::run(program, world, FUEL, &mut containment);
        if let Some(escape) = containment.escape {
            return failed("containment", escape.to_string());
        }
        match stop.result {
            Ok(_) | Err(Trap::OutOfFuel) => runs += 1,
            Err(Trap::Unsupported(_)) => {}
            Err(trap) => return failed("containment", format!("accepted, but insn {} traps: {trap}", stop.pc)),
        }
    }
    if runs > 0 { Containedness::Inside } else { Containedness::Unasked }
}
