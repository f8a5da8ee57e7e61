//! `touchstone disasm`: a program as assembly that is read back.

use std::io::Write;

use semantics::disasm;

use crate::Status;
use crate::input::Source;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// As Linux's verifier prints it, one line per instruction
    #[arg(long)]
    linux: bool,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let loaded = args.source.load()?;
    if args.linux {
        for (slot, insn) in loaded.program.instructions() {
            writeln!(out, "{slot}: {}", disasm::Linux(insn))?;
        }
    } else {
        write!(out, "{}", disasm::disassemble(loaded.program.insns()))?;
    }
    Ok(Status::Fine)
}
