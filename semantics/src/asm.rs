//! Assembly text as instructions: LLVM's syntax and that of Linux's verifier log, so that whatever [`disasm`](crate::disasm),
//! `llvm-objdump` or the kernel printed is read back.
//!
//! - One statement per line, or several with `;` between them. `label:` before a statement; a number there (the slot in a
//!   listing) is ignored, as is the `(bf)` of the kernel's log.
//! - `#` and `//` start a comment. So does `;` at the start of a line, or before what does not begin like a statement.
//! - Numbers are decimal or hexadecimal. An immediate of 32 bits may be written signed or unsigned.
//! - Jumps go to a label, by `+3` or `-0x3` slots, or to `pc+3`.
//! - A map is `r1 = map 0 ll` by index, `r1 = map[name] ll` by a name that the caller resolves.
//!
//! ```
//! use semantics::asm::assemble;
//! let insns = assemble("r0 = 0\nif w1 s> -0x5 goto out\nr0 = *(u32 *)(r10 - 4) // top of the frame\nout: exit").unwrap();
//! assert_eq!(insns.len(), 4);
//! assert_eq!(insns[1].to_string(), "if w1 s> -0x5 goto +0x1");
//! let error = assemble("r0 = 0\nr1 += q").unwrap_err();
//! assert_eq!(error.to_string(), "line 2, column 7: expected a register or a number, found `q`");
//! ```

use std::collections::HashMap;

use crate::insn::{Insn, Op, Opcode};
use lexer::{Token, TokenKind};
use parser::Parser;

mod lexer;
mod parser;

/// Why a text is no program, and where. Lines and columns (in characters) count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct AsmError {
    /// The line.
    pub line: usize,
    /// The first character of what is wrong.
    pub column: usize,
    /// The reason.
    pub kind: AsmErrorKind,
}

/// Why a text is no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsmErrorKind {
    /// Something else belongs here.
    #[error("expected {expected}, found {}", quote(found))]
    Expected {
        /// What could stand here.
        expected: &'static str,
        /// What stands here; empty at the end of the line.
        found: String,
    },
    /// A number that its field cannot hold.
    #[error("{value} is out of range for {field}: {min} to {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The number.
        value: i128,
        /// The least that fits.
        min: i128,
        /// The most that fits.
        max: i128,
    },
    /// A number that is none, or has more than 64 bits.
    #[error("`{0}` is not a number of at most 64 bits")]
    BadNumber(String),
    /// A jump to a label that is nowhere.
    #[error("there is no label `{0}`")]
    UndefinedLabel(String),
    /// A label that stands twice.
    #[error("label `{name}` stands already in line {first}")]
    DuplicateLabel {
        /// The label.
        name: String,
        /// Where it stood first.
        first: usize,
    },
    /// A label too far away for 16 bits.
    #[error("label `{name}` is {distance} slots away, more than a jump reaches")]
    LabelTooFar {
        /// The label.
        name: String,
        /// Slots from the instruction behind the jump.
        distance: i64,
    },
    /// A map that the caller does not know.
    #[error("there is no map `{0}`")]
    UnknownMap(String),
    /// A helper without such a name.
    #[error("there is no helper `{0}`")]
    UnknownHelper(String),
    /// Both operands must have the same width.
    #[error("`{0}` has another width than the first operand")]
    MixedWidths(String),
    /// An instruction that is not modelled.
    #[error("{0} is not modelled")]
    Unsupported(&'static str),
}

fn quote(found: &str) -> String {
    if found.is_empty() { "the end of the line".into() } else { format!("`{found}`") }
}

/// Assembles a program without named maps: one entry per slot.
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    assemble_with(text, |_| None)
}

/// Assembles a program; `map` says which index a map's name stands for.
///
/// ```
/// let insns = semantics::asm::assemble_with("r1 = map[counts] ll", |name| (name == "counts").then_some(3)).unwrap();
/// assert_eq!(insns[0].to_string(), "r1 = map 3 ll");
/// ```
pub fn assemble_with(text: &str, map: impl Fn(&str) -> Option<u32>) -> Result<Vec<Insn>, AsmError> {
    let mut unit = Unit { map: &map, insns: Vec::new(), labels: HashMap::new(), jumps: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        let mut parser = Parser::new(line);
        unit.line(number + 1, &mut parser).map_err(|(column, kind)| AsmError { line: number + 1, column, kind })?;
    }
    unit.link()
}

/// Column and reason; the line is added by whoever knows it.
type Fail = (usize, AsmErrorKind);

/// The program so far.
struct Unit<'a> {
    map: &'a dyn Fn(&str) -> Option<u32>,
    insns: Vec<Insn>,
    /// Slot and line of each label.
    labels: HashMap<String, (usize, usize)>,
    /// Jumps to labels.
    jumps: Vec<Jump>,
}

/// A jump to a label and where that is written.
struct Jump {
    slot: usize,
    line: usize,
    column: usize,
    label: String,
}

impl Unit<'_> {
    fn line(&mut self, number: usize, parser: &mut Parser<'_>) -> Result<(), Fail> {
        while parser.peek().is_some_and(|token| token.kind != TokenKind::Comment) {
            self.prefixes(number, parser)?;
            if parser.peek().is_some_and(|token| !token.ends_statement()) {
                self.statement(number, parser)?;
            }
            match parser.next() {
                None => {}
                Some(token) if token.ends_statement() => {}
                Some(_) => return Err(parser.back().expected("the end of the statement")),
            }
        }
        Ok(())
    }

    /// Labels and slot numbers.
    fn prefixes(&mut self, number: usize, parser: &mut Parser<'_>) -> Result<(), Fail> {
        while let [first, second, ..] = parser.rest() {
            if second.text != ":" || !matches!(first.kind, TokenKind::Word | TokenKind::Number) {
                break;
            }
            if first.kind == TokenKind::Word {
                let place = (self.insns.len(), number);
                if let Some((_, first_line)) = self.labels.insert(first.text.to_owned(), place) {
                    let name = first.text.to_owned();
                    return Err((first.column, AsmErrorKind::DuplicateLabel { name, first: first_line }));
                }
            }
            parser.skip(2);
        }
        Ok(())
    }

    fn statement(&mut self, number: usize, parser: &mut Parser<'_>) -> Result<(), Fail> {
        let code = parser.code()?;
        let (insn, label) = parser.statement(self.map, code)?;
        if let Some(Token { text, column, .. }) = label {
            self.jumps.push(Jump { slot: self.insns.len(), line: number, column, label: text.to_owned() });
        }
        self.insns.push(insn);
        if matches!(insn.op(), Op::Wide(_)) {
            self.insns.push(Insn::new(Opcode::WideTail));
        }
        Ok(())
    }

    /// Fills in the distances to labels.
    fn link(mut self) -> Result<Vec<Insn>, AsmError> {
        for Jump { slot, line, column, label } in self.jumps {
            let fail = |kind| AsmError { line, column, kind };
            let Some((to, _)) = self.labels.get(&label) else {
                return Err(fail(AsmErrorKind::UndefinedLabel(label)));
            };
            let distance = *to as i64 - (slot as i64 + 1);
            match i16::try_from(distance) {
                Ok(off) => self.insns[slot] = self.insns[slot].off(off),
                Err(_) => return Err(fail(AsmErrorKind::LabelTooFar { name: label, distance })),
            }
        }
        Ok(self.insns)
    }
}
