//! Running a case: the verdict and the log, then every run on every engine, compared with what is expected and between
//! engines.
//!
//! The interpreter checks every access itself, so it runs any program. Another engine gets a program only if the verifier
//! accepted it, or if the caller declared that this process may be lost ([`Runner::trusting`]).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use semantics::encoding::DecodeErrorKind;
use semantics::engine::{self, Engine, EngineId, Lack, Task};
use semantics::interpreter;
use semantics::map::{MapDef, MapError, MapType};
use semantics::memory::{Object, layout};
use semantics::open::{Open, Origins};
use semantics::outcome::{Difference, Outcome, Sight};
use semantics::program::{Program, Verified};
use semantics::trap::{Trap, Unsupported};
use semantics::world::{InputError, Room, World};

use crate::case::{Case, Element, Ending, Malformed, Run, Verdict};
use crate::text::hex;

/// What a verifier says of a program.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// It is safe.
    Accepted {
        /// The program, fit for native engines.
        verified: Verified,
        /// The log.
        log: String,
    },
    /// It is not.
    Rejected {
        /// The log; its end says why.
        log: String,
    },
    /// The verifier does not model something that the program needs.
    Unsupported(Skip),
}

/// A verifier, as the runner asks it.
pub type Verify<'a> = dyn FnMut(&Arc<Program>) -> Judgement + 'a;

/// What became of a case.
#[derive(Debug)]
pub enum CaseResult {
    /// All that is stated holds, wherever it was tried; and where it could not be.
    Passed(Vec<Untried>),
    /// Something does not hold.
    Failed(Box<Failure>),
    /// It could not be tried anywhere.
    Skipped(Skip),
}

/// The verifier or an engine that a case was not tried on, while others passed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// Which it is.
    pub on: On,
    /// The reason.
    pub why: Skip,
}

/// What a case can be tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// The verifier.
    Verifier,
    /// An engine.
    Engine(EngineId),
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Verifier => f.write_str("verifier"),
            On::Engine(engine) => engine.fmt(f),
        }
    }
}

