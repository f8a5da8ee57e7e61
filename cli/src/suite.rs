//! `touchstone suite`: case files and other projects' suites, on one engine or the verifier.
//!
//! The JIT runs each file in a process of its own, which may be lost: cases about engines are not verified.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use corpus::runner::{CaseResult, Failure, Judgement, Runner};
use corpus::suite::{self, Entry};
use corpus::{Case, Ending, Verdict};
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::world::World;
use serde::{Deserialize, Serialize};
use serde_json::json;
use verifier::{Dialect, Verifier};

use crate::{Format, Status, judge};

/// What `--format json` prints.
const JSON: &str =
    "JSON: {engine, passed, failed, skipped, failures: [{file, case, kind, why}], skips: {reason: count}}.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// Case files (.yaml), `bpf_conformance` files (.data), or directories with them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What the cases are tried on
    #[arg(long, value_enum, default_value_t = Which::Interpreter)]
    engine: Which,
    /// The version of Linux whose rules hold; by default the one whose verdicts a suite states, else 6.8
    #[arg(long, value_parser = judge::dialect)]
    dialect: Option<Dialect>,
    /// Print each case that was skipped
    #[arg(long)]
    verbose: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What cases are tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    Interpreter,
    Jit,
    Verifier,
}

#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    /// The file
    file: PathBuf,
    /// The first case, from 0
    start: usize,
}

/// What became of a case, as a worker says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    Passed,
    Failed { kind: String, why: String },
    Skipped { reason: String },
}

impl From<CaseResult> for Reply {
    fn from(result: CaseResult) -> Reply {
        match result {
            CaseResult::Passed(_) => Reply::Passed,
            CaseResult::Failed(failure) => Reply::Failed { kind: failure.kind().to_owned(), why: failure.to_string() },
            CaseResult::Skipped(skip) => Reply::Skipped { reason: skip.to_string() },
        }
    }
}

/// A case that failed.
#[derive(Debug, Serialize)]
struct Failed {
    file: PathBuf,
    case: String,
    kind: String,
    why: String,
}

#[derive(Debug, Default)]
struct Totals {
    passed: usize,
    failures: Vec<Failed>,
    skips: BTreeMap<String, usize>,
}

impl Totals {
    fn skipped(&self) -> usize {
        self.skips.values().sum()
    }
    fn count(&mut self, file: &Path, case: &str, reply: Reply) {
        match reply {
            Reply::Passed => self.passed += 1,
            Reply::Failed { kind, why } => {
                self.failures.push(Failed { file: file.to_owned(), case: case.to_owned(), kind, why });
            }
            Reply::Skipped { reason } => *self.skips.entry(reason).or_default() += 1,
        }
    }
}

/// The bundled corpus on one engine: passed, failed and skipped cases, and what failed, a line each.
pub fn tally(corpus: &Path, engine: Which, out: &mut dyn Write) -> anyhow::Result<[usize; 3]> {
    let paths = vec![corpus.to_owned()];
    let totals = judge_all(&Args { paths, engine, dialect: None, verbose: false, format: Format::Text }, out)?;
    Ok([totals.passed, totals.failures.len(), totals.skipped()])
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let totals = judge_all(args, out)?;
    report(args, &totals, out)
}

fn judge_all(args: &Args, out: &mut dyn Write) -> anyhow::Result<Totals> {
    let mut files = Vec::new();
    for path in &args.paths {
        files.extend(corpus::read::files(path).with_context(|| path.display().to_string())?);
    }
    if files.is_empty() {
        bail!("no case files (.yaml, .data) there");
    }
    let mut totals = Totals::default();
    let mut world = World::new(Memory::detached().context("guest memory")?);
    for file in &files {
        let entries = suite::read(file)?;
        let replies = match args.engine {
            Which::Jit => isolated(file, &entries)?,
            Which::Interpreter => entries.iter().map(|entry| try_on_interpreter(&mut world, entry)).collect(),
            Which::Verifier => entries.iter().map(|entry| try_on_verifier(&mut world, entry, args.dialect)).collect(),
        };
        for (entry, reply) in entries.iter().zip(replies) {
            match &reply {
                Reply::Failed { why, .. } if args.format == Format::Text => {
                    writeln!(out, "FAILED {}: {}: {why}", file.display(), entry.name)?;
                }
                Reply::Skipped { reason } if args.verbose && args.format == Format::Text => {
                    writeln!(out, "skipped {}: {}: {reason}", file.display(), entry.name)?;
                }
                _ => {}
            }
            totals.count(file, &entry.name, reply);
        }
    }
    Ok(totals)
}

