//! The algebra of fixed-width bit-vectors that every meaning is written over.
//!
//! [`Word`] is one width; [`Algebra`] ties the four widths of one world together. Code that is generic over them runs on
//! machine integers ([`Concrete`]), is proven on solver terms (the proofs crate) and is counted exhaustively at small
//! widths ([`narrow`]). Truth values are [`Flag`]s, so generic code cannot branch on data by accident: it chooses values
//! with [`Word::select`] and control with [`Flag::decide`].
//!
//! Every operation is total. Shift amounts are taken modulo the width, as in RFC 9669 section 4.1 and on x86, so that the
//! terms of both sides of a proof are identical; division follows SMT-LIB (`x / 0` is all ones, `x % 0` is `x`).
//!
//! ```
//! use semantics::word::Word;
//! fn average<W: Word>(a: &W, b: &W) -> W {
//!     let carry = a.and(b);
//!     carry.add(&a.xor(b).lshr(&W::lit(1)))
//! }
//! assert_eq!(average(&7u8, &255u8), 131);
//! assert_eq!(average(&7u64, &u64::MAX), 0x8000_0000_0000_0003);
//! ```

use std::fmt::Debug;

pub mod narrow;

/// A truth value of one world: `bool`, or a symbolic Boolean.
pub trait Flag: Clone + Debug {
    /// The constant `value`.
    fn lit(value: bool) -> Self;
    /// Negation.
    fn not(&self) -> Self;
    /// Conjunction.
    fn and(&self, rhs: &Self) -> Self;
    /// Disjunction.
    fn or(&self, rhs: &Self) -> Self;
    /// Exclusive or.
    fn xor(&self, rhs: &Self) -> Self;
    /// A control decision on data: the flag itself in a concrete world, a fork by re-execution in the symbolic one.
    fn decide(&self) -> bool;

    /// `self` implies `rhs`.
    #[inline(always)]
    fn implies(&self, rhs: &Self) -> Self {
        self.not().or(rhs)
    }
    /// `self` exactly when `rhs`.
    #[inline(always)]
    fn iff(&self, rhs: &Self) -> Self {
        self.xor(rhs).not()
    }
}

impl Flag for bool {
    #[inline(always)]
    fn lit(value: bool) -> Self {
        value
    }
    #[inline(always)]
    fn not(&self) -> Self {
        !*self
    }
    #[inline(always)]
    fn and(&self, rhs: &Self) -> Self {
        *self && *rhs
    }
    #[inline(always)]
    fn or(&self, rhs: &Self) -> Self {
        *self || *rhs
    }
    #[inline(always)]
    fn xor(&self, rhs: &Self) -> Self {
        *self ^ *rhs
    }
    #[inline(always)]
    fn decide(&self) -> bool {
        *self
    }
}

/// A bit-vector of [`Word::BITS`] bits. Operations take references because solver terms are not `Copy`.
pub trait Word: Clone + Debug {
    /// The width in bits.
    const BITS: u32;
    /// The truth values of this world.
    type Flag: Flag;

