//! `touchstone disasm`: programs as assembly that is read back.

use std::io::Write;

use clap::ValueEnum;
use semantics::disasm;
use semantics::program::Program;

use crate::Status;
use crate::input::Source;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Whose syntax
    #[arg(long, value_enum, default_value_t)]
    syntax: Syntax,
    /// The same as `--syntax linux`
    #[arg(long, conflicts_with = "syntax")]
    linux: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Syntax {
    /// As `llvm-objdump` prints it, with labels
    #[default]
    Llvm,
    /// As Linux's verifier prints it, one line per instruction
    Linux,
}

/// Writes each program of the input, below its name if there are several.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let syntax = if args.linux { Syntax::Linux } else { args.syntax };
    let programs = args.source.load_all()?;
    let several = programs.len() > 1;
    let mut fine = true;
    for (name, program) in programs {
        match program {
            Ok(program) => {
                if several {
                    writeln!(out, "; {name}")?;
                }
                print(&program, syntax, out)?;
            }
            Err(error) => {
                fine = false;
                writeln!(out, "; {name}: {error:#}")?;
            }
        }
    }
    Ok(Status::of(fine))
}

fn print(program: &Program, syntax: Syntax, out: &mut dyn Write) -> anyhow::Result<()> {
    if syntax == Syntax::Llvm {
        return Ok(write!(out, "{}", disasm::disassemble_program(program))?);
    }
    for (slot, insn) in program.instructions() {
        if let Some(line) = disasm::source_line(program, slot) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{slot}: {}", disasm::Linux(insn))?;
    }
    Ok(())
}
