//! The judge: verifies a test, runs it on every engine, and asks the oracles.

use std::sync::Arc;

use jit::Jit;
use semantics::engine::{self, Engine};
use semantics::interpreter::{self, FUEL};
use semantics::memory::Memory;
use semantics::outcome::Outcome;
use semantics::program::Verified;
use semantics::trap::Trap;
use semantics::word::Concrete;
use semantics::world::{Effect, World};
use verifier::rules::Rules as VerifierRules;
use verifier::{Pruning, Refusal, Verdict, Verifier};

use crate::closed::{self, Closedness};
use crate::finding::Objection;
use crate::oracle::{self, Containment};
use crate::outside::{Counts, Outside};
use crate::plant::{Plant, Site};
use crate::target::{Configuration, Target};
use crate::test::Test;

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Accepted, run, and nobody objects; so many instructions were executed.
    Fine(u64),
    /// The verifier rejects the program, or it is not closed, with this message.
    Rejected(String),
    /// Something that is not modelled.
    Unsupported(String),
    /// Somebody objects.
    Objection(Objection),
}

/// Why there can be no judge.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// No guest memory.
    #[error(transparent)]
    Memory(#[from] semantics::memory::ArenaError),
    /// No executable memory.
    #[error(transparent)]
    Jit(#[from] semantics::trap::Unsupported),
}

/// A world, a verifier and engines, reused from test to test.
pub struct Judge {
    world: World,
    verifier: Verifier,
    target: Target,
    /// Kernels, which are asked apart.
    outside: Outside,
    /// The engines that are compared with the interpreter, with the names that findings call them by.
    engines: Vec<(&'static str, Box<dyn Engine>)>,
    ours: Outcome,
    theirs: Outcome,
    tests: u64,
}

/// Fuel for a program that the verifier rejected, which may loop.
const REJECTED_FUEL: u64 = 10_000;
/// The memory around each helper call is compared in one of so many tests: it costs much.
const WATCH_EVERY: u64 = 64;
/// Of such a test the calls that are looked at: a loop of calls would take minutes.
const WATCHED_CALLS: u32 = 256;
/// One of so many rejected programs is run on the interpreter, to see that it traps rather than panics.
const REJECTED_EVERY: u64 = 8;

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engines: Vec<_> = self.engines.iter().map(|(name, _)| name).collect();
        f.debug_struct("Judge").field("engines", &engines).field("tests", &self.tests).finish_non_exhaustive()
    }
}

/// A verdict as far as it may not depend on pruning.
fn verdict_of(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept(_) => "accepted".to_owned(),
        Verdict::Reject(rejection) => format!("rejected at insn {}", rejection.insn),
        Verdict::Unsupported(unsupported) => unsupported.to_string(),
    }
}

impl Judge {
    /// A judge of programs that the verifier accepts, with this mistake planted, or none.
    pub fn new(plant: Option<&Plant>) -> Result<Judge, JudgeError> {
        Judge::of(Target::default(), Some(Configuration::Standard), plant)
    }

    /// A judge for a target, with the JIT in one configuration or in turns in all that this processor has.
    pub fn of(target: Target, jit: Option<Configuration>, plant: Option<&Plant>) -> Result<Judge, JudgeError> {
        // Mistakes of blinding are seen where constants are blinded.
        let blinds = plant.is_some_and(|plant| plant.name.starts_with("jit::blind::"));
        let jit = if blinds { Some(Configuration::Blinded) } else { jit };
        let mut verifier_rules = VerifierRules::<Concrete>::default();
        let mut world = World::new(Memory::native()?);
        match plant.map(|plant| plant.site) {
            Some(Site::Verifier(install)) => install(&mut verifier_rules),
            Some(Site::Helper(helper) | Site::Shared(helper)) => world.helpers.replace(helper()),
            Some(Site::Jit(_)) | None => {}
        }
        let mut engines: Vec<(&'static str, Box<dyn Engine>)> = Vec::new();
        for configuration in Configuration::ALL.into_iter().filter(|it| jit.map_or(it.is_supported(), |jit| jit == *it))
        {
            let mut rules = configuration.rules();
            if let Some(Site::Jit(install)) = plant.map(|plant| plant.site) {
                install(&mut rules);
            }
            engines.push((configuration.engine(), Box::new(Jit::with_rules(rules)?)));
        }
        Ok(Judge {
            world,
            verifier: Verifier::with_rules(verifier_rules),
            target,
            outside: Outside::new(Vec::new(), target),
            engines,
            ours: Outcome::default(),
            theirs: Outcome::default(),
            tests: 0,
        })
    }

    /// The same judge, which also asks these engines with worlds of their own.
    #[must_use]
    pub fn with_outside(mut self, engines: Vec<Box<dyn Engine>>) -> Judge {
        self.outside = Outside::new(engines, self.target);
        self
    }

    /// Whether there are engines with worlds of their own.
    pub fn has_outside(&self) -> bool {
        !self.outside.is_empty()
    }

    /// What engines with worlds of their own object to in tests that are fine here.
    pub fn ask_outside(&mut self, tests: &[&Test]) -> Vec<Option<Objection>> {
        self.outside.ask(tests, &mut self.world)
    }

    /// What came of tests on them since this was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.outside.counts)
    }

