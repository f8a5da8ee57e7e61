//! Expressions of the debugger: registers, memory, context fields and map elements, with C's operators.
//!
//! `r1 > 5`, `*(u32 *)(fp - 8) & 0xff`, `ctx.data_end - ctx.data`, `counts[11000000]`, `be16(*(u16 *)(packet + 12)) == 0x800`.
//! All values have 64 bits; comparisons with `s` in front are signed, as in assembly.

use std::fmt;

use corpus::text;
use semantics::insn::Size;
use semantics::memory::layout;
use semantics::program::Program;

use super::view::View;

/// Why a text is no expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {kind}")]
pub struct ExprError {
    /// The column, in characters from 1.
    pub column: usize,
    /// The reason.
    pub kind: ExprErrorKind,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExprErrorKind {
    #[error("`{0}` does not belong here")]
    Character(char),
    #[error("`{0}` is not a number of at most 64 bits")]
    Number(String),
    #[error("{expected} is missing here")]
    Missing { expected: &'static str },
    #[error("`{found}` stands where {expected} is expected")]
    Expected { found: String, expected: &'static str },
    #[error("there is no register, map or name `{0}`")]
    Unknown(String),
    #[error("the context has no field `{0}`")]
    NoSuchField(String),
    #[error("`{key}` is no key of {map}: {bytes} bytes in hexadecimal, or a number")]
    Key { map: String, key: String, bytes: u32 },
    #[error("a length is 1 to 65536 bytes")]
    Length,
    #[error("nested too deeply")]
    Depth,
    #[error("the program has no instruction at slot {0}")]
    NoSuchSlot(u64),
    #[error("slot {0} is the second half of the instruction before it")]
    SecondSlot(usize),
    #[error("there is no helper `{0}`")]
    NoSuchHelper(String),
    #[error("the program does not call {0}")]
    NotCalled(&'static str),
    #[error("no instruction comes from a file `{0}`: the program has no such debug information")]
    NoSuchFile(String),
    #[error("no instruction comes from line {line} of {file}{}", near.map_or(String::new(), |near| format!("; the next is line {near}")))]
    NoSuchLine { file: String, line: u32, near: Option<u32> },
    #[error("`{0}` is neither a slot nor a function, and neither FILE:LINE nor helper:NAME")]
    Where(String),
}

impl ExprError {
    /// The error `by` characters further to the right.
    pub fn moved(self, by: usize) -> ExprError {
        ExprError { column: self.column + by, ..self }
    }
    /// The error with the text below it and a mark at the column.
    pub fn shown(&self, text: &str) -> String {
        format!("{self}\n  {text}\n  {:>width$}", '^', width = self.column)
    }
}

/// An expression, checked against a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    Number(u64),
    Register(usize),
    Pc,
    Retired,
    Depth,
    Packet,
    PacketEnd,
    Context,
    /// The value of a context field: offset and bytes.
    Field(u32, u32),
    /// The address of the value under a key, 0 if there is none.
    Element(usize, Vec<u8>),
    Load(Size, Box<Expr>),
    Swap(u32, Box<Expr>),
    Unary(char, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
}

/// What can be watched and printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The value of an expression.
    Value(Expr),
    /// Bytes from an address on.
    Bytes(Expr, u64),
    /// The value under a key.
    Element(usize, Vec<u8>),
    /// A map with all its elements.
    Map(usize),
}

/// Why an expression has no value at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("no {len} bytes can be read at {addr:#x}")]
    Unreadable { addr: u64, len: u64 },
    #[error("division by 0")]
    DivisionByZero,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Number(u64),
    Name(String),
    /// What stands between brackets behind a name.
    Key(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Number(number) => write!(f, "{number:#x}"),
            Token::Name(name) => f.write_str(name),
            Token::Key(key) => write!(f, "[{key}]"),
            Token::Sign(sign) => f.write_str(sign),
        }
    }
}

/// Operators and punctuation, longer ones first.
const SIGNS: [&str; 30] = [
    "s<=", "s>=", "||", "&&", "==", "!=", "<=", ">=", "<<", ">>", "s<", "s>", "<", ">", "+", "-", "*", "/", "%", "&",
    "|", "^", "~", "!", "(", ")", ":", "=", ",", ".",
];

/// Binary operators by how strongly they bind, weakest first, as in C.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">=", "s<", "s>", "s<=", "s>="],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

const DEPTH_MAX: usize = 100;

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExprError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let run = |from: usize, keep: fn(char) -> bool| from + chars[from..].iter().take_while(|c| keep(**c)).count();
        let piece = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let fail = |kind| ExprError { column: start + 1, kind };
        let token = match chars[at] {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            c if c.is_ascii_digit() => {
                at = run(at, is_word);
                let digits = piece(start, at);
                Token::Number(text::number(&digits).ok_or_else(|| fail(ExprErrorKind::Number(digits)))?)
            }
            '[' => {
                at = run(at, |c| c != ']');
                if at == chars.len() {
                    return Err(ExprError { column: at + 1, kind: ExprErrorKind::Missing { expected: "`]`" } });
                }
                at += 1;
                Token::Key(piece(start + 1, at - 1))
            }
            c => match SIGNS.iter().find(|sign| piece(at, (at + sign.len()).min(chars.len())) == **sign) {
                // A leading dot belongs to the names of maps such as `.rodata`.
                Some(sign) if *sign != "." => {
                    at += sign.len();
                    Token::Sign(sign)
                }
                _ if is_word(c) => {
                    at = run(at, is_word);
                    Token::Name(piece(start, at))
                }
                _ => return Err(fail(ExprErrorKind::Character(c))),
            },
        };
        tokens.push((start + 1, token));
    }
    Ok(tokens)
}

