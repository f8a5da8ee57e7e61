//! `touchstone jit`: what a program is compiled to.

use std::io::Write;

use anyhow::Context;
use jit::{Code, compile, disasm};

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
    /// Compile also what the verifier does not accept or cannot follow
    #[arg(long)]
    unverified: bool,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let program = args.source.load()?.program;
    // SAFETY: it is not run.
    let verified = match unsafe { judge::fit(&program, args.unverified) } {
        Ok(verified) => verified,
        Err(refusal) => {
            let hint = "compile it all the same with --unverified";
            return refusal.report("rejected, so it is not compiled", hint, out);
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
