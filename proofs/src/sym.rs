//! The symbolic world: words are solver terms, so whatever is generic over [`Word`] can be proven.
//!
//! Terms are simplified as they are built. That costs little, keeps literals literal (a [`Flag::decide`] on one never
//! forks) and makes equal computations equal terms, so that most goals are true before the solver sees them. Large terms
//! are left as they are: the solver would look at all of them again for every operation.

use crate::explore;
use crate::memory::SymMemory;
use crate::theory::{Theory, Variable};
use crate::whole::Whole;
use jit::x64::decode::{self, Decoded, Literal};
use semantics::word::{Algebra, Convert, Flag, Word};
use z3::ast::{Ast, BV, Bool};

/// A bit-vector term of `N` bits, and how large it would be written out as a tree.
#[derive(Clone, Debug)]
pub struct Sym<const N: u32>(BV, u32);

/// A Boolean term, and its size as a tree.
#[derive(Clone, Debug)]
pub struct SFlag(Bool, u32);

/// Terms that are larger are not simplified.
const LARGE: u32 = 20_000;

/// The size of a term with these parts.
fn size(parts: &[u32]) -> u32 {
    parts.iter().fold(1, |sum, part| sum.saturating_add(*part))
}

/// Terms of the solver: the world in which claims are proven for all values at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbolic;

impl Algebra for Symbolic {
    type Flag = SFlag;
    type W8 = Sym<8>;
    type W16 = Sym<16>;
    type W32 = Sym<32>;
    type W64 = Sym<64>;
}

impl Theory for Symbolic {
    type Memory = SymMemory;
    type Whole64 = Whole<64>;
    type Whole32 = Whole<32>;
    fn assumed(flag: &SFlag) {
        explore::assume(&flag.0);
    }
    fn decode_x64(bytes: &[Sym<8>]) -> Option<(Decoded<Self>, usize)> {
        decode::decode(bytes)
    }
}

impl Literal for Sym<8> {
    fn literal(&self) -> Option<u8> {
        self.0.as_u64().map(|value| value as u8)
    }
}

impl<const N: u32> Variable for Sym<N> {
    fn variable(name: &str, _: u64) -> Self {
        Self::new(name)
    }
}

impl SFlag {
    /// The term itself.
    pub fn term(&self) -> &Bool {
        &self.0
    }
    /// The truth value, if the term is a literal.
    pub fn literal(&self) -> Option<bool> {
        self.0.as_bool()
    }
    fn build(term: Bool, size: u32) -> Self {
        if size < LARGE { SFlag(term.simplify(), size) } else { SFlag(term, size) }
    }
}

impl From<Bool> for SFlag {
    fn from(term: Bool) -> Self {
        SFlag(term, 1)
    }
}

impl Flag for SFlag {
    fn lit(value: bool) -> Self {
        SFlag(Bool::from_bool(value), 1)
    }
    fn not(&self) -> Self {
        match self.literal() {
            Some(value) => Self::lit(!value),
            None => Self::build(self.0.not(), self.1),
        }
    }
    fn and(&self, rhs: &Self) -> Self {
        match (self.literal(), rhs.literal()) {
            (Some(false), _) | (_, Some(false)) => Self::lit(false),
            (Some(true), _) => rhs.clone(),
            (_, Some(true)) => self.clone(),
            _ => SFlag(Bool::and(&[&self.0, &rhs.0]), size(&[self.1, rhs.1])),
        }
    }
    fn or(&self, rhs: &Self) -> Self {
        match (self.literal(), rhs.literal()) {
            (Some(true), _) | (_, Some(true)) => Self::lit(true),
            (Some(false), _) => rhs.clone(),
            (_, Some(false)) => self.clone(),
            _ => SFlag(Bool::or(&[&self.0, &rhs.0]), size(&[self.1, rhs.1])),
        }
    }
    fn xor(&self, rhs: &Self) -> Self {
        match (self.literal(), rhs.literal()) {
            // The solver keeps every term once.
            _ if self.0 == rhs.0 => Self::lit(false),
            (Some(false), _) => rhs.clone(),
            (_, Some(false)) => self.clone(),
            (Some(true), _) => rhs.not(),
            (_, Some(true)) => self.not(),
            _ => Self::build(self.0.xor(&rhs.0), size(&[self.1, rhs.1])),
        }
    }
    fn decide(&self) -> bool {
        explore::decide(&self.0)
    }
}