    /// The constant `value`, truncated to the width.
    fn lit(value: u64) -> Self;
    /// Sum modulo `2^BITS`.
    fn add(&self, rhs: &Self) -> Self;
    /// Difference modulo `2^BITS`.
    fn sub(&self, rhs: &Self) -> Self;
    /// Product modulo `2^BITS`.
    fn mul(&self, rhs: &Self) -> Self;
    /// Bitwise and.
    fn and(&self, rhs: &Self) -> Self;
    /// Bitwise or.
    fn or(&self, rhs: &Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(&self, rhs: &Self) -> Self;
    /// Bitwise complement.
    fn not(&self) -> Self;
    /// Two's complement negation.
    fn neg(&self) -> Self;
    /// Unsigned quotient; all ones where `rhs` is 0.
    fn udiv(&self, rhs: &Self) -> Self;
    /// Unsigned remainder; `self` where `rhs` is 0.
    fn urem(&self, rhs: &Self) -> Self;
    /// Signed quotient, truncated towards 0; 1 or -1 where `rhs` is 0; the minimum divided by -1 is itself.
    fn sdiv(&self, rhs: &Self) -> Self;
    /// Signed remainder with the sign of `self`; `self` where `rhs` is 0.
    fn srem(&self, rhs: &Self) -> Self;
    /// Shift left by `amount` modulo the width.
    fn shl(&self, amount: &Self) -> Self;
    /// Logical shift right by `amount` modulo the width.
    fn lshr(&self, amount: &Self) -> Self;
    /// Arithmetic shift right by `amount` modulo the width.
    fn ashr(&self, amount: &Self) -> Self;
    /// The bytes in opposite order.
    fn swap_bytes(&self) -> Self;
    /// Equality. Not called `eq`, which would collide with `PartialEq::eq`.
    fn same(&self, rhs: &Self) -> Self::Flag;
    /// Unsigned less-than.
    fn ult(&self, rhs: &Self) -> Self::Flag;
    /// Signed less-than.
    fn slt(&self, rhs: &Self) -> Self::Flag;
    /// `yes` where the flag holds, else `no`.
    fn select(flag: &Self::Flag, yes: &Self, no: &Self) -> Self;

    /// Whether every bit is 0.
    #[inline(always)]
    fn is_zero(&self) -> Self::Flag {
        self.same(&Self::lit(0))
    }
    /// Inequality.
    #[inline(always)]
    fn differs(&self, rhs: &Self) -> Self::Flag {
        self.same(rhs).not()
    }
    /// Unsigned less-or-equal.
    #[inline(always)]
    fn ule(&self, rhs: &Self) -> Self::Flag {
        rhs.ult(self).not()
    }
    /// Signed less-or-equal.
    #[inline(always)]
    fn sle(&self, rhs: &Self) -> Self::Flag {
        rhs.slt(self).not()
    }
    /// Whether the sign bit is set.
    #[inline(always)]
    fn is_negative(&self) -> Self::Flag {
        self.slt(&Self::lit(0))
    }
    /// The smaller of two unsigned values.
    #[inline(always)]
    fn umin(&self, rhs: &Self) -> Self {
        Self::select(&self.ult(rhs), self, rhs)
    }
    /// The larger of two unsigned values.
    #[inline(always)]
    fn umax(&self, rhs: &Self) -> Self {
        Self::select(&self.ult(rhs), rhs, self)
    }
    /// The smaller of two signed values.
    #[inline(always)]
    fn smin(&self, rhs: &Self) -> Self {
        Self::select(&self.slt(rhs), self, rhs)
    }
    /// The larger of two signed values.
    #[inline(always)]
    fn smax(&self, rhs: &Self) -> Self {
        Self::select(&self.slt(rhs), rhs, self)
    }
    /// All bits set: the largest unsigned value.
    #[inline(always)]
    fn ones() -> Self {
        Self::lit(u64::MAX)
    }
    /// The smallest signed value: only the sign bit set.
    #[inline(always)]
    fn signed_min() -> Self {
        Self::lit(1 << (Self::BITS - 1))
    }
    /// The largest signed value: all but the sign bit set.
    #[inline(always)]
    fn signed_max() -> Self {
        Self::lit((1 << (Self::BITS - 1)) - 1)
    }
}

/// Change of width between two words of one world; a narrower target truncates.
pub trait Convert<T> {
    /// Zero-extends or truncates.
    fn zx(&self) -> T;
    /// Sign-extends or truncates.
    fn sx(&self) -> T;
}

/// A word of the algebra `A`: converts to every width of it.
pub trait WordOf<A: Algebra>:
    Word<Flag = A::Flag> + Convert<A::W8> + Convert<A::W16> + Convert<A::W32> + Convert<A::W64>
{
}

impl<A: Algebra, T> WordOf<A> for T where
    T: Word<Flag = A::Flag> + Convert<A::W8> + Convert<A::W16> + Convert<A::W32> + Convert<A::W64>
{
}

/// The four widths of one world. Names are those of the real machine; a scaled-down instance has fewer bits.
pub trait Algebra: Clone + Debug + 'static {
    /// Truth values.
    type Flag: Flag;
    /// The byte.
    type W8: WordOf<Self>;
    /// The half word; offsets are this wide.
    type W16: WordOf<Self>;
    /// The word; immediates are this wide.
    type W32: WordOf<Self>;
    /// The double word; registers are this wide.
    type W64: WordOf<Self>;

