//! `touchstone suite`: case files, other projects' suites and directories of objects, on one engine or the verifier.
//!
//! The JIT runs each file in a process of its own, which may be lost: cases about engines are not verified. An object states
//! no expectation: each of its programs loads, is judged by the verifier and compiled, or is refused with the reason.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::ValueEnum;
use corpus::runner::{CaseResult, Judgement, Runner, Skip};
use corpus::suite::{self, Entry};
use semantics::engine::{Engine, EngineId, LinuxMode, LinuxVersion};
use semantics::loader;
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::world::World;
use serde::{Deserialize, Serialize};
use verifier::{Dialect, Verifier};

use crate::{Status, engines, judge};
use report::Totals;
pub use worker::{WorkerArgs, work};

mod contained;
mod linux;
mod model;
mod report;
mod worker;

/// What the formats print and the exit codes mean.
const AFTER: &str = "A directory is searched with all below it. Objects count where no case files lie beside them.\n\
    JSON: {engine, passed, failed, skipped, failures: [{file, case, kind, why}], skips: {reason: count}, notes: {what: count}, \
    errors: [{file, why}]}. JUnit: one test case per case, with its reason where it failed or was skipped.\n\
    Exit codes: 0 nothing failed; 1 a case failed; 2 something could not be read (the rest is run nevertheless).";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Case files (.yaml), `bpf_conformance` files (.data), objects (.o), or directories with them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What the cases are tried on: interpreter, jit, verifier, or a kernel such as linux-6.1-jit, whose verdict and log are then
    /// those that count
    #[arg(long, value_name = "ENGINE", default_value = "interpreter", value_parser = which)]
    engine: Which,
    #[command(flatten)]
    codegen: judge::Codegen,
    /// The version of Linux whose rules hold; by default the one whose verdicts a suite states, else 6.8
    #[arg(long, value_parser = judge::dialect)]
    dialect: Option<Dialect>,
    /// Print each case that was skipped
    #[arg(long)]
    verbose: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = SuiteFormat::Text)]
    format: SuiteFormat,
}

/// How a suite's results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SuiteFormat {
    Text,
    Json,
    Junit,
}

/// What cases are tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Interpreter,
    Jit,
    Verifier,
    Linux(LinuxVersion, LinuxMode),
}

/// What is called so on the command line.
fn which(name: &str) -> Result<Which, String> {
    let own = [Which::Interpreter, Which::Jit, Which::Verifier];
    if let Some(which) = own.into_iter().find(|which| which.name() == name) {
        return Ok(which);
    }
    match name.parse() {
        Ok(EngineId::Linux(version, mode)) => Ok(Which::Linux(version, mode)),
        _ => Err(format!(
            "there is no engine {name}; there are: {}",
            engines::there(&own.map(Which::name).each_ref().map(String::as_str))
        )),
    }
}

impl Which {
    /// Its name on the command line.
    fn name(self) -> String {
        match self {
            Which::Interpreter => "interpreter".to_owned(),
            Which::Jit => "jit".to_owned(),
            Which::Verifier => "verifier".to_owned(),
            Which::Linux(version, mode) => EngineId::Linux(version, mode).to_string(),
        }
    }
}

/// What became of a case, as a worker says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    /// With what is worth counting beside that.
    Passed {
        note: Option<String>,
    },
    Failed {
        kind: String,
        why: String,
    },
    Skipped {
        reason: String,
    },
}

impl Reply {
    fn skipped(reason: &impl ToString) -> Reply {
        Reply::Skipped { reason: reason.to_string() }
    }
    fn passed(note: &str) -> Reply {
        Reply::Passed { note: Some(note.to_owned()) }
    }
}

impl From<CaseResult> for Reply {
    fn from(result: CaseResult) -> Reply {
        match result {
            CaseResult::Passed(_) => Reply::Passed { note: None },
            CaseResult::Failed(failure) => Reply::Failed { kind: failure.kind().to_owned(), why: failure.to_string() },
            CaseResult::Skipped(skip) => Reply::skipped(&skip),
        }
    }
}

/// The bundled corpus on one engine: passed, failed and skipped cases; what failed and why others were skipped, a line each.
pub fn tally(corpus: &Path, engine: Which, out: &mut dyn Write) -> anyhow::Result<[usize; 3]> {
    let paths = vec![corpus.to_owned()];
    let codegen = judge::Codegen::default();
    let args = Args { paths, engine, codegen, dialect: None, verbose: false, format: SuiteFormat::Text };
    let totals = judge_all(&args, out)?;
    if let Some((file, why)) = totals.errors.first() {
        bail!("{}: {why}", file.display());
    }
    totals.reasons(&format!("on the {}: ", engine.name()), 5, out)?;
    Ok([totals.passed(), totals.failed(), totals.skipped()])
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    if args.codegen.is_asked_for() && args.engine != Which::Jit {
        bail!("--blind and --no-bmi2 are for --engine jit");
    }
    let totals = judge_all(args, out)?;
    totals.report(args, out)?;
    if totals.errors.is_empty() {
        return Ok(Status::of(totals.failed() == 0));
    }
    bail!("{} of the inputs cannot be read, the first: {}", totals.errors.len(), totals.errors[0].1);
}

