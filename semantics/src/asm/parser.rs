//! Statements of a line of assembly.

use super::lexer::{self, Token, TokenKind};
use super::{AsmErrorKind, Fail};
use crate::helper;
use crate::insn::{AluOp, Cond, Insn, Op, Opcode, Reg, Size, Source, Wide, Width};

/// One line.
pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Characters of the line.
    length: usize,
}

/// A statement's instruction, and the label that it jumps to.
pub(super) type Statement<'a> = (Insn, Option<Token<'a>>);

impl<'a> Parser<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Parser { tokens: lexer::tokens(line), at: 0, length: line.chars().count() }
    }
    pub(super) fn skip(&mut self, tokens: usize) {
        self.at += tokens;
    }
    pub(super) fn rest(&self) -> &[Token<'a>] {
        &self.tokens[self.at..]
    }
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }
    pub(super) fn back(&mut self) -> &Self {
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
    pub(super) fn expected(&self, expected: &'static str) -> Fail {
        let found = self.peek().filter(|token| token.kind != TokenKind::Comment);
        let found = found.map_or(String::new(), |token| token.text.to_owned());
        (self.column(), AsmErrorKind::Expected { expected, found })
    }
    fn expect(&mut self, text: &'static str) -> Result<(), Fail> {
        if self.take(text) { Ok(()) } else { Err(self.expected(text)) }
    }

    /// The code in front of a statement in the kernel's log.
    pub(super) fn code(&mut self) -> Result<Option<u8>, Fail> {
        let [open, code, close, ..] = self.rest() else { return Ok(None) };
        if open.text != "(" || close.text != ")" || code.text.len() != 2 {
            return Ok(None);
        }
        let (text, column) = (code.text, code.column);
        let Ok(code) = u8::from_str_radix(text, 16) else {
            return Err((
                column,
                AsmErrorKind::Expected { expected: "an opcode of two digits", found: text.to_owned() },
            ));
        };
        self.at += 3;
        Ok(Some(code))
    }

    pub(super) fn statement(
        &mut self,
        map: &dyn Fn(&str) -> Option<u32>,
        code: Option<u8>,
    ) -> Result<Statement<'a>, Fail> {
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
        // LLVM prints the half register for sizes up to 4 bytes: the encoding is the same.
        if width == Width::W32 && size == Size::Dw {
            return Err((column, AsmErrorKind::MixedWidths("*(u64 *)".to_owned())));
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
fn helper_id(name: &str) -> Option<u32> {
    let name = name.strip_prefix("bpf_").unwrap_or(name);
    helper::FACTS.iter().find(|fact| fact.name == name).map(|fact| fact.id)
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
