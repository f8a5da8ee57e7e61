//! A worker: one process that judges tests on behalf of a campaign, and may die of it.
//!
//! Requests come as lines on standard input, answers go as lines to standard output, each a JSON object. A worker that
//! dies or hangs is noticed by whoever sent the request; see [`Remote`].

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use semantics::engine::{Engine, EngineId};
use semantics::world::Effect;
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::finding::Objection;
use crate::generate::Options;
use crate::judge::{Judge, JudgeError, Judgement};
use crate::outside::{self, Counts};
use crate::plant::{self, Plant};
use crate::target::{Configuration, Generator, Target};
use crate::test::Test;

/// What a worker is told when it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Seed of the campaign.
    pub seed: u64,
    /// Instructions of a program, about.
    pub insns: usize,
    /// Only calls of these helpers, by number; of all if there are none.
    pub helpers: Vec<u32>,
    /// A mistake to plant.
    pub plant: Option<String>,
    /// Which programs are made and how they are judged.
    pub target: Target,
    /// How the JIT lowers; all ways in turns if not given.
    pub jit: Option<Configuration>,
    /// Names of kernels' engines that tests are put to as well.
    #[serde(default)]
    pub linux: Vec<String>,
}

impl Setup {
    /// A setup of this target with nothing planted.
    pub fn new(target: Target) -> Setup {
        Setup {
            seed: 0,
            insns: 20,
            helpers: Vec::new(),
            plant: None,
            target,
            jit: target.configuration(),
            linux: Vec::new(),
        }
    }
    /// Test `number`.
    pub fn test(&self, generator: &Generator, number: u64) -> Test {
        let test = generator.test(Dice::new(self.seed, number));
        if self.linux.is_empty() { test } else { outside::fit(test) }
    }
    /// The generator of its tests.
    pub fn generator(&self) -> Generator {
        let helper = if let [only] = self.helpers[..] { Some(only) } else { None };
        let options = Options { insns: self.insns, helper, run_by_kernels: !self.linux.is_empty() };
        Generator::new(self.target, options, &self.helpers)
    }
    /// The kernels that tests are put to, each booted.
    fn kernels(&self) -> Result<Vec<Box<dyn Engine>>, WorkerError> {
        let mut machines = linux::Machines::new(linux::Settings::default());
        let folder = linux::kernel::folder();
        let mut kernel = |name: &String| {
            let Ok(EngineId::Linux(version, mode)) = name.parse() else {
                return Err(WorkerError::NoSuchEngine(name.clone()));
            };
            let mut engine = machines.engine(&folder, version, mode)?;
            engine.start().map_err(linux::EngineError::from)?;
            Ok(Box::new(engine) as Box<dyn Engine>)
        };
        self.linux.iter().map(&mut kernel).collect()
    }
    fn judge(&self, plant: Option<&Plant>) -> Result<Judge, JudgeError> {
        Judge::of(self.target, self.jit, plant)
    }
}

/// What is asked of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Request {
    /// Judge the tests with these numbers; with `announce`, say each number first.
    Batch { first: u64, count: u64, announce: bool },
    /// Judge the tests of this case (YAML), with every question asked.
    Check { case: String },
}

/// What a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    /// Test `number` is next.
    At { number: u64 },
    /// Somebody objects to test `number`: said at once where tests are announced, since the next may be the last.
    Found { number: u64, objection: Objection },
    /// A batch is done.
    Batch { stats: Stats, objections: Vec<(u64, Objection)> },
    /// A case is judged.
    Check { objection: Option<Objection>, rejected: Option<String> },
    /// The request makes no sense.
    Bad { reason: String },
}

/// Counts of a campaign or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Tests judged.
    pub tests: u64,
    /// Programs that the verifier accepted.
    pub accepted: u64,
    /// Programs that it rejected.
    pub rejected: u64,
    /// Tests with something that is not modelled.
    pub unsupported: u64,
    /// Instructions that the interpreter executed in accepted programs.
    pub executed: u64,
    /// In how many accepted programs each row of the instruction table occurs.
    pub forms: Vec<u64>,
    /// How often each helper returned what, by its number and the place in its list of results.
    #[serde(default)]
    pub results: BTreeMap<u32, Vec<u64>>,
    /// What came of tests on kernels.
    #[serde(default)]
    pub outside: Counts,
}

