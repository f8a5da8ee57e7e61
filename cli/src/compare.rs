//! `touchstone compare`: our verdicts and those of real kernels, and where they differ, by cause.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use fuzz::against::Bench;
use fuzz::against::relation::{Cause, Relation};
use fuzz::against::subject::{self, Examined, Make, Maker, Origin, Subject};
use fuzz::against::tally::{Comparison, Group, Tally};
use linux::{Kernel, Pool, kernel};
use serde_json::{Value, json};
use verifier::Verifier;

use crate::{Format, Status};

/// What the formats print and the exit codes mean.
const AFTER: &str = "A directory is searched with all below it, as by `suite`. Each program is compared under the dialect of the \
    kernel's version. Differences that the verifier's own list explains are counted apart.\n\
    JSON: [{kernel, dialect, programs, both_accept, both_reject, disagreements, explained, unsupported, impossible, runs: {what: count}, insns: {ours, \
    theirs, same, more, fewer}, guests, seconds, groups: [{relation, ours, theirs, count, explained?, examples: [{name, ours, \
    theirs, command}]}]}].\n\
    Exit codes: 0 no disagreement but explained ones; 1 disagreements; 2 bad input, or no kernel.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Case files (.yaml), `bpf_conformance` files (.data), objects (.o), or directories with them
    #[arg(required_unless_present_any = ["generated", "examine"])]
    paths: Vec<PathBuf>,
    /// The kernels, such as linux-6.1,linux-7.2; all that there are if not given
    #[arg(long, value_delimiter = ',', value_name = "KERNEL")]
    against: Vec<String>,
    /// Only the case, or the object's program, of this name
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Programs that show all about an instruction or a helper, or what user space does to maps
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    examine: Vec<Examine>,
    /// So many generated programs of each kind
    #[arg(long, value_name = "N", default_value_t = 0)]
    generated: u64,
    /// Which programs are generated; all kinds if not given
    #[arg(long, value_enum, value_delimiter = ',')]
    target: Vec<Target>,
    /// Seed of generated programs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first generated program
    #[arg(long, default_value_t = 0)]
    number: u64,
    /// Guests of each kernel
    #[arg(long, value_name = "N", default_value_t = Pool::default_guests())]
    guests: usize,
    /// A mistake to plant in our verifier, to see what finds it
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Print each program that is not agreed on
    #[arg(long)]
    verbose: bool,
    /// Write the first example of each disagreement that nothing explains as a case into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Examine {
    /// Every instruction on the operands where its meaning changes
    Forms,
    /// Every helper that is modelled, on the arguments where its result changes
    Helpers,
    /// Which maps are made, and what commands on them come to
    Maps,
}

impl Examine {
    fn examined(self) -> Examined {
        match self {
            Examine::Forms => Examined::Forms,
            Examine::Helpers => Examined::Helpers,
            Examine::Maps => Examined::Maps,
        }
    }
}

/// Which programs are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Well-typed ones, of which our verifier accepts most
    Verified,
    /// The same with a few instructions changed
    Rejected,
    /// Over every instruction that the JIT lowers, safe by construction
    Closed,
}

impl Target {
    fn make(self) -> Make {
        match self {
            Target::Verified => Make::Verified,
            Target::Rejected => Make::Rejected,
            Target::Closed => Make::Closed,
        }
    }
}

/// Programs that are made and asked at once.
const CHUNK: u64 = 4096;

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let kernels = kernels(&args.against)?;
    let files = files(args)?;
    let mut unreadable = 0;
    let mut tallies = Vec::new();
    for kernel in kernels {
        let mut bench = Bench::new(verifier(args.plant.as_deref())?, &kernel, args.guests).context("guest memory")?;
        let mut listener = Listener { args, written: 0, failed: None, out: &mut *out };
        unreadable = each_chunk(args, &files, &mut |subjects| {
            bench.compare(subjects, &mut |comparison| listener.hear(comparison))?;
            progress(&bench.tally);
            Ok(())
        })?;
        if let Some(error) = listener.failed {
            return Err(error);
        }
        if args.examine.contains(&Examine::Maps) {
            bench.examine_maps(args.seed, args.case.as_deref())?;
        }
        if args.format == Format::Text {
            text(args, &bench.tally, out)?;
        }
        tallies.push(bench.tally);
    }
    if args.format == Format::Json {
        crate::json(out, &tallies.iter().map(to_json).collect())?;
    }
    if let Some(dir) = &args.out {
        write_cases(dir, &tallies)?;
    }
    if unreadable > 0 {
        bail!("{unreadable} of {} files could not be read", files.len());
    }
    if tallies.iter().all(|tally| tally.programs == 0) {
        bail!(
            "nothing to compare: {}",
            if args.case.is_some() { "no program has this name" } else { "no programs there" }
        );
    }
    Ok(Status::of(tallies.iter().all(|tally| tally.unexplained() == 0)))
}