    /// The engines with worlds of their own, for another judge.
    pub fn take_outside(&mut self) -> Outside {
        std::mem::replace(&mut self.outside, Outside::new(Vec::new(), self.target))
    }

    /// The same judge, which asks these.
    #[must_use]
    pub fn asking(mut self, outside: Outside) -> Judge {
        self.outside = outside;
        self
    }

    /// What helpers did in the last run that was compared.
    pub fn effects(&self) -> &[Effect] {
        &self.ours.effects
    }

    /// Gives up guest memory, so that a new judge can have it. This one is not to be used again.
    pub fn retire(&mut self) {
        if let Ok(memory) = Memory::detached() {
            self.world = World::new(memory);
        }
    }

    /// Judges a test as one of many: the slow questions are asked now and then.
    pub fn judge(&mut self, test: &Test) -> Judgement {
        self.judge_numbered(test, self.tests)
    }

    /// The same for test `number` of a campaign, which is judged alike by every worker.
    pub fn judge_numbered(&mut self, test: &Test, number: u64) -> Judgement {
        self.tests += 1;
        self.ask(test, Some(number))
    }

    /// Judges a test with every question asked.
    pub fn judge_fully(&mut self, test: &Test) -> Judgement {
        self.ask(test, None)
    }

    /// Test `number`, or one of which everything is asked.
    fn ask(&mut self, test: &Test, number: Option<u64>) -> Judgement {
        if let Err(error) = self.world.load(&test.program) {
            return Judgement::Unsupported(error.to_string());
        }
        if let Err(error) = self.world.reset(&test.input) {
            return Judgement::Unsupported(error.to_string());
        }
        match self.target {
            Target::InterpreterVsJit | Target::Helper => self.ask_verified(test, number),
            Target::Closed => self.ask_closed(test, number),
            Target::VerifierPrune => match self.ask_pruned(test) {
                Some(objection) => Judgement::Objection(objection),
                None => self.ask_verified(test, number),
            },
        }
    }

    /// Whether the verdict, and the instruction that a rejection is about, depend on which paths are cut short.
    fn ask_pruned(&mut self, test: &Test) -> Option<Objection> {
        let verifier = &mut self.verifier;
        let mut verify = |pruning| {
            let options = verifier::Options { pruning, check_invariants: true, ..verifier::Options::default() };
            let verdict = verifier.verify(&test.program, &options);
            (verdict, verifier.refused_on_dead_path())
        };
        let (unpruned, is_dead) = verify(Pruning::Off);
        let is_limit = |refusal: &Refusal| {
            matches!(refusal, Refusal::TooLarge { .. } | Refusal::TooManyJumps { .. } | Refusal::InfiniteLoop { .. })
        };
        if is_dead || matches!(&unpruned, Verdict::Reject(rejection) if is_limit(&rejection.refusal)) {
            return None;
        }
        let without = verdict_of(&unpruned);
        let differs = |pruning| {
            let with = verdict_of(&verify(pruning).0);
            (with != without).then(|| Objection::pruned(pruning, &with, &without))
        };
        [Pruning::Exact, Pruning::Linux].into_iter().find_map(differs)
    }

