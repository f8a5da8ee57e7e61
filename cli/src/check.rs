//! `touchstone check`: the main job in short, each part in one row of a table.

use std::io::Write;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::linux::{Kernel, kernel};
use anyhow::Context;
use comfy_table::Table;
use fuzz::against::Bench;
use fuzz::against::subject::{Examined, Make, Maker};
use fuzz::against::tally::Tally;
use fuzz::campaign;
use fuzz::target::Target;
use verifier::Verifier;

use crate::Status;
use crate::suite::{self, Which};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Case files to run on every engine
    #[arg(long, value_name = "DIR", default_value = "corpus")]
    corpus: PathBuf,
    /// Seconds of fuzzing, half of them with programs that the verifier accepts, half with closed ones
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    fuzz: u64,
    /// Prove only one part of so many equal ones; 1 proves all
    #[arg(long, value_name = "N", default_value_t = 1)]
    parts: usize,
    /// Where findings are written as cases
    #[arg(long, value_name = "DIR", default_value = "findings")]
    out: PathBuf,
}

/// A row of the table.
struct Row {
    part: &'static str,
    fine: bool,
    result: String,
    seconds: f64,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let mut rows = Vec::new();
    let mut add = |part, job: &mut dyn FnMut() -> anyhow::Result<(bool, String)>| -> anyhow::Result<()> {
        let _ = writeln!(std::io::stderr(), "{part} ...");
        let start = Instant::now();
        let (fine, result) = job()?;
        rows.push(Row { part, fine, result, seconds: start.elapsed().as_secs_f64() });
        Ok(())
    };
    add("proofs", &mut || prove(args.parts, out))?;
    let engines = [
        ("corpus, verifier", Which::Verifier),
        ("corpus, interpreter", Which::Interpreter),
        ("corpus, JIT", Which::Jit),
    ];
    for (part, engine) in engines {
        add(part, &mut || {
            let [passed, failed, skipped] = suite::tally(&args.corpus, engine, out)?;
            // A run of no case is no success.
            Ok((failed == 0 && passed > 0, format!("{passed} passed, {failed} failed, {skipped} skipped")))
        })?;
    }
    for (part, target) in [("fuzzing", Target::InterpreterVsJit), ("fuzzing, closed programs", Target::Closed)] {
        add(part, &mut || fuzz(args, target, out))?;
    }
    add("kernels", &mut || kernels(out))?;
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(["part", "", "result", "seconds"]);
    for row in &rows {
        let mark = if row.fine { "ok" } else { "FAILED" };
        table.add_row([row.part, mark, &row.result, &format!("{:.1}", row.seconds)]);
    }
    writeln!(out, "{table}")?;
    Ok(Status::of(rows.iter().all(|row| row.fine)))
}

#[cfg(feature = "proofs")]
fn prove(parts: usize, out: &mut dyn Write) -> anyhow::Result<(bool, String)> {
    use proofs::runner::{self, Options};
    let options =
        Options { shard: (parts > 1).then_some((0, parts)), stop: crate::fuzz::interrupted()?, ..Options::default() };
    let report = runner::run(&options, |_| {})?;
    for finished in report.results.iter().filter(|finished| finished.outcome.word() != "proven") {
        writeln!(out, "{}", finished.line(options.width))?;
    }
    let (proven, refuted, unknown) = report.counts();
    let all = runner::select(&Options::default())?.len();
    let text = format!("{proven} proven, {refuted} refuted, {unknown} unknown (of {all} obligations)");
    Ok((report.is_success(), text))
}

#[cfg(not(feature = "proofs"))]
fn prove(_: usize, _: &mut dyn Write) -> anyhow::Result<(bool, String)> {
    Ok((true, "skipped: built without libz3".to_owned()))
}

/// Generated programs of each kind that kernels are asked about.
const ASKED: u64 = 48;

/// Verdicts of each kernel that there is, and runs on both of its engines, beside ours.
fn kernels(out: &mut dyn Write) -> anyhow::Result<(bool, String)> {
    let kernels = Kernel::all(&kernel::folder());
    if kernels.is_empty() {
        return Ok((true, "skipped: there are none; `make linux` gets them".to_owned()));
    }
    let mut subjects = Examined::Helpers.subjects()?;
    for make in Make::ALL {
        let maker = Maker::new(make, 0);
        subjects.extend((0..ASKED).map(|number| maker.subject(number)));
    }
    let compare = |kernel: &Kernel| -> anyhow::Result<Tally> {
        let mut bench = Bench::new(Verifier::default(), kernel, 1)?;
        bench.compare(&subjects, &mut |_| {}).with_context(|| format!("linux-{}", kernel.version))?;
        Ok(bench.tally)
    };
    // Most of the time guests boot.
    let tallies: Vec<anyhow::Result<Tally>> = std::thread::scope(|scope| {
        let threads: Vec<_> = kernels.iter().map(|kernel| scope.spawn(|| compare(kernel))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let (mut versions, mut runs, mut wrong) = (Vec::new(), 0, 0);
    for (tally, kernel) in tallies.into_iter().zip(&kernels) {
        let tally = tally?;
        versions.push(kernel.version.as_str());
        runs += tally.runs.iter().filter(|(what, _)| what.contains("compared")).map(|(_, count)| count).sum::<u64>();
        wrong += tally.unexplained();
        for (cause, group) in
            tally.groups.iter().filter(|(cause, group)| cause.relation.is_disagreement() && group.explained.is_none())
        {
            writeln!(
                out,
                "linux-{}: {}: {} / {} ({})",
                kernel.version,
                cause.relation.words(),
                cause.ours,
                cause.theirs,
                group.count
            )?;
        }
    }
    let text = format!(
        "{}: {} programs each, {runs} runs on their JITs and interpreters, {wrong} disagreements",
        versions.join(", "),
        subjects.len()
    );
    Ok((wrong == 0 && runs > 0, text))
}

fn fuzz(args: &Args, target: Target, out: &mut dyn Write) -> anyhow::Result<(bool, String)> {
    let options = campaign::Options {
        setup: crate::fuzz::setup(target, None)?,
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        duration: Some(Duration::from_millis(args.fuzz * 500)),
        tests: None,
        findings: None,
        dir: Some(args.out.clone()),
        launcher: crate::fuzz::launcher(false)?,
    };
    let report = campaign::run(&options, &*crate::fuzz::interrupted()?, &|_| {})?;
    for (meaning, (finding, _)) in &report.findings {
        writeln!(out, "{meaning}\n    {}", finding.objection)?;
    }
    let stats = &report.stats;
    let text = format!("{} programs on both engines, {} findings", stats.tests, report.findings.len());
    Ok((report.findings.is_empty() && stats.accepted > 0, text))
}
