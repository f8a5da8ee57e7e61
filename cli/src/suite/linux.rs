//! Cases on a kernel's engine: the verdict and the log are the kernel's, and so are the runs.

use corpus::case::{Case, Element, Ending, Verdict};
use corpus::runner::Failure;
use corpus::suite::Entry;
use fuzz::against::opinion::{Ours, Theirs};
use fuzz::against::relation::{Relation, explain, relate};
use linux::engine::wire_engine;
use linux::guest::Unanswered;
use linux::job::{self, Wanted};
use linux::{Machine, Settings, kernel, widen};
use semantics::engine::{EngineId, LinuxMode, LinuxVersion, last_line};
use semantics::map::MapType;
use semantics::memory::Object;
use semantics::open::Open;
use semantics::program::Program;
use semantics::trap::RunLack;
use verifier::Verifier;
use wire::{Answer, Job, Ran, Stage};

use super::Reply;
use super::model::{self, Model, Prepared};

/// A kernel's engine that cases are tried on.
#[derive(Debug)]
pub(super) struct Bench {
    machine: Machine,
    model: Model,
    engine: EngineId,
    version: LinuxVersion,
    mode: LinuxMode,
}

/// `BPF_LOG_STATS`: of the log, what the verifier says last. A million instructions take a kernel minutes to write down.
const LOG_STATS: u32 = 4;
/// `BPF_LOG_LEVEL2`: every instruction on every path.
const LOG_LEVEL2: u32 = 2;

impl Bench {
    /// The kernel of this version, booted.
    pub(super) fn new(version: LinuxVersion, mode: LinuxMode) -> anyhow::Result<Bench> {
        let kernel = linux::Kernel::find(&kernel::folder(), &version.to_string())?;
        let mut machine = Machine::new(kernel, Settings::default());
        machine.guest()?;
        Ok(Bench { machine, model: Model::new(version)?, engine: EngineId::Linux(version, mode), version, mode })
    }

    /// What is wanted of a case that may state messages; what is accepted has said them on the way.
    fn wanted(&self, is_log_read: bool) -> Wanted {
        Wanted {
            engines: vec![wire_engine(self.mode)],
            log_level: if is_log_read { LOG_LEVEL2 } else { LOG_STATS },
            kernel: self.machine.kernel().number(),
            ..Wanted::default()
        }
    }

    /// All cases of a file, asked at once.
    pub(super) fn cases(&mut self, entries: &[Entry]) -> anyhow::Result<Vec<Reply>> {
        let mut jobs: Vec<Job> = Vec::new();
        // The job of each case, and behind it perhaps one that shows R0 whole.
        let mut places: Vec<Result<(usize, bool), Reply>> = Vec::with_capacity(entries.len());
        let cases: Vec<Result<Prepared, Reply>> = entries.iter().map(|entry| self.prepare(entry)).collect();
        for prepared in &cases {
            let job = prepared.as_ref().map_err(Clone::clone).and_then(|Prepared { case, .. }| {
                let is_log_read = case.verdict == Verdict::Accept && !case.message.is_empty();
                let job = job::of_case(case, &self.wanted(is_log_read)).map_err(|why| Reply::skipped(&why))?;
                Ok((case, job))
            });
            places.push(job.map(|(case, job)| {
                let is_wide = case.runs.iter().any(|run| matches!(run.expect.result, Some(Ending::Result(_))));
                let wide = if is_wide { widen::widen(&job) } else { None };
                let at = jobs.len();
                jobs.push(job);
                let has_wide = wide.is_some();
                jobs.extend(wide.map(|wide| Job { log_level: 0, ..wide }));
                (at, has_wide)
            }));
        }
        let mut answers = Vec::with_capacity(jobs.len());
        self.machine.ask(&jobs, &mut |_, answer| answers.push(answer))?;
        let reply = |(prepared, place): (Result<Prepared, Reply>, Result<(usize, bool), Reply>)| {
            let ((at, has_wide), prepared) = (place?, prepared?);
            let wide = has_wide.then(|| answers[at + 1].as_ref().ok()).flatten();
            match &answers[at] {
                Ok(answer) => self.case(&prepared, answer, wide),
                Err(lost) => Err(self.lost(&lost.to_string())),
            }
        };
        Ok(cases.into_iter().zip(places).map(|it| reply(it).unwrap_or_else(|reply| reply)).collect())
    }

    fn prepare(&mut self, entry: &Entry) -> Result<Prepared, Reply> {
        entry.case.as_ref().map(|case| self.model.prepare(case)).map_err(Reply::skipped)
    }

