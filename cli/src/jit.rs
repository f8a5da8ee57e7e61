//! `touchstone jit`: what a program is compiled to.

use std::io::Write;

use anyhow::Context;
use jit::{Code, compile, disasm};
use verifier::Dialect;

use crate::input::Source;
use crate::{Status, judge};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// The code as hexadecimal digits, and nothing else
    #[arg(long)]
    hex: bool,
    #[command(flatten)]
    codegen: judge::Codegen,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let program = args.source.load()?.program;
    let verified = match judge::verified(&program, Dialect::default())? {
        Ok(verified) => verified,
        Err(reason) => {
            writeln!(out, "rejected, so it is not compiled\n{reason}")?;
            return Ok(Status::Findings);
        }
    };
    let mut code = Code::default();
    compile(&verified, &args.codegen.rules()?, &mut code).context("the JIT")?;
    if args.hex {
        writeln!(out, "{}", corpus::text::hex(code.bytes()))?;
    } else {
        write!(out, "{}", disasm::listing(program.insns(), &code))?;
        writeln!(out, "{} slots, {} bytes", program.insns().len(), code.bytes().len())?;
    }
    Ok(Status::Fine)
}
