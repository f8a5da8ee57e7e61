//! Assembly text as instructions: whatever [`disasm`](crate::disasm), `llvm-objdump`, the kernel's verifier or bpftool
//! printed is read back, as are LLVM's assembly and the mnemonics of ubpf and `bpf_conformance`, also mixed.
//!
//! - One statement per line, or several with `;` between them. `label:` before a statement; a number there (the slot in a
//!   listing) is ignored.
//! - `#` and `//` start a comment. So does `;` at the start of a line, or before what does not begin like a statement.
//! - Numbers are decimal or hexadecimal. An immediate of 32 bits may be written signed or unsigned.
//! - Jumps go to a label, by `+3` or `-0x3` slots, or to `pc+3`. `exit` is a label: the first exit, unless it is defined.
//! - A map is `r1 = map 0 ll` by index, `r1 = map[name] ll` or `r1 = name ll` by a name that the caller resolves;
//!   `r1 = map[name][0]+0x8 ll` is a place in its first value.
//! - `call` takes a helper's number or name (`call bpf_map_lookup_elem#1`), a label, or a distance `pc+3`.
//! - Listings of `llvm-objdump -d` are taken with all their columns: symbols are labels, relocations are applied where they
//!   name a known map or symbol, bytes have to agree with the text. In the verifier's log, `12: (bf) r1 = r2`, each slot
//!   counts once however often the log walks through it.
//!
//! ```
//! use semantics::asm::assemble;
//! let insns = assemble("r0 = 0\nif w1 s> -0x5 goto out\nldxw %r0, [%r10-4] // top of the frame\nout: exit").unwrap();
//! assert_eq!(insns.len(), 4);
//! assert_eq!(insns[1].to_string(), "if w1 s> -0x5 goto +0x1");
//! let error = assemble("r0 = 0\nr1 += q").unwrap_err();
//! assert_eq!(error.to_string(), "line 2, column 7: expected a register or a number, found `q`");
//! ```

use crate::helper;
use crate::insn::Insn;
use lexer::TokenKind;
use listing::Line;
use parser::Parser;
use unit::{Place, Unit};

mod lexer;
mod listing;
mod mnemonic;
mod parser;
mod pseudo_c;
mod suggest;
mod unit;

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

