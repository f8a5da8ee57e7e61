//! The Internet checksum (RFC 1071, RFC 1624): one's complement sums, as `include/net/checksum.h` computes them on x86-64.
//!
//! Sums are little-endian numbers of bytes in network order: a one's complement sum does not mind. A sum has two forms of
//! zero; that of anything but zeros is never the positive one. Which of the numbers that fold to the same checksum a sum is
//! differs between architectures, so a program can rely on [`fold`] only.

use crate::word::{Algebra, Convert, Word};

/// The one's complement sum of two (`csum_add`, `csum16_add`).
///
/// ```
/// use semantics::csum::add;
/// assert_eq!(add(&0xffffu16, &1), 1);
/// assert_eq!(add(&0xffff_fff0u32, &0x0f), 0xffff_ffff);
/// ```
#[inline(always)]
pub fn add<W: Word>(a: &W, b: &W) -> W {
    let sum = a.add(b);
    sum.add(&W::select(&sum.ult(b), &W::lit(1), &W::lit(0)))
}

/// The difference of two: the sum with the complement (`csum_sub`, `csum16_sub`).
#[inline(always)]
pub fn sub<W: Word>(a: &W, b: &W) -> W {
    add(a, &b.not())
}

/// The sum of all words and a seed (`csum_partial` of words).
pub fn partial<W: Word>(words: impl IntoIterator<Item = W>, seed: W) -> W {
    words.into_iter().fold(seed, |sum, word| add(&sum, &word))
}

/// The sum of bytes, padded with zeros, and a seed (`csum_partial`).
///
/// ```
/// use semantics::csum::{fold, of_bytes};
/// use semantics::word::Concrete;
/// // The header of RFC 1071's example: the checksum of what includes its checksum is 0.
/// let header = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
/// let sum = fold::<Concrete>(&of_bytes(&header, 0)).to_le_bytes();
/// assert_eq!(sum, [0x22, 0x0d]);
/// assert_eq!(fold::<Concrete>(&of_bytes(&[header.as_slice(), &sum].concat(), 0)), 0);
/// ```
pub fn of_bytes(bytes: &[u8], seed: u32) -> u32 {
    partial(words(bytes), seed)
}

/// Little-endian words of bytes, the last one padded with zeros.
pub fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks(4).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
}

/// The checksum that a sum stands for: its halves' sum, complemented (`csum_fold`).
#[inline(always)]
pub fn fold<A: Algebra>(sum: &A::W32) -> A::W16 {
    let half = A::W32::lit(u64::from(A::W32::BITS / 2));
    let (low, high): (A::W16, A::W16) = (sum.zx(), sum.lshr(&half).zx());
    add(&low, &high).not()
}

/// The sum of a block that begins at an odd offset of what it is added to counts its bytes at the other place
/// (`csum_shift`).
pub fn at_offset(sum: u32, offset: u64) -> u32 {
    if offset % 2 == 1 { sum.rotate_right(8) } else { sum }
}

/// The checksum where a field of 2 bytes changed (`csum_replace2`, RFC 1624 equation 3).
#[inline(always)]
pub fn replace2<W: Word>(sum: &W, from: &W, to: &W) -> W {
    add(&sub(&sum.not(), from), to).not()
}

/// A checksum as a sum (`csum_unfold`).
#[inline(always)]
fn wide<A: Algebra>(sum: &A::W16) -> A::W32 {
    sum.zx()
}

/// The checksum where a field of 4 bytes changed (`csum_replace4`).
#[inline(always)]
pub fn replace4<A: Algebra>(sum: &A::W16, from: &A::W32, to: &A::W32) -> A::W16 {
    fold::<A>(&add(&sub(&wide::<A>(sum).not(), from), to))
}

/// The checksum where what it covers changed by a sum (`csum_replace_by_diff`).
#[inline(always)]
pub fn replace_by_diff<A: Algebra>(sum: &A::W16, diff: &A::W32) -> A::W16 {
    fold::<A>(&add(diff, &wide::<A>(sum).not()))
}

/// What stands in a checksum field of which the hardware does the rest (`CHECKSUM_PARTIAL`), and is not complemented.
#[inline(always)]
pub fn unfinished<A: Algebra>(sum: &A::W16, from: &A::W32, to: &A::W32) -> A::W16 {
    fold::<A>(&add(&sub(&wide::<A>(sum), from), to)).not()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::narrow::{Eighth, Narrow};

    type W16 = <Eighth as Algebra>::W16;
    type W32 = <Eighth as Algebra>::W32;

    /// What a one's complement number stands for, with one zero.
    fn value<const N: u32>(word: Narrow<N>) -> u64 {
        u64::from(word.get()) % ((1 << N) - 1)
    }

    #[test]
    fn sums_are_those_of_numbers_modulo_all_ones() {
        for a in W32::all() {
            for b in W32::all() {
                let sum = add(&a, &b);
                assert_eq!(value(sum), (value(a) + value(b)) % 15, "{a:?} {b:?}");
                assert_eq!(sum.get() == 0, a.get() == 0 && b.get() == 0, "{a:?} {b:?}");
                assert_eq!(value(add(&sub(&a, &b), &b)), value(a), "{a:?} {b:?}");
                assert_eq!(add(&a, &b), add(&b, &a));
            }
        }
    }

    /// The incremental update leads to the checksum of the changed field, or to the other zero (RFC 1624 section 3).
    #[test]
    fn updates_agree_with_sums_anew() {
        for (rest, from) in W32::all().flat_map(|rest| W32::all().map(move |from| (rest, from))) {
            let before: W16 = fold::<Eighth>(&add(&rest, &from));
            for to in W32::all() {
                let anew: W16 = fold::<Eighth>(&add(&rest, &to));
                let diff = add(&from.not(), &to);
                assert_eq!(value(replace4::<Eighth>(&before, &from, &to)), value(anew), "{rest:?} {from:?} {to:?}");
                assert_eq!(value(replace_by_diff::<Eighth>(&before, &diff)), value(anew), "{rest:?} {from:?} {to:?}");
            }
        }
        for (sum, from) in W16::all().flat_map(|sum| W16::all().map(move |from| (sum, from))) {
            for to in W16::all() {
                let back = replace2(&replace2(&sum, &from, &to), &to, &from);
                assert_eq!(value(back), value(sum), "{sum:?} {from:?} {to:?}");
            }
        }
    }

    #[test]
    fn odd_bytes_count_at_the_other_place() {
        let bytes = [1, 2, 3, 4, 5, 6, 7];
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let sum = add(&of_bytes(head, 0), &at_offset(of_bytes(tail, 0), at as u64));
            assert_eq!(
                fold::<crate::word::Concrete>(&sum),
                fold::<crate::word::Concrete>(&of_bytes(&bytes, 0)),
                "{at}"
            );
        }
    }
}