struct Parser<'a> {
    program: &'a Program,
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
    depth: usize,
}

/// An expression and nothing behind it.
pub fn expr(text: &str, program: &Program) -> Result<Expr, ExprError> {
    let mut parser = Parser::new(text, program)?;
    let expr = parser.binary(0)?;
    parser.finish(expr)
}

/// What can be watched: an expression, `ADDRESS:LENGTH`, a map, or an element of one.
pub fn item(text: &str, program: &Program) -> Result<Item, ExprError> {
    let mut parser = Parser::new(text, program)?;
    if let [(_, Token::Name(name))] = &parser.tokens[..]
        && let Some(map) = program.maps().iter().position(|map| map.name == *name)
    {
        return Ok(Item::Map(map));
    }
    let expr = parser.binary(0)?;
    if parser.takes(":") {
        let column = parser.column();
        let Some((_, Token::Number(len @ 1..=65536))) = parser.tokens.get(parser.at) else {
            return Err(ExprError { column, kind: ExprErrorKind::Length });
        };
        let item = Item::Bytes(expr, *len);
        parser.at += 1;
        return parser.finish(item);
    }
    let item = match expr {
        Expr::Element(map, key) => Item::Element(map, key),
        expr => Item::Value(expr),
    };
    parser.finish(item)
}

impl<'a> Parser<'a> {
    fn new(text: &str, program: &'a Program) -> Result<Parser<'a>, ExprError> {
        Ok(Parser { program, tokens: tokens(text)?, at: 0, end: text.chars().count() + 1, depth: 0 })
    }
    fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |token| token.0)
    }
    fn fail<T>(&self, kind: ExprErrorKind) -> Result<T, ExprError> {
        Err(ExprError { column: self.column(), kind })
    }
    fn sign(&self) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some((_, Token::Sign(sign))) => Some(sign),
            _ => None,
        }
    }
    fn takes(&mut self, sign: &str) -> bool {
        let takes = self.sign() == Some(sign);
        self.at += usize::from(takes);
        takes
    }
    fn expects<T>(&self, expected: &'static str) -> Result<T, ExprError> {
        match self.tokens.get(self.at) {
            Some((_, token)) => self.fail(ExprErrorKind::Expected { found: token.to_string(), expected }),
            None => self.fail(ExprErrorKind::Missing { expected }),
        }
    }
    fn finish<T>(&self, value: T) -> Result<T, ExprError> {
        if self.at < self.tokens.len() { self.expects("an operator") } else { Ok(value) }
    }

    fn binary(&mut self, level: usize) -> Result<Expr, ExprError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.sign().filter(|sign| operators.contains(sign)) {
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, ExprError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(ExprErrorKind::Depth);
        }
        let expr = match self.sign() {
            Some("*") => {
                self.at += 1;
                self.load()
            }
            Some(sign @ ("-" | "~" | "!")) => {
                self.at += 1;
                Ok(Expr::Unary(sign.chars().next().unwrap_or('-'), Box::new(self.unary()?)))
            }
            Some("(") => {
                self.at += 1;
                let expr = self.binary(0)?;
                if self.takes(")") { Ok(expr) } else { self.expects("`)`") }
            }
            _ => self.primary(),
        };
        self.depth -= 1;
        expr
    }

    /// `(u32 *)address` behind a star; without a type, 8 bytes.
    fn load(&mut self) -> Result<Expr, ExprError> {
        let start = self.at;
        if self.takes("(") {
            if let Some((_, Token::Name(name))) = self.tokens.get(self.at)
                && let Some(size) = Size::ALL.into_iter().find(|size| size.type_name() == name)
            {
                self.at += 1;
                if !self.takes("*") || !self.takes(")") {
                    return self.expects("`*)`");
                }
                return Ok(Expr::Load(size, Box::new(self.unary()?)));
            }
            self.at = start;
        }
        Ok(Expr::Load(Size::Dw, Box::new(self.unary()?)))
    }

    fn primary(&mut self) -> Result<Expr, ExprError> {
        let (column, token) = match self.tokens.get(self.at) {
            Some((column, token @ (Token::Number(_) | Token::Name(_)))) => (*column, token.clone()),
            _ => return self.expects("a register, number or name"),
        };
        self.at += 1;
        let name = match token {
            Token::Number(number) => return Ok(Expr::Number(number)),
            other => other.to_string(),
        };
        let fail = |kind| Err(ExprError { column, kind });
        let bits = |prefix: &str| name.strip_prefix(prefix)?.parse().ok().filter(|bits| [16, 32, 64].contains(bits));
        if let Some(bits) = bits("be") {
            return Ok(Expr::Swap(bits, Box::new(self.unary()?)));
        }
        if let Some(field) = name.strip_prefix("ctx.").or_else(|| name.strip_prefix("context.")) {
            let declared = self.program.program_type().declaration().field(field);
            return match declared {
                Some(field) => Ok(Expr::Field(field.offset, field.len.min(8))),
                None => fail(ExprErrorKind::NoSuchField(field.to_owned())),
            };
        }
        if let Some(map) = self.program.maps().iter().position(|map| map.name == name) {
            return self.element(map);
        }
        let register = name.strip_prefix('r').and_then(|digits| digits.parse().ok()).filter(|number| *number <= 10);
        Ok(match (name.as_str(), register) {
            (_, Some(register)) => Expr::Register(register),
            ("fp", _) => Expr::Register(10),
            ("pc", _) => Expr::Pc,
            ("retired", _) => Expr::Retired,
            ("depth", _) => Expr::Depth,
            ("packet" | "pkt", _) => Expr::Packet,
            ("packet_end" | "pkt_end", _) => Expr::PacketEnd,
            ("ctx" | "context", _) => Expr::Context,
            _ => return fail(ExprErrorKind::Unknown(name)),
        })
    }

    fn element(&mut self, map: usize) -> Result<Expr, ExprError> {
        let def = &self.program.maps()[map];
        let Some((column, Token::Key(key))) = self.tokens.get(self.at) else {
            return self.expects("a key in brackets");
        };
        self.at += 1;
        let Some(key) = parse_key(key, def.key_size) else {
            let kind = ExprErrorKind::Key { map: def.name.clone(), key: key.clone(), bytes: def.key_size };
            return Err(ExprError { column: column + 1, kind });
        };
        Ok(Expr::Element(map, key))
    }
}