impl<const N: u32> Sym<N> {
    /// The constant with this name; the same name is the same constant.
    pub fn new(name: &str) -> Self {
        Sym(BV::new_const(name, N), 1)
    }
    /// The term itself.
    pub fn term(&self) -> &BV {
        &self.0
    }
    /// The value, if the term is a literal.
    pub fn literal(&self) -> Option<u64> {
        self.0.as_u64()
    }
    /// A term of `N` bits as a word, simplified.
    pub fn build(term: &BV) -> Self {
        Sym(term.simplify(), 1)
    }
    /// The term of an operation on words.
    fn of(term: BV, parts: &[&Self]) -> Self {
        let size = size(&parts.iter().map(|part| part.1).collect::<Vec<_>>());
        if size < LARGE { Sym(term.simplify(), size) } else { Sym(term, size) }
    }
    /// The truth of a comparison of words.
    fn flag(term: Bool, parts: &[&Self]) -> SFlag {
        let size = size(&parts.iter().map(|part| part.1).collect::<Vec<_>>());
        if size < LARGE { SFlag(term.simplify(), size) } else { SFlag(term, size) }
    }
    /// A shift amount, modulo the width.
    fn amount(&self) -> BV {
        self.0.bvand(BV::from_u64(u64::from(N) - 1, N))
    }
}

impl<const N: u32> Word for Sym<N> {
    const BITS: u32 = N;
    type Flag = SFlag;

    fn lit(value: u64) -> Self {
        Sym(BV::from_u64(if N == 64 { value } else { value & ((1 << N) - 1) }, N), 1)
    }
    fn add(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvadd(&rhs.0), &[self, rhs])
    }
    fn sub(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvsub(&rhs.0), &[self, rhs])
    }
    fn mul(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvmul(&rhs.0), &[self, rhs])
    }
    fn and(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvand(&rhs.0), &[self, rhs])
    }
    fn or(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvor(&rhs.0), &[self, rhs])
    }
    fn xor(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvxor(&rhs.0), &[self, rhs])
    }
    fn not(&self) -> Self {
        Self::of(self.0.bvnot(), &[self])
    }
    fn neg(&self) -> Self {
        Self::of(self.0.bvneg(), &[self])
    }
    fn udiv(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvudiv(&rhs.0), &[self, rhs])
    }
    fn urem(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvurem(&rhs.0), &[self, rhs])
    }
    fn sdiv(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvsdiv(&rhs.0), &[self, rhs])
    }
    fn srem(&self, rhs: &Self) -> Self {
        Self::of(self.0.bvsrem(&rhs.0), &[self, rhs])
    }
    fn shl(&self, amount: &Self) -> Self {
        Self::of(self.0.bvshl(amount.amount()), &[self, amount])
    }
    fn lshr(&self, amount: &Self) -> Self {
        Self::of(self.0.bvlshr(amount.amount()), &[self, amount])
    }
    fn ashr(&self, amount: &Self) -> Self {
        Self::of(self.0.bvashr(amount.amount()), &[self, amount])
    }
    fn swap_bytes(&self) -> Self {
        let bytes = (0..N / 8).map(|k| self.0.extract(8 * k + 7, 8 * k));
        Self::of(bytes.reduce(|high, low| high.concat(&low)).expect("a word has a byte"), &[self])
    }
    fn same(&self, rhs: &Self) -> SFlag {
        // The solver keeps every term once.
        if self.0 == rhs.0 {
            return SFlag::lit(true);
        }
        Self::flag(self.0.eq(&rhs.0), &[self, rhs])
    }
    fn ult(&self, rhs: &Self) -> SFlag {
        Self::flag(self.0.bvult(&rhs.0), &[self, rhs])
    }
    fn slt(&self, rhs: &Self) -> SFlag {
        Self::flag(self.0.bvslt(&rhs.0), &[self, rhs])
    }
    fn select(flag: &SFlag, yes: &Self, no: &Self) -> Self {
        match flag.literal() {
            Some(true) => yes.clone(),
            Some(false) => no.clone(),
            None => {
                let size = size(&[flag.1, yes.1, no.1]);
                let term = flag.0.ite(&yes.0, &no.0);
                Sym(if size < LARGE { term.simplify() } else { term }, size)
            }
        }
    }
}

