//! `touchstone verify`: the verdict, in Linux's words and in plain ones.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use semantics::engine::LinuxVersion;
use semantics::insn::Reg;
use semantics::program::Program;
use serde_json::{Value, json};
use verifier::log::Shown;
use verifier::state::{Kind, State};
use verifier::{Dialect, Options, Pruning, Rejection, States, Stats, Verdict, verify};

use crate::input::{self, Source};
use crate::{Format, Status, engines, judge};

mod against;
mod columns;
mod explain;
mod statistics;
#[cfg(feature = "proofs")]
mod witness;

/// What `--format json` prints.
const JSON: &str = "JSON: {program, dialect, verdict: accept|reject|unsupported, insn?, message?, explanation?, missing?, \
    suggestion?, register?, source?: SOURCE, history?: [{insn, text, place, frame, value, source}], history_skipped?, path?: [{insn, taken, text, \
    source}], stats: {insns, states, max_states_per_insn}, log?, states?: [{insn, states: [{register: value}]}]}. With --against: {program, against: \
    [{kernel, ours: {who, verdict: accept|reject|none, message, log}, theirs: {..}, relation, same_verdict, same_message, \
    explained?: {name, reason}, note?}]}.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// The version of Linux whose rules hold: 6.1, 6.8, 6.12, 7.2
    #[arg(long, default_value = "6.8", value_parser = judge::dialect)]
    dialect: Dialect,
    /// Ask real kernels, too, and show both verdicts: linux-6.1, or several with commas; with --log both logs, side by side
    /// where COLUMNS or the terminal is 100 characters wide
    #[arg(long, value_name = "KERNEL", value_delimiter = ',', value_parser = engines::kernel, conflicts_with = "states")]
    against: Vec<LinuxVersion>,
    /// How states are compared: linux (by what a verdict depends on), exact (every range), off (not at all)
    #[arg(long, default_value = "linux", value_parser = pruning)]
    pruning: Pruning,
    /// Print the log, like the kernel's at level 2
    #[arg(long)]
    log: bool,
    /// Print what is known of the registers before each instruction
    #[arg(long)]
    states: bool,
    /// Of a rejected program: ask the solver for an input that breaks the access, run it, and print it
    #[arg(long, conflicts_with_all = ["against", "statistics"])]
    witness: bool,
    /// Write the input that was found, with the program, as a case file
    #[arg(long, value_name = "FILE", requires = "witness")]
    out: Option<PathBuf>,
    /// Seconds that the solver may take for a question
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "witness")]
    timeout: u64,
    /// Verify every program of the objects, folders included, and print what it took
    #[arg(long, conflicts_with_all = ["against", "log", "states"])]
    statistics: bool,
    /// More objects or folders
    #[arg(value_name = "PATH", requires = "statistics")]
    more: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn pruning(name: &str) -> Result<Pruning, String> {
    Pruning::from_name(name).ok_or_else(|| format!("{name} is none of {}", Pruning::ALL.map(Pruning::name).join(", ")))
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    if args.statistics {
        let options = Options { dialect: args.dialect, pruning: args.pruning, ..Options::default() };
        return statistics::run(&args.source, &args.more, &options, args.format, out);
    }
    let program = match args.source.load() {
        Ok(loaded) => loaded.program,
        Err(error) if input::is_refusal(&error, args.dialect.version) => return refused(args, &error, out),
        Err(error) => return Err(error),
    };
    if !args.against.is_empty() {
        return against::run(&program, &args.against, (args.log, args.format), out);
    }
    let options = Options {
        dialect: args.dialect,
        record: args.states,
        pruning: args.pruning,
        log: args.log,
        explain: true,
        ..Options::default()
    };
    let verdict = verify(&program, &options);
    let sought = witness(args, &program, &verdict)?;
    match args.format {
        Format::Text => {
            text(&program, &verdict, out)?;
            sought.map_or(Ok(()), |sought| write!(out, "{}", sought.text))?;
        }
        Format::Json => {
            let mut value = to_json(&program, &verdict);
            if let Some(sought) = sought {
                value["witness"] = sought.json;
            }
            value["program"] = program.name().into();
            value["dialect"] = args.dialect.name.into();
            crate::json(out, &value)?;
        }
    }
    Ok(match verdict {
        Verdict::Accept(_) => Status::Fine,
        Verdict::Reject(_) => Status::Findings,
        Verdict::Unsupported(_) => Status::Unsupported,
    })
}

