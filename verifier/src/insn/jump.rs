//! Conditions on scalars: which way a jump must go, and what each way teaches (kernel: `is_scalar_branch_taken`,
//! `regs_refine_cond_op`).

use crate::range::Range;
use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::insn::{Cond, Width};
use semantics::word::{Algebra, Flag, Word};

/// What is known of a condition before the jump. Both flags are clear where it may go either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<F> {
    /// The condition holds for all values.
    pub always: F,
    /// It holds for none.
    pub never: F,
}

impl<F: Flag> Taken<F> {
    #[inline(always)]
    fn inverted(self) -> Self {
        Taken { always: self.never, never: self.always }
    }
}

/// What both operands may be after a jump went one way.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Refined<A: Algebra> {
    pub dst: Scalar<A>,
    pub src: Scalar<A>,
}

impl<A: Algebra> Refined<A> {
    #[inline(always)]
    fn new(dst: Scalar<A>, src: Scalar<A>) -> Self {
        Refined { dst, src }
    }
    #[inline(always)]
    fn swapped(self) -> Self {
        Refined { dst: self.src, src: self.dst }
    }
    /// Both operands synchronised.
    #[inline(always)]
    pub fn sync(&self) -> Self {
        Refined { dst: self.dst.sync(), src: self.src.sync() }
    }
    /// What a register may be that was both operands.
    #[inline(always)]
    pub fn aliased(&self) -> Scalar<A> {
        self.dst.meet(&self.src).sync()
    }
}

