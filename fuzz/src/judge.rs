//! The judge: verifies a test, runs it on every engine, and asks the oracles.

use jit::{Jit, Rules as JitRules};
use semantics::engine::{self, Engine};
use semantics::interpreter::{self, FUEL};
use semantics::memory::Memory;
use semantics::outcome::Outcome;
use semantics::trap::Trap;
use semantics::word::Concrete;
use semantics::world::World;
use verifier::rules::Rules as VerifierRules;
use verifier::{Verdict, Verifier};

use crate::finding::Objection;
use crate::oracle::{self, Containment};
use crate::plant::{Plant, Site};
use crate::test::Test;

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Accepted, run, and nobody objects; so many instructions were executed.
    Fine(u64),
    /// The verifier rejects the program, with this message.
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
    /// The engines that are compared with the interpreter.
    engines: Vec<Box<dyn Engine>>,
    ours: Outcome,
    theirs: Outcome,
    tests: u64,
}

/// Fuel for a program that the verifier rejected, which may loop.
const REJECTED_FUEL: u64 = 10_000;
/// The memory around each helper call is compared in one of so many tests: it costs much.
const WATCH_EVERY: u64 = 64;
/// One of so many rejected programs is run on the interpreter, to see that it traps rather than panics.
const REJECTED_EVERY: u64 = 8;

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engines: Vec<_> = self.engines.iter().map(|engine| engine.name()).collect();
        f.debug_struct("Judge").field("engines", &engines).field("tests", &self.tests).finish_non_exhaustive()
    }
}

impl Judge {
    /// A judge with this mistake planted, or none.
    pub fn new(plant: Option<&Plant>) -> Result<Judge, JudgeError> {
        let blinds = plant.is_some_and(|plant| plant.name.starts_with("jit::blind::"));
        let jit_rules = JitRules::<Concrete>::standard();
        let mut jit_rules = if blinds { jit_rules.blinded(0) } else { jit_rules };
        let mut verifier_rules = VerifierRules::<Concrete>::default();
        let mut world = World::new(Memory::native()?);
        match plant.map(|plant| plant.site) {
            Some(Site::Jit(install)) => install(&mut jit_rules),
            Some(Site::Verifier(install)) => install(&mut verifier_rules),
            Some(Site::Helper(helper)) => world.helpers.replace(helper()),
            None => {}
        }
        Ok(Judge {
            world,
            verifier: Verifier::with_rules(verifier_rules),
            engines: vec![Box::new(Jit::with_rules(jit_rules)?)],
            ours: Outcome::default(),
            theirs: Outcome::default(),
            tests: 0,
        })
    }

    /// Gives up guest memory, so that a new judge can have it. This one is not to be used again.
    pub fn retire(&mut self) {
        if let Ok(memory) = Memory::detached() {
            self.world = World::new(memory);
        }
    }

    /// Judges a test as one of many: the slow questions are asked now and then.
    pub fn judge(&mut self, test: &Test) -> Judgement {
        self.tests += 1;
        let watch = self.tests.is_multiple_of(WATCH_EVERY);
        let rejected = self.tests.is_multiple_of(REJECTED_EVERY);
        self.ask(test, watch, rejected)
    }

    /// Judges a test with every question asked.
    pub fn judge_fully(&mut self, test: &Test) -> Judgement {
        self.ask(test, true, true)
    }

    fn ask(&mut self, test: &Test, watch: bool, run_rejected: bool) -> Judgement {
        let program = &test.program;
        if let Err(error) = self.world.load(program) {
            return Judgement::Unsupported(error.to_string());
        }
        if let Err(error) = self.world.reset(&test.input) {
            return Judgement::Unsupported(error.to_string());
        }
        let options = verifier::Options { record: true, ..verifier::Options::default() };
        let accepted = match self.verifier.verify(program, &options) {
            Verdict::Accept(accepted) => accepted,
            Verdict::Reject(rejection) => {
                if run_rejected {
                    interpreter::run(program, &mut self.world, REJECTED_FUEL, &mut ());
                }
                return Judgement::Rejected(rejection.message());
            }
            Verdict::Unsupported(unsupported) => return Judgement::Unsupported(unsupported.to_string()),
        };
        self.world.watch = watch;
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
        self.world.watch = false;
        if let Some(escape) = escape {
            return Judgement::Objection(escape);
        }
        match stop.result {
            Err(Trap::Unsupported(unsupported)) => return Judgement::Unsupported(unsupported.to_string()),
            Err(trap) => return Judgement::Objection(Objection::trapped(stop.pc, &trap)),
            Ok(_) => self.world.observe(stop.result, &mut self.ours),
        }
        for engine in &mut self.engines {
            if let Err(unsupported) = engine.load(&accepted.verified) {
                return Judgement::Unsupported(unsupported.to_string());
            }
            if let Err(error) = engine::run_on(&mut **engine, &mut self.world, &test.input, &mut self.theirs) {
                return Judgement::Unsupported(error.to_string());
            }
            if let Some(objection) = oracle::agree(&self.ours, engine.name(), &self.theirs) {
                return Judgement::Objection(objection);
            }
        }
        Judgement::Fine(stop.retired)
    }

    /// Judges a test and takes a panic of our own code for an objection. Afterwards this judge is not to be used again
    /// if there was one.
    pub fn judge_caught(&mut self, test: &Test, fully: bool) -> Judgement {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if fully { self.judge_fully(test) } else { self.judge(test) }
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