/// What there is to say of an input that breaks the refused access.
struct Sought {
    text: String,
    json: Value,
}

#[cfg(feature = "proofs")]
fn witness(args: &Args, program: &Arc<Program>, verdict: &Verdict) -> anyhow::Result<Option<Sought>> {
    match verdict {
        Verdict::Reject(rejection) if args.witness => witness::seek(args, program, rejection).map(Some),
        _ => Ok(None),
    }
}

#[cfg(not(feature = "proofs"))]
fn witness(args: &Args, _: &Arc<Program>, _: &Verdict) -> anyhow::Result<Option<Sought>> {
    if args.witness {
        anyhow::bail!(
            "this touchstone was built without the feature `proofs`, which needs libz3: there is no --witness"
        );
    }
    Ok(None)
}

/// Instructions that make no program, which the kernel's verifier says too.
fn refused(args: &Args, error: &anyhow::Error, out: &mut dyn Write) -> anyhow::Result<Status> {
    let message = format!("{error:#}");
    match args.format {
        Format::Text => writeln!(out, "rejected: {message}")?,
        Format::Json => {
            let path = args.source.path.display().to_string();
            let dialect = args.dialect.name;
            crate::json(out, &json!({"program": path, "dialect": dialect, "verdict": "reject", "message": message}))?;
        }
    }
    Ok(Status::Findings)
}

fn text(program: &Program, verdict: &Verdict, out: &mut dyn Write) -> anyhow::Result<()> {
    match verdict {
        Verdict::Accept(accepted) => {
            out.write_all(accepted.log.as_bytes())?;
            if let Some(states) = &accepted.states {
                write_states(program, states, out)?;
            }
            writeln!(out, "accepted: {}\n{}", program.name(), accepted.stats)?;
        }
        Verdict::Reject(rejection) => {
            out.write_all(rejection.log.as_bytes())?;
            writeln!(out, "{}\n{}", explain::text(program, rejection), rejection.stats)?;
        }
        Verdict::Unsupported(what) => writeln!(out, "not verified: {}: {what}", program.name())?,
    }
    Ok(())
}

/// Each instruction with the states in which it is reached.
fn write_states(program: &Program, states: &States, out: &mut dyn Write) -> anyhow::Result<()> {
    for (slot, insn) in program.instructions() {
        for state in states.at(slot) {
            let known: Vec<String> = known(program, state).map(|(reg, value)| format!("{reg}={value}")).collect();
            writeln!(out, "       ; {}", known.join(" "))?;
        }
        writeln!(out, "{slot:5}: {insn}")?;
    }
    Ok(())
}

/// Registers that hold something, as the kernel prints them.
fn known<'a>(program: &'a Program, state: &'a State) -> impl Iterator<Item = (Reg, String)> + 'a {
    Reg::ALL.into_iter().zip(&state.regs).filter(|(_, held)| held.kind != Kind::NotInit).map(|(reg, held)| {
        let shown = Shown(held, program);
        (reg, shown.to_string())
    })
}

fn stats(stats: Stats) -> Value {
    json!({"insns": stats.insns, "states": stats.saved, "max_states_per_insn": stats.most_here})
}

fn to_json(program: &Program, verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Accept(accepted) => {
            let mut value = json!({"verdict": "accept", "stats": stats(accepted.stats), "log": accepted.log});
            if let Some(states) = &accepted.states {
                value["states"] = json_states(program, states);
            }
            value
        }
        Verdict::Reject(rejection) => reject(program, rejection),
        Verdict::Unsupported(what) => json!({"verdict": "unsupported", "message": what.to_string()}),
    }
}

fn reject(program: &Program, rejection: &Rejection) -> Value {
    let mut value = explain::to_json(program, rejection);
    value["verdict"] = "reject".into();
    value["insn"] = rejection.insn.into();
    value["message"] = rejection.message().into();
    value["explanation"] = rejection.explanation().into();
    value["stats"] = stats(rejection.stats);
    value["log"] = rejection.log.as_str().into();
    value
}

fn json_states(program: &Program, states: &States) -> Value {
    let at = |slot: usize| -> Vec<Value> {
        let one = |state| {
            let registers = known(program, state).map(|(reg, value)| (reg.to_string(), Value::from(value)));
            Value::Object(registers.collect())
        };
        states.at(slot).map(one).collect()
    };
    program.instructions().map(|(slot, _)| json!({"insn": slot, "states": at(slot)})).collect()
}