/// The kernels of these names, or all.
fn kernels(names: &[String]) -> anyhow::Result<Vec<Kernel>> {
    let folder = kernel::folder();
    if names.is_empty() {
        let all = Kernel::all(&folder);
        if all.is_empty() {
            bail!(linux::KernelError::None(folder));
        }
        return Ok(all);
    }
    let find = |name: &String| Ok(Kernel::find(&folder, name.strip_prefix("linux-").unwrap_or(name))?);
    names.iter().map(find).collect()
}

fn verifier(plant: Option<&str>) -> anyhow::Result<Verifier> {
    let Some(name) = plant else { return Ok(Verifier::default()) };
    let plant =
        verifier::plant::by_name(name).with_context(|| format!("the verifier has no planted mistake {name}"))?;
    let mut rules = verifier::rules::Rules::default();
    (plant.apply)(&mut rules);
    Ok(Verifier::with_rules(rules))
}

/// The files that paths name.
fn files(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in &args.paths {
        let found = corpus::suite::files(path).with_context(|| path.display().to_string())?;
        if found.is_empty() {
            bail!("{}: no case files (.yaml, .data) or objects (.o) there", path.display());
        }
        files.extend(found);
    }
    Ok(files)
}

/// All programs, some at a time; how many files could not be read, which is said.
fn each_chunk(
    args: &Args,
    files: &[PathBuf],
    each: &mut dyn FnMut(&[Subject]) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let (mut subjects, mut unreadable) = (Vec::new(), 0);
    for file in files {
        let is_wanted = |subject: &Subject| match (&args.case, &subject.origin) {
            (Some(wanted), Origin::File { name, .. }) => name == wanted,
            _ => true,
        };
        match subject::read(file) {
            Ok(read) => subjects.extend(read.into_iter().filter(is_wanted)),
            Err(error) => {
                eprintln!("touchstone: {error}");
                unreadable += 1;
            }
        }
        if subjects.len() as u64 >= CHUNK {
            each(&subjects)?;
            subjects.clear();
        }
    }
    if !subjects.is_empty() {
        each(&subjects)?;
    }
    for what in &args.examine {
        let is_wanted = |subject: &Subject| match (&args.case, &subject.origin) {
            (Some(wanted), Origin::Examined { name, .. }) => name == wanted,
            _ => true,
        };
        let subjects: Vec<Subject> = what.examined().subjects()?.into_iter().filter(is_wanted).collect();
        if !subjects.is_empty() {
            each(&subjects)?;
        }
    }
    let all = [Target::Verified, Target::Rejected, Target::Closed];
    let targets = if args.target.is_empty() { &all[..] } else { &args.target };
    for target in targets {
        let maker = Maker::new(target.make(), args.seed);
        let (mut next, end) = (args.number, args.number + args.generated);
        while next < end {
            let until = end.min(next + CHUNK);
            let subjects: Vec<Subject> = (next..until).map(|number| maker.subject(number)).collect();
            each(&subjects)?;
            next = until;
        }
    }
    Ok(unreadable)
}

/// Programs per second.
#[allow(clippy::cast_precision_loss)] // nobody compares 2^52 programs
fn rate(tally: &Tally) -> f64 {
    tally.programs as f64 / tally.elapsed.as_secs_f64().max(0.001)
}

/// How far it is, where somebody may be looking.
fn progress(tally: &Tally) {
    if std::io::stderr().is_terminal() {
        let (rate, wrong) = (rate(tally), tally.unexplained());
        let _ = write!(
            std::io::stderr(),
            "\rlinux-{}: {} programs, {rate:.0} per second, {wrong} disagreements",
            tally.kernel,
            tally.programs
        );
    }
}

/// Prints programs as they come.
struct Listener<'a> {
    args: &'a Args,
    written: u64,
    failed: Option<anyhow::Error>,
    out: &'a mut dyn Write,
}

impl Listener<'_> {
    fn hear(&mut self, comparison: &Comparison<'_>) {
        let relation = comparison.cause.relation;
        if !self.args.verbose || self.args.format != Format::Text || relation.is_agreement() {
            return;
        }
        self.written += 1;
        let (ours, theirs) = (indented(&comparison.ours.words()), indented(&comparison.theirs.words()));
        let origin = &comparison.subject.origin;
        let result = writeln!(self.out, "{origin}: {}\n    ours:   {ours}\n    theirs: {theirs}", relation.words());
        if let Err(error) = result {
            self.failed.get_or_insert(error.into());
        }
    }
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n            ")
}

