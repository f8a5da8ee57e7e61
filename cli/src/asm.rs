//! `touchstone asm`: assembly, or anything else that holds a program, as hexadecimal slots.

use std::io::Write;

use semantics::encoding;

use crate::Status;
use crate::input::Source;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
}

/// One slot per line.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let loaded = args.source.load()?;
    for slot in encoding::encode_slots(loaded.program.insns()) {
        writeln!(out, "{}", corpus::text::hex(&slot.to_bytes()))?;
    }
    Ok(Status::Fine)
}
