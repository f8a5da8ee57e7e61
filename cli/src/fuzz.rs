//! `touchstone fuzz`: a campaign of worker processes.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use fuzz::calls;
use fuzz::campaign::{self, Options, Report};
use fuzz::plant;
use fuzz::target::{Configuration, Target};
use fuzz::worker::{self, Launcher, Setup};
use semantics::engine::EngineId;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{Format, Status, engines};

/// What `--format json` prints.
const JSON: &str = "JSON: {tests, accepted, rejected, unsupported, executed, objections, kernels: {what: count}, seconds, findings: [{meaning, oracle, \
    engines, difference, text, file}]}.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// Which programs are made: `interpreter_vs_jit` (what the verifier accepts, run inside its states), closed (safe by
    /// construction, over every instruction that the JIT has), or `verifier_prune` (what hangs on its paths, verified with and
    /// without pruning)
    #[arg(long, value_parser = target)]
    target: Option<Target>,
    /// How the JIT lowers: standard, no-bmi2 or blinded; by default standard, of closed programs each way in turn
    #[arg(long, value_parser = configuration)]
    jit: Option<Configuration>,
    /// The same seed gives the same programs, whatever the number of workers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Seconds; without it and without --tests, 60
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// How many tests
    #[arg(long)]
    tests: Option<u64>,
    /// Stop after so many different findings
    #[arg(long)]
    findings: Option<usize>,
    /// Worker processes; by default one per processor
    #[arg(long)]
    workers: Option<usize>,
    /// Instructions of a program, about
    #[arg(long, default_value_t = 20)]
    insns: usize,
    /// Programs that call this helper, or those of this topic, or `all`: sequences of calls that share maps, memory and
    /// packet, unless --target says otherwise
    #[arg(long)]
    helper: Option<String>,
    /// A kernel's engine that tests are put to as well, such as linux-6.1-jit; several are each compared with ours, and so
    /// with each other
    #[arg(long = "engine", value_name = "ENGINE", value_delimiter = ',', value_parser = engines::linux)]
    engines: Vec<EngineId>,
    /// Plant a mistake, which must then be found
    #[arg(long)]
    plant: Option<String>,
    /// List mistakes that can be planted, and do nothing
    #[arg(long)]
    list_plants: bool,
    /// Where findings are written as cases
    #[arg(long, value_name = "DIR", default_value = "findings")]
    out: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    /// The setup, as JSON
    setup: String,
}

/// How worker processes are started: this executable again.
pub fn launcher(with_kernels: bool) -> anyhow::Result<Launcher> {
    Ok(Launcher {
        program: std::env::current_exe().context("this executable")?,
        arguments: vec!["fuzz-worker".to_owned()],
        // A guest boots, and each test may take its time there.
        patience: Duration::from_secs(if with_kernels { 180 } else { 20 }),
    })
}

/// What a worker is told.
pub fn setup(target: Target, plant: Option<String>) -> anyhow::Result<Setup> {
    if let Some(name) = &plant
        && plant::by_name(name).is_none()
    {
        bail!("there is no planted mistake `{name}`; see `touchstone fuzz --list-plants`");
    }
    Ok(Setup { plant, ..Setup::new(target) })
}

fn target(name: &str) -> Result<Target, String> {
    Target::by_name(name).ok_or_else(|| format!("targets are {}", Target::ALL.map(Target::name).join(", ")))
}

fn configuration(name: &str) -> Result<Configuration, String> {
    let all = Configuration::ALL.map(Configuration::name);
    Configuration::by_name(name).ok_or_else(|| format!("configurations are {}", all.join(", ")))
}

/// The numbers of the modelled helpers that a name, a topic or `all` stands for.
pub fn helpers(word: &str) -> anyhow::Result<Vec<u32>> {
    let named = calls::named(word);
    if named.is_empty() {
        bail!("no modelled helper and no topic is called `{word}`");
    }
    Ok(named.into_iter().map(|helper| helper.id).collect())
}