/// Why a case was not tried: counted by its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// An instruction without a meaning here.
    #[error("instruction not modelled: {0}")]
    Instruction(&'static str),
    /// A suite names something of the kernel that is not known here.
    #[error("unknown {what}: {name}")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// Its name there.
        name: String,
    },
    /// A helper without a meaning here.
    #[error("helper not modelled: {0}")]
    Helper(&'static str),
    /// Something that a verifier does not follow.
    #[error("not verified: {0}")]
    Verifier(String),
    /// An instruction that a verifier does not follow: nothing is wrong with the program's accesses for all that is known.
    #[error("not verified: the verifier does not have the instruction {0}")]
    NotFollowed(&'static str),
    /// A read of the kernel's own structure of a map (`struct bpf_map`).
    #[error("the kernel's structure of a map is not modelled")]
    MapStructure,
    /// Lines of a log about numbers that are followed back (`mark_chain_precision`).
    #[error("the log does not say how numbers are followed back")]
    Followed,
    /// Something else without a meaning here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A native engine and a program that the verifier rejects.
    #[error("the program is not verified: native engines run it only in a process of its own")]
    NotVerified,
    /// An engine does not take it.
    #[error(transparent)]
    Engine(Box<Lack>),
    /// Only the verifier could say something about it.
    #[error("nothing to run")]
    NothingToRun,
}

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no program.
    #[error("no program: {0}")]
    Malformed(Malformed),
    /// The maps cannot be made.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The input does not fit the program.
    #[error("input {run}: {error}")]
    Input {
        /// The run, from 0.
        run: usize,
        /// The reason.
        error: InputError,
    },
    /// Accepted, though it must be rejected.
    #[error("accepted, expected is a rejection")]
    Accepted,
    /// Rejected, though it must be accepted.
    #[error("rejected: {}", engine::last_line(.0))]
    Rejected(String),
    /// A string is not in the log.
    #[error("the log lacks `{missing}`; its end: {}", engine::last_line(log))]
    Message {
        /// The string.
        missing: String,
        /// The log.
        log: String,
    },
    /// A run ended otherwise.
    #[error("input {run}: {engine} ends with {}, expected is {}", show_result(found), show_ending(expected))]
    Ending {
        /// The engine.
        engine: EngineId,
        /// The run, from 0.
        run: usize,
        /// What the case says.
        expected: Ending,
        /// What happened.
        found: Result<u64, Trap>,
    },
    /// The packet is otherwise.
    #[error("input {run}: {engine} leaves the packet {}, expected is {}", hex(found), hex(expected))]
    Packet {
        /// The engine.
        engine: EngineId,
        /// The run, from 0.
        run: usize,
        /// What the case says.
        expected: Vec<u8>,
        /// What is there.
        found: Vec<u8>,
    },
    /// A map element is otherwise.
    #[error("input {run}: {engine} leaves {map}[{}] = {}, expected is {}", hex(key), show_bytes(found.as_deref()), show_bytes(expected.as_deref()))]
    Element {
        /// The engine.
        engine: EngineId,
        /// The run, from 0.
        run: usize,
        /// The map.
        map: String,
        /// The key.
        key: Vec<u8>,
        /// What the case says; `None` for no element.
        expected: Option<Vec<u8>>,
        /// What is there.
        found: Option<Vec<u8>>,
    },
    /// A room of the world shows otherwise.
    #[error("input {run}: {engine} leaves {room}: {name} = {}, expected is {}", show_text(found.as_deref()), show_text(expected.as_deref()))]
    Room {
        /// The engine.
        engine: EngineId,
        /// The run, from 0.
        run: usize,
        /// The room.
        room: Room,
        /// What of it.
        name: String,
        /// What the case says; `None` for nothing at all.
        expected: Option<String>,
        /// What is there.
        found: Option<String>,
    },
    /// Two engines disagree.
    #[error("input {run}: {a} and {b} disagree: {difference}", a = engines.0, b = engines.1)]
    Disagree {
        /// The run, from 0.
        run: usize,
        /// The engines.
        engines: (EngineId, EngineId),
        /// The first difference.
        difference: Difference,
    },
    /// The engine's process died or hung.
    #[error("{engine}: {what}")]
    Lost {
        /// The engine.
        engine: EngineId,
        /// What became of the process.
        what: String,
    },
}

impl Failure {
    /// The kind of failure, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Malformed(_) => "no program",
            Failure::Map(_) => "map refused",
            Failure::Input { .. } => "input refused",
            Failure::Accepted => "accepted, must be rejected",
            Failure::Rejected(_) => "rejected, must be accepted",
            Failure::Message { .. } => "rejected with other words",
            Failure::Ending { .. } => "other result",
            Failure::Packet { .. } => "other packet",
            Failure::Element { .. } => "other map element",
            Failure::Room { .. } => "other world",
            Failure::Disagree { .. } => "engines disagree",
            Failure::Lost { .. } => "process lost",
        }
    }
}

fn show_text(text: Option<&str>) -> String {
    text.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"))
}

fn show_result(found: &Result<u64, Trap>) -> String {
    match found {
        Ok(r0) => format!("{r0:#x}"),
        Err(trap) => format!("the trap `{trap}`"),
    }
}

fn show_ending(expected: &Ending) -> String {
    match expected {
        Ending::Result(value) => format!("{value:#x}"),
        Ending::Return(value) => format!("{value:#x} in the low half"),
        Ending::Trap(text) => format!("a trap with `{text}`"),
    }
}

fn show_bytes(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "nothing".to_owned(), hex)
}

/// Instructions that the interpreter gives a case.
pub const FUEL: u64 = 1 << 22;

/// Runs cases on a world, with a verifier and engines of the caller's choice.
#[allow(missing_debug_implementations)] // engines and verifiers have none
pub struct Runner<'a> {
    world: &'a mut World,
    interpret: bool,
    trust: bool,
    verify: Option<&'a mut Verify<'a>>,
    engines: Vec<&'a mut dyn Engine>,
}