/// A key: all its bytes in hexadecimal, or a number in the machine's byte order.
fn parse_key(text: &str, len: u32) -> Option<Vec<u8>> {
    let len = len as usize;
    if let Some(bytes) = text::bytes(text).ok().filter(|bytes| bytes.len() == len) {
        return Some(bytes);
    }
    let number = text::number(text)?;
    let fits = len >= 8 || number >> (8 * len) == 0;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(len, 0);
    fits.then_some(bytes)
}

impl Expr {
    /// The value at this moment.
    pub fn eval(&self, view: &View<'_>) -> Result<u64, EvalError> {
        Ok(match self {
            Expr::Number(number) => *number,
            Expr::Register(register) => view.registers[*register],
            Expr::Pc => view.pc as u64,
            Expr::Retired => view.retired,
            Expr::Depth => u64::from(view.depth()),
            Expr::Packet => view.world.packet.start(),
            Expr::PacketEnd => view.world.packet.end(),
            Expr::Context => layout::CONTEXT,
            Expr::Field(offset, len) => read(view, layout::CONTEXT + u64::from(*offset), u64::from(*len))?,
            Expr::Element(map, key) => view.world.maps[*map].ops.find(key).unwrap_or(0),
            Expr::Load(size, addr) => read(view, addr.eval(view)?, u64::from(size.bytes()))?,
            Expr::Swap(bits, value) => value.eval(view)?.swap_bytes() >> (64 - bits),
            Expr::Unary('-', value) => value.eval(view)?.wrapping_neg(),
            Expr::Unary('~', value) => !value.eval(view)?,
            Expr::Unary(_, value) => u64::from(value.eval(view)? == 0),
            Expr::Binary("||", a, b) => u64::from(a.eval(view)? != 0 || b.eval(view)? != 0),
            Expr::Binary("&&", a, b) => u64::from(a.eval(view)? != 0 && b.eval(view)? != 0),
            Expr::Binary(operator, a, b) => apply(operator, a.eval(view)?, b.eval(view)?)?,
        })
    }
}

