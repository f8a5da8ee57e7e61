//! Conditions on scalars: which way a jump must go, and what each way teaches (kernel: `is_scalar_branch_taken`,
//! `regs_refine_cond_op`).

use crate::domain::Domain;
use crate::range::Range;
use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::insn::{Cond, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

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
    /// Decided only where the flag holds.
    #[inline(always)]
    fn where_both(self, flag: &F) -> Self {
        Taken { always: self.always.and(flag), never: self.never.and(flag) }
    }
    /// Where it is not decided and what one way teaches contradicts itself, the jump goes the other way
    /// (`simulate_both_branches_taken`). The flags say of each way that what it teaches does not.
    #[inline(always)]
    pub fn simulated(self, holds: &F, fails: &F) -> Self {
        let open = self.always.or(&self.never).not();
        Taken {
            always: self.always.or(&open.and(&fails.not())),
            never: self.never.or(&open.and(fails).and(&holds.not())),
        }
    }
    /// Fails also where the flag holds.
    #[inline(always)]
    fn or_never(self, flag: &F) -> Self {
        Taken { always: self.always, never: self.never.or(flag) }
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
    pub fn sync_in(&self, domain: &Domain) -> Self {
        Refined { dst: self.dst.sync_in(domain), src: self.src.sync_in(domain) }
    }
    /// What a register may be that was both operands.
    #[inline(always)]
    pub fn aliased(&self, domain: &Domain) -> Scalar<A> {
        self.dst.meet(&self.src).sync_in(domain)
    }
    /// No view of either operand is empty on its own.
    #[inline(always)]
    pub fn well_formed(&self) -> A::Flag {
        self.dst.well_formed().and(&self.src.well_formed())
    }
}

/// Whether `dst cond src` must hold or must fail, as far as the domain sees.
///
/// ```
/// use semantics::{insn::{Cond, Width}, word::Concrete};
/// use verifier::{Domain, insn::jump, scalar::Scalar};
/// let byte = Scalar::<Concrete>::of_bits(8);
/// let taken = |src: u64| jump::branch_taken(Cond::Lt, Width::W64, &Domain::V6_1, &byte, &Scalar::constant(&src));
/// assert!(taken(256).always && !taken(255).always);
/// ```
pub fn branch_taken<A: Algebra>(
    cond: Cond,
    width: Width,
    domain: &Domain,
    dst: &Scalar<A>,
    src: &Scalar<A>,
) -> Taken<A::Flag> {
    let taken = taken_by_knowledge(cond, width, domain, dst, src);
    if !domain.ways_simulated {
        return taken;
    }
    let holds = refine(cond, width, domain, true, dst, src).well_formed();
    let fails = refine(cond, width, domain, false, dst, src).well_formed();
    taken.simulated(&holds, &fails)
}

/// The same from what is known of the operands, without looking down either way.
pub fn taken_by_knowledge<A: Algebra>(
    cond: Cond,
    width: Width,
    domain: &Domain,
    dst: &Scalar<A>,
    src: &Scalar<A>,
) -> Taken<A::Flag> {
    let ranges = taken_by_ranges(cond, width, dst, src);
    match cond {
        Cond::Eq | Cond::Ne if !domain.ranges_decide => ranges.where_both(&known(width, dst).and(&known(width, src))),
        Cond::Eq if domain.bits_decide => ranges.or_never(&bits_apart(width, dst, src)),
        Cond::Ne if domain.bits_decide => ranges.inverted().or_never(&bits_apart(width, dst, src)).inverted(),
        _ if !domain.ranges_decide => ranges.where_both(&known(width, src)),
        _ => ranges,
    }
}

/// Whether a comparison of a register with itself must hold or must fail.
pub fn branch_taken_itself<A: Algebra>(cond: Cond, width: Width, domain: &Domain, of: &Scalar<A>) -> Taken<A::Flag> {
    let flag = A::Flag::lit;
    if !domain.itself_decides {
        return branch_taken(cond, width, domain, of, of);
    }
    match cond {
        Cond::Eq | Cond::Ge | Cond::Le | Cond::Sge | Cond::Sle => Taken { always: flag(true), never: flag(false) },
        Cond::Ne | Cond::Gt | Cond::Lt | Cond::Sgt | Cond::Slt => Taken { always: flag(false), never: flag(true) },
        Cond::Set => match width {
            Width::W64 => set_itself(&of.var_off, &of.wide()),
            Width::W32 => set_itself::<A::W32>(&of.var_off.cast(), &of.half()),
        },
    }
}

/// `of & of` is set where `of` is not 0.
fn set_itself<W: Word>(bits: &Tnum<W>, range: &Range<W>) -> Taken<W::Flag> {
    let (zero, constant) = (W::lit(0), bits.is_constant());
    let without_zero = zero.slt(&range.smin).or(&range.smax.slt(&zero));
    let is_zero = bits.value.is_zero();
    Taken { always: constant.and(&is_zero.not()).or(&constant.not().and(&without_zero)), never: constant.and(&is_zero) }
}

/// Whether the known bits say that the operand has one value, at this width.
#[inline(always)]
pub fn known<A: Algebra>(width: Width, of: &Scalar<A>) -> A::Flag {
    match width {
        Width::W64 => of.is_constant(),
        Width::W32 => of.is_constant_32(),
    }
}

/// Whether some bit is known of both, and differs (`tnum_overlap`).
fn bits_apart<A: Algebra>(width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> A::Flag {
    match width {
        Width::W64 => dst.var_off.overlaps(&src.var_off).not(),
        Width::W32 => dst.var_off.cast::<A::W32>().overlaps(&src.var_off.cast()).not(),
    }
}

fn taken_by_ranges<A: Algebra>(cond: Cond, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Taken<A::Flag> {
    match (cond, width) {
        (Cond::Ne, _) => taken_by_ranges(Cond::Eq, width, dst, src).inverted(),
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
pub fn refine<A: Algebra>(
    cond: Cond,
    width: Width,
    domain: &Domain,
    holds: bool,
    dst: &Scalar<A>,
    src: &Scalar<A>,
) -> Refined<A> {
    if domain.constants_teach {
        taught(cond, width, domain, holds, dst, src)
    } else {
        unsynced(cond, width, holds, dst, src).sync_in(domain)
    }
}

/// [`refine`] as before 6.8, synchronised: one operand has to be a constant, or the two equal (`reg_set_min_max`,
/// `reg_combine_min_max`).
fn taught<A: Algebra>(
    cond: Cond,
    width: Width,
    domain: &Domain,
    holds: bool,
    dst: &Scalar<A>,
    src: &Scalar<A>,
) -> Refined<A> {
    let by_src = known(width, src);
    let by_dst = by_src.not().and(&known(width, dst));
    let mut neither = Refined::new(dst.clone(), src.clone());
    if width == Width::W64 && matches!((cond, holds), (Cond::Eq, true) | (Cond::Ne, false)) {
        let both = dst.meet(src);
        neither = Refined::new(
            Scalar::from_views(both.var_off.clone(), both.wide(), dst.half()),
            Scalar::from_views(both.var_off.clone(), both.wide(), src.half()),
        )
        .sync_in(domain);
    }
    let learned = |cond, of, by| combined(width, &by_constant(cond, width, holds, of, by)).sync_in(domain);
    Refined::new(
        Scalar::select(&by_src, &learned(cond, dst, src), &Scalar::select(&by_dst, dst, &neither.dst)),
        Scalar::select(&by_dst, &learned(flipped(cond), src, dst), &Scalar::select(&by_src, src, &neither.src)),
    )
}

/// What `of cond constant` teaches of `of`.
pub fn by_constant<A: Algebra>(cond: Cond, width: Width, holds: bool, of: &Scalar<A>, by: &Scalar<A>) -> Scalar<A> {
    let value = match width {
        Width::W64 => by.var_off.value.clone(),
        Width::W32 => A::zext(&A::low(&by.var_off.value)),
    };
    let constant = Scalar::constant(&value);
    match (cond, holds) {
        (Cond::Eq, true) | (Cond::Ne, false) => match width {
            Width::W64 => constant,
            Width::W32 => {
                let low = Tnum::constant(A::low(&value));
                Scalar::from_views(of.var_off.with_subreg(&low), of.wide(), constant.half())
            }
        },
        (Cond::Eq, false) | (Cond::Ne, true) => of.clone(),
        _ => unsynced(cond, width, holds, of, &constant).dst,
    }
}

/// What the width that was compared says of the other one (`__reg_combine_64_into_32`, `__reg_combine_32_into_64`): all
/// else that was known of the other's ranges is forgotten.
pub fn combined<A: Algebra>(width: Width, of: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let (least, most): (A::W64, A::W64) = (A::W32::signed_min().sx(), A::W32::signed_max().sx());
            let signed =
                least.sle(&of.smin).and(&of.smin.sle(&most)).and(&least.sle(&of.smax)).and(&of.smax.sle(&most));
            let max = A::zext(&A::W32::ones());
            let unsigned = of.umin.ule(&max).and(&of.umax.ule(&max));
            let half = Range {
                umin: A::W32::select(&unsigned, &A::low(&of.umin), &A::W32::lit(0)),
                umax: A::W32::select(&unsigned, &A::low(&of.umax), &A::W32::ones()),
                smin: A::W32::select(&signed, &A::low(&of.smin), &A::W32::signed_min()),
                smax: A::W32::select(&signed, &A::low(&of.smax), &A::W32::signed_max()),
            };
            Scalar::from_views(of.var_off.clone(), of.wide(), half)
        }
        Width::W32 => {
            let high = of.var_off.clear_subreg::<A::W32>();
            let cut = high.value.or(&high.mask).is_zero();
            let wide = Range::select(&cut, &of.assign_half(), &Range::unknown());
            Scalar::from_views(of.var_off.clone(), wide, of.half())
        }
    }
}

/// The condition with its operands exchanged (`flip_opcode`).
pub(crate) fn flipped(cond: Cond) -> Cond {
    match cond {
        Cond::Gt => Cond::Lt,
        Cond::Lt => Cond::Gt,
        Cond::Ge => Cond::Le,
        Cond::Le => Cond::Ge,
        Cond::Sgt => Cond::Slt,
        Cond::Slt => Cond::Sgt,
        Cond::Sge => Cond::Sle,
        Cond::Sle => Cond::Sge,
        Cond::Eq | Cond::Ne | Cond::Set => cond,
    }
}

/// [`refine`] since 6.8, before the views have told each other what they know.
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
        if holds {
            return Scalar { var_off, ..of.clone() };
        }
        // Ranges that contradict the bits would make a state that cannot arise; so they are forgotten (since 6.17 and in
        // later releases of older versions).
        let forgotten = Scalar { var_off, ..Scalar::unknown() };
        Scalar::select(&known(width, by), &forgotten, of)
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