    fn ask_verified(&mut self, test: &Test, number: Option<u64>) -> Judgement {
        let program = &test.program;
        let is_turn = |every| number.is_none_or(|number| (number + 1).is_multiple_of(every));
        let options = verifier::Options { record: true, check_invariants: true, ..verifier::Options::default() };
        let verdict = self.verifier.verify(program, &options);
        if let Some(broken) = self.verifier.broken() {
            return Judgement::Objection(Objection::broken(broken));
        }
        let accepted = match verdict {
            Verdict::Accept(accepted) => accepted,
            Verdict::Reject(rejection) => {
                if is_turn(REJECTED_EVERY) {
                    interpreter::run(program, &mut self.world, REJECTED_FUEL, &mut ());
                }
                return Judgement::Rejected(rejection.message());
            }
            Verdict::Unsupported(unsupported) => return Judgement::Unsupported(unsupported.to_string()),
        };
        self.world.watch = if is_turn(WATCH_EVERY) { WATCHED_CALLS } else { 0 };
        let (stop, escape) = match accepted.states {
            Some(states) => {
                let mut containment = Containment::new(&states);
                let stop = interpreter::run(program, &mut self.world, FUEL, &mut containment);
                let escape = containment.escape;
                self.verifier.recycle(states);
                (stop, escape)
            }
            // Too many states to record: the run is judged by its outcome alone.
            None => (interpreter::run(program, &mut self.world, FUEL, &mut ()), None),
        };
        self.world.watch = 0;
        if let Some(escape) = escape {
            return Judgement::Objection(escape);
        }
        match stop.result {
            Err(Trap::Unsupported(unsupported)) => return Judgement::Unsupported(unsupported.to_string()),
            Err(trap) => return Judgement::Objection(Objection::trapped(stop.pc, &trap)),
            Ok(_) => self.world.observe(stop.result, &mut self.ours),
        }
        self.compare(test, &accepted.verified, number).unwrap_or(Judgement::Fine(stop.retired))
    }

    /// A program that nobody verified: it is run natively if the interpreter shows that it is closed.
    fn ask_closed(&mut self, test: &Test, number: Option<u64>) -> Judgement {
        let mut closedness = Closedness::default();
        let is_watched = number.is_none_or(|number| (number + 1).is_multiple_of(WATCH_EVERY));
        self.world.watch = if is_watched { WATCHED_CALLS } else { 0 };
        let stop = interpreter::run(&test.program, &mut self.world, closed::FUEL, &mut closedness);
        self.world.watch = 0;
        if let Some(breach) = closedness.breach {
            return Judgement::Rejected(format!("not closed: {breach}"));
        }
        match stop.result {
            Err(Trap::Unsupported(unsupported)) => return Judgement::Unsupported(unsupported.to_string()),
            Err(trap @ Trap::Contract { .. }) => return Judgement::Objection(Objection::trapped(stop.pc, &trap)),
            // What a helper refuses, native code leaves by as well.
            Ok(_) | Err(Trap::Argument { .. }) => self.world.observe(stop.result, &mut self.ours),
            Err(trap) => return Judgement::Rejected(format!("not closed: insn {}: {trap}", stop.pc)),
        }
        // SAFETY: on this input, the only one that it is run on, the interpreter found every access inside its region, and
        // the run ended.
        let trusted = unsafe { Verified::trust(Arc::clone(&test.program)) };
        self.compare(test, &trusted, number).unwrap_or(Judgement::Fine(stop.retired))
    }

    /// Runs the program on the other engines, or on the one whose turn it is, and compares with what the interpreter did.
    fn compare(&mut self, test: &Test, program: &Verified, number: Option<u64>) -> Option<Judgement> {
        let count = self.engines.len() as u64;
        let is_turn = |at: &usize| number.is_none_or(|number| number % count == *at as u64);
        for (_, (name, engine)) in self.engines.iter_mut().enumerate().filter(|(at, _)| is_turn(at)) {
            if let Err(unsupported) = engine.load(program) {
                return Some(Judgement::Unsupported(unsupported.to_string()));
            }
            if let Err(error) = engine::run_on(&mut **engine, &mut self.world, &test.input, &mut self.theirs) {
                return Some(Judgement::Unsupported(error.to_string()));
            }
            if let Some(objection) = oracle::agree(&self.ours, name, &self.theirs) {
                return Some(Judgement::Objection(objection));
            }
        }
        None
    }

    /// Judges test `number`, or fully without one, and takes a panic of our own code for an objection. Afterwards this judge is not to be used again
    /// if there was one.
    pub fn judge_caught(&mut self, test: &Test, number: Option<u64>) -> Judgement {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match number {
            Some(number) => self.judge_numbered(test, number),
            None => self.judge_fully(test),
        }));
        caught.unwrap_or_else(|payload| {
            let message = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Judgement::Objection(Objection::panic(&message))
        })
    }
}