/// Whether `dst cond src` must hold or must fail.
///
/// ```
/// use semantics::{insn::{Cond, Width}, word::Concrete};
/// use verifier::{insn::jump, scalar::Scalar};
/// let byte = Scalar::<Concrete>::of_bits(8);
/// assert!(jump::branch_taken(Cond::Lt, Width::W64, &byte, &Scalar::constant(&256)).always);
/// ```
pub fn branch_taken<A: Algebra>(cond: Cond, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Taken<A::Flag> {
    match (cond, width) {
        (Cond::Ne, _) => branch_taken(Cond::Eq, width, dst, src).inverted(),
        (Cond::Eq, Width::W64) => {
            let whole = equal(&dst.var_off, &dst.wide(), &src.var_off, &src.wide());
            let never = whole.never.or(&apart(&dst.half(), &src.half()));
            Taken { always: whole.always, never }
        }
        (_, Width::W64) => compared(cond, &dst.var_off, &dst.wide(), &src.var_off, &src.wide()),
        (Cond::Eq, Width::W32) => equal::<A::W32>(&dst.var_off.cast(), &dst.half(), &src.var_off.cast(), &src.half()),
        (_, Width::W32) => compared::<A::W32>(cond, &dst.var_off.cast(), &dst.half(), &src.var_off.cast(), &src.half()),
    }
}

/// Whether two ranges have nothing in common, in either order of the numbers.
fn apart<W: Word>(dst: &Range<W>, src: &Range<W>) -> W::Flag {
    let unsigned = src.umax.ult(&dst.umin).or(&dst.umax.ult(&src.umin));
    unsigned.or(&src.smax.slt(&dst.smin)).or(&dst.smax.slt(&src.smin))
}

fn equal<W: Word>(dst_bits: &Tnum<W>, dst: &Range<W>, src_bits: &Tnum<W>, src: &Range<W>) -> Taken<W::Flag> {
    let constants = dst_bits.is_constant().and(&src_bits.is_constant());
    let same = dst_bits.value.same(&src_bits.value);
    Taken { always: constants.and(&same), never: constants.and(&same.not()).or(&apart(dst, src)) }
}

/// The conditions other than equality.
fn compared<W: Word>(
    cond: Cond,
    dst_bits: &Tnum<W>,
    dst: &Range<W>,
    src_bits: &Tnum<W>,
    src: &Range<W>,
) -> Taken<W::Flag> {
    match cond {
        Cond::Lt => Taken { always: dst.umax.ult(&src.umin), never: src.umax.ule(&dst.umin) },
        Cond::Le => Taken { always: dst.umax.ule(&src.umin), never: src.umax.ult(&dst.umin) },
        Cond::Slt => Taken { always: dst.smax.slt(&src.smin), never: src.smax.sle(&dst.smin) },
        Cond::Sle => Taken { always: dst.smax.sle(&src.smin), never: src.smax.slt(&dst.smin) },
        Cond::Gt => compared(Cond::Lt, src_bits, src, dst_bits, dst),
        Cond::Ge => compared(Cond::Le, src_bits, src, dst_bits, dst),
        Cond::Sgt => compared(Cond::Slt, src_bits, src, dst_bits, dst),
        Cond::Sge => compared(Cond::Sle, src_bits, src, dst_bits, dst),
        Cond::Set => {
            let constant = dst_bits.is_constant().or(&src_bits.is_constant());
            let always = dst_bits.value.and(&src_bits.value).is_zero().not();
            let never = dst_bits.max().and(&src_bits.max()).is_zero();
            Taken { always: constant.and(&always), never: constant.and(&never) }
        }
        Cond::Eq | Cond::Ne => Taken { always: W::Flag::lit(false), never: W::Flag::lit(false) },
    }
}

/// What the operands may be where `dst cond src` came out as `holds`.
pub fn refine<A: Algebra>(cond: Cond, width: Width, holds: bool, dst: &Scalar<A>, src: &Scalar<A>) -> Refined<A> {
    unsynced(cond, width, holds, dst, src).sync()
}

/// [`refine`] before the views have told each other what they know.
pub fn unsynced<A: Algebra>(cond: Cond, width: Width, holds: bool, dst: &Scalar<A>, src: &Scalar<A>) -> Refined<A> {
    match (cond, holds) {
        (Cond::Eq, true) | (Cond::Ne, false) => assume_equal(width, dst, src),
        (Cond::Eq, false) | (Cond::Ne, true) => assume_different(width, dst, src),
        (Cond::Lt, true) | (Cond::Ge, false) => assume_below(width, dst, src),
        (Cond::Le, true) | (Cond::Gt, false) => assume_at_most(width, dst, src),
        (Cond::Gt, true) | (Cond::Le, false) => assume_below(width, src, dst).swapped(),
        (Cond::Ge, true) | (Cond::Lt, false) => assume_at_most(width, src, dst).swapped(),
        (Cond::Slt, true) | (Cond::Sge, false) => assume_signed_below(width, dst, src),
        (Cond::Sle, true) | (Cond::Sgt, false) => assume_signed_at_most(width, dst, src),
        (Cond::Sgt, true) | (Cond::Sle, false) => assume_signed_below(width, src, dst).swapped(),
        (Cond::Sge, true) | (Cond::Slt, false) => assume_signed_at_most(width, src, dst).swapped(),
        (Cond::Set, holds) => assume_set(width, holds, dst, src),
    }
}

/// `dst == src`: each may be what both may be.
fn assume_equal<A: Algebra>(width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Refined<A> {
    match width {
        Width::W64 => {
            let both = dst.meet(src);
            Refined::new(both.clone(), both)
        }
        Width::W32 => {
            let low = dst.var_off.cast::<A::W32>().intersect(&src.var_off.cast());
            let dst = Scalar { var_off: dst.var_off.with_subreg(&low), ..dst.meet_32(src) };
            let src = Scalar { var_off: src.var_off.with_subreg(&low), ..src.meet_32(&dst) };
            Refined::new(dst, src)
        }
    }
}

/// `dst != src`: a constant at the end of the other's range is shaved off.
fn assume_different<A: Algebra>(width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Refined<A> {
    match width {
        Width::W64 => {
            let shaved = |of: &Scalar<A>, by: &Scalar<A>| {
                Scalar::from_views(of.var_off.clone(), shave(&of.wide(), &by.var_off), of.half())
            };
            Refined::new(shaved(dst, src), shaved(src, dst))
        }
        Width::W32 => {
            let shaved = |of: &Scalar<A>, by: &Scalar<A>| {
                Scalar::from_views(of.var_off.clone(), of.wide(), shave(&of.half(), &by.var_off.cast()))
            };
            Refined::new(shaved(dst, src), shaved(src, dst))
        }
    }
}

/// The range without the one value of `by` where that is an end.
fn shave<W: Word>(range: &Range<W>, by: &Tnum<W>) -> Range<W> {
    let (constant, one) = (by.is_constant(), W::lit(1));
    let at = |end: &W| constant.and(&end.same(&by.value));
    Range {
        umin: W::select(&at(&range.umin), &range.umin.add(&one), &range.umin),
        umax: W::select(&at(&range.umax), &range.umax.sub(&one), &range.umax),
        smin: W::select(&at(&range.smin), &range.smin.add(&one), &range.smin),
        smax: W::select(&at(&range.smax), &range.smax.sub(&one), &range.smax),
    }
}

/// `low < high`, unsigned.
fn assume_below<A: Algebra>(width: Width, low: &Scalar<A>, high: &Scalar<A>) -> Refined<A> {
    match width {
        Width::W64 => {
            let one = A::W64::lit(1);
            Refined::new(
                Scalar { umax: low.umax.umin(&high.umax.sub(&one)), ..low.clone() },
                Scalar { umin: high.umin.umax(&low.umin.add(&one)), ..high.clone() },
            )
        }
        Width::W32 => {
            let one = A::W32::lit(1);
            Refined::new(
                Scalar { u32_max: low.u32_max.umin(&high.u32_max.sub(&one)), ..low.clone() },
                Scalar { u32_min: high.u32_min.umax(&low.u32_min.add(&one)), ..high.clone() },
            )
        }
    }
}

/// `low <= high`, unsigned.
fn assume_at_most<A: Algebra>(width: Width, low: &Scalar<A>, high: &Scalar<A>) -> Refined<A> {
    match width {
        Width::W64 => Refined::new(
            Scalar { umax: low.umax.umin(&high.umax), ..low.clone() },
            Scalar { umin: high.umin.umax(&low.umin), ..high.clone() },
        ),
        Width::W32 => Refined::new(
            Scalar { u32_max: low.u32_max.umin(&high.u32_max), ..low.clone() },
            Scalar { u32_min: high.u32_min.umax(&low.u32_min), ..high.clone() },
        ),
    }
}

/// `low < high`, signed.
fn assume_signed_below<A: Algebra>(width: Width, low: &Scalar<A>, high: &Scalar<A>) -> Refined<A> {
    match width {
        Width::W64 => {
            let one = A::W64::lit(1);
            Refined::new(
                Scalar { smax: low.smax.smin(&high.smax.sub(&one)), ..low.clone() },
                Scalar { smin: high.smin.smax(&low.smin.add(&one)), ..high.clone() },
            )
        }
        Width::W32 => {
            let one = A::W32::lit(1);
            Refined::new(
                Scalar { s32_max: low.s32_max.smin(&high.s32_max.sub(&one)), ..low.clone() },
                Scalar { s32_min: high.s32_min.smax(&low.s32_min.add(&one)), ..high.clone() },
            )
        }
    }
}

/// `low <= high`, signed.
fn assume_signed_at_most<A: Algebra>(width: Width, low: &Scalar<A>, high: &Scalar<A>) -> Refined<A> {
    match width {
        Width::W64 => Refined::new(
            Scalar { smax: low.smax.smin(&high.smax), ..low.clone() },
            Scalar { smin: high.smin.smax(&low.smin), ..high.clone() },
        ),
        Width::W32 => Refined::new(
            Scalar { s32_max: low.s32_max.smin(&high.s32_max), ..low.clone() },
            Scalar { s32_min: high.s32_min.smax(&low.s32_min), ..high.clone() },
        ),
    }
}

/// `dst & src` is not zero, or is, as `holds` says: a constant operand teaches bits of the other.
fn assume_set<A: Algebra>(width: Width, holds: bool, dst: &Scalar<A>, src: &Scalar<A>) -> Refined<A> {
    let learned = |of: &Scalar<A>, by: &Scalar<A>| {
        let var_off = match width {
            Width::W64 => learn_bits(holds, &of.var_off, &by.var_off),
            Width::W32 => {
                let low = learn_bits::<A::W32>(holds, &of.var_off.cast(), &by.var_off.cast());
                of.var_off.with_subreg(&low)
            }
        };
        Scalar { var_off, ..of.clone() }
    };
    Refined::new(learned(dst, src), learned(src, dst))
}

/// With the constant `by` all its bits are clear, or its only bit is set.
#[inline(always)]
fn learn_bits<W: Word>(holds: bool, of: &Tnum<W>, by: &Tnum<W>) -> Tnum<W> {
    let bits = &by.value;
    let power = bits.and(&bits.sub(&W::lit(1))).is_zero().and(&bits.is_zero().not());
    let (when, value) = if holds {
        (by.is_constant().and(&power), of.value.or(bits))
    } else {
        (by.is_constant(), of.value.and(&bits.not()))
    };
    Tnum { value: W::select(&when, &value, &of.value), mask: W::select(&when, &of.mask.and(&bits.not()), &of.mask) }
}

/// Which ways a jump may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// Only to the next instruction.
    Fall,
    /// Only to the target.
    Take,
    /// Both.
    Both,
}
