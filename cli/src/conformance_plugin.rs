//! `touchstone conformance-plugin`: one program in, R0 out, as the runner of `bpf_conformance` asks an engine.
//!
//! The runner starts an executable with the memory as its first argument, if there is any, then the options that its user
//! gives, then `--elf` where the program comes as an object; the program is on standard input. It has no argument for a
//! subcommand in front, so a link to this executable whose name ends in `conformance-plugin` is the subcommand.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use corpus::suite::conformance;
use corpus::text;
use semantics::engine::Engine;
use semantics::interpreter::Interpreter;
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::world::{Input, World};
use semantics::{disasm, encoding, loader};

use crate::{Status, judge};

/// The name of the subcommand, and the end of the name of a link that stands for it.
const NAME: &str = "conformance-plugin";

/// Instructions that the interpreter gives a program.
const FUEL: u64 = 1 << 24;

/// How long native code may take.
const PATIENCE: Duration = Duration::from_secs(5);

const AFTER: &str = "R1 is the address of the memory, R2 its length. Standard output is R0 in hexadecimal; where the program \
    cannot be decoded, is no program, traps or does not end, standard error says why and the exit code is 1 (2 for input \
    that is no hexadecimal). Called by a link whose name ends in `conformance-plugin`, the command needs no subcommand: \
    that is what `bpf_conformance_runner --plugin_path` takes.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The memory in hexadecimal; blanks between bytes are fine
    memory: Option<String>,
    /// The program in hexadecimal, instead of on standard input
    #[arg(long, value_name = "HEX")]
    program: Option<String>,
    /// The input is an ELF object in hexadecimal: symbol `main` of section `.text`
    #[arg(long)]
    elf: bool,
    /// Run it on the JIT, in a process of its own
    #[arg(long)]
    jit: bool,
    /// Run it on the interpreter, as without `--jit`
    #[arg(long, conflicts_with = "jit")]
    interpret: bool,
    /// List the program on standard error first
    #[arg(long)]
    debug: bool,
    /// This is the process of its own
    #[arg(long, hide = true)]
    contained: bool,
}

/// The arguments of this process, with the subcommand where its name stands for that.
pub fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().and_then(|name| Path::new(name).file_stem()).map(|name| name.to_string_lossy());
    if name.is_some_and(|name| name.ends_with(NAME)) {
        arguments.insert(1, NAME.into());
    }
    arguments
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let memory = text::bytes(args.memory.as_deref().unwrap_or_default()).context("the memory")?;
    let mut input = String::new();
    match &args.program {
        Some(program) => input.clone_from(program),
        None => drop(std::io::stdin().read_to_string(&mut input).context("the program on standard input")?),
    }
    let bytes = text::bytes(&input).context("the program")?;
    if args.jit && !args.contained {
        return contain(args, &input);
    }
    let result = program(&bytes, args).and_then(|program| execute(&program, memory, args.jit));
    match result {
        Ok(r0) => {
            writeln!(out, "{r0:x}")?;
            Ok(Status::Fine)
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why:#}");
            Ok(Status::Findings)
        }
    }
}

/// The program of these bytes, as it stands there.
fn program(bytes: &[u8], args: &Args) -> anyhow::Result<Program> {
    let program = if args.elf {
        loader::load_as(bytes, Some("main"), Some(ProgramType::Xdp))?
    } else {
        Program::new("main", ProgramType::Xdp, "GPL", Vec::new(), encoding::decode(bytes)?)?
    };
    if args.debug {
        let _ = write!(std::io::stderr(), "{}", disasm::disassemble_program(&program));
    }
    Ok(program)
}

/// R0 of a run on this memory.
fn execute(program: &Program, memory: Vec<u8>, native: bool) -> anyhow::Result<u64> {
    let code = conformance::with_memory(&encoding::encode(program.insns()));
    let whole = Arc::new(program.with_insns(encoding::decode(&code)?)?);
    let mut world = World::new(if native { Memory::native() } else { Memory::detached() }.context("guest memory")?);
    world.load(&whole)?;
    world.reset(&Input::in_one_piece(memory))?;
    // SAFETY: the interpreter checks every access; native code runs in a process that may be lost.
    let fit = unsafe { Verified::trust(whole) };
    let mut engine: Box<dyn Engine> = if native { Box::new(judge::jit()?) } else { Box::new(Interpreter::new(FUEL)) };
    engine.load(&fit)?;
    Ok(engine.run(&mut world)?)
}

/// Does the same in a process that may be lost.
fn contain(args: &Args, program: &str) -> anyhow::Result<Status> {
    let mut command = Command::new(std::env::current_exe().context("this executable")?);
    command.args([NAME, "--jit", "--contained"]);
    command.args(args.elf.then_some("--elf")).args(args.debug.then_some("--debug")).args(&args.memory);
    let mut child = command.stdin(Stdio::piped()).spawn().context("the process of the JIT")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It fails only if the process is lost already, which is said below.
        let _ = stdin.write_all(program.as_bytes());
    }
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("the process of the JIT")? {
            break Some(status);
        }
        if start.elapsed() > PATIENCE {
            child.kill().context("the process of the JIT")?;
            child.wait().context("the process of the JIT")?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    match status.map(|status: ExitStatus| (status.code(), status)) {
        Some((Some(0), _)) => Ok(Status::Fine),
        Some((Some(1), _)) => Ok(Status::Findings),
        Some((Some(_), _)) => bail!("the process of the JIT refused its input"),
        Some((None, status)) => Ok(lost(&format!("native code faulted: {status}"))),
        None => Ok(lost("native code did not end")),
    }
}

fn lost(why: &str) -> Status {
    let _ = writeln!(std::io::stderr(), "{why}");
    Status::Findings
}