    /// A program that states no expectation.
    pub(super) fn program(&mut self, program: &Program) -> anyhow::Result<Reply> {
        let wanted = Wanted { runs: false, ..self.wanted(false) };
        let answer = self.machine.ask_one(&job::of_program(program, std::iter::empty(), &wanted))?;
        Ok(match answer {
            Err(lost) => self.lost(&lost.to_string()),
            Ok(Answer { messages, .. }) if !messages.is_empty() => self.lost(&messages.join("\n")),
            Ok(answer) => match answer.trials.first().map(|trial| &trial.load.result) {
                Some(Ok(())) => Reply::passed("accepted by the kernel"),
                Some(Err((Stage::Program(_), _))) => Reply::passed("rejected by the kernel"),
                Some(Err((stage, errno))) => Reply::skipped(&format!("{stage:?}: error {errno}")),
                None => Reply::skipped(&"no answer"),
            },
        })
    }

    fn lost(&self, what: &str) -> Reply {
        failed(&Failure::Lost { engine: self.engine, what: what.to_owned() })
    }

    fn case(&self, prepared: &Prepared, answer: &Answer, wide: Option<&Answer>) -> Result<Reply, Reply> {
        let Prepared { case, open } = prepared;
        if !answer.messages.is_empty() {
            return Err(self.lost(&answer.messages.join("\n")));
        }
        let Some(trial) = answer.trials.first() else { return Err(Reply::skipped(&"no answer")) };
        let log = &trial.load.log;
        match (&trial.load.result, case.verdict) {
            (Err((Stage::Fallback, _)), _) => return Err(Reply::skipped(&"the kernel does not run it on this engine")),
            (Err(_), _) if self.mode == LinuxMode::Interpreter && linux::engine::wants_native_code(log) => {
                return Err(Reply::skipped(&last_line(log)));
            }
            (Err((Stage::Program(_), _)), Verdict::Accept | Verdict::Any) if let Some(newer) = self.newer(case) => {
                return Err(newer);
            }
            (Err((Stage::Program(_), _)), Verdict::Accept) => return Err(failed(&Failure::Rejected(log.clone()))),
            (Err((Stage::Program(_), _)), Verdict::Reject) => return self.refused(case, answer, log),
            (Err((Stage::Program(_), _)), Verdict::Any) => {
                let traps = |run: &corpus::Run| matches!(run.expect.result, Some(Ending::Trap(_)));
                let must_trap = !case.runs.is_empty() && case.runs.iter().all(traps);
                let refused = || Reply::skipped(&format!("the kernel refuses it: {}", last_line(log)));
                return if must_trap { Ok(Reply::Passed { note: None }) } else { Err(refused()) };
            }
            (Err((stage, errno)), _) => return Err(Reply::skipped(&format!("{stage:?}: error {errno}"))),
            (Ok(()), Verdict::Reject) => return Err(failed(&Failure::Accepted)),
            (Ok(()), Verdict::Accept) => drop(messages(case, log)?),
            (Ok(()), Verdict::Any) => {}
        }
        if case.runs.is_empty() && case.verdict == Verdict::Any {
            return Err(Reply::skipped(&"nothing to run"));
        }
        let mut untried = None;
        for (at, ran) in trial.runs.iter().enumerate() {
            match ran {
                _ if !case.runs[at].input.world.is_as_in_test_run(case.program_type) => {
                    untried = Some(RunLack::World);
                }
                Err(errno) => untried = Some(RunLack::TestRun(*errno)),
                Ok(ran) => self.run(case, (at, &open[at]), ran, wide.and_then(|wide| whole(wide, at)))?,
            }
        }
        match untried {
            Some(lack) if case.verdict == Verdict::Any => Err(Reply::skipped(&lack)),
            Some(lack) => Ok(Reply::passed(&format!("its verdict, not its runs: {lack}"))),
            None => Ok(Reply::Passed { note: None }),
        }
    }

    /// What our decoder refuses it refuses in words of its own, which begin with the kernel's.
    fn refused(&self, case: &Case, answer: &Answer, log: &str) -> Result<Reply, Reply> {
        if let Err(malformed) = case.program() {
            let dialect = fuzz::outside::dialect(self.version);
            let program = Err(malformed);
            let mut ask = |dialect| Ours::ask(&mut Verifier::default(), &program, dialect);
            let ours = ask(dialect);
            let theirs = Theirs::read(&Ok::<_, Unanswered>(answer.clone()));
            let cause = relate(&ours, &theirs);
            if cause.relation == Relation::BothReject {
                return Ok(Reply::Passed { note: None });
            }
            if let Some(explained) = explain(&cause, (&ours, &theirs), dialect, &mut ask) {
                return Ok(Reply::passed(&format!("refused in other words: {}", explained.name)));
            }
        }
        messages(case, log).map_err(|missing| self.newer(case).unwrap_or(missing))
    }

