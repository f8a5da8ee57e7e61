//! `touchstone repro`: findings, replayed as they were found.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use corpus::runner::{CaseResult, Runner};
use corpus::{Case, FindingNote};
use fuzz::finding::Objection;
use fuzz::target::Target;
use fuzz::worker::Remote;
use semantics::memory::Memory;
use semantics::world::World;
use serde_json::{Value, json};

use crate::{Format, Status};

/// What `--format json` prints.
const JSON: &str = "JSON: [{file, case, run, objection: {oracle, engines, difference, text} | null, rejected: text | null, \
    same}], where same says whether the objection is the one that the case notes.";

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
    judged: Result<Option<Objection>, String>,
    /// Whether the objection is the one that the case notes.
    same: bool,
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
    Ok(Status::of(all.iter().all(|replayed| !matches!(replayed.judged, Ok(Some(_))))))
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
        let (file, judged) = (file.to_owned(), Err(malformed.to_string()));
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
    let setup = crate::fuzz::setup(target, plant).with_context(place)?;
    let mut remote = Remote::new(crate::fuzz::launcher()?, setup);
    for (run, test) in fuzz::case::tests(case).with_context(place)?.iter().enumerate() {
        let judged = remote.check(test).with_context(place)?;
        let same = matches!((&judged, noted), (Ok(Some(objection)), Some(note)) if is_same(objection, note));
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
        Ok(Some(objection)) if *same => format!("reproduced: {objection}"),
        Ok(Some(objection)) => format!("another finding than the one noted: {objection}"),
        Ok(None) => "not reproduced: nobody objects".to_owned(),
        Err(reason) => format!("not reproduced: the verifier rejects it: {reason}"),
    };
    Ok(writeln!(out, "{}: {case}, input {run}: {what}", file.display())?)
}

fn to_json(replayed: &Replayed) -> Value {
    let Replayed { file, case, run, judged, same } = replayed;
    let objection = judged.as_ref().ok().and_then(Option::as_ref).map(|objection| {
        json!({
            "oracle": objection.oracle.name(), "engines": objection.engines,
            "difference": objection.kind, "text": objection.text,
        })
    });
    json!({
        "file": file, "case": case, "run": run, "objection": objection,
        "rejected": judged.as_ref().err(), "same": same,
    })
}