/// Tries all cases. Text goes out as they come.
fn judge_all(args: &Args, out: &mut dyn Write) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    let mut files = Vec::new();
    for path in &args.paths {
        match suite::files(path) {
            Ok(found) if found.is_empty() => totals.wrong(path, "no case files (.yaml, .data) or objects (.o) there"),
            Ok(found) => files.extend(found),
            Err(error) => totals.wrong(path, &error.to_string()),
        }
    }
    let linux = match args.engine {
        Which::Linux(version, mode) => Some(linux::Bench::new(version, mode)?),
        _ => None,
    };
    let mut bench = Bench { world: World::new(Memory::detached().context("guest memory")?), args, linux };
    for file in &files {
        let replies = match bench.file(file)? {
            Ok(replies) => replies,
            Err(why) => {
                totals.wrong(file, &why);
                continue;
            }
        };
        for (case, reply) in replies {
            if args.format == SuiteFormat::Text {
                match &reply {
                    Reply::Failed { why, .. } => writeln!(out, "FAILED {}: {case}: {why}", file.display())?,
                    Reply::Skipped { reason } if args.verbose => {
                        writeln!(out, "skipped {}: {case}: {reason}", file.display())?;
                    }
                    _ => {}
                }
            }
            totals.cases.push((file.clone(), case, reply));
        }
    }
    Ok(totals)
}

/// Cases with what became of them; or why their file cannot be read.
type Replies = Result<Vec<(String, Reply)>, String>;

/// What is used again from file to file.
struct Bench<'a> {
    world: World,
    args: &'a Args,
    linux: Option<linux::Bench>,
}

impl Bench<'_> {
    fn file(&mut self, file: &Path) -> anyhow::Result<Replies> {
        if file.extension().is_some_and(|extension| extension == "o") {
            return self.object(file);
        }
        let entries = match suite::read(file) {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let replies: Vec<Reply> = match self.args.engine {
            Which::Jit => worker::isolated(file, &entries, self.args.codegen)?,
            Which::Interpreter => entries.iter().map(|entry| self.interpret(entry)).collect(),
            Which::Verifier => entries.iter().map(|entry| self.verify(entry)).collect(),
            Which::Linux(..) => self.linux.as_mut().context("a kernel")?.cases(&entries)?,
        };
        Ok(Ok(entries.into_iter().map(|entry| entry.name).zip(replies).collect()))
    }

    fn interpret(&mut self, entry: &Entry) -> Reply {
        match &entry.case {
            Ok(case) => {
                let reply = Runner::new(&mut self.world).run(case).into();
                contained::case(case, self.dialect(entry), &mut self.world).join(reply)
            }
            Err(skip) => Reply::skipped(skip),
        }
    }

    /// The version whose rules hold for a case.
    fn dialect(&self, entry: &Entry) -> Dialect {
        let stated = || entry.dialect.and_then(Dialect::from_name);
        self.args.dialect.or_else(stated).unwrap_or_default()
    }

    fn verify(&mut self, entry: &Entry) -> Reply {
        let dialect = self.dialect(entry);
        let mut verifier = Verifier::default();
        let mut verify = |program: &Arc<Program>| judge::judge(&mut verifier, program, dialect);
        match &entry.case {
            Ok(case) => {
                let reply = Runner::new(&mut self.world).verify(&mut verify).without_interpreter().run(case).into();
                contained::case(case, dialect, &mut self.world).join(reply)
            }
            Err(skip) => Reply::skipped(skip),
        }
    }

    /// The programs of an object.
    fn object(&mut self, file: &Path) -> anyhow::Result<Replies> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(format!("{}: {error}", file.display()))),
        };
        let refused = |error: &loader::LoadError| Reply::skipped(&format!("refused: {error}"));
        let sections = match loader::sections(&bytes) {
            Ok(sections) if sections.is_empty() => {
                vec![("(no program)".to_owned(), Reply::skipped(&Skip::NothingToRun))]
            }
            Ok(sections) => sections.into_iter().map(|section| (section.program, Reply::passed("loaded"))).collect(),
            Err(error) => vec![("(the object)".to_owned(), refused(&error))],
        };
        let mut replies = Vec::with_capacity(sections.len());
        for (name, reply) in sections {
            let reply = match reply {
                Reply::Passed { .. } => match loader::load(&bytes, Some(&name)) {
                    Ok(program) => self.loaded(&Arc::new(program))?,
                    Err(error) => refused(&error),
                },
                other => other,
            };
            replies.push((name, reply));
        }
        Ok(Ok(replies))
    }

    /// What becomes of a program that states no expectation.
    fn loaded(&mut self, program: &Arc<Program>) -> anyhow::Result<Reply> {
        if let Some(linux) = &mut self.linux {
            return linux.program(program);
        }
        if self.args.engine == Which::Interpreter {
            return Ok(Reply::passed("loaded"));
        }
        let judged = judge::judge(&mut Verifier::default(), program, self.args.dialect.unwrap_or_default());
        Ok(match judged {
            Judgement::Unsupported(skip) => Reply::skipped(&skip),
            Judgement::Rejected { .. } if self.args.engine == Which::Jit => Reply::skipped(&Skip::NotVerified),
            Judgement::Rejected { .. } => Reply::passed("rejected by the verifier"),
            Judgement::Accepted { verified, .. } if self.args.engine == Which::Jit => {
                let loaded = self.args.codegen.jit()?.load(&verified);
                loaded.map_or_else(|lack| Reply::skipped(&lack), |()| Reply::passed("compiled"))
            }
            Judgement::Accepted { .. } => Reply::passed("accepted by the verifier"),
        })
    }
}
