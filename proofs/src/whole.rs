//! Words as integers from 0 up to a power of two: the world in which products and quotients are proven.
//!
//! As bit-vectors of 64 bits a product is a circuit of thousands of gates, and what is monotone about it is out of a
//! solver's reach. As integers, "the product of larger factors is larger" takes no time. Only arithmetic has a meaning
//! here; code that asks for bits that are not given ends the proof as unknown.

use crate::explore;
use crate::sym::SFlag;
use crate::theory::{Exact, Variable};
use semantics::word::{Flag, Word};
use z3::ast::{Ast, Bool, Int};

/// An integer term that stands for a word of `N` bits: it lies from 0 to `2^N - 1`.
#[derive(Clone, Debug)]
pub struct Whole<const N: u32>(Int);

impl<const N: u32> Whole<N> {
    /// `2^bits`.
    fn power(bits: u32) -> Int {
        let half = |bits: u32| Int::from_u64(1 << bits);
        if bits < 64 { half(bits) } else { (half(32) * half(bits - 32)).simplify() }
    }
    fn modulus() -> Int {
        Self::power(N)
    }
    /// Any integer, reduced.
    fn reduced(term: &Int) -> Self {
        Whole(term.modulo(Self::modulus()).simplify())
    }
    /// A term that lies in the range.
    fn within(term: &Int) -> Self {
        Whole(term.simplify())
    }
    /// The value as a signed number.
    fn signed(&self) -> Int {
        let negative = self.0.ge(Self::power(N - 1));
        negative.ite(&(&self.0 - Self::modulus()), &self.0).simplify()
    }
    fn magnitude(&self) -> Int {
        let negative = self.0.ge(Self::power(N - 1));
        negative.ite(&(Self::modulus() - &self.0), &self.0).simplify()
    }
    fn literal(&self) -> u64 {
        let literal = self.0.as_u64();
        literal.unwrap_or_else(|| explore::give_up("an operation on bits has no meaning for integers"))
    }
    /// The name of the integer variable beside a variable's own.
    pub fn integer(name: &str) -> Int {
        Int::new_const(format!("{name} as an integer"))
    }
}

impl<const N: u32> Variable for Whole<N> {
    fn variable(name: &str, _: u64) -> Self {
        let term = Self::integer(name);
        explore::assume(&Bool::and(&[term.ge(Int::from_u64(0)), term.lt(Self::modulus())]));
        Whole(term)
    }
}

impl<const N: u32> Exact for Whole<N> {
    fn products_ordered(left: (&Self, &Self), right: (&Self, &Self)) -> SFlag {
        let product = |(x, y): (&Self, &Self)| x.signed() * y.signed();
        flag(&product(left).le(product(right)))
    }
    fn product_is(left: &Self, right: &Self, word: &Self) -> SFlag {
        flag(&(left.signed() * right.signed()).eq(word.signed()))
    }
    fn signed_product(left: &Self, right: &Self) -> Self {
        Self::reduced(&(left.signed() * right.signed()))
    }
    fn product_at_most(left: &Self, right: &Self, most: &Self) -> SFlag {
        flag(&(&left.0 * &right.0).le(&most.0))
    }
    fn product_splits(rest: &Self, bit: &Self, factor: &Self) -> SFlag {
        let two = Int::from_u64(2);
        let whole = (&two * &rest.0 + &bit.0) * &factor.0;
        flag(&whole.eq(&bit.0 * &factor.0 + &rest.0 * (&two * &factor.0)))
    }
}

fn flag(term: &Bool) -> SFlag {
    SFlag::from(term.simplify())
}

impl<const N: u32> Word for Whole<N> {
    const BITS: u32 = N;
    type Flag = SFlag;

    fn lit(value: u64) -> Self {
        Whole(Int::from_u64(if N == 64 { value } else { value & ((1 << N) - 1) }))
    }
    fn add(&self, rhs: &Self) -> Self {
        Self::reduced(&(&self.0 + &rhs.0))
    }
    fn sub(&self, rhs: &Self) -> Self {
        Self::reduced(&(&self.0 - &rhs.0))
    }
    fn mul(&self, rhs: &Self) -> Self {
        Self::reduced(&(&self.0 * &rhs.0))
    }
    fn and(&self, rhs: &Self) -> Self {
        match rhs.literal() {
            0 => Self::lit(0),
            // The low bits.
            mask if mask.wrapping_add(1).is_power_of_two() => Whole(self.0.modulo(Int::from_u64(mask + 1)).simplify()),
            _ => explore::give_up("an operation on bits has no meaning for integers"),
        }
    }
    fn or(&self, _: &Self) -> Self {
        explore::give_up("an operation on bits has no meaning for integers")
    }
    fn xor(&self, _: &Self) -> Self {
        explore::give_up("an operation on bits has no meaning for integers")
    }
    fn not(&self) -> Self {
        Self::within(&(Self::modulus() - Int::from_u64(1) - &self.0))
    }
    /// Without a remainder, behind which products are out of reach.
    fn neg(&self) -> Self {
        let zero = Int::from_u64(0);
        Self::within(&self.0.eq(&zero).ite(&zero, &(Self::modulus() - &self.0)))
    }
    fn udiv(&self, rhs: &Self) -> Self {
        let by_zero = rhs.0.eq(Int::from_u64(0));
        Self::within(&by_zero.ite(&Self::ones().0, &self.0.div(&rhs.0)))
    }
    fn urem(&self, rhs: &Self) -> Self {
        let by_zero = rhs.0.eq(Int::from_u64(0));
        Self::within(&by_zero.ite(&self.0, &self.0.modulo(&rhs.0)))
    }
    fn sdiv(&self, rhs: &Self) -> Self {
        let quotient = self.magnitude().div(rhs.magnitude());
        let differ = self.is_negative().xor(&rhs.is_negative());
        let signed = differ.term().ite(&(Int::from_u64(0) - &quotient), &quotient);
        let by_zero = Self::select(&self.is_negative(), &Self::lit(1), &Self::ones());
        Self::select(&rhs.is_zero(), &by_zero, &Self::reduced(&signed))
    }
    fn srem(&self, rhs: &Self) -> Self {
        let remainder = self.magnitude().modulo(rhs.magnitude());
        let signed = self.is_negative().term().ite(&(Int::from_u64(0) - &remainder), &remainder);
        Self::select(&rhs.is_zero(), self, &Self::reduced(&signed))
    }
    fn shl(&self, amount: &Self) -> Self {
        Self::reduced(&(&self.0 * Self::power(amount.literal() as u32 % N)))
    }
    fn lshr(&self, amount: &Self) -> Self {
        Self::within(&self.0.div(Self::power(amount.literal() as u32 % N)))
    }
    fn ashr(&self, _: &Self) -> Self {
        explore::give_up("an operation on bits has no meaning for integers")
    }
    fn swap_bytes(&self) -> Self {
        explore::give_up("an operation on bits has no meaning for integers")
    }
    fn same(&self, rhs: &Self) -> SFlag {
        flag(&self.0.eq(&rhs.0))
    }
    fn ult(&self, rhs: &Self) -> SFlag {
        flag(&self.0.lt(&rhs.0))
    }
    fn slt(&self, rhs: &Self) -> SFlag {
        flag(&self.signed().lt(rhs.signed()))
    }
    fn select(flag: &SFlag, yes: &Self, no: &Self) -> Self {
        match flag.literal() {
            Some(true) => yes.clone(),
            Some(false) => no.clone(),
            None => Self::within(&flag.term().ite(&yes.0, &no.0)),
        }
    }
}