impl<const N: u32, const M: u32> Convert<Sym<M>> for Sym<N> {
    fn zx(&self) -> Sym<M> {
        self.converted(if M < N { self.0.extract(M - 1, 0) } else { self.0.zero_ext(M - N) })
    }
    fn sx(&self) -> Sym<M> {
        self.converted(if M < N { self.0.extract(M - 1, 0) } else { self.0.sign_ext(M - N) })
    }
}

impl<const N: u32> Sym<N> {
    fn converted<const M: u32>(&self, term: BV) -> Sym<M> {
        Sym(if self.1 < LARGE { term.simplify() } else { term }, size(&[self.1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every operation of `W` on three operands, flags as 0 or 1.
    fn all<W: Word>(a: &W, b: &W, show: impl Fn(&W) -> u64, flag: impl Fn(&W::Flag) -> u64) -> Vec<u64> {
        let words = [a.add(b), a.sub(b), a.mul(b), a.and(b), a.or(b), a.xor(b), a.not(), a.neg(), a.udiv(b), a.urem(b)];
        let more = [a.sdiv(b), a.srem(b), a.shl(b), a.lshr(b), a.ashr(b), a.swap_bytes(), a.umin(b), a.smax(b)];
        let chosen = [W::select(&a.ult(b), a, b), W::select(&a.slt(b), b, a)];
        let flags = [a.same(b), a.ult(b), a.slt(b), a.ule(b), a.sle(b), a.is_zero(), a.is_negative()];
        let mixed = [flags[0].and(&flags[1]), flags[1].or(&flags[2]), flags[1].xor(&flags[2]), flags[2].not()];
        words.iter().chain(&more).chain(&chosen).map(show).chain(flags.iter().chain(&mixed).map(flag)).collect()
    }
    fn literal<const N: u32>(word: &Sym<N>) -> u64 {
        word.literal().expect("operations on literals give literals")
    }
    fn truth(flag: &SFlag) -> u64 {
        u64::from(flag.literal().expect("comparisons of literals are literals"))
    }
    fn interesting() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0u64..70, Just(u64::MAX), Just(1 << 63), Just(i64::MAX as u64), Just(0x8000_0000)]
    }

    proptest! {
        #[test]
        fn folding_agrees_with_machine_integers(a in interesting(), b in interesting()) {
            prop_assert_eq!(all(&Sym::<64>::lit(a), &Sym::lit(b), literal, truth), all(&a, &b, |w| *w, |f| u64::from(*f)));
            let (c, d) = (a as u32, b as u32);
            prop_assert_eq!(all(&Sym::<32>::lit(a), &Sym::lit(b), literal, truth), all(&c, &d, |w| u64::from(*w), |f| u64::from(*f)));
            let (c, d) = (a as u8, b as u8);
            prop_assert_eq!(all(&Sym::<8>::lit(a), &Sym::lit(b), literal, truth), all(&c, &d, |w| u64::from(*w), |f| u64::from(*f)));
        }
        #[test]
        fn conversions_agree_with_machine_integers(a in interesting()) {
            let wide: Sym<64> = Convert::<Sym<64>>::sx(&Convert::<Sym<16>>::zx(&Sym::<64>::lit(a)));
            prop_assert_eq!(literal(&wide), a as i16 as i64 as u64);
            let wide: Sym<64> = Convert::<Sym<64>>::zx(&Convert::<Sym<32>>::sx(&Sym::<8>::lit(a)));
            prop_assert_eq!(literal(&wide), u64::from(a as i8 as i32 as u32));
        }
    }
}