/// Why a text is no program. Strings are words of the text, or names that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsmErrorKind {
    /// Something else belongs here.
    #[error("expected {expected}, found {}{}", quote(found), meant(nearest.as_deref()))]
    Expected {
        /// What could stand here.
        expected: &'static str,
        /// What stands here; empty at the end of the line.
        found: String,
        /// What it may have meant.
        nearest: Option<String>,
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
    #[error("there is no label `{name}`{}", meant(nearest.as_deref()))]
    UndefinedLabel {
        /// The label.
        name: String,
        /// A label much like it.
        nearest: Option<String>,
    },
    /// A label that stands twice.
    #[error("label `{name}` stands already in line {first}")]
    DuplicateLabel {
        /// The label.
        name: String,
        /// Where it stood first.
        first: usize,
    },
    /// A label too far away for the field that holds the distance.
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
    /// A symbol that is neither a map nor a label.
    #[error("there is no map and no label `{name}`{}", meant(nearest.as_deref()))]
    UnknownSymbol {
        /// The name.
        name: String,
        /// A label much like it.
        nearest: Option<String>,
    },
    /// What is called is neither a helper nor a label.
    #[error("there is no helper and no label `{name}`{}", meant(nearest.as_deref()))]
    UnknownHelper {
        /// The name.
        name: String,
        /// A helper or label much like it.
        nearest: Option<String>,
    },
    /// A helper with another helper's number.
    #[error("`{name}` is helper {id}, not {number}")]
    OtherHelper {
        /// The name.
        name: String,
        /// Its number.
        id: u32,
        /// The number behind it.
        number: i32,
    },
    /// Both operands must have the same width.
    #[error("`{0}` has another width than the first operand")]
    MixedWidths(String),
    /// A statement has another code than the one in front of it.
    #[error("the code of this instruction is {actual:02x}, not {stated:02x}")]
    OtherCode {
        /// What the listing says.
        stated: u8,
        /// What the statement has.
        actual: u8,
    },
    /// A statement is not what its bytes say.
    #[error("the bytes in front are `{0}`")]
    OtherBytes(String),
    /// The bytes in front of a statement are no instruction.
    #[error("the bytes in front are no instruction: {0}")]
    BadBytes(crate::encoding::DecodeErrorKind),
    /// Two different instructions for one slot of a listing.
    #[error("slot {slot} is another instruction in line {first}")]
    OtherInstruction {
        /// The slot.
        slot: usize,
        /// Where the first stands.
        first: usize,
    },
    /// A listing with a hole, which jumps over it would not survive.
    #[error("slot {0} is missing before this one")]
    MissingSlot(usize),
    /// An instruction of later versions of Linux that is not modelled.
    #[error("{0} is not modelled")]
    Unsupported(&'static str),
    /// An instruction that RFC 9669 reserves.
    #[error("{0} is reserved")]
    Reserved(&'static str),
    /// A statement of a syntax that was not asked for.
    #[error("`{found}` is not {syntax}")]
    OtherSyntax {
        /// The first word.
        found: String,
        /// The syntax that was asked for.
        syntax: &'static str,
    },
}

fn quote(found: &str) -> String {
    if found.is_empty() { "the end of the line".into() } else { format!("`{found}`") }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// What statements may look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Any, also mixed.
    #[default]
    Auto,
    /// `r1 = *(u32 *)(r2 + 4)`: LLVM's, Linux's log, bpftool's.
    PseudoC,
    /// `ldxw %r1, [%r2+4]`: ubpf's, `bpf_conformance`'s.
    Mnemonic,
}

/// How to read a text.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What statements may look like.
    pub syntax: Syntax,
    /// Which index a map's name stands for.
    pub maps: &'a dyn Fn(&str) -> Option<u32>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { syntax: Syntax::Auto, maps: &|_| None }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("syntax", &self.syntax).finish_non_exhaustive()
    }
}

/// Assembles a program without named maps: one entry per slot.
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    assemble_with(text, Options::default())
}

/// Assembles a program; the options say which index a map's name stands for.
///
/// ```
/// use semantics::asm::{Options, assemble_with};
/// let maps = |name: &str| (name == "counts").then_some(3);
/// let insns = assemble_with("r1 = map[counts] ll", Options { maps: &maps, ..Options::default() }).unwrap();
/// assert_eq!(insns[0].to_string(), "r1 = map 3 ll");
/// ```
pub fn assemble_with(text: &str, options: Options<'_>) -> Result<Vec<Insn>, AsmError> {
    let mut unit = Unit::new(options.maps);
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let number = at + 1;
        let here = Place { line: number, column: 1 + line.chars().take_while(|c| c.is_whitespace()).count() };
        match listing::classify(line, lines.peek().map(|(_, next)| *next)) {
            Line::Noise => Ok(()),
            Line::Symbol(name) => unit.label(name, here),
            Line::Section(name) => {
                unit.section(name);
                Ok(())
            }
            Line::Relocation(symbol) => {
                unit.relocate(symbol);
                Ok(())
            }
            Line::Code { bytes, text } => {
                let mut parser = Parser::new(&text);
                code(&mut unit, options.syntax, here, &mut parser, bytes.as_deref())
            }
        }
        .map_err(|(column, kind)| AsmError { line: number, column, kind })?;
    }
    unit.link()
}

/// Column and reason; the line is added by whoever knows it.
type Fail = (usize, AsmErrorKind);

