//! `touchstone asm`: assembly, or anything else that holds a program, as slots.

use std::io::Write;

use clap::ValueEnum;
use semantics::insn::Opcode;
use semantics::program::Program;
use semantics::{disasm, encoding};

use crate::Status;
use crate::input::Source;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// How slots are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Hexadecimal digits, one slot per line
    #[default]
    Hex,
    /// Bytes as they lie in memory
    Raw,
    /// An array of `struct bpf_insn` in C
    C,
    /// Slot, bytes and text of each instruction
    Listing,
}

/// Writes the program's slots.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let loaded = args.source.load()?;
    let program = &loaded.program;
    match args.format {
        Format::Raw => out.write_all(&encoding::encode(program.insns()))?,
        Format::Hex => {
            for slot in encoding::encode_slots(program.insns()) {
                writeln!(out, "{}", corpus::text::hex(&slot.to_bytes()))?;
            }
        }
        Format::C => c(program, out)?,
        Format::Listing => listing(program, out)?,
    }
    Ok(Status::Fine)
}

/// Initialisers that need no header but `linux/bpf.h`.
fn c(program: &Program, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "static const struct bpf_insn program[] = {{")?;
    for (slot, insn) in encoding::encode_slots(program.insns()).zip(program.insns()) {
        let encoding::Slot { code, dst, src, off, imm } = slot;
        // The least number has no literal in C.
        let imm = if imm == i32::MIN { "-2147483647 - 1".to_owned() } else { imm.to_string() };
        let text = if insn.opcode == Opcode::WideTail { String::new() } else { format!(" // {insn}") };
        writeln!(
            out,
            "\t{{ .code = {code:#04x}, .dst_reg = {dst}, .src_reg = {src}, .off = {off}, .imm = {imm} }},{text}"
        )?;
    }
    Ok(writeln!(out, "}};")?)
}

/// In the manner of `llvm-objdump -d`, which the assembler reads back.
fn listing(program: &Program, out: &mut dyn Write) -> anyhow::Result<()> {
    let bytes = encoding::encode(program.insns());
    for (slot, insn) in program.instructions() {
        if let Some(line) = disasm::source_line(program, slot) {
            writeln!(out, "{line}")?;
        }
        let range = slot * encoding::SLOT_LEN..(slot + insn.slots()) * encoding::SLOT_LEN;
        let hex: Vec<String> = bytes[range].iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{slot:8}:\t{}\t{insn}", hex.join(" "))?;
    }
    Ok(())
}
