//! `touchstone verify --against`: our verdict and log, and those of real kernels, side by side. How they relate is said as
//! by `touchstone compare`.

use std::io::Write;
use std::sync::Arc;

use fuzz::against::opinion::{Ours, Theirs};
use fuzz::against::relation::{Relation, explain, relate};
use fuzz::outside;
use linux::job::{self, Wanted};
use linux::{Machine, Settings, kernel};
use semantics::engine::LinuxVersion;
use semantics::program::Program;
use serde_json::{Value, json};
use verifier::explained::Explained;
use verifier::{Dialect, Options, Verdict, Verifier, verify};

use super::columns;
use crate::{Format, Status};

/// A verdict with its log.
struct Said {
    /// Who: a dialect or a kernel.
    who: String,
    /// `None` if there is none.
    accepts: Option<bool>,
    /// The line that says why.
    message: String,
    log: String,
}

impl Said {
    fn verdict(&self) -> &'static str {
        match self.accepts {
            Some(true) => "accept",
            Some(false) => "reject",
            None => "none",
        }
    }
    fn json(&self) -> Value {
        json!({"who": self.who, "verdict": self.verdict(), "message": self.message, "log": self.log})
    }
}

/// Asks all of them; what compare calls a disagreement in verdict is a finding.
pub fn run(
    program: &Arc<Program>,
    kernels: &[LinuxVersion],
    (with_log, format): (bool, Format),
    out: &mut dyn Write,
) -> anyhow::Result<Status> {
    let mut differ = false;
    let mut all = Vec::new();
    for version in kernels {
        let dialect = outside::dialect(*version);
        let ((our_opinion, ours), (their_opinion, theirs)) = (ours(program, dialect), theirs(program, *version)?);
        let note = (dialect.name != version.to_string())
            .then(|| format!("there are no rules of {version} here: {} is the nearest", dialect.name));
        let cause = relate(&our_opinion, &their_opinion);
        let mut again = |dialect| Ours::ask(&mut Verifier::default(), &Ok(Arc::clone(program)), dialect);
        let explained = explain(&cause, (&our_opinion, &their_opinion), dialect, &mut again);
        let relation = cause.relation;
        // What one of them cannot judge is no difference.
        let same = ours.accepts == theirs.accepts;
        differ |= ours.accepts.is_some() && theirs.accepts.is_some() && !same;
        if format == Format::Text {
            text(program, (&ours, &theirs), (relation, explained), note.as_deref(), with_log, out)?;
        }
        let mut value = json!({"kernel": version.to_string(), "ours": ours.json(), "theirs": theirs.json(),
            "relation": relation, "same_verdict": same, "same_message": relation.is_agreement(), "note": note});
        if let Some(explained) = explained {
            value["explained"] = json!({"name": explained.name, "reason": explained.reason});
        }
        all.push(value);
    }
    if format == Format::Json {
        crate::json(out, &json!({"program": program.name(), "against": all}))?;
    }
    Ok(Status::of(!differ))
}

fn ours(program: &Arc<Program>, dialect: Dialect) -> (Ours, Said) {
    let who = format!("ours ({})", dialect.name);
    match verify(program, &Options { dialect, log: true, ..Options::default() }) {
        Verdict::Accept(accepted) => {
            let opinion = Ours::Accept { insns: accepted.stats.insns };
            (opinion, Said { who, accepts: Some(true), message: String::new(), log: accepted.log })
        }
        Verdict::Reject(rejection) => {
            let message = rejection.message();
            let opinion = Ours::Reject { message: message.clone(), is_longer: false };
            (opinion, Said { who, accepts: Some(false), message, log: rejection.log })
        }
        Verdict::Unsupported(what) => {
            let message = what.to_string();
            (Ours::Unsupported(what.into()), Said { who, accepts: None, message, log: String::new() })
        }
    }
}

fn theirs(program: &Program, version: LinuxVersion) -> anyhow::Result<(Theirs, Said)> {
    let kernel = linux::Kernel::find(&kernel::folder(), &version.to_string())?;
    let wanted = Wanted { kernel: kernel.number(), ..Wanted::verdict() };
    let job = job::of_program(program, std::iter::empty(), &wanted);
    let answer = Machine::new(kernel, Settings::default()).ask_one(&job)?;
    let opinion = Theirs::read(&answer);
    let (accepts, mut message) = match &opinion {
        Theirs::Accept { .. } => (Some(true), String::new()),
        Theirs::Reject { message, .. } => (Some(false), message.clone()),
        Theirs::Impossible(what) => (None, what.to_string()),
        Theirs::Lost { why } => (None, why.clone()),
    };
    let mut log = String::new();
    if let Ok(answer) = answer {
        let complaint = answer.messages.join("\n");
        log = answer.trials.into_iter().next().map_or_else(String::new, |trial| trial.load.log);
        log.push_str(&complaint);
        if message.is_empty() {
            message = complaint;
        }
    }
    Ok((opinion, Said { who: format!("linux-{version}"), accepts, message, log }))
}

fn text(
    program: &Program,
    (ours, theirs): (&Said, &Said),
    (relation, explained): (Relation, Option<&Explained>),
    note: Option<&str>,
    with_log: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if let Some(note) = note {
        writeln!(out, "note: {note}")?;
    }
    match columns::width() {
        Some(width) if with_log => {
            let text = columns::beside([&ours.who, &theirs.who], [&ours.log, &theirs.log], width);
            write!(out, "{text}")?;
        }
        None if with_log => {
            for said in [ours, theirs] {
                writeln!(out, "-- {}\n{}", said.who, said.log.trim_end())?;
            }
        }
        _ => {}
    }
    for said in [ours, theirs] {
        let message = said.message.replace('\n', "\n                        ");
        writeln!(out, "{:16} {:6} {message}", said.who, said.verdict())?;
    }
    let how = match relation {
        Relation::OnlyWeAccept | Relation::OnlyTheyAccept => "VERDICTS DIFFER",
        Relation::OtherMessage => "same verdict, other words",
        Relation::BothAccept | Relation::BothReject => "same verdict",
        _ => "not judged by both",
    };
    writeln!(out, "{}: {how}", program.name())?;
    if let Some(explained) = explained {
        writeln!(out, "{}: {}", explained.name, explained.reason)?;
    }
    Ok(writeln!(out)?)
}
