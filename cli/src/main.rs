//! The command `touchstone`: every floor of the project from the command line.
//!
//! Each subcommand is a file of its own. What a program reads comes with `--format json`; exit codes are those of
//! [`Status`], and 2 for bad usage or bad input.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

mod asm;
mod check;
mod compare;
mod conformance_plugin;
mod coverage;
mod disasm;
mod engines;
mod fuzz;
mod helpers;
mod input;
mod isa;
mod jit;
mod judge;
mod linux;
mod map;
mod plants;
mod precision;
mod prove;
mod repro;
mod run;
mod suite;
mod verify;

/// Run, verify, compile, prove and fuzz eBPF programs.
///
/// Exit codes: 0 fine; 1 findings or failures (a rejected program, a trap, engines that disagree, an obligation that is
/// not proven, a failed case, a finding); 2 bad usage or bad input.
#[derive(Debug, Parser)]
#[command(version, name = "touchstone", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program and show what came of it
    Run(Box<run::Args>),
    /// Verify a program: the verdict in Linux's words, and why
    Verify(verify::Args),
    /// Compile a program and show both sides
    Jit(jit::Args),
    /// How often each operator of the verifier's domain gives the best result there is
    Precision(precision::Args),
    /// Prove the verifier's domain and the JIT's lowering correct
    Prove(prove::Args),
    /// Planted mistakes, and which check catches each
    Plants(plants::Args),
    /// Search for differences between engines and escapes from the verifier's states
    Fuzz(fuzz::Args),
    /// Replay findings
    Repro(repro::Args),
    /// Run case files, or other projects' test suites
    Suite(suite::Args),
    /// One program in, R0 out: an engine for the runner of `bpf_conformance`
    ConformancePlugin(conformance_plugin::Args),
    /// Compare our verdicts with those of real kernels
    Compare(compare::Args),
    /// All helpers of Linux and which are modelled; or one of them
    Helpers(helpers::Args),
    /// Make a map and do to it what user space and programs do
    Map(map::Args),
    /// The instruction set as a document; or one instruction, also as SMT-LIB
    Isa(isa::Args),
    /// Assemble to hexadecimal slots
    Asm(asm::Args),
    /// Disassemble
    Disasm(disasm::Args),
    /// Real Linux kernels: those that there are, and what one is like
    Linux(linux::Args),
    /// What is covered on which floor, as a Markdown table
    Coverage(coverage::Args),
    /// The main job in short: prove, run the corpus on every engine, fuzz for a minute
    Check(check::Args),
    /// A worker of `fuzz`
    #[command(hide = true)]
    FuzzWorker(fuzz::WorkerArgs),
    /// A worker of `suite`
    #[command(hide = true)]
    SuiteWorker(suite::WorkerArgs),
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// How a command ended that had nothing to complain about its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Exit code 0.
    Fine,
    /// Exit code 1.
    Findings,
    /// Something is not modelled: exit code 2, as for input that cannot be used.
    Unsupported,
}

impl Status {
    /// Fine, if this holds.
    fn of(fine: bool) -> Status {
        if fine { Status::Fine } else { Status::Findings }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(conformance_plugin::arguments());
    let mut out = io::BufWriter::new(io::stdout());
    let result = dispatch(cli.command, &mut out).and_then(|status| {
        out.flush()?;
        Ok(status)
    });
    match result {
        Ok(Status::Fine) => ExitCode::SUCCESS,
        Ok(Status::Findings) => ExitCode::from(1),
        Ok(Status::Unsupported) => ExitCode::from(2),
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "touchstone: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(kind)
        || error
            .downcast_ref::<serde_json::Error>()
            .is_some_and(|error| error.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
}

fn dispatch(command: Command, out: &mut dyn Write) -> anyhow::Result<Status> {
    match command {
        Command::Run(args) => run::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Jit(args) => jit::run(&args, out),
        Command::Precision(args) => precision::run(&args, out),
        Command::Prove(args) => prove::run(&args, out),
        Command::Plants(args) => plants::run(&args, out),
        Command::Fuzz(args) => fuzz::run(&args, out),
        Command::Repro(args) => repro::run(&args, out),
        Command::Suite(args) => suite::run(&args, out),
        Command::Compare(args) => compare::run(&args, out),
        Command::ConformancePlugin(args) => conformance_plugin::run(&args, out),
        Command::Helpers(args) => helpers::run(&args, out),
        Command::Map(args) => map::run(&args, out),
        Command::Isa(args) => isa::run(&args, out),
        Command::Asm(args) => asm::run(&args, out),
        Command::Disasm(args) => disasm::run(&args, out),
        Command::Linux(args) => linux::run(&args, out),
        Command::Coverage(args) => coverage::run(&args, out),
        Command::Check(args) => check::run(&args, out),
        Command::FuzzWorker(args) => fuzz::work(&args),
        Command::SuiteWorker(args) => suite::work(&args, out),
    }
}

/// Writes one JSON object and a line end.
fn json(out: &mut dyn Write, value: &serde_json::Value) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}
