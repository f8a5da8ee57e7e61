//! Engines with worlds of their own, kernels in guests: what they are asked beside our own engines, many tests at once.
//!
//! A kernel must take what our verifier accepts by the rules of the same version, come to the outcome that the interpreter
//! comes to, as far as it is determined ([`semantics::open`]) and shows, and survive. What cannot be asked is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use semantics::engine::{self, Engine, EngineId, Lack, LinuxVersion, Task};
use semantics::insn::Version;
use semantics::interpreter::{self, FUEL};
use semantics::open::{Open, Origins};
use semantics::outcome::Outcome;
use semantics::program::Verified;
use semantics::program_type::ProgramType;
use semantics::trap::{Trap, Unsupported};
use semantics::world::{World, WorldConfig};
use verifier::{Dialect, Options, Verdict, Verifier};

use crate::finding::Objection;
use crate::target::Target;
use crate::test::Test;

/// How often what came of tests on engines outside.
pub type Counts = BTreeMap<String, u64>;

/// Since then the operations of maps return `long`; before it was `int`, and the upper half of an error is whatever it is.
pub const LONG_RESULTS: LinuxVersion = LinuxVersion { major: 6, minor: 4 };

/// Tests that are asked for at once.
pub const BATCH: usize = 64;

/// Engines with worlds of their own.
pub struct Outside {
    engines: Vec<Box<dyn Engine>>,
    target: Target,
    verifier: Verifier,
    theirs: Outcome,
    /// What came of tests so far.
    pub counts: Counts,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engines: Vec<EngineId> = self.engines.iter().map(|engine| engine.id()).collect();
        f.debug_struct("Outside").field("engines", &engines).finish_non_exhaustive()
    }
}

/// The rules of this version of Linux, or of the nearest one before it that has rules here.
pub fn dialect(version: LinuxVersion) -> Dialect {
    let wanted = Version(version.major, version.minor);
    Dialect::ALL.into_iter().rev().find(|dialect| dialect.version <= wanted).unwrap_or(Dialect::ALL[0])
}

/// The test with an input that a kernel's test run takes: enough of a packet, and a context that it can be given.
pub fn fit(mut test: Test) -> Test {
    /// Bytes that a test run wants at least: a link-layer header and something behind it.
    const PACKET_MIN: usize = 20;
    let program_type = test.program.program_type();
    let input = &mut test.input;
    // A guest is as it is.
    let WorldConfig { clock_ns, clock_step_ns, seed, .. } = input.world;
    input.world = WorldConfig { clock_ns, clock_step_ns, seed, ..WorldConfig::default() };
    if matches!(program_type, ProgramType::RawTracepoint | ProgramType::SkLookup | ProgramType::Syscall) {
        input.packet.clear();
        return test;
    }
    let len = input.packet.len().max(PACKET_MIN);
    input.packet.resize(len, 0);
    let is_skb = program_type.declaration().context == "__sk_buff";
    input
        .context
        .retain(|(name, _)| is_skb && name != "wire_len" && linux::engine::SKB_FIELDS.contains(&name.as_str()));
    test
}

impl Outside {
    /// Tests of this target will be put to these engines, each of which keeps this process out of danger.
    pub fn new(engines: Vec<Box<dyn Engine>>, target: Target) -> Outside {
        let (verifier, theirs, counts) = (Verifier::default(), Outcome::default(), Counts::new());
        Outside { engines, target, verifier, theirs, counts }
    }

    /// Whether nobody is to be asked.
    pub fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    /// What engines object to in these tests, which our own engines agree on.
    pub fn ask(&mut self, tests: &[&Test], world: &mut World) -> Vec<Option<Objection>> {
        let task = |test: &&Test| Task { program: Arc::clone(&test.program), inputs: vec![test.input.clone()] };
        let tasks: Vec<Task> = tests.iter().map(task).collect();
        for engine in &mut self.engines {
            engine.ahead(&tasks);
        }
        tests.iter().map(|test| self.test(test, world)).collect()
    }