impl<'a> Runner<'a> {
    /// Runs cases on the interpreter alone, without asking a verifier.
    pub fn new(world: &'a mut World) -> Runner<'a> {
        Runner { world, interpret: true, trust: false, verify: None, engines: Vec::new() }
    }
    /// The same, asking this verifier.
    #[must_use]
    pub fn verify(mut self, verify: &'a mut Verify<'a>) -> Runner<'a> {
        self.verify = Some(verify);
        self
    }
    /// The same, with this engine too. Native engines need a world with native memory.
    #[must_use]
    pub fn engine(mut self, engine: &'a mut dyn Engine) -> Runner<'a> {
        self.engines.push(engine);
        self
    }
    /// The same, without the interpreter.
    #[must_use]
    pub fn without_interpreter(mut self) -> Runner<'a> {
        self.interpret = false;
        self
    }
    /// The same, giving native engines what no verifier accepted. Of such runs only the ending is compared.
    ///
    /// # Safety
    /// This process is isolated and may be lost.
    #[must_use]
    pub unsafe fn trusting(mut self) -> Runner<'a> {
        self.trust = true;
        self
    }

    /// Tries a case.
    pub fn run(&mut self, case: &Case) -> CaseResult {
        let mut untried = Vec::new();
        match self.attempt(case, &mut untried) {
            Ok(true) => CaseResult::Passed(untried),
            Ok(false) => CaseResult::Skipped(untried.into_iter().next().map_or(Skip::NothingToRun, |first| first.why)),
            Err(Stop::Failed(failure)) => CaseResult::Failed(failure),
            Err(Stop::Skipped(skip)) => CaseResult::Skipped(skip),
        }
    }

    /// Whether anything was tried; what could not be is noted.
    fn attempt(&mut self, case: &Case, untried: &mut Vec<Untried>) -> Result<bool, Stop> {
        let program = match case.program() {
            Ok(program) => Arc::new(program),
            Err(malformed) => return refused(case, malformed),
        };
        let mut tried = false;
        let mut lack = Skip::NotVerified;
        let mut verified = None;
        match self.judge(case, &program)? {
            Some(Judgement::Unsupported(skip)) => {
                lack = skip.clone();
                untried.extend((case.verdict != Verdict::Any).then_some(Untried { on: On::Verifier, why: skip }));
            }
            Some(judged) => {
                tried = case.verdict != Verdict::Any;
                if let Judgement::Accepted { verified: accepted, .. } = judged {
                    verified = Some(accepted);
                }
            }
            None => {}
        }
        if case.runs.is_empty() {
            return Ok(tried);
        }
        self.world.load(&program).map_err(|error| match error {
            MapError::Unsupported { lack, .. } => Stop::Skipped(lack.into()),
            error => Failure::Map(error).into(),
        })?;
        let outcomes = match self.interpret(case, &program) {
            Err(Stop::Skipped(why)) => {
                let all = [EngineId::Interpreter].into_iter().chain(self.engines.iter().map(|engine| engine.id()));
                untried.extend(all.map(|on| Untried { on: On::Engine(on), why: why.clone() }));
                return Ok(tried);
            }
            other => other?,
        };
        tried |= outcomes.is_some();
        // A program that must be rejected is shown on the interpreter only.
        if case.verdict == Verdict::Reject || self.engines.is_empty() {
            return Ok(tried);
        }
        let is_fit = verified.is_some() || self.trust;
        let (fit, whole) = match (verified, self.trust) {
            (Some(verified), _) => (verified, true),
            // SAFETY: `trusting` made its caller promise that this process may be lost.
            (None, true) => (unsafe { Verified::trust(program) }, false),
            // SAFETY: only engines get it that keep this process out of danger.
            (None, false) => (unsafe { Verified::trust(program) }, true),
        };
        for at in 0..self.engines.len() {
            let on = On::Engine(self.engines[at].id());
            if !is_fit && !self.engines[at].is_contained() {
                untried.push(Untried { on, why: lack.clone() });
                continue;
            }
            match self.run_on(at, case, &fit, outcomes.as_deref().filter(|_| whole)) {
                Ok(()) => tried = true,
                Err(Stop::Skipped(why)) => untried.push(Untried { on, why }),
                Err(failed) => return Err(failed),
            }
        }
        Ok(tried)
    }

    /// Asks the verifier and checks what it says.
    fn judge(&mut self, case: &Case, program: &Arc<Program>) -> Result<Option<Judgement>, Stop> {
        let Some(verify) = &mut self.verify else { return Ok(None) };
        let judgement = verify(program);
        match (case.verdict, &judgement) {
            (Verdict::Any, _) | (_, Judgement::Unsupported(_)) => {}
            (Verdict::Accept, Judgement::Rejected { log }) => return Err(Failure::Rejected(log.clone()).into()),
            (Verdict::Reject, Judgement::Accepted { .. }) => return Err(Failure::Accepted.into()),
            (Verdict::Accept, Judgement::Accepted { log, .. }) | (Verdict::Reject, Judgement::Rejected { log }) => {
                check_messages(case, log)?;
            }
        }
        Ok(Some(judgement))
    }

    fn interpret(&mut self, case: &Case, program: &Program) -> Result<Option<Vec<(Outcome, Open)>>, Stop> {
        if !self.interpret {
            return self.check_modelled(case, program).map(|()| None);
        }
        let mut outcomes = Vec::with_capacity(case.runs.len());
        for (at, run) in case.runs.iter().enumerate() {
            self.world.reset(&run.input).map_err(|error| Failure::Input { run: at, error })?;
            let (stop, open) = if self.engines.iter().all(|engine| engine.sight() == Sight::WHOLE) {
                (interpreter::run(program, self.world, FUEL, &mut ()), Open::default())
            } else {
                let mut origins = Origins::default();
                let stop = interpreter::run(program, self.world, FUEL, &mut origins);
                (stop, origins.finish(self.world))
            };
            let outcome = self.world.outcome(stop.result);
            Check { engine: EngineId::Interpreter, case, at, run }.all(&outcome, Sight::WHOLE)?;
            outcomes.push((outcome, open));
        }
        Ok(Some(outcomes))
    }

    /// Whether every run has a meaning: natively what has none is a fault, or worse.
    fn check_modelled(&mut self, case: &Case, program: &Program) -> Result<(), Stop> {
        for (at, run) in case.runs.iter().enumerate().filter(|_| !self.engines.is_empty()) {
            self.world.reset(&run.input).map_err(|error| Failure::Input { run: at, error })?;
            if let Err(Trap::Unsupported(what)) = interpreter::run(program, self.world, FUEL, &mut ()).result {
                return Err(Stop::Skipped(what.into()));
            }
        }
        Ok(())
    }

    /// Runs on one engine; `others` are the interpreter's outcomes, compared whole.
    fn run_on(
        &mut self,
        engine: usize,
        case: &Case,
        program: &Verified,
        others: Option<&[(Outcome, Open)]>,
    ) -> Result<(), Stop> {
        let trusted = others.is_none() && self.trust;
        let engine = &mut *self.engines[engine];
        let inputs = case.runs.iter().map(|run| run.input.clone()).collect();
        engine.ahead(&[Task { program: program.share(), inputs }]);
        if let Err(lack) = engine.load(program) {
            return Err(complaint(engine).unwrap_or_else(|| Stop::Skipped(lack.into())));
        }
        for (at, run) in case.runs.iter().enumerate() {
            self.world.reset(&run.input).map_err(|error| Failure::Input { run: at, error })?;
            let result = engine.run(self.world);
            let outcome = self.world.outcome(result);
            let check = Check { engine: engine.id(), case, at, run };
            if trusted {
                check.ending(&outcome)?;
            } else {
                check.all(&outcome, engine.sight())?;
            }
            if let Some(complaint) = complaint(engine) {
                return Err(complaint);
            }
            let sight = engine.sight();
            let difference = |(ours, open): &(Outcome, Open)| match sight {
                // In one world they agree also on what is left open.
                Sight::WHOLE => ours.difference(&outcome),
                sight => ours.difference_within(&outcome, sight, open),
            };
            if let Some(difference) = others.and_then(|others| difference(&others[at])) {
                let engines = (EngineId::Interpreter, engine.id());
                return Err(Failure::Disagree { run: at, engines, difference }.into());
            }
        }
        Ok(())
    }
}