    /// What is said of a case that is refused for an instruction that the kernel does not have yet.
    fn newer(&self, case: &Case) -> Option<Reply> {
        let (name, since) = model::newer(case, self.version)?;
        Some(Reply::skipped(&format!("{name} is an instruction since Linux {since}")))
    }

    /// What a run must come to, as far as it is determined; `r0` is R0 whole, where that is known.
    fn run(&self, case: &Case, (at, open): (usize, &Open), ran: &Ran, r0: Option<u64>) -> Result<(), Reply> {
        let expected = &case.runs[at].expect;
        let holds = match expected.result {
            None => true,
            _ if open.result() || open.course() => true,
            Some(Ending::Return(value)) => value == ran.retval,
            Some(Ending::Result(value)) if open.upper() => value as u32 == ran.retval,
            Some(Ending::Result(value)) => r0.map_or(value as u32 == ran.retval, |r0| r0 == value),
            // A verified program does not trap.
            Some(Ending::Trap(_)) => return Err(Reply::skipped(&"a trap is expected, which no kernel has")),
        };
        let (engine, found) = (self.engine, Ok(r0.unwrap_or(u64::from(ran.retval))));
        if let (false, Some(expected)) = (holds, expected.result.clone()) {
            return Err(failed(&Failure::Ending { engine, run: at, expected, found }));
        }
        let packet =
            linux::engine::packet_after(case.program_type, case.runs[at].input.packet.clone(), ran.data.clone());
        if let Some(expected) = expected.packet.clone().filter(|expected| *expected != packet) {
            return Err(failed(&Failure::Packet { engine, run: at, expected, found: packet }));
        }
        for (map, elements) in &expected.maps {
            let Some(Ok(found)) = ran.maps.get(*map) else { continue };
            if !open.course() {
                self.elements(case, (at, *map), (elements, open), found)?;
            }
        }
        Ok(())
    }

    /// A map is compared whole.
    fn elements(
        &self,
        case: &Case,
        (run, map): (usize, usize),
        (wanted, open): (&[Element], &Open),
        found: &[Element],
    ) -> Result<(), Reply> {
        let Some(def) = case.maps.get(map) else { return Ok(()) };
        let fail = |key: &[u8], expected: Option<Vec<u8>>, found: Option<Vec<u8>>| {
            let (engine, map, key) = (self.engine, def.name.clone(), key.to_vec());
            failed(&Failure::Element { engine, run, map, key, expected, found })
        };
        for (key, value) in wanted {
            let there = found.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone());
            let is_open = |at: usize| open.byte(Object::MapValue(map as u32), key, at);
            let is_same = |there: &Vec<u8>| {
                let mut pairs = there.iter().zip(value).enumerate();
                there.len() == value.len() && pairs.all(|(at, (found, wanted))| found == wanted || is_open(at))
            };
            if !there.as_ref().is_some_and(is_same) {
                return Err(fail(key, Some(value.clone()), there));
            }
        }
        let is_array = def.map_type == MapType::ARRAY;
        let is_surplus = |(key, value): &&Element| {
            let is_void = is_array && value.iter().all(|byte| *byte == 0);
            !is_void && !wanted.iter().any(|(other, _)| other == key)
        };
        match found.iter().find(is_surplus) {
            Some((key, value)) => Err(fail(key, is_array.then(|| vec![0; value.len()]), Some(value.clone()))),
            None => Ok(()),
        }
    }
}

fn failed(failure: &Failure) -> Reply {
    Reply::Failed { kind: failure.kind().to_owned(), why: failure.to_string() }
}

/// All messages occur in the log, in order.
fn messages(case: &Case, log: &str) -> Result<Reply, Reply> {
    let mut rest = log;
    for message in &case.message {
        let Some(at) = rest.find(message.as_str()) else {
            return Err(failed(&Failure::Message { missing: message.clone(), log: log.to_owned() }));
        };
        rest = &rest[at + message.len()..];
    }
    Ok(Reply::Passed { note: None })
}

/// R0 of a run of a program that was rewritten to show it.
fn whole(answer: &Answer, run: usize) -> Option<u64> {
    let ran = answer.trials.first()?.runs.get(run)?.as_ref().ok()?;
    widen::r0(&mut ran.clone())
}