/// The statements of a line, the first of which has these bytes in front.
fn code(
    unit: &mut Unit<'_>,
    syntax: Syntax,
    here: Place,
    parser: &mut Parser<'_>,
    mut bytes: Option<&[u8]>,
) -> Result<(), Fail> {
    let line = here.line;
    if let Some(bytes) = bytes
        && parser.peek().is_none_or(|token| token.ends_statement())
    {
        return unit.bytes_only(bytes, here);
    }
    while parser.peek().is_some_and(|token| token.kind != TokenKind::Comment) {
        let slot = prefixes(unit, line, parser)?;
        if parser.peek().is_some_and(|token| !token.ends_statement()) {
            statement(unit, syntax, line, parser, slot)?;
            if let Some(bytes) = bytes.take() {
                unit.confirm(bytes)?;
            }
        }
        match parser.next() {
            None => {}
            Some(token) if token.ends_statement() => {}
            Some(_) => {
                parser.back(1);
                return Err(parser.expected("the end of the statement"));
            }
        }
    }
    Ok(())
}

/// Labels and slot numbers, the last of which is returned.
fn prefixes(unit: &mut Unit<'_>, line: usize, parser: &mut Parser<'_>) -> Result<Option<usize>, Fail> {
    let mut slot = None;
    while let [first, second, ..] = parser.rest() {
        if second.text != ":" || !matches!(first.kind, TokenKind::Word | TokenKind::Number) {
            break;
        }
        let (kind, text, column) = (first.kind, first.text, first.column);
        if kind == TokenKind::Word {
            unit.label(text, Place { line, column })?;
        } else {
            slot = text.parse().ok();
        }
        parser.skip(2);
    }
    Ok(slot)
}

fn statement(
    unit: &mut Unit<'_>,
    syntax: Syntax,
    line: usize,
    parser: &mut Parser<'_>,
    slot: Option<usize>,
) -> Result<(), Fail> {
    let code = parser.code()?;
    let place = Place { line, column: parser.column() };
    let first = parser.peek().map_or("", |token| token.text).to_owned();
    parser.decimal = syntax == Syntax::Mnemonic;
    let mnemonic = parser.mnemonic();
    let found = first.clone();
    match (syntax, &mnemonic) {
        (Syntax::PseudoC, Some(_)) => {
            return Err((place.column, AsmErrorKind::OtherSyntax { found, syntax: "in the manner of C" }));
        }
        (Syntax::Mnemonic, None) if is_pseudo_c(&first) => {
            return Err((place.column, AsmErrorKind::OtherSyntax { found, syntax: "a mnemonic" }));
        }
        _ => {}
    }
    let (insn, goal) = match mnemonic {
        Some(statement) => statement?,
        None => parser.pseudo_c(code.map(|(code, _)| code))?,
    };
    if let Some((stated, column)) = code
        && stated != insn.opcode.row().code
    {
        return Err((column, AsmErrorKind::OtherCode { stated, actual: insn.opcode.row().code }));
    }
    let goal = goal.map(|(goal, token)| (goal, token.text.to_owned(), token.column));
    unit.push(insn, goal, place, slot.filter(|_| code.is_some()));
    Ok(())
}

/// Whether only statements in the manner of C begin with this.
fn is_pseudo_c(first: &str) -> bool {
    let token = lexer::Token { kind: TokenKind::Word, text: first, column: 0 };
    token.register().is_some() || matches!(first, "*" | "if" | "goto" | "gotol" | "store_release" | "ld_pseudo")
}

/// The helper of this name, with or without `bpf_`.
fn helper_id(name: &str) -> Option<u32> {
    let name = name.strip_prefix("bpf_").unwrap_or(name);
    helper::FACTS.iter().find(|fact| fact.name == name).map(|fact| fact.id)
}

/// The error that nothing of this name can be called.
fn unknown_helper(name: &str) -> AsmErrorKind {
    let bare = name.strip_prefix("bpf_").unwrap_or(name);
    let nearest = suggest::nearest(bare, helper::FACTS.iter().map(|fact| fact.name));
    let nearest = nearest.map(|nearest| format!("{}{nearest}", if bare == name { "" } else { "bpf_" }));
    AsmErrorKind::UnknownHelper { name: name.to_owned(), nearest }
}
