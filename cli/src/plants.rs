//! `touchstone plants`: every planted mistake, and which check catches it.
//!
//! A mistake that proofs are about must be refuted by the obligation that names it; any other must be found by the fuzzer:
//! one that all engines of ours share, with a kernel's engine beside them.

use std::io::Write;
use std::time::Duration;

use fuzz::campaign;
use fuzz::plant::Site;
use fuzz::target::Target;
use fuzz::worker::Setup;
use semantics::engine::EngineId;
use serde_json::{Value, json};

use crate::{Format, Status};

/// What `--format json` prints.
const JSON: &str = "JSON: {plants: [{name, story, proof: {obligation, caught, seconds, text}?, fuzzer: {target, caught, seconds, \
    tests, insns}?}], missed: [name], no_kernel: [name]}.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// Only mistakes whose names hold this text
    name: Option<String>,
    /// Search for all of them with the fuzzer, also where a proof refutes them
    #[arg(long)]
    fuzz: bool,
    /// Seconds that the fuzzer has for each
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A mistake, and where it can be planted.
struct Plant {
    /// `floor::mistake`.
    name: String,
    story: &'static str,
    /// Its name among the proofs, and the obligation that it must fail.
    #[cfg_attr(not(feature = "proofs"), allow(dead_code))]
    proof: Option<(&'static str, &'static str)>,
    /// What the fuzzer makes to find it.
    target: Option<Target>,
    /// Only a kernel objects to it.
    needs_kernel: bool,
}

/// What a proof said.
struct Refutation {
    obligation: &'static str,
    caught: bool,
    seconds: f64,
    text: String,
}

/// What the fuzzer came to.
struct Search {
    target: Target,
    caught: bool,
    seconds: f64,
    tests: u64,
    /// Slots of the smallest program that shows it.
    insns: usize,
}

/// What became of a mistake.
struct Result {
    plant: Plant,
    proof: Option<Refutation>,
    fuzzer: Option<Search>,
    /// Only a kernel objects to it, and there is none.
    no_kernel: bool,
}

impl Result {
    fn is_missed(&self) -> bool {
        !self.no_kernel && !self.is_caught()
    }
    fn is_caught(&self) -> bool {
        let proof = self.proof.as_ref().map(|proof| proof.caught);
        let fuzzer = self.fuzzer.as_ref().map(|fuzzer| fuzzer.caught);
        // Where both looked, the proof has the word: what a mistake breaks may need more luck to be seen.
        proof.or(fuzzer).unwrap_or(false)
    }
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let is_asked = |plant: &Plant| args.name.as_ref().is_none_or(|name| plant.name.contains(name.as_str()));
    let plants: Vec<Plant> = all().into_iter().filter(is_asked).collect();
    if plants.is_empty() {
        anyhow::bail!("no planted mistake is called {:?}", args.name.as_deref().unwrap_or_default());
    }
    let refutations = refute_all(&plants)?;
    // The newest: of the errors of old ones, which are `int`, nothing is compared.
    let kernel = linux::engine::engines(&linux::kernel::folder()).into_iter().next_back();
    let mut results = Vec::with_capacity(plants.len());
    for (plant, proof) in plants.into_iter().zip(refutations) {
        let no_kernel = plant.needs_kernel && kernel.is_none();
        let wanted = !no_kernel && (args.fuzz || proof.is_none());
        let target = plant.target.filter(|_| wanted);
        let asked = kernel.filter(|_| plant.needs_kernel);
        let fuzzer = target.map(|target| search(&plant.name, target, args.seconds, asked)).transpose()?;
        let result = Result { plant, proof, fuzzer, no_kernel };
        if args.format == Format::Text {
            text(&result, out)?;
            out.flush()?;
        }
        results.push(result);
    }
    let missed = results.iter().filter(|result| result.is_missed()).count();
    match args.format {
        Format::Text => {
            let refuted =
                results.iter().filter_map(|result| result.proof.as_ref()).filter(|proof| proof.caught).count();
            let found =
                results.iter().filter_map(|result| result.fuzzer.as_ref()).filter(|fuzzer| fuzzer.caught).count();
            let (count, seconds) = (results.len(), args.seconds);
            let searched = results.iter().filter(|result| result.fuzzer.is_some()).count();
            writeln!(
                out,
                "{count} planted mistakes: {refuted} refuted by a proof, {found} of {searched} found by the fuzzer within \
                 {seconds} s, {missed} missed"
            )?;
        }
        Format::Json => crate::json(out, &to_json(&results))?,
    }
    Ok(Status::of(missed == 0))
}

/// All mistakes of all floors.
fn all() -> Vec<Plant> {
    let fuzzed = fuzz::plant::all().into_iter().map(|plant| {
        let target = plant.target();
        let needs_kernel = matches!(plant.site, Site::Shared(_));
        Plant { name: plant.name, story: plant.story, proof: None, target: Some(target), needs_kernel }
    });
    let mut plants: Vec<Plant> = fuzzed.collect();
    add_proofs(&mut plants);
    plants
}

