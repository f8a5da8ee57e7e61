//! `touchstone linux image`: a kernel's native code beside ours, instruction by instruction, and what its verifier made of
//! them. A line of debugging information for each instruction has the kernel say where its code begins (`jited_line_info`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;

use ::linux::job::{self, Wanted};
use ::linux::{Kernel, Machine, Settings, kernel};
use anyhow::{Context, anyhow, bail};
use comfy_table::{Table, presets};
use jit::disasm::{self, Native};
use jit::{Code, compile};
use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::engine::{LinuxVersion, last_line};
use semantics::insn::Op;
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

/// Both codes of each function, in two columns: beside each instruction what either side makes of it.
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
        let theirs = Parts::theirs(theirs, &begins(trial, number, *len));
        let ours = match (code, range.clone()) {
            (Some(code), Some(range)) => Parts::ours(program, code, range),
            _ => Parts::default(),
        };
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header([
            range
                .as_ref()
                .map_or(format!("function {number}"), |range| format!("slots {} to {}", range.start, range.end - 1)),
            format!("ours, {} bytes", ours.bytes()),
            format!("linux-{kernel}, {len} bytes"),
        ]);
        for row in rows(program, &ours, &theirs) {
            table.add_row(row);
        }
        writeln!(out, "{table}\n")?;
    }
    Ok(())
}

/// The native code of a function, by the slot that it is of.
#[derive(Debug, Default)]
struct Parts(BTreeMap<usize, Vec<Native>>);

impl Parts {
    fn ours(program: &Program, code: &Code, slots: Range<usize>) -> Parts {
        let natives = |slot: usize| {
            let range = code.slot(slot)..code.slot(slot + 1);
            (slot, disasm::natives(&code.bytes()[range.clone()], range.start as u64))
        };
        let is_head = |slot: &usize| program.insns()[*slot].op() != Op::WideTail;
        Parts(slots.filter(is_head).map(natives).collect())
    }

    /// Cut where slots begin; what lies before the first of them belongs to it, and all of it to one where nothing is known.
    fn theirs(bytes: &[u8], begins: &[(usize, usize)]) -> Parts {
        let mut parts = Parts::default();
        for native in disasm::natives(bytes, 0) {
            let begun = begins.iter().rfind(|(offset, _)| *offset <= native.offset).or(begins.first());
            parts.0.entry(begun.map_or(0, |(_, slot)| *slot)).or_default().push(native);
        }
        parts
    }

    fn bytes(&self) -> usize {
        self.0.values().flatten().map(|native| native.bytes.len()).sum()
    }
}

/// Where in a function of the kernel's code the slots begin, by offset. What it has removed is not there.
fn begins(trial: &Trial, function: usize, len: u32) -> Vec<(usize, usize)> {
    let Some(start) = trial.jited_at.get(function) else { return Vec::new() };
    let offset = |at: u64| at.checked_sub(*start).filter(|offset| *offset < u64::from(len));
    let mut begins: Vec<(usize, usize)> = (trial.lines.iter())
        .filter_map(|line| Some((offset(line.at)? as usize, job::slot_of_line(line.line_col))))
        .collect();
    begins.sort_unstable();
    begins
}

/// A row for each native instruction of the longer side of each instruction, and the instruction beside the first.
fn rows(program: &Program, ours: &Parts, theirs: &Parts) -> Vec<[String; 3]> {
    let slots: BTreeSet<usize> = ours.0.keys().chain(theirs.0.keys()).copied().collect();
    let mut rows = Vec::new();
    for slot in slots {
        let of = |parts: &Parts| -> Vec<String> {
            parts
                .0
                .get(&slot)
                .into_iter()
                .flatten()
                .map(|native| format!("{:4x}: {}", native.offset, native.text))
                .collect()
        };
        let (ours, theirs) = (of(ours), of(theirs));
        for row in 0..ours.len().max(theirs.len()).max(1) {
            let bpf = (row == 0).then(|| format!("{slot}: {}", program.insns()[slot]));
            let side = |lines: &[String]| lines.get(row).cloned().unwrap_or_default();
            rows.push([bpf.unwrap_or_default(), side(&ours), side(&theirs)]);
        }
    }
    rows
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

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::program_type::ProgramType;
    use wire::{Engine, Line, Load};

    fn trial(lines: Vec<Line>) -> Trial {
        let load = Load { result: Ok(()), log: String::new(), log_level: 0, verified_insns: 0 };
        // nop; xor eax, eax; nop; leave; ret
        let jited = vec![0x90, 0x31, 0xc0, 0x90, 0xc9, 0xc3];
        Trial { jited_lens: vec![6], jited_at: vec![0x1000], jited, lines, ..Trial::new(Engine::Jit, load) }
    }

    #[test]
    fn code_stands_beside_the_instruction_that_it_is_of() {
        let line = |slot: u32, at: u64| Line { line_col: slot << 10, slot, at };
        // The slots 1 to 3 were removed; what lies elsewhere is another function's.
        let trial = trial(vec![line(0, 0x1000), line(4, 0x1003), line(9, 0x2000)]);
        let begins = begins(&trial, 0, 6);
        assert_eq!(begins, [(0, 0), (3, 4)]);
        let theirs = Parts::theirs(&trial.jited, &begins);
        let insns = semantics::asm::assemble("r0 = 0; goto +2; r0 = 1; r0 = 2; exit").expect("assembly");
        let program = Program::new("p", ProgramType::Xdp, "GPL", vec![], insns).expect("a program");
        let rows = rows(&program, &Parts::default(), &theirs);
        let first: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(first, ["0: r0 = 0x0", "", "4: exit", "", ""]);
        assert!(rows[1][2].ends_with("xor eax,eax") && rows[4][2].ends_with("ret"), "{rows:?}");
        assert_eq!(Parts::theirs(&trial.jited, &[]).0.len(), 1, "where nothing is known all is one part");
    }
}