fn apply(operator: &str, a: u64, b: u64) -> Result<u64, EvalError> {
    let (sa, sb) = (a as i64, b as i64);
    Ok(match operator {
        "|" => a | b,
        "^" => a ^ b,
        "&" => a & b,
        "==" => u64::from(a == b),
        "!=" => u64::from(a != b),
        "<" => u64::from(a < b),
        ">" => u64::from(a > b),
        "<=" => u64::from(a <= b),
        ">=" => u64::from(a >= b),
        "s<" => u64::from(sa < sb),
        "s>" => u64::from(sa > sb),
        "s<=" => u64::from(sa <= sb),
        "s>=" => u64::from(sa >= sb),
        "<<" => a.checked_shl(b.min(64) as u32).unwrap_or(0),
        ">>" => a.checked_shr(b.min(64) as u32).unwrap_or(0),
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "/" => a.checked_div(b).ok_or(EvalError::DivisionByZero)?,
        _ => a.checked_rem(b).ok_or(EvalError::DivisionByZero)?,
    })
}

/// Up to 8 bytes as a little-endian number.
fn read(view: &View<'_>, addr: u64, len: u64) -> Result<u64, EvalError> {
    let bytes = view.world.memory.read(addr, len).map_err(|_| EvalError::Unreadable { addr, len })?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::map::MapDef;
    use semantics::memory::Memory;
    use semantics::program_type::ProgramType;
    use semantics::world::{Input, World};

    fn program() -> Program {
        let maps = vec![MapDef::new("counts", MapType::ARRAY, 4, 8, 2), MapDef::new(".bss", MapType::ARRAY, 4, 16, 1)];
        let insns = semantics::asm::assemble("r0 = 0\nexit").unwrap();
        Program::new("p", ProgramType::Xdp, "GPL", maps, insns).unwrap()
    }
    use semantics::map::MapType;

    #[test]
    fn values() {
        let program = program();
        let mut world = World::new(Memory::detached().unwrap());
        world.load(&program).unwrap();
        world.reset(&Input { packet: vec![8, 0, 0x45], ..Input::default() }).unwrap();
        let mut registers = [0; 11];
        (registers[1], registers[2], registers[10]) = (7, u64::MAX, layout::frame_top(0));
        let view = View { program: &program, world: &world, registers: &registers, pc: 1, retired: 9 };
        for (text, expected) in [
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3 - -1", 10),
            ("r1 == 7 && r2 s< 0 && !(r2 < 0)", 1),
            ("r1>5||r1/0", 1),
            ("1 << 64 | 6 & 3", 2),
            ("be16(*(u16 *)packet) == 0x800", 1),
            ("*(u8 *)(pkt + 2)", 0x45),
            ("ctx.data_end - ctx.data", 3),
            ("packet_end - packet + pc + retired + depth", 13),
            ("*(fp-8)", 0),
            ("counts[01000000] - counts[0]", 16),
            ("*counts[1] + *.bss[0]", 0),
            ("counts[2]", 0),
        ] {
            assert_eq!(
                expr(text, &program).unwrap_or_else(|e| panic!("{text}: {e}")).eval(&view),
                Ok(expected),
                "{text}"
            );
        }
        assert_eq!(expr("1 % 0", &program).unwrap().eval(&view), Err(EvalError::DivisionByZero));
        let error = EvalError::Unreadable { addr: 3, len: 8 };
        assert_eq!(expr("*3", &program).unwrap().eval(&view), Err(error));
    }

    #[test]
    fn errors_point_at_the_column() {
        let program = program();
        let deep = "(".repeat(200);
        for (text, column, message) in [
            ("r1 > r11", 6, "there is no register, map or name `r11`"),
            ("r1 > ", 6, "a register, number or name is missing here"),
            ("r1 $ 2", 4, "`$` does not belong here"),
            ("(r1 + 2", 8, "`)` is missing here"),
            ("1 2", 3, "`0x2` stands where an operator is expected"),
            ("0xfffffffffffffffff", 1, "`0xfffffffffffffffff` is not a number of at most 64 bits"),
            ("ctx.dat", 1, "the context has no field `dat`"),
            ("counts[zz]", 8, "`zz` is no key of counts: 4 bytes in hexadecimal, or a number"),
            ("counts[0", 9, "`]` is missing here"),
            ("counts + 1", 8, "`+` stands where a key in brackets is expected"),
            ("*(u32 r1", 7, "`r1` stands where `*)` is expected"),
            (&deep, 101, "nested too deeply"),
        ] {
            let error = expr(text, &program).expect_err(text);
            assert_eq!((error.column, error.kind.to_string().as_str()), (column, message), "{text}");
        }
        assert_eq!(item("fp-8:0", &program).unwrap_err().column, 6);
        assert_eq!(item("counts", &program), Ok(Item::Map(0)));
        assert!(matches!(item("fp-8:8", &program), Ok(Item::Bytes(_, 8))));
        assert_eq!(item("counts[1]", &program), Ok(Item::Element(0, vec![1, 0, 0, 0])));
    }
}
