//! `bpf_conformance` cases: one `.data` file each, with the program in ubpf's assembly or as raw slots, the memory that R1
//! points to, R2 its length, and the expected R0.

use std::path::Path;

use semantics::encoding::{self, Slot};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::program_type::ProgramType;
use semantics::world::Input;

use super::{Entry, mnemonic};
use crate::case::{Case, Code, Ending, Expected, Run, Verdict};
use crate::error::{ReadError, Reason};
use crate::runner::Skip;
use crate::text;

/// What a section of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// The program as assembly.
    Asm,
    /// The program as 64-bit words.
    Raw,
    /// The memory.
    Mem,
    /// The expected R0.
    Result,
    /// The program must fail.
    Error,
    /// Before the first section, or notes such as `-- no register offset`.
    Other,
}

/// The lines of a file by section, with their numbers from 1 and without comments.
struct Lines<'a>(Vec<(Section, usize, &'a str)>);

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let mut section = Section::Other;
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix("--") {
                section = match name.trim() {
                    "asm" => Section::Asm,
                    "raw" => Section::Raw,
                    "mem" => Section::Mem,
                    "result" => Section::Result,
                    "error" => Section::Error,
                    _ => Section::Other,
                };
                // An error section may be empty: its being there says it all.
                lines.push((section, at + 1, ""));
            } else {
                lines.push((section, at + 1, line.split('#').next().unwrap_or_default().trim()));
            }
        }
        Lines(lines)
    }
    fn has(&self, section: Section) -> bool {
        self.0.iter().any(|(of, ..)| *of == section)
    }
    fn of_section(&self, section: Section) -> impl Iterator<Item = (usize, &'a str)> + '_ {
        self.0.iter().filter(move |(of, _, line)| *of == section && !line.is_empty()).map(|(_, at, line)| (*at, *line))
    }
}

/// Reads the case of a text. Its name is the name of the file.
pub fn parse(text: &str, file: &Path) -> Result<Entry, ReadError> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let lines = Lines::of(text);
    let fail = |line, reason| ReadError {
        file: file.to_owned(),
        line,
        column: usize::from(line > 0),
        case: None,
        reason: Box::new(reason),
    };
    let code = if lines.has(Section::Asm) {
        match mnemonic::assemble(lines.of_section(Section::Asm)) {
            Ok(code) => code,
            Err(mnemonic::Lack::Unsupported(what)) => {
                return Ok(Entry { name, dialect: None, case: Err(Skip::Instruction(what)) });
            }
            Err(mnemonic::Lack::Wrong(line, reason)) => return Err(fail(line, reason)),
        }
    } else {
        let mut code = Vec::new();
        for (at, line) in lines.of_section(Section::Raw) {
            let word = text::number(line).ok_or_else(|| fail(at, Reason::Number(line.to_owned())))?;
            code.extend(word.to_le_bytes());
        }
        code
    };
    if code.is_empty() {
        return Err(fail(0, Reason::Codes(0)));
    }
    let mut memory = Vec::new();
    for (at, line) in lines.of_section(Section::Mem) {
        memory.extend(text::bytes(line).map_err(|error| fail(at, error.into()))?);
    }
    let result = match lines.of_section(Section::Result).next() {
        Some((at, line)) => {
            Ending::Result(text::number(line).ok_or_else(|| fail(at, Reason::Number(line.to_owned())))?)
        }
        None => Ending::Trap(String::new()),
    };
    let case = Case {
        name: name.clone(),
        story: String::new(),
        program_type: ProgramType::Xdp,
        license: "GPL".to_owned(),
        maps: Vec::new(),
        code: Code::Slots(if memory.is_empty() { code } else { with_memory(&code) }),
        verdict: Verdict::Any,
        message: Vec::new(),
        runs: vec![Run {
            input: Input { packet: memory, ..Input::default() },
            expect: Expected { result: Some(result), ..Expected::default() },
        }],
        finding: None,
    };
    Ok(Entry { name, dialect: None, case: super::linux::modelled(&case).map(|()| case) })
}

/// The program behind a prologue that makes R1 the address of the packet and R2 its length, as suites about plain
/// instruction semantics call it; the packet of an XDP program is writable memory.
pub(super) fn with_memory(code: &[u8]) -> Vec<u8> {
    let prologue = [
        Insn::new(Opcode::LdxW).dst(Reg::R2).src(Reg::R1).off(4),
        Insn::new(Opcode::LdxW).dst(Reg::R1).src(Reg::R1).off(0),
        Insn::new(Opcode::Sub64X).dst(Reg::R2).src(Reg::R1),
    ];
    let mut whole: Vec<u8> = encoding::encode_slots(&prologue).flat_map(Slot::to_bytes).collect();
    whole.extend_from_slice(code);
    whole
}