fn text(args: &Args, tally: &Tally, out: &mut dyn Write) -> std::io::Result<()> {
    let seconds = tally.elapsed.as_secs_f64().max(0.001);
    let rate = rate(tally);
    writeln!(
        out,
        "linux-{} and the dialect {}: {} programs in {seconds:.1} s, {rate:.0} per second",
        tally.kernel, tally.dialect, tally.programs
    )?;
    for relation in Relation::ALL.into_iter().rev() {
        let count = tally.count(relation);
        if count > 0 {
            writeln!(out, "{count:8}  {}", relation.words())?;
        }
    }
    for (what, count) in &tally.runs {
        writeln!(out, "{count:8}  runs on {what}")?;
    }
    writeln!(
        out,
        "          where both accept: {} instructions followed, theirs {}; alike in {} programs, more in {}, fewer in {}",
        tally.insns.0, tally.insns.1, tally.same_insns, tally.more_insns, tally.fewer_insns
    )?;
    for (cause, group) in tally.by_weight().into_iter().filter(|(cause, _)| !cause.relation.is_agreement()) {
        text_group(tally, cause, group, out)?;
    }
    let (open, all) = (tally.unexplained(), disagreements(tally));
    writeln!(out, "{all} disagreements, {} of them explained", all - open)?;
    if let Some(dir) = args.out.as_ref().filter(|_| open > 0) {
        writeln!(out, "cases are in {}", dir.display())?;
    }
    writeln!(out)
}

fn text_group(tally: &Tally, cause: &Cause, group: &Group, out: &mut dyn Write) -> std::io::Result<()> {
    let mark = if group.explained.is_some() { ", explained" } else { "" };
    writeln!(out, "{:8}  {}{mark}", group.count, cause.relation.words())?;
    for (who, what) in [("ours:  ", &cause.ours), ("theirs:", &cause.theirs)] {
        if !what.is_empty() {
            writeln!(out, "          {who} {what}")?;
        }
    }
    if let Some(explained) = group.explained {
        writeln!(out, "          {}: {}", explained.name, explained.reason)?;
    }
    if cause.relation.is_disagreement() {
        for example in &group.examples {
            writeln!(out, "          {}", command(tally, &example.origin))?;
        }
    }
    Ok(())
}

fn command(tally: &Tally, origin: &Origin) -> String {
    format!("touchstone compare {} --against linux-{} --verbose", origin.arguments(), tally.kernel)
}

fn disagreements(tally: &Tally) -> u64 {
    Relation::ALL.into_iter().filter(|relation| relation.is_disagreement()).map(|relation| tally.count(relation)).sum()
}

fn to_json(tally: &Tally) -> Value {
    let group = |(cause, group): (&Cause, &Group)| {
        let examples = group.examples.iter().map(|example| {
            let command = command(tally, &example.origin);
            json!({"name": example.origin.to_string(), "ours": example.ours, "theirs": example.theirs, "command": command})
        });
        let mut value = json!({
            "relation": cause.relation, "ours": cause.ours, "theirs": cause.theirs, "count": group.count,
            "examples": examples.collect::<Vec<_>>(),
        });
        if let Some(explained) = group.explained {
            value["explained"] = json!({"name": explained.name, "reason": explained.reason});
        }
        value
    };
    let groups: Vec<Value> = tally.by_weight().into_iter().map(group).collect();
    let all = disagreements(tally);
    json!({
        "kernel": tally.kernel.to_string(), "dialect": tally.dialect, "programs": tally.programs,
        "both_accept": tally.count(Relation::BothAccept), "both_reject": tally.count(Relation::BothReject),
        "disagreements": all, "explained": all - tally.unexplained(),
        "unsupported": tally.count(Relation::Unsupported), "impossible": tally.count(Relation::Impossible),
        "insns": {
            "ours": tally.insns.0, "theirs": tally.insns.1,
            "same": tally.same_insns, "more": tally.more_insns, "fewer": tally.fewer_insns,
        },
        "runs": tally.runs, "guests": tally.guests, "seconds": tally.elapsed.as_secs_f64(), "groups": groups,
    })
}

/// One case for each group that nothing explains, with what the kernel says as its verdict.
fn write_cases(dir: &Path, tallies: &[Tally]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    for tally in tallies {
        let open = |(cause, group): &(&Cause, &Group)| cause.relation.is_disagreement() && group.explained.is_none();
        for (number, (cause, group)) in tally.by_weight().into_iter().filter(open).enumerate() {
            let Some(case) = &group.case else { continue };
            let name = format!("linux-{}-{number:02}-{}", tally.kernel, slug(cause));
            let mut case = case.clone();
            name.clone_into(&mut case.name);
            case.story = format!(
                "Linux {}: {}. Ours: {}. Theirs: {}.",
                tally.kernel,
                cause.relation.words(),
                cause.ours,
                cause.theirs
            );
            let path = dir.join(format!("{name}.yaml"));
            std::fs::write(&path, case.to_yaml()).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Words for a file's name.
fn slug(cause: &Cause) -> String {
    let text = if cause.theirs == "accepted" { &cause.ours } else { &cause.theirs };
    let words: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    let words: Vec<&str> = words.split_whitespace().filter(|word| *word != "n").take(8).collect();
    words.join("-")
}
