//! Scaled-down words, so that claims over 64 bits can be counted exhaustively over 8.
//!
//! Everything shrinks by the same factor of eight: a register has 8 bits, its low half 4, a half word 2, a byte 1. Byte
//! order therefore becomes bit order.

use super::{Algebra, Convert, Word};

/// A word of `N` bits, 1 to 8, in the low bits of a byte; the others are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Narrow<const N: u32>(u8);

impl<const N: u32> Narrow<N> {
    const MASK: u8 = (0xffu16 >> (8 - N)) as u8;

    /// The low `N` bits of `value`.
    #[inline(always)]
    pub fn new(value: u8) -> Self {
        Narrow(value & Self::MASK)
    }
    /// The value as an unsigned number.
    #[inline(always)]
    pub fn get(self) -> u8 {
        self.0
    }
    /// The value as a signed number.
    #[inline(always)]
    pub fn signed(self) -> i8 {
        ((self.0 << (8 - N)) as i8) >> (8 - N)
    }
    /// Every value of the width, in unsigned order.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        (0..=Self::MASK).map(Narrow)
    }
    #[inline(always)]
    fn amount(self) -> u32 {
        u32::from(self.0) % N
    }
}

impl<const N: u32> Word for Narrow<N> {
    const BITS: u32 = N;
    type Flag = bool;
    #[inline(always)]
    fn lit(value: u64) -> Self {
        Self::new(value as u8)
    }
    #[inline(always)]
    fn add(&self, rhs: &Self) -> Self {
        Self::new(self.0.wrapping_add(rhs.0))
    }
    #[inline(always)]
    fn sub(&self, rhs: &Self) -> Self {
        Self::new(self.0.wrapping_sub(rhs.0))
    }
    #[inline(always)]
    fn mul(&self, rhs: &Self) -> Self {
        Self::new(self.0.wrapping_mul(rhs.0))
    }
    #[inline(always)]
    fn and(&self, rhs: &Self) -> Self {
        Narrow(self.0 & rhs.0)
    }
    #[inline(always)]
    fn or(&self, rhs: &Self) -> Self {
        Narrow(self.0 | rhs.0)
    }
    #[inline(always)]
    fn xor(&self, rhs: &Self) -> Self {
        Narrow(self.0 ^ rhs.0)
    }
    #[inline(always)]
    fn not(&self) -> Self {
        Self::new(!self.0)
    }
    #[inline(always)]
    fn neg(&self) -> Self {
        Self::new(self.0.wrapping_neg())
    }
    #[inline(always)]
    fn udiv(&self, rhs: &Self) -> Self {
        Narrow(self.0.checked_div(rhs.0).unwrap_or(Self::MASK))
    }
    #[inline(always)]
    fn urem(&self, rhs: &Self) -> Self {
        Narrow(self.0.checked_rem(rhs.0).unwrap_or(self.0))
    }
    #[inline(always)]
    fn sdiv(&self, rhs: &Self) -> Self {
        match (rhs.0, self.signed() < 0) {
            (0, true) => Self::new(1),
            (0, false) => Self::new(0xff),
            _ => Self::new(self.signed().wrapping_div(rhs.signed()) as u8),
        }
    }
    #[inline(always)]
    fn srem(&self, rhs: &Self) -> Self {
        if rhs.0 == 0 { *self } else { Self::new(self.signed().wrapping_rem(rhs.signed()) as u8) }
    }
    #[inline(always)]
    fn shl(&self, amount: &Self) -> Self {
        Self::new(self.0 << amount.amount())
    }
    #[inline(always)]
    fn lshr(&self, amount: &Self) -> Self {
        Narrow(self.0 >> amount.amount())
    }
    #[inline(always)]
    fn ashr(&self, amount: &Self) -> Self {
        Self::new((self.signed() >> amount.amount()) as u8)
    }
    #[inline(always)]
    fn swap_bytes(&self) -> Self {
        Narrow(self.0.reverse_bits() >> (8 - N))
    }
    #[inline(always)]
    fn same(&self, rhs: &Self) -> bool {
        self.0 == rhs.0
    }
    #[inline(always)]
    fn ult(&self, rhs: &Self) -> bool {
        self.0 < rhs.0
    }
    #[inline(always)]
    fn slt(&self, rhs: &Self) -> bool {
        self.signed() < rhs.signed()
    }
    #[inline(always)]
    fn select(flag: &bool, yes: &Self, no: &Self) -> Self {
        if *flag { *yes } else { *no }
    }
}

impl<const N: u32, const M: u32> Convert<Narrow<M>> for Narrow<N> {
    #[inline(always)]
    fn zx(&self) -> Narrow<M> {
        Narrow::new(self.0)
    }
    #[inline(always)]
    fn sx(&self) -> Narrow<M> {
        Narrow::new(self.signed() as u8)
    }
}

/// The world at an eighth of its size: 8-bit registers with 4-bit halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eighth;

impl Algebra for Eighth {
    type Flag = bool;
    type W8 = Narrow<1>;
    type W16 = Narrow<2>;
    type W32 = Narrow<4>;
    type W64 = Narrow<8>;
}

/// A smaller world still, for claims over several registers: 4-bit registers with 2-bit halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sixteenth;

impl Algebra for Sixteenth {
    type Flag = bool;
    type W8 = Narrow<1>;
    type W16 = Narrow<1>;
    type W32 = Narrow<2>;
    type W64 = Narrow<4>;
}
