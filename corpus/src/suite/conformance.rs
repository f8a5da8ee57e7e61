//! `bpf_conformance` cases: one `.data` file each, with the program in ubpf's assembly or as raw slots, the memory that R1
//! points to, R2 its length, and the expected R0.

use std::path::Path;

use semantics::asm::{self, AsmError, AsmErrorKind, Options, Syntax};
use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::program_type::ProgramType;
use semantics::world::Input;

use super::Entry;
use crate::case::{Case, Code, Ending, Expected, Load, Run, Verdict};
use crate::error::{HexError, ReadError, Reason};
use crate::runner::Skip;
use crate::text;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The program as slots of 8 bytes.
    pub code: Vec<u8>,
    /// The memory that R1 points to and whose length R2 holds.
    pub memory: Vec<u8>,
    /// The expected R0; `None` if the program must fail.
    pub result: Option<u64>,
}

/// Why a file says nothing.
#[derive(Debug)]
pub enum Lack {
    /// It is wrong.
    Wrong(Box<ReadError>),
    /// It needs what is not modelled, or says nothing that could be tried.
    Skip(Skip),
}

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
            if let Some(name) = line.trim_start().strip_prefix("--") {
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

/// Assembles the lines of the program, where they stand in the text.
fn assemble(lines: &Lines<'_>, text: &str) -> Result<Vec<u8>, AsmError> {
    let mut all: Vec<&str> = text.lines().collect();
    for (section, at, _) in &lines.0 {
        if *section != Section::Asm || all[at - 1].trim_start().starts_with("--") {
            all[at - 1] = "";
        }
    }
    let options = Options { syntax: Syntax::Mnemonic, ..Options::default() };
    asm::assemble_with(&all.join("\n"), options).map(|insns| encoding::encode(&insns))
}

/// Reads the case of a text. Its name is the name of the file.
pub fn parse(text: &str, file: &Path) -> Result<Entry, ReadError> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let case = match data(text, file) {
        Ok(data) => Ok(case(name.clone(), data)),
        Err(Lack::Skip(skip)) => Err(skip),
        Err(Lack::Wrong(error)) => return Err(*error),
    };
    Ok(Entry { name, dialect: None, case })
}

/// Reads what a file says.
pub fn data(text: &str, file: &Path) -> Result<Data, Lack> {
    let lines = Lines::of(text);
    let fail = |line, reason| {
        let (file, column) = (file.to_owned(), usize::from(line > 0));
        Lack::Wrong(Box::new(ReadError { file, line, column, case: None, reason: Box::new(reason) }))
    };
    let mut code = Vec::new();
    for (at, line) in lines.of_section(Section::Raw) {
        code.extend(raw(line).map_err(|reason| fail(at, reason))?);
    }
    // Where a file has the program in both forms, its own runner takes the slots.
    if code.is_empty() {
        code = match assemble(&lines, text) {
            Ok(code) => code,
            // Text that is no program fails, as it must: it stands for no instructions at all, which are no program either.
            Err(AsmError { kind, .. })
                if lines.has(Section::Error) && !matches!(kind, AsmErrorKind::Unsupported(_)) =>
            {
                return Ok(Data::default());
            }
            Err(AsmError { kind: AsmErrorKind::Unsupported(what) | AsmErrorKind::Reserved(what), .. }) => {
                return Err(Lack::Skip(Skip::Instruction(what)));
            }
            Err(AsmError { line, column, kind }) => {
                let (file, reason) = (file.to_owned(), Box::new(Reason::Asm(kind)));
                return Err(Lack::Wrong(Box::new(ReadError { file, line, column, case: None, reason })));
            }
        };
    }
    if code.is_empty() {
        // Its own runner passes over such files, too.
        return Err(Lack::Skip(Skip::NothingToRun));
    }
    let mut memory = Vec::new();
    for (at, line) in lines.of_section(Section::Mem) {
        memory.extend(bytes(line).map_err(|error| fail(at, error.into()))?);
    }
    let result = match lines.of_section(Section::Result).next() {
        Some((at, line)) => Some(text::number(line).ok_or_else(|| fail(at, Reason::Number(line.to_owned())))?),
        None if lines.has(Section::Error) => None,
        None => return Err(Lack::Skip(Skip::NothingToRun)),
    };
    Ok(Data { code, memory, result })
}

/// The bytes of a line: of one or two digits each with blanks between, or of any number of pairs.
fn bytes(line: &str) -> Result<Vec<u8>, HexError> {
    if line.split_whitespace().all(|word| word.len() <= 2) {
        return line
            .split_whitespace()
            .map(|word| text::bytes(&format!("{word:0>2}")))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| all.concat());
    }
    text::bytes(line)
}

/// The slots of a line of words of 64 bits, or of bytes of two hexadecimal digits each, eight per slot.
fn raw(line: &str) -> Result<Vec<u8>, Reason> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.len().is_multiple_of(SLOT_LEN) && words.iter().all(|word| word.len() == 2) {
        return Ok(text::bytes(line)?);
    }
    let word = |word: &&str| text::number(word).ok_or_else(|| Reason::Number((*word).to_owned()));
    words
        .iter()
        .map(word)
        .map(|word| Ok(word?.to_le_bytes()))
        .collect::<Result<Vec<_>, _>>()
        .map(|words| words.concat())
}

fn case(name: String, data: Data) -> Case {
    let Data { code, memory, result } = data;
    let result = result.map_or_else(|| Ending::Trap(String::new()), Ending::Result);
    let mut case = Case {
        name,
        story: String::new(),
        program_type: ProgramType::Xdp,
        license: "GPL".to_owned(),
        load: Load::default(),
        maps: Vec::new(),
        code: Code::Slots(code),
        targets: Vec::new(),
        verdict: Verdict::Any,
        message: Vec::new(),
        runs: vec![Run {
            input: Input::in_one_piece(memory),
            expect: Expected { result: Some(result), ..Expected::default() },
        }],
        finding: None,
    };
    // The prologue would hide a jump before the program: only what is a program gets it.
    if case.program().is_ok()
        && let Code::Slots(code) = &mut case.code
    {
        *code = with_memory(code);
    }
    case
}

/// The program behind a prologue that makes R1 the address of the packet and R2 its length, as suites about plain
/// instruction semantics call it; the packet of an XDP program is writable memory.
pub fn with_memory(code: &[u8]) -> Vec<u8> {
    let prologue = [
        Insn::new(Opcode::LdxW).dst(Reg::R2).src(Reg::R1).off(4),
        Insn::new(Opcode::LdxW).dst(Reg::R1).src(Reg::R1).off(0),
        Insn::new(Opcode::Sub64X).dst(Reg::R2).src(Reg::R1),
    ];
    let mut whole: Vec<u8> = encoding::encode_slots(&prologue).flat_map(Slot::to_bytes).collect();
    whole.extend_from_slice(code);
    whole
}
