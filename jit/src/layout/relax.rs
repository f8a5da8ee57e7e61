//! The arithmetic of branch relaxation, over any word: layout runs it, and the obligations `layout::*` are about it.
//!
//! Offsets count bytes of the block and are below 2^31.

use semantics::word::{Flag, Word};

use crate::x64::encode::branch_len;
use crate::x64::{Branch, Reach};

/// The steps that layout takes; another type is a planted mistake.
pub trait Steps: 'static {
    /// Where a place lies: behind the fixed code, so many straight bytes, and branches of so many bytes.
    #[inline(always)]
    fn offset<W: Word>(fixed: &W, straight: &W, branches: &W) -> W {
        fixed.add(straight).add(branches)
    }
    /// Bytes of all branches up to and with this one, given those before it.
    #[inline(always)]
    fn grow<W: Word>(before: &W, branch: Branch, reach: Reach) -> W {
        before.add(&W::lit(u64::from(branch_len(branch, reach))))
    }
    /// Straight bytes before a slot, given those from before so many nops were put before it.
    #[inline(always)]
    fn pad_slot<W: Word>(straight: &W, nops: &W) -> W {
        straight.add(nops)
    }
    /// Straight bytes before a branch, likewise.
    #[inline(always)]
    fn pad_branch<W: Word>(straight: &W, nops: &W) -> W {
        straight.add(nops)
    }
    /// What a branch adds to the address behind it.
    #[inline(always)]
    fn displacement<W: Word>(target: &W, end: &W) -> W {
        target.sub(end)
    }
    /// Whether a displacement fits 8 bits.
    #[inline(always)]
    fn is_short<W: Word>(displacement: &W) -> W::Flag {
        displacement.add(&W::lit(128)).ult(&W::lit(256))
    }
    /// How far a branch reaches in the next round. It never reaches less far again.
    #[inline(always)]
    fn reach<W: Word>(now: Reach, displacement: &W) -> Reach {
        if now == Reach::Short && Self::is_short(displacement).decide() { Reach::Short } else { Reach::Near }
    }
}

/// The right ones.
#[derive(Clone, Copy, Debug)]
pub struct Standard;

impl Steps for Standard {}
