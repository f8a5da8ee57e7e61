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

use crate::insn::{AluOp, Cond, Insn, Op, Opcode, Reg, Size, Source, Wide, Width};
use lexer::{Token, TokenKind};

mod lexer;

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
    #[error("expected {expected}, found {}", found(found))]
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

fn found(found: &str) -> String {
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
        let mut parser = Parser { tokens: lexer::tokens(line), at: 0, length: line.chars().count() };
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
            parser.at += 2;
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

/// One line.
struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Characters of the line.
    length: usize,
}

/// A statement's instruction, and the label that it jumps to.
type Statement<'a> = (Insn, Option<Token<'a>>);

impl<'a> Parser<'a> {
    fn rest(&self) -> &[Token<'a>] {
        &self.tokens[self.at..]
    }
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }
    fn back(&mut self) -> &Self {
        self.at -= 1;
        self
    }
    fn take(&mut self, text: &str) -> bool {
        let there = self.peek().is_some_and(|token| token.text == text);
        self.at += usize::from(there);
        there
    }
    fn column(&self) -> usize {
        self.peek().map_or(self.length + 1, |token| token.column)
    }
    /// The error that something else belongs here.
    fn expected(&self, expected: &'static str) -> Fail {
        let found = self.peek().filter(|token| token.kind != TokenKind::Comment);
        let found = found.map_or(String::new(), |token| token.text.to_owned());
        (self.column(), AsmErrorKind::Expected { expected, found })
    }
    fn expect(&mut self, text: &'static str) -> Result<(), Fail> {
        if self.take(text) { Ok(()) } else { Err(self.expected(text)) }
    }

    /// The code in front of a statement in the kernel's log.
    fn code(&mut self) -> Result<Option<u8>, Fail> {
        let [open, code, close, ..] = self.rest() else { return Ok(None) };
        if open.text != "(" || close.text != ")" || code.text.len() != 2 {
            return Ok(None);
        }
        let (text, column) = (code.text, code.column);
        match u8::from_str_radix(text, 16) {
            Ok(code) => {
                self.at += 3;
                Ok(Some(code))
            }
            Err(_) => {
                let kind = AsmErrorKind::Expected { expected: "an opcode of two digits", found: text.to_owned() };
                Err((column, kind))
            }
        }
    }

    fn statement(&mut self, map: &dyn Fn(&str) -> Option<u32>, code: Option<u8>) -> Result<Statement<'a>, Fail> {
        const STATEMENT: &str = "a register, `*(`, `if`, `goto`, `call` or `exit`";
        let Some(token) = self.peek() else { return Err(self.expected(STATEMENT)) };
        if token.text == "*" {
            return self.store().map(|insn| (insn, None));
        }
        if let Some((dst, width)) = token.register() {
            self.at += 1;
            return self.assignment(dst, width, map, code).map(|insn| (insn, None));
        }
        self.at += 1;
        match token.text {
            "if" => self.conditional(),
            "goto" => {
                let (off, label) = self.target()?;
                Ok((Insn::new(Opcode::Ja).off(off), label))
            }
            "call" => self.call().map(|insn| (insn, None)),
            "exit" => Ok((Insn::new(Opcode::Exit), None)),
            _ => match unsupported_word(token.text) {
                Some(what) => Err((token.column, AsmErrorKind::Unsupported(what))),
                None => Err(self.back().expected(STATEMENT)),
            },
        }
    }

    /// `dst = ...` and `dst op= ...`; the register is behind us.
    fn assignment(
        &mut self,
        dst: Reg,
        width: Width,
        map: &dyn Fn(&str) -> Option<u32>,
        code: Option<u8>,
    ) -> Result<Insn, Fail> {
        let Some(operator) = self.next() else { return Err(self.expected("an assignment")) };
        if operator.text != "=" {
            let Some(op) = AluOp::ALL.into_iter().find(|op| operator.text.strip_suffix('=') == Some(op.symbol()))
            else {
                return Err(match operator.text {
                    "*=" => (operator.column, AsmErrorKind::Unsupported("multiplication")),
                    "/=" | "%=" | "s/=" | "s%=" => (operator.column, AsmErrorKind::Unsupported("division")),
                    "<<=" | ">>=" | "s>>=" => (operator.column, AsmErrorKind::Unsupported("shift")),
                    _ => self.back().expected("an assignment"),
                });
            };
            return self.operand(dst, width, |source| Op::Alu { op, width, source });
        }
        let Some(token) = self.peek() else { return Err(self.expected("a value")) };
        match token.text {
            "*" => self.load(dst, width),
            "-" if self.rest().get(1).is_some_and(|token| token.register().is_some()) => self.negation(dst, width),
            "map" => self.map(dst, map),
            _ if token.register().is_some() => self.operand(dst, width, |source| Op::Mov { width, source }),
            _ if token.kind == TokenKind::Word => self.symbol(dst, map),
            _ => self.constant(dst, width, code),
        }
    }

    /// A register or an immediate as the second operand.
    fn operand(&mut self, dst: Reg, width: Width, op: impl Fn(Source) -> Op) -> Result<Insn, Fail> {
        if let Some((src, src_width)) = self.peek().and_then(|token| token.register()) {
            self.same_width(width, src_width)?;
            return Ok(Insn::new(Opcode::of(op(Source::X))).dst(dst).src(src));
        }
        let imm = self.imm("a register or a number")?;
        Ok(Insn::new(Opcode::of(op(Source::K))).dst(dst).imm(imm))
    }

    /// Consumes a register if it has this width.
    fn same_width(&mut self, width: Width, other: Width) -> Result<(), Fail> {
        let column = self.column();
        let token = self.next();
        if width == other {
            return Ok(());
        }
        Err((column, AsmErrorKind::MixedWidths(token.map_or("", |token| token.text).to_owned())))
    }

    /// `dst = -dst`.
    fn negation(&mut self, dst: Reg, width: Width) -> Result<Insn, Fail> {
        self.at += 1;
        match self.peek().and_then(|token| token.register()) {
            Some((reg, other)) if reg == dst => {
                self.same_width(width, other)?;
                Ok(Insn::new(Opcode::of(Op::Neg { width })).dst(dst))
            }
            _ => Err(self.expected("the register that is assigned to")),
        }
    }

    /// `dst = 5` and `dst = 5 ll`; Linux's log has no `ll` but the code.
    fn constant(&mut self, dst: Reg, width: Width, code: Option<u8>) -> Result<Insn, Fail> {
        let column = self.column();
        let value = self.number("a value")?;
        let wide = self.take("ll") || code == Some(Opcode::Lddw.row().code);
        if wide && width == Width::W64 {
            let value = within(column, "an immediate of 64 bits", value, i128::from(i64::MIN), i128::from(u64::MAX))?;
            return Ok(Insn::new(Opcode::Lddw).dst(dst).wide(value as u64));
        }
        if wide {
            return Err((column, AsmErrorKind::MixedWidths(format!("{value} ll"))));
        }
        let imm = imm32(column, value)?;
        Ok(Insn::new(Opcode::of(Op::Mov { width, source: Source::K })).dst(dst).imm(imm))
    }

    /// `map 0 ll` and `map[name] ll`; Linux's log has no `ll`.
    fn map(&mut self, dst: Reg, map: &dyn Fn(&str) -> Option<u32>) -> Result<Insn, Fail> {
        self.at += 1;
        let bracket = self.take("[");
        let column = self.column();
        let index = match self.peek() {
            Some(token) if bracket && token.kind == TokenKind::Word => {
                self.at += 1;
                map(token.text).ok_or_else(|| (column, AsmErrorKind::UnknownMap(token.text.to_owned())))?
            }
            _ => {
                let value = self.number(if bracket { "the name or number of a map" } else { "`[` or a number" })?;
                within(column, "the number of a map", value, 0, i128::from(u32::MAX))? as u32
            }
        };
        if bracket {
            self.expect("]")?;
        }
        self.take("ll");
        Ok(Insn::new(Opcode::of(Op::Wide(Wide::Map))).dst(dst).imm(index as i32))
    }

    /// `dst = name ll`, LLVM's reference to a symbol, which here is a map.
    fn symbol(&mut self, dst: Reg, map: &dyn Fn(&str) -> Option<u32>) -> Result<Insn, Fail> {
        let Some(name) = self.next() else { return Err(self.expected("a value")) };
        if let Some(what) = unsupported_word(name.text) {
            return Err((name.column, AsmErrorKind::Unsupported(what)));
        }
        if !self.take("ll") {
            return Err(self.back().expected("a value"));
        }
        match map(name.text) {
            Some(index) => Ok(Insn::new(Opcode::of(Op::Wide(Wide::Map))).dst(dst).imm(index as i32)),
            None => Err((name.column, AsmErrorKind::UnknownMap(name.text.to_owned()))),
        }
    }

    /// `dst = *(u32 *)(src + 4)`.
    fn load(&mut self, dst: Reg, width: Width) -> Result<Insn, Fail> {
        let column = self.column();
        let (size, src, off) = self.place()?;
        if width == Width::W32 {
            return Err((column, AsmErrorKind::Unsupported("a load into a half register")));
        }
        Ok(Insn::new(Opcode::of(Op::Load { size })).dst(dst).src(src).off(off))
    }

    /// `*(u32 *)(dst + 4) = ...`.
    fn store(&mut self) -> Result<Insn, Fail> {
        let (size, dst, off) = self.place()?;
        let Some(operator) = self.next() else { return Err(self.expected("=")) };
        match operator.text {
            "=" => {}
            "+=" | "|=" | "&=" | "^=" => return Err((operator.column, AsmErrorKind::Unsupported("atomic"))),
            _ => return Err(self.back().expected("=")),
        }
        if let Some(src) = self.peek().and_then(|token| token.register()) {
            // LLVM prints the half register for sizes up to 4 bytes: the encoding is the same.
            if src.1 == Width::W32 && size == Size::Dw {
                return Err((self.column(), AsmErrorKind::MixedWidths(format!("w{}", src.0.number()))));
            }
            self.at += 1;
            return Ok(Insn::new(Opcode::of(Op::Store { size, source: Source::X })).dst(dst).src(src.0).off(off));
        }
        let imm = self.imm("a register or a number")?;
        Ok(Insn::new(Opcode::of(Op::Store { size, source: Source::K })).dst(dst).off(off).imm(imm))
    }

    /// `*(u32 *)(r1 + 4)`, `(r1 +4)` or `(r1)`.
    fn place(&mut self) -> Result<(Size, Reg, i16), Fail> {
        self.expect("*")?;
        self.expect("(")?;
        let name = self.peek().map_or("", |token| token.text);
        let Some(size) = Size::ALL.into_iter().find(|size| size.type_name() == name) else {
            return Err(match name {
                "s8" | "s16" | "s32" => (self.column(), AsmErrorKind::Unsupported("sign-extending load")),
                _ => self.expected("`u8`, `u16`, `u32` or `u64`"),
            });
        };
        self.at += 1;
        self.expect("*")?;
        self.expect(")")?;
        self.expect("(")?;
        let Some((reg, Width::W64)) = self.peek().and_then(|token| token.register()) else {
            return Err(self.expected("a 64-bit register"));
        };
        self.at += 1;
        let column = self.column();
        let signed = self.peek().is_some_and(|token| matches!(token.text, "+" | "-"));
        let off = if signed { self.number("an offset")? } else { 0 };
        if !self.take(")") {
            return Err(self.expected(if signed { ")" } else { "`+`, `-` or `)`" }));
        }
        Ok((size, reg, off16(column, off)?))
    }

    /// `if dst cond source goto target`; the `if` is behind us.
    fn conditional(&mut self) -> Result<Statement<'a>, Fail> {
        let Some((dst, width)) = self.peek().and_then(|token| token.register()) else {
            return Err(self.expected("a register"));
        };
        self.at += 1;
        let symbol = self.peek().map_or("", |token| token.text);
        let Some(cond) = Cond::ALL.into_iter().find(|cond| cond.symbol() == symbol) else {
            return Err(self.expected("a comparison"));
        };
        self.at += 1;
        let insn = self.operand(dst, width, |source| Op::Jump { cond, width, source })?;
        self.expect("goto")?;
        let (off, label) = self.target()?;
        Ok((insn.off(off), label))
    }

    /// A jump's target: `+3`, `pc+3` or a label, whose distance is not known yet; `<...>` behind it is objdump's remark.
    fn target(&mut self) -> Result<(i16, Option<Token<'a>>), Fail> {
        let pc = self.take("pc");
        let column = self.column();
        let Some(token) = self.peek() else { return Err(self.expected("a label or a distance")) };
        let target = match token.text {
            "+" | "-" => (off16(column, self.number("a distance")?)?, None),
            _ if !pc && token.kind == TokenKind::Word => {
                self.at += 1;
                (0, Some(token))
            }
            _ => return Err(self.expected(if pc { "`+` or `-`" } else { "a label, `+` or `-`" })),
        };
        if self.peek().is_some_and(|token| token.text == "<") {
            while self.next().is_some_and(|token| token.text != ">") {}
        }
        Ok(target)
    }

    /// `call 1`, `call bpf_map_lookup_elem#1` or `call map_lookup_elem`; the `call` is behind us.
    fn call(&mut self) -> Result<Insn, Fail> {
        let column = self.column();
        let Some(token) = self.peek() else { return Err(self.expected("the number or name of a helper")) };
        if token.kind != TokenKind::Word {
            return Ok(Insn::new(Opcode::Call).imm(self.imm("the number or name of a helper")?));
        }
        self.at += 1;
        if token.register().is_some() {
            return Err((column, AsmErrorKind::Unsupported("call by register")));
        }
        if token.text == "pc" || token.text == "local" {
            return Err((column, AsmErrorKind::Unsupported("call of a subprogram")));
        }
        if self.take("#") {
            return Ok(Insn::new(Opcode::Call).imm(self.imm("the number of a helper")?));
        }
        match helper_id(token.text) {
            Some(id) => Ok(Insn::new(Opcode::Call).imm(id as i32)),
            None => Err((column, AsmErrorKind::UnknownHelper(token.text.to_owned()))),
        }
    }

    fn imm(&mut self, expected: &'static str) -> Result<i32, Fail> {
        let column = self.column();
        imm32(column, self.number(expected)?)
    }

    /// A number with its sign.
    fn number(&mut self, expected: &'static str) -> Result<i128, Fail> {
        let negative = self.peek().is_some_and(|token| token.text == "-");
        let signed = negative || self.peek().is_some_and(|token| token.text == "+");
        let Some(token) = self.rest().get(usize::from(signed)).copied() else { return Err(self.expected(expected)) };
        if token.kind != TokenKind::Number {
            self.at += usize::from(signed);
            return Err(self.expected(if signed { "a number" } else { expected }));
        }
        self.at += 1 + usize::from(signed);
        let magnitude = match token.text.strip_prefix("0x").or_else(|| token.text.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => token.text.parse(),
        };
        match magnitude {
            Ok(magnitude) if negative => Ok(-i128::from(magnitude)),
            Ok(magnitude) => Ok(i128::from(magnitude)),
            Err(_) => Err((token.column, AsmErrorKind::BadNumber(token.text.to_owned()))),
        }
    }
}

