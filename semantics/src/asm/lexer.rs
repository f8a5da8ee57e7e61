//! A line of assembly as tokens.

use super::mnemonic;
use crate::insn::{Reg, Width};

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a str,
    /// Of its first character, from 1.
    pub(super) column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or keyword; a register with its `%`.
    Word,
    /// Begins with a digit.
    Number,
    /// An operator or another character.
    Sign,
    /// `;`
    Separator,
    /// The rest of the line.
    Comment,
}

impl Token<'_> {
    /// Whether no statement goes on behind it.
    pub(super) fn ends_statement(&self) -> bool {
        matches!(self.kind, TokenKind::Separator | TokenKind::Comment)
    }
    /// The register of this name with its width.
    pub(super) fn register(&self) -> Option<(Reg, Width)> {
        let name = self.text.strip_prefix('%').unwrap_or(self.text);
        let width = match name.as_bytes().first()? {
            b'r' => Width::W64,
            b'w' => Width::W32,
            _ => return None,
        };
        let number = match name.as_bytes() {
            [_, digit @ b'0'..=b'9'] => digit - b'0',
            [_, b'1', b'0'] => 10,
            _ => return None,
        };
        Reg::from_number(number).map(|reg| (reg, width))
    }
}

/// Operators of several characters, longer ones first.
const OPERATORS: [&str; 24] = [
    "s>>=", "<<=", ">>=", "s>=", "s<=", "s/=", "s%=", "s>", "s<", "==", "!=", ">=", "<=", "+=", "-=", "*=", "/=", "%=",
    "|=", "&=", "^=", "::", "&&", "||",
];

/// The tokens of a line, the last of which may be a comment.
pub(super) fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let (mut rest, mut column) = (line.trim_start(), 1 + line.chars().take_while(|c| c.is_whitespace()).count());
    while let Some(first) = rest.chars().next() {
        let glued = !line[..line.len() - rest.len()].ends_with(char::is_whitespace);
        let (kind, length) = token(rest, first, &tokens, glued);
        let (text, behind) = rest.split_at(length);
        tokens.push(Token { kind, text, column });
        let trimmed = behind.trim_start();
        column += text.chars().count() + behind[..behind.len() - trimmed.len()].chars().count();
        rest = trimmed;
    }
    tokens
}

/// Kind and length in bytes of the token that `rest` begins with, behind `before`; `glued` if no blank lies between.
fn token(rest: &str, first: char, before: &[Token<'_>], glued: bool) -> (TokenKind, usize) {
    let length = |take: fn(char) -> bool| rest.find(|c| !take(c)).unwrap_or(rest.len());
    if let Some(operator) = OPERATORS.into_iter().find(|operator| rest.starts_with(operator)) {
        return (TokenKind::Sign, operator.len());
    }
    match first {
        ';' if before.is_empty() || has_code(before) || !begins_statement(rest[1..].trim_start()) => {
            (TokenKind::Comment, rest.len())
        }
        ';' => (TokenKind::Separator, 1),
        // `call bpf_map_lookup_elem#1` is a helper with its number.
        '#' if glued && before.iter().rev().take(6).any(|token| token.text == "call") => (TokenKind::Sign, 1),
        '#' => (TokenKind::Comment, rest.len()),
        '/' if rest.starts_with("//") => (TokenKind::Comment, rest.len()),
        '0'..='9' => (TokenKind::Number, length(|c| c.is_alphanumeric() || c == '_')),
        '%' if rest[1..].starts_with(['r', 'w']) => {
            (TokenKind::Word, 1 + rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1))
        }
        _ if is_word(first) => (TokenKind::Word, length(is_word)),
        _ => (TokenKind::Sign, first.len_utf8()),
    }
}

/// What names are made of.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '$')
}

/// Whether the line is one of the kernel's log, with the code in parentheses: what follows its statement is a remark.
fn has_code(tokens: &[Token<'_>]) -> bool {
    let at = if tokens.get(1).is_some_and(|token| token.text == ":") { 2 } else { 0 };
    let text = |place: usize| tokens.get(at + place).map(|token| token.text);
    text(0) == Some("(")
        && text(1).is_some_and(|code| code.len() == 2 && code.chars().all(|c| c.is_ascii_hexdigit()))
        && text(2) == Some(")")
}

/// Whether this looks like a statement, and not like a remark.
fn begins_statement(text: &str) -> bool {
    let word = &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())];
    let behind = text[word.len()..].trim_start();
    let token = Token { kind: TokenKind::Word, text: word, column: 0 };
    let operand = |c: char| matches!(c, '%' | '[' | '+' | '-' | 'r' | 'w') || c.is_ascii_digit();
    text.is_empty()
        || text.starts_with([';', '*', '('])
        || (!word.is_empty() && text[word.len()..].starts_with(':'))
        || matches!(word, "if" | "goto" | "call" | "exit" | "lock" | "gotol" | "callx" | "may_goto" | "store_release")
        || (mnemonic::is_name(word) && behind.starts_with(operand))
        || (token.register().is_some()
            && OPERATORS.into_iter().chain(["="]).any(|operator| behind.starts_with(operator)))
}
