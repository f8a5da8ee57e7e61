//! The world of SMT-LIB text: words are terms as they are written, so that whatever is generic over [`Word`] writes itself.
//!
//! Unlike [`Sym`](crate::sym::Sym), nothing is simplified and nothing is of one solver: a script reads like the semantics
//! and every solver takes it. The narrow instances have bytes of one bit, as [`semantics::word::narrow`] has.

use semantics::word::{Algebra, Convert, Flag, Word};
use std::rc::Rc;

/// A bit-vector term of `N` bits in a world with bytes of `BYTE` bits.
#[derive(Clone, Debug)]
pub struct Term<const N: u32, const BYTE: u32> {
    text: Rc<str>,
    literal: Option<u64>,
}

/// A Boolean term.
#[derive(Clone, Debug)]
pub struct Truth {
    text: Rc<str>,
}

/// A word that is text.
pub trait Written: Word<Flag = Truth> {
    /// The symbol, or any other term.
    fn written(text: impl Into<Rc<str>>) -> Self;
    /// The term.
    fn text(&self) -> &str;
    /// Its sort.
    fn sort() -> String {
        format!("(_ BitVec {})", Self::BITS)
    }
}

/// A world whose words are text.
pub trait Script: Algebra<Flag = Truth, W8: Written, W16: Written, W32: Written, W64: Written> {}

impl<A: Algebra<Flag = Truth, W8: Written, W16: Written, W32: Written, W64: Written>> Script for A {}

/// Scripts at full width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Algebra for Full {
    type Flag = Truth;
    type W8 = Term<8, 8>;
    type W16 = Term<16, 8>;
    type W32 = Term<32, 8>;
    type W64 = Term<64, 8>;
}

/// Scripts at the widths of [`Eighth`](semantics::word::narrow::Eighth): registers of 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EighthScript;

impl Algebra for EighthScript {
    type Flag = Truth;
    type W8 = Term<1, 1>;
    type W16 = Term<2, 1>;
    type W32 = Term<4, 1>;
    type W64 = Term<8, 1>;
}

/// Scripts at the widths of [`Sixteenth`](semantics::word::narrow::Sixteenth): registers of 4 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SixteenthScript;

impl Algebra for SixteenthScript {
    type Flag = Truth;
    type W8 = Term<1, 1>;
    type W16 = Term<1, 1>;
    type W32 = Term<2, 1>;
    type W64 = Term<4, 1>;
}

impl Truth {
    /// The term.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The symbol, or any other term.
    pub fn written(text: impl Into<Rc<str>>) -> Self {
        Truth { text: text.into() }
    }
    fn join(&self, operator: &str, rhs: &Self) -> Self {
        Self::written(format!("({operator} {} {})", self.text, rhs.text))
    }
}

impl Flag for Truth {
    fn lit(value: bool) -> Self {
        Self::written(if value { "true" } else { "false" })
    }
    fn not(&self) -> Self {
        Self::written(format!("(not {})", self.text))
    }
    fn and(&self, rhs: &Self) -> Self {
        self.join("and", rhs)
    }
    fn or(&self, rhs: &Self) -> Self {
        self.join("or", rhs)
    }
    fn xor(&self, rhs: &Self) -> Self {
        self.join("xor", rhs)
    }
    /// Text has no value. The meaning of an instruction decides nothing on data: it selects.
    fn decide(&self) -> bool {
        panic!("a decision on {}: not a script but a program", self.text)
    }
}

impl<const N: u32, const BYTE: u32> Term<N, BYTE> {
    fn unary(&self, operator: &str) -> Self {
        Self::written(format!("({operator} {})", self.text))
    }
    fn binary(&self, operator: &str, rhs: &Self) -> Self {
        Self::written(format!("({operator} {} {})", self.text, rhs.text))
    }
    fn compare(&self, operator: &str, rhs: &Self) -> Truth {
        Truth::written(format!("({operator} {} {})", self.text, rhs.text))
    }
    /// A shift by an amount modulo the width.
    fn shift(&self, operator: &str, amount: &Self) -> Self {
        let mask = u64::from(N) - 1;
        let amount = match amount.literal {
            Some(literal) => Self::lit(literal & mask),
            None => amount.binary("bvand", &Self::lit(mask)),
        };
        self.binary(operator, &amount)
    }
}

impl<const N: u32, const BYTE: u32> Written for Term<N, BYTE> {
    fn written(text: impl Into<Rc<str>>) -> Self {
        Term { text: text.into(), literal: None }
    }
    fn text(&self) -> &str {
        &self.text
    }
}