fn within(column: usize, field: &'static str, value: i128, min: i128, max: i128) -> Result<i128, Fail> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err((column, AsmErrorKind::OutOfRange { field, value, min, max }))
}

fn imm32(column: usize, value: i128) -> Result<i32, Fail> {
    let value = within(column, "an immediate of 32 bits", value, i128::from(i32::MIN), i128::from(u32::MAX))?;
    Ok(value as i32)
}

fn off16(column: usize, value: i128) -> Result<i16, Fail> {
    let value = within(column, "an offset of 16 bits", value, i128::from(i16::MIN), i128::from(i16::MAX))?;
    Ok(value as i16)
}

/// The helper of this name, with or without `bpf_`.
fn helper_id(_name: &str) -> Option<u32> {
    None
}

/// The family of an instruction that is not modelled, by the word that only it has.
fn unsupported_word(word: &str) -> Option<&'static str> {
    match word {
        "lock" | "atomic_fetch_add" | "cmpxchg_64" | "cmpxchg32_32" | "xchg_64" | "xchg32_32" => Some("atomic"),
        "be16" | "be32" | "be64" | "le16" | "le32" | "le64" | "bswap16" | "bswap32" | "bswap64" => Some("byte swap"),
        "gotol" => Some("long jump"),
        "callx" => Some("call by register"),
        "may_goto" => Some("may_goto"),
        _ => None,
    }
}
