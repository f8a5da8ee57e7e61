//! A line of assembly under the reader's finger: tokens, numbers, targets, errors with their columns.

use super::lexer::{self, Token, TokenKind};
use super::{AsmErrorKind, Fail};
use crate::insn::Insn;

/// One line.
pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Characters of the line.
    length: usize,
    /// Whether a leading 0 means nothing, and not octal digits as LLVM has it.
    pub(super) decimal: bool,
}

/// What a name in a statement stands for, once the whole text is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// A label.
    Label,
    /// A label, or else a helper.
    Callee,
    /// A section of a listing, from whose first slot `imm` counts, less one.
    Section,
    /// A map.
    Map,
    /// A map with an offset into its first value if there is one, or else a label: the address of a subprogram.
    Symbol(Option<i32>),
}

/// A statement's instruction, and the name that it lacks.
pub(super) type Statement<'a> = (Insn, Option<(Goal, Token<'a>)>);

impl<'a> Parser<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Parser { tokens: lexer::tokens(line), at: 0, length: line.chars().count(), decimal: false }
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
    pub(super) fn back(&mut self, tokens: usize) {
        self.at -= tokens;
    }
    /// Nothing is left of the line.
    pub(super) fn finish(&mut self) {
        self.at = self.tokens.len();
    }
    pub(super) fn take(&mut self, text: &str) -> bool {
        let there = self.peek().is_some_and(|token| token.text == text);
        self.at += usize::from(there);
        there
    }
    /// Whether these tokens come next; they are consumed if so.
    pub(super) fn take_all(&mut self, texts: &[&str]) -> bool {
        let there =
            texts.len() <= self.rest().len() && texts.iter().zip(self.rest()).all(|(text, token)| token.text == *text);
        self.at += if there { texts.len() } else { 0 };
        there
    }
    pub(super) fn column(&self) -> usize {
        self.peek().map_or(self.length + 1, |token| token.column)
    }
    /// The error that something else belongs here.
    pub(super) fn expected(&self, expected: &'static str) -> Fail {
        self.mistaken(expected, None)
    }
    /// The same with what may have been meant.
    pub(super) fn mistaken(&self, expected: &'static str, nearest: Option<String>) -> Fail {
        let found = self.peek().filter(|token| token.kind != TokenKind::Comment);
        let found = found.map_or(String::new(), |token| token.text.to_owned());
        (self.column(), AsmErrorKind::Expected { expected, found, nearest })
    }
    pub(super) fn expect(&mut self, text: &'static str) -> Result<(), Fail> {
        if self.take(text) { Ok(()) } else { Err(self.expected(text)) }
    }

    /// The code in front of a statement in the kernel's log.
    pub(super) fn code(&mut self) -> Result<Option<(u8, usize)>, Fail> {
        let [open, code, close, ..] = self.rest() else { return Ok(None) };
        if open.text != "(" || close.text != ")" || code.text.len() != 2 {
            return Ok(None);
        }
        let (text, column) = (code.text, code.column);
        let Ok(code) = u8::from_str_radix(text, 16) else {
            let (expected, found) = ("an opcode of two digits", text.to_owned());
            return Err((column, AsmErrorKind::Expected { expected, found, nearest: None }));
        };
        self.at += 3;
        Ok(Some((code, column)))
    }

    /// A jump's target: `+3`, `3`, `pc+3` or a label, whose distance is not known yet; `<...>` behind it is objdump's remark.
    pub(super) fn target(&mut self, insn: Insn) -> Result<Statement<'a>, Fail> {
        const TARGET: &str = "a label, `+` or `-`";
        let pc = self.take("pc");
        let Some(token) = self.peek() else { return Err(self.expected("a label or a distance")) };
        let target = match token.kind {
            TokenKind::Word if !pc => {
                self.at += 1;
                (insn, Some((Goal::Label, token)))
            }
            TokenKind::Number if !pc => (self.distance(insn)?, None),
            _ if matches!(token.text, "+" | "-") => (self.distance(insn)?, None),
            _ => return Err(self.expected(if pc { "`+` or `-`" } else { TARGET })),
        };
        self.remark();
        Ok(target)
    }

    /// `<main+0x10>` behind a target.
    pub(super) fn remark(&mut self) {
        if self.peek().is_some_and(|token| token.text == "<") {
            while self.next().is_some_and(|token| token.text != ">") {}
        }
    }

    /// A distance in slots, in the field where the instruction has it.
    pub(super) fn distance(&mut self, insn: Insn) -> Result<Insn, Fail> {
        let column = self.column();
        let slots = self.number("a distance")?;
        if has_long_distance(insn.op()) {
            let (min, max) = (i128::from(i32::MIN), i128::from(i32::MAX));
            return Ok(insn.imm(within(column, "a distance of 32 bits", slots, min, max)? as i32));
        }
        Ok(insn.off(off16(column, slots)?))
    }

    /// An immediate of 32 bits.
    pub(super) fn imm(&mut self, expected: &'static str) -> Result<i32, Fail> {
        let column = self.column();
        imm32(column, self.number(expected)?)
    }

    /// An immediate of 64 bits.
    pub(super) fn imm64(&mut self) -> Result<u64, Fail> {
        let column = self.column();
        let value = self.number("a number")?;
        imm64(column, value)
    }

    /// A number with its sign, or a sum of such.
    pub(super) fn number(&mut self, expected: &'static str) -> Result<i128, Fail> {
        let mut sum = self.term(expected)?;
        while let [sign, term, ..] = self.rest()
            && matches!(sign.text, "+" | "-")
            && term.kind == TokenKind::Number
        {
            // At most some thousand terms of 65 bits: far from 128 bits.
            sum += self.term(expected)?;
        }
        Ok(sum)
    }

    fn term(&mut self, expected: &'static str) -> Result<i128, Fail> {
        let negative = self.peek().is_some_and(|token| token.text == "-");
        let signed = negative || self.peek().is_some_and(|token| token.text == "+");
        let Some(token) = self.rest().get(usize::from(signed)).copied() else { return Err(self.expected(expected)) };
        if token.kind != TokenKind::Number {
            self.at += usize::from(signed);
            return Err(self.expected(if signed { "a number" } else { expected }));
        }
        self.at += 1 + usize::from(signed);
        match magnitude(token.text, self.decimal) {
            Some(magnitude) if negative => Ok(-i128::from(magnitude)),
            Some(magnitude) => Ok(i128::from(magnitude)),
            None => Err((token.column, AsmErrorKind::BadNumber(token.text.to_owned()))),
        }
    }
}