impl Stats {
    /// Counts what helpers returned in a run.
    fn note(&mut self, effects: &[Effect]) {
        for Effect::Call { helper, class, .. } in effects {
            let Some(declared) = semantics::helper::by_id(*helper) else { continue };
            let Some(at) = declared.results.iter().position(|result| result == class) else { continue };
            let counts = self.results.entry(*helper).or_insert_with(|| vec![0; declared.results.len()]);
            counts[at] += 1;
        }
    }
    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Stats) {
        self.tests += other.tests;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.unsupported += other.unsupported;
        self.executed += other.executed;
        self.forms.resize(self.forms.len().max(other.forms.len()), 0);
        for (ours, theirs) in self.forms.iter_mut().zip(&other.forms) {
            *ours += theirs;
        }
        for (helper, counts) in &other.results {
            let ours = self.results.entry(*helper).or_default();
            ours.resize(ours.len().max(counts.len()), 0);
            ours.iter_mut().zip(counts).for_each(|(ours, theirs)| *ours += theirs);
        }
        for (what, count) in &other.outside {
            *self.outside.entry(what.clone()).or_default() += count;
        }
    }
}

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No judge.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// No such planted mistake.
    #[error("there is no planted mistake `{0}`")]
    NoSuchPlant(String),
    /// No such kernel's engine.
    #[error("there is no kernel's engine `{0}`")]
    NoSuchEngine(String),
    /// It cannot be had.
    #[error(transparent)]
    Linux(#[from] linux::EngineError),
    /// The campaign is gone.
    #[error("the campaign does not answer: {0}")]
    Pipe(#[from] std::io::Error),
}

/// Processor time of a test of a closed program, on all engines: it executes few instructions, so it hangs if it takes longer.
const CLOSED_TIME: Duration = Duration::from_millis(100);

/// Lets a signal end this process once it has used so much more processor time; 0 for no such limit.
fn limit_time(limit: Duration) {
    let once = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval { tv_sec: limit.as_secs() as i64, tv_usec: i64::from(limit.subsec_micros()) };
    let timer = libc::itimerval { it_interval: once, it_value: value };
    // SAFETY: sets a timer of this process from a value that lives through the call; the old setting is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()) };
}

struct Worker {
    setup: Setup,
    plant: Option<Plant>,
    generator: Generator,
    judge: Judge,
}

/// Serves requests until standard input ends. This is the whole of a worker process.
pub fn serve(setup: Setup) -> Result<(), WorkerError> {
    let plant = match &setup.plant {
        None => None,
        Some(name) => Some(plant::by_name(name).ok_or_else(|| WorkerError::NoSuchPlant(name.clone()))?),
    };
    let judge = setup.judge(plant.as_ref())?.with_outside(setup.kernels()?);
    let generator = setup.generator();
    let mut worker = Worker { setup, plant, generator, judge };
    // A panic is an objection, not a message on the terminal.
    std::panic::set_hook(Box::new(|_| {}));
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?) {
            Ok(Request::Batch { first, count, announce }) => worker.batch(first, count, announce)?,
            Ok(Request::Check { case }) => worker.check(&case)?,
            Err(error) => say(&Answer::Bad { reason: error.to_string() })?,
        }
    }
    Ok(())
}

