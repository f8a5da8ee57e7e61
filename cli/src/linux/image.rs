//! `touchstone linux image`: a kernel's native code beside ours, function by function, and what its verifier made of the
//! instructions.

use std::fmt::Write as _;
use std::io::Write;

use ::linux::job::{self, Wanted};
use ::linux::{Kernel, Machine, Settings, kernel};
use anyhow::{Context, anyhow, bail};
use comfy_table::{Table, presets};
use jit::disasm::{self, Native};
use jit::{Code, compile};
use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::engine::{LinuxVersion, last_line};
use semantics::program::Program;
use wire::Trial;

use crate::input::Source;
use crate::{Status, engines, judge};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// The kernel whose code is shown
    #[arg(long, default_value = "6.1", value_parser = engines::kernel)]
    kernel: LinuxVersion,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let program = args.source.load()?.program;
    let kernel = Kernel::find(&kernel::folder(), &args.kernel.to_string())?;
    let wanted = Wanted { kernel: kernel.number(), log_level: 1, dump: true, ..Wanted::verdict() };
    let job = job::of_program(&program, std::iter::empty(), &wanted);
    let answer = Machine::new(kernel, Settings::default()).ask_one(&job)?.map_err(|lost| anyhow!("{lost}"))?;
    let trial = answer.trials.first().context("no answer")?;
    if trial.load.result.is_err() {
        writeln!(out, "{}\nlinux-{} refuses it", last_line(&trial.load.log), args.kernel)?;
        return Ok(Status::Findings);
    }
    if trial.jited.is_empty() {
        bail!("linux-{} does not show its code", args.kernel);
    }
    let mut code = Code::default();
    // SAFETY: it is not run.
    let verified = unsafe { judge::fit(&program, true) };
    let ours = match verified {
        Ok(verified) => compile(&verified, &judge::Codegen::default().rules()?, &mut code).err().map(|e| e.to_string()),
        Err(_) => Some("it is not compiled".to_owned()),
    };
    if let Some(why) = &ours {
        writeln!(out, "ours: {why}")?;
    }
    functions(&program, ours.is_none().then_some(&code), trial, args.kernel, out)?;
    writeln!(out, "{}", xlated(&trial.xlated))?;
    let own = if ours.is_none() { code.bytes().len() } else { 0 };
    writeln!(
        out,
        "{} slots; ours {own} bytes, stubs among them; linux-{} {} bytes, {} slots translated",
        program.insns().len(),
        args.kernel,
        trial.jited.len(),
        trial.xlated.len() / SLOT_LEN
    )?;
    Ok(Status::Fine)
}

/// Both codes of each function, in two columns.
fn functions(
    program: &Program,
    code: Option<&Code>,
    trial: &Trial,
    kernel: LinuxVersion,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // The kernel has loaded the program alone, without those that its tail calls lead to.
    let end = program.targets().first().map_or(program.insns().len(), |target| target.start);
    let starts: Vec<usize> = program.subprograms().iter().copied().filter(|start| *start < end).collect();
    let lens = if trial.jited_lens.is_empty() { vec![trial.jited.len() as u32] } else { trial.jited_lens.clone() };
    let mut at = 0;
    for (number, len) in lens.iter().enumerate() {
        let theirs = trial.jited.get(at..at + *len as usize).context("the kernel's lengths do not fit its code")?;
        at += *len as usize;
        let range = starts.get(number).map(|start| *start..starts.get(number + 1).copied().unwrap_or(end));
        let ours: Vec<(Option<String>, Native)> = match (code, range.clone()) {
            (Some(code), Some(range)) => of_slots(program, code, range),
            _ => Vec::new(),
        };
        let own: usize = ours.iter().map(|(_, native)| native.bytes.len()).sum();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header([
            range.map_or(format!("function {number}"), |range| format!("slots {} to {}", range.start, range.end - 1)),
            format!("ours, {own} bytes"),
            format!("linux-{kernel}, {len} bytes"),
        ]);
        let theirs = disasm::natives(theirs, 0);
        for row in 0..ours.len().max(theirs.len()) {
            let (bpf, native) = ours.get(row).map_or((None, None), |(bpf, native)| (bpf.clone(), Some(native)));
            table.add_row([
                bpf.unwrap_or_default(),
                native.map_or(String::new(), line),
                theirs.get(row).map_or(String::new(), line),
            ]);
        }
        writeln!(out, "{table}\n")?;
    }
    Ok(())
}

/// Our code of these slots; each instruction stands beside the first of its native ones.
fn of_slots(program: &Program, code: &Code, slots: std::ops::Range<usize>) -> Vec<(Option<String>, Native)> {
    let mut all = Vec::new();
    for slot in slots {
        let range = code.slot(slot)..code.slot(slot + 1);
        let mut bpf = Some(format!("{slot}: {}", program.insns()[slot]));
        let natives = disasm::natives(&code.bytes()[range.clone()], range.start as u64);
        all.extend(natives.into_iter().map(|native| (bpf.take(), native)));
    }
    all
}

fn line(native: &Native) -> String {
    format!("{:4x}: {}", native.offset, native.text)
}

/// The translated instructions; those that only the kernel has as numbers.
fn xlated(bytes: &[u8]) -> String {
    if let Ok(insns) = encoding::decode(bytes) {
        return format!("translated:\n{}", semantics::disasm::disassemble(&insns));
    }
    let (slots, _) = bytes.as_chunks::<SLOT_LEN>();
    let mut text = "translated, with instructions of the kernel's own:\n".to_owned();
    for (at, slot) in slots.iter().enumerate() {
        let Slot { code, dst, src, off, imm } = Slot::from_bytes(*slot);
        let one = encoding::decode(slot).ok().and_then(|insns| insns.first().map(ToString::to_string));
        let raw = || format!("code {code:#04x}, r{dst}, r{src}, offset {off}, immediate {imm:#x}");
        let _ = writeln!(text, "{at:4}: {}", one.unwrap_or_else(raw));
    }
    text
}