    /// The low half of a register.
    #[inline(always)]
    fn low(value: &Self::W64) -> Self::W32 {
        value.zx()
    }
    /// A 32-bit result as a register holds it: zero-extended.
    #[inline(always)]
    fn zext(value: &Self::W32) -> Self::W64 {
        value.zx()
    }
    /// A 32-bit immediate as a 64-bit operand: sign-extended.
    #[inline(always)]
    fn sext(value: &Self::W32) -> Self::W64 {
        value.sx()
    }
}

/// Machine integers: the world that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concrete;

impl Algebra for Concrete {
    type Flag = bool;
    type W8 = u8;
    type W16 = u16;
    type W32 = u32;
    type W64 = u64;
}

macro_rules! machine_words {
    ($($unsigned:ident $signed:ident)*) => { $(
        impl Word for $unsigned {
            const BITS: u32 = $unsigned::BITS;
            type Flag = bool;
            #[inline(always)]
            fn lit(value: u64) -> Self { value as $unsigned }
            #[inline(always)]
            fn add(&self, rhs: &Self) -> Self { self.wrapping_add(*rhs) }
            #[inline(always)]
            fn sub(&self, rhs: &Self) -> Self { self.wrapping_sub(*rhs) }
            #[inline(always)]
            fn mul(&self, rhs: &Self) -> Self { self.wrapping_mul(*rhs) }
            #[inline(always)]
            fn and(&self, rhs: &Self) -> Self { *self & *rhs }
            #[inline(always)]
            fn or(&self, rhs: &Self) -> Self { *self | *rhs }
            #[inline(always)]
            fn xor(&self, rhs: &Self) -> Self { *self ^ *rhs }
            #[inline(always)]
            fn not(&self) -> Self { !*self }
            #[inline(always)]
            fn neg(&self) -> Self { self.wrapping_neg() }
            #[inline(always)]
            fn udiv(&self, rhs: &Self) -> Self { self.checked_div(*rhs).unwrap_or($unsigned::MAX) }
            #[inline(always)]
            fn urem(&self, rhs: &Self) -> Self { self.checked_rem(*rhs).unwrap_or(*self) }
            #[inline(always)]
            fn sdiv(&self, rhs: &Self) -> Self {
                match (*rhs, (*self as $signed) < 0) {
                    (0, true) => 1,
                    (0, false) => $unsigned::MAX,
                    _ => (*self as $signed).wrapping_div(*rhs as $signed) as $unsigned,
                }
            }
            #[inline(always)]
            fn srem(&self, rhs: &Self) -> Self {
                if *rhs == 0 { *self } else { (*self as $signed).wrapping_rem(*rhs as $signed) as $unsigned }
            }
            #[inline(always)]
            fn shl(&self, amount: &Self) -> Self { self.wrapping_shl(*amount as u32) }
            #[inline(always)]
            fn lshr(&self, amount: &Self) -> Self { self.wrapping_shr(*amount as u32) }
            #[inline(always)]
            fn ashr(&self, amount: &Self) -> Self { (*self as $signed).wrapping_shr(*amount as u32) as $unsigned }
            #[inline(always)]
            fn swap_bytes(&self) -> Self { $unsigned::swap_bytes(*self) }
            #[inline(always)]
            fn same(&self, rhs: &Self) -> bool { *self == *rhs }
            #[inline(always)]
            fn ult(&self, rhs: &Self) -> bool { *self < *rhs }
            #[inline(always)]
            fn slt(&self, rhs: &Self) -> bool { (*self as $signed) < (*rhs as $signed) }
            #[inline(always)]
            fn select(flag: &bool, yes: &Self, no: &Self) -> Self { if *flag { *yes } else { *no } }
        }
        machine_words!(@convert $unsigned $signed u8 u16 u32 u64);
    )* };
    (@convert $unsigned:ident $signed:ident $($target:ident)*) => { $(
        impl Convert<$target> for $unsigned {
            #[inline(always)]
            fn zx(&self) -> $target { *self as $target }
            #[inline(always)]
            fn sx(&self) -> $target { *self as $signed as $target }
        }
    )* };
}
machine_words!(u8 i8 u16 i16 u32 i32 u64 i64);