fn say(answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_string(answer).map_err(std::io::Error::other)?;
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

impl Worker {
    fn judge(&mut self, test: &Test, number: Option<u64>) -> Result<Judgement, WorkerError> {
        // The verifier may take its time; a closed program may not.
        if self.setup.target == Target::Closed {
            limit_time(CLOSED_TIME);
        }
        let judgement = self.judge.judge_caught(test, number);
        if self.setup.target == Target::Closed {
            limit_time(Duration::ZERO);
        }
        if let Judgement::Objection(Objection { oracle: crate::oracle::Oracle::NoPanic, .. }) = judgement {
            self.renew()?;
        }
        Ok(judgement)
    }

    /// A new judge in place of one that panicked; the old one gives up guest memory first.
    fn renew(&mut self) -> Result<(), WorkerError> {
        self.judge.retire();
        let outside = self.judge.take_outside();
        self.judge = self.setup.judge(self.plant.as_ref())?.asking(outside);
        Ok(())
    }

    fn batch(&mut self, first: u64, count: u64, announce: bool) -> Result<(), WorkerError> {
        let mut stats = Stats { forms: vec![0; semantics::insn::table::TABLE.len()], ..Stats::default() };
        let mut objections = Vec::new();
        let mut fine = Vec::new();
        for number in first..first + count {
            if announce {
                say(&Answer::At { number })?;
            }
            let test = self.setup.test(&self.generator, number);
            stats.tests += 1;
            match self.judge(&test, Some(number))? {
                Judgement::Fine(executed) => {
                    stats.accepted += 1;
                    stats.executed += executed;
                    stats.note(self.judge.effects());
                    for insn in test.program.insns() {
                        stats.forms[insn.opcode as usize] += 1;
                    }
                    if self.judge.has_outside() {
                        fine.push((number, test));
                    }
                    if fine.len() == outside::BATCH {
                        self.ask_outside(&mut fine, &mut objections);
                    }
                }
                Judgement::Rejected(_) => stats.rejected += 1,
                Judgement::Unsupported(_) => stats.unsupported += 1,
                Judgement::Objection(objection) => {
                    stats.accepted += 1;
                    if announce {
                        say(&Answer::Found { number, objection })?;
                    } else {
                        objections.push((number, objection));
                    }
                }
            }
        }
        self.ask_outside(&mut fine, &mut objections);
        stats.outside = self.judge.take_counts();
        say(&Answer::Batch { stats, objections })?;
        Ok(())
    }

    /// Puts tests to kernels that are fine here.
    fn ask_outside(&mut self, tests: &mut Vec<(u64, Test)>, objections: &mut Vec<(u64, Objection)>) {
        let asked: Vec<&Test> = tests.iter().map(|(_, test)| test).collect();
        let found = self.judge.ask_outside(&asked);
        objections.extend(tests.drain(..).zip(found).filter_map(|((number, _), found)| Some((number, found?))));
    }

    fn check(&mut self, case: &str) -> Result<(), WorkerError> {
        let cases = match corpus::read::parse(case, std::path::Path::new("request")) {
            Ok(cases) => cases,
            Err(error) => return Ok(say(&Answer::Bad { reason: error.to_string() })?),
        };
        let (mut objection, mut rejected) = (None, None);
        for case in &cases {
            let tests = match crate::case::tests(case) {
                Ok(tests) => tests,
                Err(error) => return Ok(say(&Answer::Bad { reason: error.to_string() })?),
            };
            for test in tests {
                match self.judge(&test, None)? {
                    Judgement::Objection(found) => objection = objection.or(Some(found)),
                    Judgement::Rejected(message) | Judgement::Unsupported(message) => rejected = Some(message),
                    Judgement::Fine(_) if self.judge.has_outside() => {
                        objection = objection.or(self.judge.ask_outside(&[&test]).remove(0));
                    }
                    Judgement::Fine(_) => {}
                }
            }
        }
        Ok(say(&Answer::Check { objection, rejected })?)
    }
}

/// How to start a worker process.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The executable; it is given the setup as JSON in its last argument.
    pub program: std::path::PathBuf,
    /// Arguments before that.
    pub arguments: Vec<String>,
    /// How long a worker may take to answer before it counts as hung.
    pub patience: Duration,
}

/// What came of a request to a worker.
#[derive(Debug)]
enum Reply {
    Answer(Answer),
    Death(String),
}

/// The other end of a worker process. It is started when it is first needed, and again after it died.
#[derive(Debug)]
pub struct Remote {
    launcher: Launcher,
    setup: Setup,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

/// Why no worker can be reached.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It cannot be started.
    #[error("cannot start a worker process ({program}): {source}")]
    Start {
        /// The executable.
        program: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It answers something else than was asked, or dies before any test.
    #[error("a worker process does not work: {0}")]
    Broken(String),
}

/// What came of a batch.
#[derive(Debug)]
pub enum BatchReply {
    /// It was judged.
    Done(Stats, Vec<(u64, Objection)>),
    /// The worker died or hung; the number of the test, if tests were announced, and what was found before.
    Died(String, Option<u64>, Vec<(u64, Objection)>),
}

impl Remote {
    /// A worker to be.
    pub fn new(launcher: Launcher, setup: Setup) -> Remote {
        Remote { launcher, setup, running: None }
    }

    fn start(&mut self) -> Result<&mut Running, RemoteError> {
        if self.running.is_none() {
            self.running = Some(self.launch()?);
        }
        Ok(self.running.as_mut().expect("just started"))
    }

