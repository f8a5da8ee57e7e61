//! Native code of programs that nobody verified: in a process of its own, with faults that are traps and a time limit.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use jit::{Jit, fault};
use semantics::engine::Engine;
use semantics::outcome::{Difference, Outcome};
use semantics::trap::Trap;
use semantics::world::World;
use signal_hook::low_level::signal_name;

use crate::Status;

/// How native code is run.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Native {
    /// Run natively also what the verifier does not accept or cannot follow, in a process of its own: a fault of the program
    /// is a trap that names the instruction, and a program that does not end is stopped
    #[arg(long)]
    unverified: bool,
    /// The most processor time that native code of an unverified program gets for an input
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), requires = "unverified")]
    seconds: u64,
    /// This is the process of its own
    #[arg(long, hide = true, requires = "unverified")]
    contained: bool,
}

impl Native {
    pub fn is_unverified(self) -> bool {
        self.unverified
    }
    /// Whether this is not yet the process that may be lost.
    pub fn is_to_be_contained(self) -> bool {
        self.unverified && !self.contained
    }

    /// Makes this process ready for faults, if it is the one for them.
    pub fn prepare(self) -> anyhow::Result<()> {
        if self.contained {
            fault::guard().context("handlers of signals")?;
        }
        Ok(())
    }

    /// Runs what the JIT holds.
    pub fn run(self, jit: &mut Jit, world: &mut World, out: &mut dyn Write) -> anyhow::Result<Result<u64, Trap>> {
        if !self.contained {
            return Ok(jit.run(world));
        }
        // What has been said is not lost with the process.
        out.flush()?;
        let _limit = fault::limit(Duration::from_secs(self.seconds)).context("a limit of time")?;
        Ok(jit.run(world))
    }
}

/// Does all that this process is asked to in another one, which may be lost.
pub fn contain() -> anyhow::Result<Status> {
    let mut command = Command::new(std::env::current_exe().context("this executable")?);
    // The first arguments are this executable and the subcommand.
    command.args(["run", "--contained"]).args(std::env::args_os().skip(2));
    let status = command.status().context("the process of the native code")?;
    match status.code() {
        Some(0) => Ok(Status::Fine),
        Some(1) => Ok(Status::Findings),
        // It has said why.
        Some(2) => Ok(Status::Unsupported),
        _ => {
            let how = match status.signal().map(|signal| (signal, signal_name(signal))) {
                Some((_, Some(name))) => format!("was killed by {name}"),
                Some((signal, None)) => format!("was killed by signal {signal}"),
                None => format!("ended: {status}"),
            };
            let _ = writeln!(std::io::stderr(), "touchstone: the process of the native code {how}");
            Ok(Status::Findings)
        }
    }
}

/// In what native code differs from the interpreter, whose run ended at the slot `pc`.
pub fn difference(interpreter: &Outcome, pc: usize, native: &Outcome) -> Option<Difference> {
    match (interpreter.result, native.result) {
        // Each has its own fuel, so they stop at different places.
        (Err(Trap::OutOfFuel), Err(Trap::OutOfFuel)) => None,
        // The same access, in the words of the specification and in those of the processor.
        (Err(trap @ Trap::Memory { addr, size, .. }), Err(Trap::Native { slot, addr: at, .. }))
            if slot == Some(pc) && at.is_none_or(|at| at.wrapping_sub(addr) < u64::from(size.bytes())) =>
        {
            let mut native = native.clone();
            native.result = Err(trap);
            interpreter.difference(&native)
        }
        _ => interpreter.difference(native),
    }
}
