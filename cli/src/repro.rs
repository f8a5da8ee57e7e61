//! `touchstone repro`: findings, replayed as they were found.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use corpus::runner::{CaseResult, Runner};
use corpus::{Case, FindingNote};
use fuzz::finding::Objection;
use fuzz::target::Target;
use fuzz::worker::{Remote, Setup};
use semantics::engine::EngineId;
use semantics::memory::Memory;
use semantics::world::World;
use serde_json::{Value, json};

use crate::{Format, Status, engines};

/// What `--format json` prints.
const JSON: &str = "JSON: [{file, case, run, objection: {oracle, engines, difference, text} | null, rejected: text | null, \
    skipped: text | null, same}], where same says whether the objection is the one that the case notes.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// Case files with findings
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Replay without the mistake that was planted when it was found
    #[arg(long)]
    without_plant: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One test of a case, judged again.
struct Replayed {
    file: PathBuf,
    case: String,
    run: usize,
    judged: Judged,
    /// Whether the objection is the one that the case notes.
    same: bool,
}

/// What came of it.
enum Judged {
    /// Nobody objects.
    Fine,
    Objection(Objection),
    /// It is no program that can be run.
    Rejected(String),
    /// The kernel that it is about is not there.
    Skipped(String),
}

/// The kernels' engines that a finding is about.
fn kernels(note: &FindingNote) -> Vec<EngineId> {
    let named = note.engines.iter().filter_map(|name| name.parse().ok());
    named.filter(|engine| matches!(engine, EngineId::Linux(..))).collect()
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let mut all = Vec::new();
    for file in &args.files {
        for case in corpus::read::read(file)? {
            replay(args, file, &case, &mut all)?;
        }
    }
    match args.format {
        Format::Text => all.iter().try_for_each(|replayed| text(replayed, out))?,
        Format::Json => crate::json(out, &all.iter().map(to_json).collect())?,
    }
    Ok(Status::of(all.iter().all(|replayed| !matches!(replayed.judged, Judged::Objection(_)))))
}

fn replay(args: &Args, file: &Path, case: &Case, all: &mut Vec<Replayed>) -> anyhow::Result<()> {
    let place = || format!("{}: case `{}`", file.display(), case.name);
    if let Err(malformed) = case.program()
        && malformed.is_rejection()
    {
        // There is nothing to run: what the case says of its refusal holds, or it still fails.
        let mut world = World::new(Memory::detached()?);
        if let CaseResult::Failed(failure) = Runner::new(&mut world).run(case) {
            bail!("{}: {failure}", place());
        }
        let (file, judged) = (file.to_owned(), Judged::Rejected(malformed.to_string()));
        all.push(Replayed { file, case: case.name.clone(), run: 0, judged, same: false });
        return Ok(());
    }
    let noted = case.finding.as_ref();
    let plant = noted.and_then(|note| note.plant.clone()).filter(|_| !args.without_plant);
    let name = noted.and_then(|note| note.target.as_deref());
    let target = match name {
        Some(name) => Target::by_name(name).with_context(|| format!("{}: there is no target `{name}`", place()))?,
        None => Target::default(),
    };
    let kernels = noted.map(kernels).unwrap_or_default();
    if let Err(why) = engines::are_there(&kernels) {
        let (file, judged) = (file.to_owned(), Judged::Skipped(why.to_string()));
        all.push(Replayed { file, case: case.name.clone(), run: 0, judged, same: false });
        return Ok(());
    }
    let linux: Vec<String> = kernels.iter().map(ToString::to_string).collect();
    let launcher = crate::fuzz::launcher(!linux.is_empty())?;
    let setup = Setup { linux, ..crate::fuzz::setup(target, plant).with_context(place)? };
    let mut remote = Remote::new(launcher, setup);
    for (run, test) in fuzz::case::tests(case).with_context(place)?.iter().enumerate() {
        let judged = match remote.check(test).with_context(place)? {
            Ok(Some(objection)) => Judged::Objection(objection),
            Ok(None) => Judged::Fine,
            Err(reason) => Judged::Rejected(reason),
        };
        let same = matches!((&judged, noted), (Judged::Objection(objection), Some(note)) if is_same(objection, note));
        all.push(Replayed { file: file.to_owned(), case: case.name.clone(), run, judged, same });
    }
    Ok(())
}

fn is_same(objection: &Objection, note: &FindingNote) -> bool {
    objection.oracle.name() == note.oracle && objection.engines == note.engines && objection.kind == note.difference
}

fn text(replayed: &Replayed, out: &mut dyn Write) -> anyhow::Result<()> {
    let Replayed { file, case, run, judged, same } = replayed;
    let what = match judged {
        Judged::Objection(objection) if *same => format!("reproduced: {objection}"),
        Judged::Objection(objection) => format!("another finding than the one noted: {objection}"),
        Judged::Fine => "not reproduced: nobody objects".to_owned(),
        Judged::Rejected(reason) => format!("not reproduced: the verifier rejects it: {reason}"),
        Judged::Skipped(reason) => format!("skipped: {reason}"),
    };
    Ok(writeln!(out, "{}: {case}, input {run}: {what}", file.display())?)
}

fn to_json(replayed: &Replayed) -> Value {
    let Replayed { file, case, run, judged, same } = replayed;
    let (mut objection, mut rejected, mut skipped) = (None, None, None);
    match judged {
        Judged::Fine => {}
        Judged::Objection(found) => {
            objection = Some(json!({
                "oracle": found.oracle.name(), "engines": found.engines, "difference": found.kind, "text": found.text,
            }));
        }
        Judged::Rejected(reason) => rejected = Some(reason),
        Judged::Skipped(reason) => skipped = Some(reason),
    }
    json!({
        "file": file, "case": case, "run": run, "objection": objection,
        "rejected": rejected, "skipped": skipped, "same": same,
    })
}