#[cfg(feature = "proofs")]
fn add_proofs(plants: &mut Vec<Plant>) {
    use proofs::obligation::Floor;

    for planted in proofs::plant::all() {
        let name = match planted.floor {
            Floor::Verifier => format!("verifier::{}", planted.name),
            Floor::Jit => format!("jit::{}", planted.name),
            Floor::Semantics => planted.name.to_owned(),
        };
        let proof = planted.refuted_by.map(|obligation| (planted.name, obligation));
        match plants.iter_mut().find(|plant| plant.name == name) {
            Some(plant) => plant.proof = proof,
            None => plants.push(Plant { name, story: planted.story, proof, target: None, needs_kernel: false }),
        }
    }
}

#[cfg(not(feature = "proofs"))]
fn add_proofs(_: &mut Vec<Plant>) {}

/// Proves, or rather refutes, what each plant breaks.
#[cfg(feature = "proofs")]
fn refute_all(plants: &[Plant]) -> anyhow::Result<Vec<Option<Refutation>>> {
    use proofs::runner::{self, Options};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let stop = crate::fuzz::interrupted()?;
    let refute = |(plant, obligation): (&'static str, &'static str)| -> anyhow::Result<Refutation> {
        let (only, plant, stop) = (Some(obligation.to_owned()), Some(plant.to_owned()), stop.clone());
        let options = Options { only, plant, stop, ..Options::default() };
        let report = runner::run(&options, |_| {})?;
        let caught = report.is_success();
        let text = report.results.first().map(|result| result.line(options.width)).unwrap_or_default();
        Ok(Refutation { obligation, caught, seconds: report.seconds, text })
    };
    // Each is one obligation: they run beside each other.
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(plant) = plants.get(at) else { break };
                    let refuted = plant.proof.map(refute).transpose();
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, refuted));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, refuted)| refuted).collect()
}

#[cfg(not(feature = "proofs"))]
fn refute_all(plants: &[Plant]) -> anyhow::Result<Vec<Option<Refutation>>> {
    Ok(plants.iter().map(|_| None).collect())
}

/// Lets the fuzzer look for a mistake, on one core; with a kernel, once its guest is there.
fn search(name: &str, target: Target, seconds: u64, kernel: Option<EngineId>) -> anyhow::Result<Search> {
    /// Seconds that a guest may take to boot, which are not the fuzzer's.
    const BOOT: u64 = 60;
    let linux: Vec<String> = kernel.iter().map(ToString::to_string).collect();
    let seconds = if linux.is_empty() || seconds == 0 { seconds } else { seconds + BOOT };
    let options = campaign::Options {
        launcher: crate::fuzz::launcher(!linux.is_empty())?,
        setup: Setup { linux, ..crate::fuzz::setup(target, Some(name.to_owned()))? },
        workers: 1,
        duration: Some(Duration::from_secs(seconds)),
        tests: None,
        findings: Some(1),
        dir: None,
    };
    let report = campaign::run(&options, &*crate::fuzz::interrupted()?, &|_| {})?;
    let insns = report.findings.values().map(|(finding, _)| finding.test.program.insns().len()).min();
    let time = report.first_finding.unwrap_or(report.elapsed).as_secs_f64();
    Ok(Search { target, caught: insns.is_some(), seconds: time, tests: report.stats.tests, insns: insns.unwrap_or(0) })
}

fn text(result: &Result, out: &mut dyn Write) -> anyhow::Result<()> {
    let mark = match result {
        Result { no_kernel: true, .. } => "unasked",
        result if result.is_caught() => "caught",
        _ => "MISSED",
    };
    writeln!(out, "{mark}  {}: {}", result.plant.name, result.plant.story)?;
    if let Some(proof) = &result.proof {
        let word = if proof.caught { "refuted" } else { "not refuted" };
        writeln!(out, "        {word} in {:.2} s: {}", proof.seconds, proof.obligation)?;
        if !proof.caught {
            writeln!(out, "        {}", proof.text)?;
        }
    }
    if result.no_kernel {
        writeln!(out, "        only a kernel objects, and there is none: `make linux` gets some")?;
    }
    if let Some(fuzzer) = &result.fuzzer {
        let Search { target, seconds, tests, insns, .. } = fuzzer;
        let target = target.name();
        if fuzzer.caught {
            writeln!(out, "        found in {seconds:.2} s: fuzzing {target}, a program of {insns} instructions")?;
        } else {
            writeln!(out, "        not found in {seconds:.1} s: fuzzing {target}, {tests} programs")?;
        }
    }
    Ok(())
}

fn to_json(results: &[Result]) -> Value {
    let proof = |proof: &Refutation| {
        let Refutation { obligation, caught, seconds, text } = proof;
        json!({"obligation": obligation, "caught": caught, "seconds": seconds, "text": text})
    };
    let fuzzer = |fuzzer: &Search| {
        let Search { target, caught, seconds, tests, insns } = fuzzer;
        json!({"target": target.name(), "caught": caught, "seconds": seconds, "tests": tests, "insns": insns})
    };
    let plants: Vec<Value> = results
        .iter()
        .map(|result| {
            json!({
                "name": result.plant.name, "story": result.plant.story,
                "proof": result.proof.as_ref().map(proof), "fuzzer": result.fuzzer.as_ref().map(fuzzer),
            })
        })
        .collect();
    let names = |is_meant: fn(&Result) -> bool| -> Vec<&str> {
        results.iter().filter(|result| is_meant(result)).map(|result| result.plant.name.as_str()).collect()
    };
    json!({"plants": plants, "missed": names(Result::is_missed), "no_kernel": names(|result| result.no_kernel)})
}
