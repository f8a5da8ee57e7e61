//! `touchstone verify --against`: our verdict and log, and those of real kernels, side by side.

use std::io::Write;
use std::sync::Arc;

use fuzz::outside;
use linux::job::{self, Wanted};
use linux::{Machine, Settings, kernel};
use semantics::engine::{LinuxVersion, last_line};
use semantics::program::Program;
use serde_json::{Value, json};
use verifier::{Dialect, Options, Verdict, verify};
use wire::Stage;

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

/// Asks all of them; differing verdicts are findings.
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
        let (ours, theirs) = (ours(program, dialect), theirs(program, *version)?);
        let note = (dialect.name != version.to_string())
            .then(|| format!("there are no rules of {version} here: {} is the nearest", dialect.name));
        // What one of them cannot judge is no difference.
        let is_judged = ours.accepts.is_some() && theirs.accepts.is_some();
        let same = ours.accepts == theirs.accepts;
        differ |= is_judged && !same;
        if format == Format::Text {
            text(program, (&ours, &theirs), note.as_deref(), with_log, out)?;
        }
        let same_message = ours.message == theirs.message;
        all.push(json!({"kernel": version.to_string(), "ours": ours.json(), "theirs": theirs.json(),
            "same_verdict": same, "same_message": same_message, "note": note}));
    }
    if format == Format::Json {
        crate::json(out, &json!({"program": program.name(), "against": all}))?;
    }
    Ok(Status::of(!differ))
}

fn ours(program: &Arc<Program>, dialect: Dialect) -> Said {
    let who = format!("ours ({})", dialect.name);
    match verify(program, &Options { dialect, log: true, ..Options::default() }) {
        Verdict::Accept(accepted) => Said { who, accepts: Some(true), message: String::new(), log: accepted.log },
        Verdict::Reject(rejection) => {
            Said { who, accepts: Some(false), message: rejection.message(), log: rejection.log }
        }
        Verdict::Unsupported(what) => Said { who, accepts: None, message: what.to_string(), log: String::new() },
    }
}

fn theirs(program: &Program, version: LinuxVersion) -> anyhow::Result<Said> {
    let kernel = linux::Kernel::find(&kernel::folder(), &version.to_string())?;
    let wanted = Wanted { kernel: kernel.number(), ..Wanted::verdict() };
    let job = job::of_program(program, std::iter::empty(), &wanted);
    let answer = Machine::new(kernel, Settings::default()).ask_one(&job)?;
    let who = format!("linux-{version}");
    let none = |message: String| Said { who: who.clone(), accepts: None, message, log: String::new() };
    let answer = match answer {
        Ok(answer) => answer,
        Err(lost) => return Ok(none(lost.to_string())),
    };
    let complaint = answer.messages.join("\n");
    let Some(trial) = answer.trials.into_iter().next() else { return Ok(none("no answer".to_owned())) };
    let log = format!("{}{complaint}", trial.load.log);
    Ok(match trial.load.result {
        Ok(()) => Said { who, accepts: Some(true), message: complaint, log },
        Err((Stage::Program(_), _)) => {
            Said { message: last_line(&trial.load.log).to_owned(), who, accepts: Some(false), log }
        }
        Err((stage, errno)) => none(format!("{stage:?}: error {errno}")),
    })
}

fn text(
    program: &Program,
    (ours, theirs): (&Said, &Said),
    note: Option<&str>,
    with_log: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if let Some(note) = note {
        writeln!(out, "note: {note}")?;
    }
    if with_log {
        for said in [ours, theirs] {
            writeln!(out, "-- {}\n{}", said.who, said.log.trim_end())?;
        }
    }
    for said in [ours, theirs] {
        writeln!(out, "{:16} {:6} {}", said.who, said.verdict(), said.message)?;
    }
    let how = match (ours.accepts == theirs.accepts, ours.message == theirs.message) {
        (false, _) if ours.accepts.is_none() || theirs.accepts.is_none() => "not judged by both",
        (false, _) => "VERDICTS DIFFER",
        (true, false) if ours.accepts == Some(false) => "same verdict, other words",
        (true, _) => "same verdict",
    };
    Ok(writeln!(out, "{}: {how}\n", program.name())?)
}