/// Decimal, hexadecimal, binary, and, unless `decimal`, octal with a leading 0, as LLVM reads it.
fn magnitude(text: &str, decimal: bool) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] if !decimal => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    u64::from_str_radix(digits, radix).ok()
}

/// Whether the distance to a target is in `imm`.
pub(super) fn has_long_distance(op: crate::insn::Op) -> bool {
    op.names_subprogram() || op == crate::insn::Op::Gotol
}

pub(super) fn within(column: usize, field: &'static str, value: i128, min: i128, max: i128) -> Result<i128, Fail> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err((column, AsmErrorKind::OutOfRange { field, value, min, max }))
}

fn imm32(column: usize, value: i128) -> Result<i32, Fail> {
    let value = within(column, "an immediate of 32 bits", value, i128::from(i32::MIN), i128::from(u32::MAX))?;
    Ok(value as i32)
}

fn imm64(column: usize, value: i128) -> Result<u64, Fail> {
    let value = within(column, "an immediate of 64 bits", value, i128::from(i64::MIN), i128::from(u64::MAX))?;
    Ok(value as u64)
}

pub(super) fn off16(column: usize, value: i128) -> Result<i16, Fail> {
    let value = within(column, "an offset of 16 bits", value, i128::from(i16::MIN), i128::from(i16::MAX))?;
    Ok(value as i16)
}

/// As [`Parser::imm`], of a number that is read already.
pub(super) fn to_imm(column: usize, value: i128, wide: bool) -> Result<u64, Fail> {
    if wide { imm64(column, value) } else { imm32(column, value).map(|imm| imm as u64) }
}