/// Set by Ctrl-C and SIGTERM: what was found so far is still reported. A second Ctrl-C ends the process at once.
pub fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// A campaign of the workers of this machine, with a progress line where somebody looks on.
pub fn campaign(options: &Options) -> anyhow::Result<Report> {
    let terminal = std::io::stderr().is_terminal();
    let report = campaign::run(options, &*interrupted()?, &|report| {
        if terminal {
            let _ = write!(std::io::stderr(), "\r{}", line(report));
        }
    })?;
    if terminal {
        let _ = writeln!(std::io::stderr());
    }
    Ok(report)
}

/// One worker per processor.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    if args.list_plants {
        for plant in plant::all() {
            writeln!(out, "{}: {}", plant.name, plant.story)?;
        }
        return Ok(Status::Fine);
    }
    let helpers = args.helper.as_deref().map(helpers).transpose()?.unwrap_or_default();
    let target = args.target.unwrap_or(if helpers.is_empty() { Target::InterpreterVsJit } else { Target::Helper });
    engines::are_there(&args.engines)?;
    let endless = args.duration.is_none() && args.tests.is_none();
    let options = Options {
        setup: Setup {
            seed: args.seed,
            insns: args.insns,
            helpers,
            jit: args.jit.or(target.configuration()),
            linux: args.engines.iter().map(ToString::to_string).collect(),
            ..setup(target, args.plant.clone())?
        },
        workers: args.workers.unwrap_or_else(workers),
        duration: args.duration.or(endless.then_some(60)).map(Duration::from_secs),
        tests: args.tests,
        findings: args.findings,
        dir: Some(args.out.clone()),
        launcher: launcher(!args.engines.is_empty())?,
    };
    let report = campaign(&options)?;
    match args.format {
        Format::Text => {
            text(&report, out)?;
            if target == Target::Helper {
                crate::helpers::coverage::text(&report, &options.setup.helpers, out)?;
            }
        }
        Format::Json => crate::json(out, &to_json(&report))?,
    }
    Ok(Status::of(report.findings.is_empty()))
}

/// The progress line.
#[allow(clippy::cast_precision_loss)] // a rate for people
fn line(report: &Report) -> String {
    let seconds = report.elapsed.as_secs_f64();
    let stats = &report.stats;
    format!(
        "{seconds:.0} s: {} tests ({:.0}/s), {} accepted, {} rejected, {} not modelled, {} findings",
        stats.tests,
        stats.tests as f64 / seconds.max(0.001),
        stats.accepted,
        stats.rejected,
        stats.unsupported,
        report.findings.len()
    )
}

pub fn text(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    for (meaning, (finding, written)) in &report.findings {
        writeln!(out, "{meaning}\n    {}", finding.objection)?;
        for line in semantics::disasm::disassemble(finding.test.program.insns()).lines() {
            writeln!(out, "    {line}")?;
        }
        match written {
            Some(Ok(path)) => writeln!(out, "    replay: touchstone repro {}", path.display())?,
            Some(Err(error)) => writeln!(out, "    not written: {error}")?,
            None => {}
        }
    }
    for (what, count) in &report.stats.outside {
        writeln!(out, "{count:8} {what}")?;
    }
    Ok(writeln!(out, "{}", line(report))?)
}

fn to_json(report: &Report) -> Value {
    let mut findings = Vec::new();
    for (meaning, (finding, written)) in &report.findings {
        let objection = &finding.objection;
        let file = written.as_ref().and_then(|written| written.as_ref().ok());
        findings.push(json!({
            "meaning": meaning, "oracle": objection.oracle.name(), "engines": objection.engines,
            "difference": objection.kind, "text": objection.text, "file": file,
        }));
    }
    let stats = &report.stats;
    json!({
        "tests": stats.tests, "accepted": stats.accepted, "rejected": stats.rejected,
        "unsupported": stats.unsupported, "executed": stats.executed, "objections": report.objections,
        "kernels": stats.outside,
        "seconds": report.elapsed.as_secs_f64(), "findings": findings,
    })
}

/// The whole of a worker process.
pub fn work(args: &WorkerArgs) -> anyhow::Result<Status> {
    // Ctrl-C reaches the whole process group; the campaign decides when its workers end.
    signal_hook::flag::register(SIGINT, Arc::default())?;
    worker::serve(serde_json::from_str(&args.setup).context("the setup")?)?;
    Ok(Status::Fine)
}