    fn test(&mut self, test: &Test, world: &mut World) -> Option<Objection> {
        if world.load(&test.program).is_err() || world.reset(&test.input).is_err() {
            return None;
        }
        let mut ours = Outcome::default();
        let mut open = |narrow| {
            world.reset(&test.input).ok()?;
            let mut origins = if narrow { Origins::with_int_errors() } else { Origins::default() };
            let stop = interpreter::run(&test.program, world, FUEL, &mut origins);
            world.observe(stop.result, &mut ours);
            Some(origins.finish(world))
        };
        let opens = [open(false)?, open(true)?];
        if let Err(Trap::Unsupported(what)) = ours.result {
            return self
                .engines
                .first()
                .map(|engine| engine.id())
                .and_then(|id| self.count(id, &format!("not compared: {what}")));
        }
        (0..self.engines.len()).find_map(|at| {
            let has_int_errors = matches!(self.engines[at].id(), EngineId::Linux(version, _) if version < LONG_RESULTS);
            self.engine(at, test, (&ours, &opens[usize::from(has_int_errors)]), world)
        })
    }

    /// What one engine objects to.
    fn engine(&mut self, at: usize, test: &Test, ours: (&Outcome, &Open), world: &mut World) -> Option<Objection> {
        // SAFETY: it runs in a world of its own, and not in this process.
        let program = unsafe { Verified::trust(Arc::clone(&test.program)) };
        let id = self.engines[at].id();
        let loaded = self.engines[at].load(&program);
        if let Some(complaint) = self.engines[at].complaint() {
            return Some(Objection::complaint(id, &complaint));
        }
        match loaded {
            Ok(()) => {}
            Err(Lack::Unsupported(what)) => return self.count(id, &format!("not run: {what}")),
            Err(Lack::Gone { reason, .. }) => return self.count(id, &format!("not asked: {reason}")),
            Err(Lack::Refused { log, .. }) => return self.refused(id, test, &log),
        }
        if let Err(error) = engine::run_on(&mut *self.engines[at], world, &test.input, &mut self.theirs) {
            return self.count(id, &format!("not run: {error}"));
        }
        if let Some(complaint) = self.engines[at].complaint() {
            return Some(Objection::complaint(id, &complaint));
        }
        if let Err(Trap::Unsupported(Unsupported::Run { why, .. })) = self.theirs.result {
            return self.count(id, &format!("not run: {why}"));
        }
        let (outcome, open) = ours;
        let sight = self.engines[at].sight();
        if let Some(difference) = outcome.difference_within(&self.theirs, sight, open) {
            return Some(Objection::disagreement(&id.to_string(), &difference));
        }
        let how = match (open.course(), open.is_empty(), sight.whole_r0) {
            (true, ..) => "compared: that it ends",
            (false, false, _) => "compared: what is determined",
            (false, true, true) => "compared: whole",
            (false, true, false) => "compared: with the low half of R0",
        };
        self.count(id, how)
    }

    /// A refusal of what ours accepts by the same rules is a difference; of a program that nobody verified it is none.
    fn refused(&mut self, id: EngineId, test: &Test, log: &str) -> Option<Objection> {
        let EngineId::Linux(version, _) = id else { return None };
        if self.target == Target::Closed {
            return self.count(id, "refused: not verified here either");
        }
        let options = Options { dialect: dialect(version), ..Options::default() };
        match self.verifier.verify(&test.program, &options) {
            Verdict::Accept(_) => Some(Objection::refused(id, engine::last_line(log))),
            _ => self.count(id, "refused: by both"),
        }
    }

    #[allow(clippy::unnecessary_wraps)] // what its callers return
    fn count(&mut self, engine: EngineId, what: &str) -> Option<Objection> {
        *self.counts.entry(format!("{engine} {what}")).or_default() += 1;
        None
    }
}