impl From<Lack> for Skip {
    fn from(lack: Lack) -> Skip {
        match lack {
            Lack::Unsupported(what) => what.into(),
            lack => Skip::Engine(Box::new(lack)),
        }
    }
}

/// Why a case ends early.
enum Stop {
    Failed(Box<Failure>),
    Skipped(Skip),
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Stop {
        Stop::Failed(Box::new(failure.into()))
    }
}

/// What the engine complains of, as a failure.
fn complaint(engine: &mut dyn Engine) -> Option<Stop> {
    let what = engine.complaint()?;
    Some(Failure::Lost { engine: engine.id(), what }.into())
}

/// A case without a program: what a verifier would refuse counts as rejected.
fn refused(case: &Case, malformed: Malformed) -> Result<bool, Stop> {
    if let Malformed::Decode(error) = &malformed
        && let DecodeErrorKind::Unsupported { what, .. } = error.kind
    {
        return Err(Stop::Skipped(Skip::Instruction(what)));
    }
    let traps = || case.runs.iter().all(|run| matches!(run.expect.result, Some(Ending::Trap(_))));
    match case.verdict {
        Verdict::Reject if malformed.is_rejection() => check_messages(case, &malformed.to_string()).map(|()| true),
        Verdict::Any if malformed.is_rejection() && !case.runs.is_empty() && traps() => Ok(true),
        _ => Err(Failure::Malformed(malformed).into()),
    }
}