impl<const N: u32, const BYTE: u32> Word for Term<N, BYTE> {
    const BITS: u32 = N;
    type Flag = Truth;

    fn lit(value: u64) -> Self {
        let value = value & (u64::MAX >> (64 - N));
        let text = match N % 4 {
            0 => format!("#x{value:0digits$x}", digits = N as usize / 4),
            _ => format!("#b{value:0digits$b}", digits = N as usize),
        };
        Term { text: text.into(), literal: Some(value) }
    }
    fn add(&self, rhs: &Self) -> Self {
        self.binary("bvadd", rhs)
    }
    fn sub(&self, rhs: &Self) -> Self {
        self.binary("bvsub", rhs)
    }
    fn mul(&self, rhs: &Self) -> Self {
        self.binary("bvmul", rhs)
    }
    fn and(&self, rhs: &Self) -> Self {
        self.binary("bvand", rhs)
    }
    fn or(&self, rhs: &Self) -> Self {
        self.binary("bvor", rhs)
    }
    fn xor(&self, rhs: &Self) -> Self {
        self.binary("bvxor", rhs)
    }
    fn not(&self) -> Self {
        self.unary("bvnot")
    }
    fn neg(&self) -> Self {
        self.unary("bvneg")
    }
    fn udiv(&self, rhs: &Self) -> Self {
        self.binary("bvudiv", rhs)
    }
    fn urem(&self, rhs: &Self) -> Self {
        self.binary("bvurem", rhs)
    }
    fn sdiv(&self, rhs: &Self) -> Self {
        self.binary("bvsdiv", rhs)
    }
    fn srem(&self, rhs: &Self) -> Self {
        self.binary("bvsrem", rhs)
    }
    fn shl(&self, amount: &Self) -> Self {
        self.shift("bvshl", amount)
    }
    fn lshr(&self, amount: &Self) -> Self {
        self.shift("bvlshr", amount)
    }
    fn ashr(&self, amount: &Self) -> Self {
        self.shift("bvashr", amount)
    }
    fn swap_bytes(&self) -> Self {
        let bytes = (0..N / BYTE).map(|k| format!("((_ extract {} {}) {})", BYTE * (k + 1) - 1, BYTE * k, self.text));
        Self::written(concat(bytes))
    }
    fn same(&self, rhs: &Self) -> Truth {
        self.compare("=", rhs)
    }
    fn ult(&self, rhs: &Self) -> Truth {
        self.compare("bvult", rhs)
    }
    fn slt(&self, rhs: &Self) -> Truth {
        self.compare("bvslt", rhs)
    }
    fn select(flag: &Truth, yes: &Self, no: &Self) -> Self {
        Self::written(format!("(ite {} {} {})", flag.text, yes.text, no.text))
    }
}

impl<const N: u32, const M: u32, const BYTE: u32> Convert<Term<M, BYTE>> for Term<N, BYTE> {
    fn zx(&self) -> Term<M, BYTE> {
        resize(&self.text, N, M, "zero_extend")
    }
    fn sx(&self) -> Term<M, BYTE> {
        resize(&self.text, N, M, "sign_extend")
    }
}

/// The concatenation, the first part highest. SMT-LIB's `concat` takes two.
pub(super) fn concat(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().reduce(|high, low| format!("(concat {high} {low})")).expect("at least one part")
}

fn resize<const M: u32, const BYTE: u32>(text: &Rc<str>, from: u32, to: u32, extend: &str) -> Term<M, BYTE> {
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => Term::written(Rc::clone(text)),
        std::cmp::Ordering::Greater => Term::written(format!("((_ extract {} 0) {text})", to - 1)),
        std::cmp::Ordering::Less => Term::written(format!("((_ {extend} {}) {text})", to - from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_written_as_smt_lib() {
        let x: Term<64, 8> = Term::written("x");
        let low: Term<32, 8> = x.zx();
        assert_eq!(low.add(&Term::lit(7)).text(), "(bvadd ((_ extract 31 0) x) #x00000007)");
        assert_eq!(x.shl(&Term::lit(65)).text(), "(bvshl x #x0000000000000001)");
        assert_eq!(Term::<2, 1>::lit(7).text(), "#b11");
        assert_eq!(
            Term::<16, 8>::written("h").swap_bytes().text(),
            "(concat ((_ extract 7 0) h) ((_ extract 15 8) h))"
        );
        let same: Term<64, 8> = x.sx();
        assert_eq!(same.text(), "x");
    }
}