    fn launch(&self) -> Result<Running, RemoteError> {
        let setup = serde_json::to_string(&self.setup).map_err(|e| RemoteError::Broken(e.to_string()))?;
        let failed = |source| RemoteError::Start { program: self.launcher.program.display().to_string(), source };
        let mut child = Command::new(&self.launcher.program)
            .args(&self.launcher.arguments)
            .arg(setup)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(requests), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RemoteError::Broken("no pipes".to_owned()));
        };
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Running { child, requests, answers })
    }

    fn ask(&mut self, request: &Request) -> Result<(), RemoteError> {
        let mut line = serde_json::to_string(request).map_err(|e| RemoteError::Broken(e.to_string()))?;
        line.push('\n');
        // A worker that died in between is noticed when its answer is missed.
        let _ = self.start()?.requests.write_all(line.as_bytes());
        Ok(())
    }

    fn reply(&mut self) -> Result<Reply, RemoteError> {
        let patience = self.launcher.patience;
        let running = self.start()?;
        match running.answers.recv_timeout(patience) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Answer::Bad { reason }) => Err(RemoteError::Broken(reason)),
                Ok(answer) => Ok(Reply::Answer(answer)),
                Err(error) => Err(RemoteError::Broken(format!("{error}: {line}"))),
            },
            Err(timeout) => Ok(Reply::Death(self.bury(timeout == RecvTimeoutError::Timeout))),
        }
    }

    /// Takes down a worker that hung or died, and says how it ended.
    fn bury(&mut self, hung: bool) -> String {
        use std::os::unix::process::ExitStatusExt;
        let Some(mut running) = self.running.take() else { return "no worker".to_owned() };
        if hung {
            let _ = running.child.kill();
        }
        let status = running.child.wait();
        match (hung, status) {
            (true, _) => format!("no answer in {} s", self.launcher.patience.as_secs_f32()),
            (false, Ok(status)) => match (status.signal(), status.code()) {
                (Some(libc::SIGVTALRM), _) => format!("no end in {} s", CLOSED_TIME.as_secs_f32()),
                (Some(signal), _) => format!("signal {signal}"),
                (_, Some(code)) => format!("exit with {code}"),
                _ => "an unknown end".to_owned(),
            },
            (false, Err(error)) => error.to_string(),
        }
    }

    /// Judges a batch of generated tests.
    pub fn batch(&mut self, first: u64, count: u64, announce: bool) -> Result<BatchReply, RemoteError> {
        self.ask(&Request::Batch { first, count, announce })?;
        let (mut last, mut found) = (None, Vec::new());
        loop {
            match self.reply()? {
                Reply::Answer(Answer::At { number }) => last = Some(number),
                Reply::Answer(Answer::Found { number, objection }) => found.push((number, objection)),
                Reply::Answer(Answer::Batch { stats, objections }) => {
                    found.extend(objections);
                    return Ok(BatchReply::Done(stats, found));
                }
                Reply::Answer(other) => return Err(RemoteError::Broken(format!("unexpected {other:?}"))),
                Reply::Death(how) => return Ok(BatchReply::Died(how, last, found)),
            }
        }
    }

    /// Judges one test with every question asked: the objection, or the rejection.
    pub fn check(&mut self, test: &Test) -> Result<Result<Option<Objection>, String>, RemoteError> {
        self.ask(&Request::Check { case: crate::case::of_test(test).to_yaml() })?;
        match self.reply()? {
            Reply::Answer(Answer::Check { objection, rejected }) => match (objection, rejected) {
                (None, Some(message)) => Ok(Err(message)),
                (objection, _) => Ok(Ok(objection)),
            },
            Reply::Answer(other) => Err(RemoteError::Broken(format!("unexpected {other:?}"))),
            Reply::Death(how) => Ok(Ok(Some(Objection::death(&how)))),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(script: &str) -> Remote {
        let launcher = Launcher {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            patience: Duration::from_millis(300),
        };
        Remote::new(launcher, Setup::new(Target::default()))
    }

    fn outcome(script: &str) -> Result<Result<Option<Objection>, String>, RemoteError> {
        let test = Setup::new(Target::default()).generator().test(Dice::new(0, 0));
        remote(script).check(&test)
    }

    #[test]
    fn a_worker_that_hangs_or_dies_is_a_finding() {
        let text = |script| outcome(script).unwrap().unwrap().unwrap().text;
        assert_eq!(text("exec sleep 1000"), "the worker process died: no answer in 0.3 s");
        assert_eq!(text("read line; kill -SEGV $$"), "the worker process died: signal 11");
        assert_eq!(text("read line; exit 3"), "the worker process died: exit with 3");
    }

    #[test]
    fn a_worker_that_talks_nonsense_is_an_error() {
        let error = outcome("read line; echo nonsense; cat").unwrap_err();
        assert!(matches!(error, RemoteError::Broken(_)), "{error}");
    }
}