fn report(args: &Args, totals: &Totals, out: &mut dyn Write) -> anyhow::Result<Status> {
    let Totals { passed, failures, skips } = totals;
    let skipped = totals.skipped();
    match args.format {
        Format::Json => {
            let engine = args.engine.to_possible_value().map(|value| value.get_name().to_owned());
            let whole = json!({
                "engine": engine, "passed": passed, "failed": failures.len(), "skipped": skipped,
                "failures": failures, "skips": skips,
            });
            crate::json(out, &whole)?;
        }
        Format::Text => {
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            for failure in failures {
                *kinds.entry(&failure.kind).or_default() += 1;
            }
            let mut skips: Vec<(&String, &usize)> = skips.iter().collect();
            skips.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), (*reason).clone()));
            for (kind, count) in kinds {
                writeln!(out, "{count:6} failed: {kind}")?;
            }
            for (reason, count) in skips {
                writeln!(out, "{count:6} skipped: {reason}")?;
            }
            writeln!(out, "{passed} passed, {} failed, {skipped} skipped", failures.len())?;
        }
    }
    Ok(Status::of(failures.is_empty()))
}

fn try_on_interpreter(world: &mut World, entry: &Entry) -> Reply {
    match &entry.case {
        Ok(case) => Runner::new(world).run(case).into(),
        Err(skip) => Reply::Skipped { reason: skip.to_string() },
    }
}

fn try_on_verifier(world: &mut World, entry: &Entry, dialect: Option<Dialect>) -> Reply {
    let stated = || entry.dialect.and_then(Dialect::from_name);
    let dialect = dialect.or_else(stated).unwrap_or_default();
    let mut verifier = Verifier::default();
    let mut verify = |program: &Arc<Program>| judge::judge(&mut verifier, program, dialect);
    match &entry.case {
        Ok(case) => Runner::new(world).verify(&mut verify).without_interpreter().run(case).into(),
        Err(skip) => Reply::Skipped { reason: skip.to_string() },
    }
}

/// How long a worker may take for a case.
const PATIENCE: Duration = Duration::from_secs(10);

/// The replies of worker processes, begun anew behind each case that one was lost with.
fn isolated(file: &Path, entries: &[Entry]) -> anyhow::Result<Vec<Reply>> {
    let mut replies: Vec<Reply> = Vec::with_capacity(entries.len());
    while replies.len() < entries.len() {
        if let Err(skip) = &entries[replies.len()].case {
            replies.push(Reply::Skipped { reason: skip.to_string() });
            continue;
        }
        let mut worker = Worker::start(file, replies.len())?;
        let lost = loop {
            match worker.lines.recv_timeout(PATIENCE) {
                Ok(line) => replies.push(serde_json::from_str(&line).context("a worker of the suite")?),
                Err(mpsc::RecvTimeoutError::Timeout) => break Some("it hung".to_owned()),
                Err(mpsc::RecvTimeoutError::Disconnected) => break worker.end()?,
            }
            if replies.len() == entries.len() {
                break None;
            }
        };
        if let Some(what) = lost {
            replies.push(CaseResult::Failed(Box::new(Failure::Lost { engine: "jit", what })).into());
        }
    }
    Ok(replies)
}

/// A worker process and the lines that it says.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(file: &Path, start: usize) -> anyhow::Result<Worker> {
        let executable = std::env::current_exe().context("this executable")?;
        let mut child = Command::new(executable)
            .arg("suite-worker")
            .arg(file)
            .arg(start.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("a worker of the suite")?;
        let stdout = child.stdout.take().context("a worker of the suite")?;
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.take_while(|line| say.send(line.clone()).is_ok()).for_each(drop);
        });
        Ok(Worker { child, lines })
    }

    /// What became of a worker that says no more.
    fn end(&mut self) -> anyhow::Result<Option<String>> {
        let status = self.child.wait().context("a worker of the suite")?;
        Ok(Some(format!("its process ended: {status}")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the verifier already says of a case: what the model lacks; or that a program is refused that has to fail.
fn foreseen(case: &Case) -> Option<CaseResult> {
    let program = Arc::new(case.program().ok()?);
    let must_fail = || case.runs.iter().all(|run| matches!(run.expect.result, Some(Ending::Trap(_))));
    match judge::judge(&mut Verifier::default(), &program, Dialect::default()) {
        Judgement::Unsupported(skip) => Some(CaseResult::Skipped(skip)),
        Judgement::Rejected { .. } if case.verdict == Verdict::Any && !case.runs.is_empty() && must_fail() => {
            Some(CaseResult::Passed(Vec::new()))
        }
        _ => None,
    }
}

/// The whole of a worker process: one line per case.
pub fn work(args: &WorkerArgs, out: &mut dyn Write) -> anyhow::Result<Status> {
    let mut jit = judge::jit()?;
    let mut world = World::new(Memory::native().context("guest memory")?);
    for entry in suite::read(&args.file)?.iter().skip(args.start) {
        let reply = match &entry.case {
            Err(skip) => Reply::Skipped { reason: skip.to_string() },
            Ok(case) => {
                if let Some(result) = foreseen(case) {
                    result.into()
                } else {
                    let runner = Runner::new(&mut world).without_interpreter().engine(&mut jit);
                    // SAFETY: this process exists to be lost; whoever started it notes that and goes on with the next.
                    unsafe { runner.trusting() }.run(case).into()
                }
            }
        };
        serde_json::to_writer(&mut *out, &reply)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(Status::Fine)
}