/// All messages occur in the log, in order.
fn check_messages(case: &Case, log: &str) -> Result<(), Stop> {
    const FOLLOWED: &str = "last_idx ";
    if !log.contains(FOLLOWED) && case.message.iter().any(|message| message.starts_with(FOLLOWED)) {
        return Err(Stop::Skipped(Skip::Followed));
    }
    let mut rest = log;
    for message in &case.message {
        match rest.find(message.as_str()) {
            Some(at) => rest = &rest[at + message.len()..],
            None => return Err(Failure::Message { missing: message.clone(), log: log.to_owned() }.into()),
        }
    }
    Ok(())
}

/// One run of one engine, compared with what the case expects.
struct Check<'a> {
    engine: EngineId,
    case: &'a Case,
    at: usize,
    run: &'a Run,
}

impl Check<'_> {
    /// Compares what the case states, as far as the engine shows it.
    fn all(&self, outcome: &Outcome, sight: Sight) -> Result<(), Stop> {
        self.ending(outcome)?;
        if let Some(expected) = &self.run.expect.packet {
            let packet = outcome.objects().find(|piece| piece.object == Object::Packet);
            let found = packet.map_or_else(Vec::new, |piece| piece.bytes.to_vec());
            if found != *expected {
                let (engine, run, expected) = (self.engine, self.at, expected.clone());
                return Err(Failure::Packet { engine, run, expected, found }.into());
            }
        }
        self.run.expect.maps.iter().try_for_each(|(map, elements)| self.map(outcome, *map, elements))?;
        let mut rooms = self.run.expect.world.iter().filter(|_| sight.rest);
        rooms.try_for_each(|(room, shown)| self.room(outcome, *room, shown))
    }

    /// Compares what a room shows.
    fn room(&self, outcome: &Outcome, room: Room, expected: &[(String, String)]) -> Result<(), Stop> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pieces = || outcome.objects().filter(|piece| piece.object == Object::Room(room));
        let fail = |name: String, expected: Option<String>, found: Option<String>| {
            Stop::from(Failure::Room { engine: self.engine, run: self.at, room, name, expected, found })
        };
        if let (true, Some(piece)) = (expected.is_empty(), pieces().next()) {
            return Err(fail(text(piece.key), None, Some(text(piece.bytes))));
        }
        for (name, value) in expected {
            let found = pieces().find(|piece| piece.key == name.as_bytes()).map(|piece| text(piece.bytes));
            if found.as_ref() != Some(value) {
                return Err(fail(name.clone(), Some(value.clone()), found));
            }
        }
        Ok(())
    }

    fn ending(&self, outcome: &Outcome) -> Result<(), Stop> {
        let found = outcome.result;
        let expected = self.run.expect.result.as_ref();
        if let Err(Trap::Unsupported(what)) = found
            && !matches!(expected, Some(Ending::Trap(text)) if !text.is_empty() && what.to_string().contains(text))
        {
            return Err(Stop::Skipped(what.into()));
        }
        let Some(expected) = expected else { return Ok(()) };
        match found {
            Err(Trap::Memory { addr, write: false, .. })
                if is_map_structure(addr) && !matches!(expected, Ending::Trap(_)) =>
            {
                return Err(Stop::Skipped(Skip::MapStructure));
            }
            _ => {}
        }
        let holds = match (expected, found) {
            (Ending::Result(value), Ok(r0)) => *value == r0,
            (Ending::Return(value), Ok(r0)) => *value == r0 as u32,
            (Ending::Trap(text), Err(trap)) => trap.to_string().contains(text),
            _ => false,
        };
        if holds {
            return Ok(());
        }
        Err(Failure::Ending { engine: self.engine, run: self.at, expected: expected.clone(), found }.into())
    }

    /// Compares a map whole.
    fn map(&self, outcome: &Outcome, map: usize, elements: &[Element]) -> Result<(), Stop> {
        let pieces: Vec<_> = outcome.objects().filter(|piece| piece.object == Object::MapValue(map as u32)).collect();
        let fail = |key: &[u8], expected: Option<&[u8]>, found: Option<&[u8]>| {
            Stop::from(Failure::Element {
                engine: self.engine,
                run: self.at,
                map: self.case.maps.get(map).map_or_else(String::new, |def| def.name.clone()),
                key: key.to_vec(),
                expected: expected.map(<[u8]>::to_vec),
                found: found.map(<[u8]>::to_vec),
            })
        };
        let def = self.case.maps.get(map);
        if def.is_some_and(|def| matches!(def.map_type, MapType::QUEUE | MapType::STACK)) {
            // Without keys their order is all there is.
            let expected = elements.iter().map(|(_, value)| &**value);
            let found: Vec<&[u8]> = pieces.iter().map(|piece| piece.bytes).collect();
            let Some(at) =
                (0..elements.len().max(found.len())).find(|at| expected.clone().nth(*at) != found.get(*at).copied())
            else {
                return Ok(());
            };
            return Err(fail(&[], expected.clone().nth(at), found.get(at).copied()));
        }
        for (key, value) in elements {
            let found = pieces.iter().find(|piece| piece.key == key).map(|piece| piece.bytes);
            if found.is_none_or(|found| *found != *on_all_cpus(def, value, found.len())) {
                return Err(fail(key, Some(value), found));
            }
        }
        let all_exist = def.is_some_and(|def| matches!(def.map_type, MapType::ARRAY | MapType::PERCPU_ARRAY));
        let surplus = pieces.iter().find(|piece| {
            let listed = elements.iter().any(|(key, _)| key == piece.key);
            let void = all_exist && piece.bytes.iter().all(|byte| *byte == 0);
            !(listed || void)
        });
        match surplus {
            Some(piece) if all_exist => Err(fail(piece.key, Some(&vec![0; piece.bytes.len()]), Some(piece.bytes))),
            Some(piece) => Err(fail(piece.key, None, Some(piece.bytes))),
            None => Ok(()),
        }
    }
}

/// A value of a map, as long as what is found: of a map with a value for each CPU, one that is stated once is that of all.
fn on_all_cpus<'v>(def: Option<&MapDef>, value: &'v [u8], len: usize) -> Cow<'v, [u8]> {
    let is_one = def.is_some_and(|def| def.is_per_cpu() && value.len() == def.value_size as usize);
    if !is_one {
        return value.into();
    }
    let mut one = value.to_vec();
    one.resize(value.len().next_multiple_of(8), 0);
    let times = len / one.len();
    one.repeat(times).into()
}

/// Whether an address lies behind the handle of a map, where the kernel has its structure.
fn is_map_structure(addr: u64) -> bool {
    layout::map_of_handle(addr >> layout::MAP_HANDLE_SHIFT << layout::MAP_HANDLE_SHIFT).is_some()
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaseResult::Passed(_) => f.write_str("passed"),
            CaseResult::Failed(failure) => write!(f, "failed: {failure}"),
            CaseResult::Skipped(skip) => write!(f, "skipped: {skip}"),
        }
    }
}
