//! Shifts of scalars by known amounts (kernel: `scalar_min_max_lsh`, `scalar_min_max_rsh`, `scalar_min_max_arsh` and their
//! 32-bit forms).

use super::alu::{self, Operation};
use super::{readable, writable};
use crate::domain::Domain;
use crate::env::Env;
use crate::range::Range;
use crate::refusal::{Refusal, Stop};
use crate::scalar::Scalar;
use crate::state::State;
use crate::tnum::Tnum;
use semantics::insn::{Insn, ShiftOp, Source, Width};
use semantics::word::{Algebra, Convert, Word};

/// What `dst op src` may be.
///
/// ```
/// use semantics::insn::{ShiftOp, Width};
/// use semantics::word::Concrete;
/// use verifier::{Domain, insn::shift, scalar::Scalar};
/// let (byte, four) = (Scalar::<Concrete>::of_bits(8), Scalar::constant(&4));
/// let high = shift::transfer(ShiftOp::Lsh, Width::W64, &Domain::V6_1, &byte, &four);
/// assert_eq!((high.umax, high.var_off.mask), (0xff0, 0xff0));
/// ```
pub fn transfer<A: Algebra>(op: ShiftOp, width: Width, domain: &Domain, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    let known = alu::is_constant(width, src);
    let fits = src.umax.ult(&A::W64::lit(u64::from(bits::<A>(width))));
    let shifted = unsynced(op, width, dst, src).sync_in(domain);
    // An amount that is too large leaves anything; before 6.11 it was still cut to the width of the operation.
    let cut = width == Width::W32 && !domain.any_operand;
    let too_large = if cut { Scalar::unknown_32() } else { Scalar::unknown() };
    let unless_too_large = Scalar::select(&fits, &shifted, &too_large);
    Scalar::select(&known, &unless_too_large, &Scalar::unknown())
}

/// What `dst op src` may be where the amount is a constant below the width, before the views have told each other what
/// they know.
pub fn unsynced<A: Algebra>(op: ShiftOp, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let amount = &src.umin;
            let bits = tnum(op, &dst.var_off, amount);
            let wide = match op {
                ShiftOp::Lsh => signed_half(dst, amount, lsh(&dst.wide(), amount)),
                ShiftOp::Rsh => rsh(&dst.wide(), amount),
                ShiftOp::Arsh => arsh(&dst.wide(), amount),
            };
            Scalar::from_views(bits, wide, low_half(op, dst, amount))
        }
        Width::W32 => {
            let amount = &src.u32_min;
            let bits = tnum::<A::W32>(op, &dst.var_off.cast(), amount);
            let half = match op {
                ShiftOp::Lsh => lsh(&dst.half(), amount),
                ShiftOp::Rsh => rsh(&dst.half(), amount),
                ShiftOp::Arsh => arsh(&dst.half(), amount),
            };
            Scalar::from_half(&bits, half)
        }
    }
}

fn bits<A: Algebra>(width: Width) -> u32 {
    match width {
        Width::W64 => A::W64::BITS,
        Width::W32 => A::W32::BITS,
    }
}

/// The operation on known bits.
pub fn tnum<W: Word>(op: ShiftOp, dst: &Tnum<W>, amount: &W) -> Tnum<W> {
    match op {
        ShiftOp::Lsh => dst.shl(amount),
        ShiftOp::Rsh => dst.lshr(amount),
        ShiftOp::Arsh => dst.ashr(amount),
    }
}

/// To the left: kept where no set bit is lost. The sign is whatever comes to its place.
fn lsh<W: Word>(dst: &Range<W>, amount: &W) -> Range<W> {
    let most = W::lit(1).shl(&W::lit(u64::from(W::BITS - 1)).sub(amount));
    let lost = most.ult(&dst.umax);
    let shifted = Range::unsigned(dst.umin.shl(amount), dst.umax.shl(amount));
    Range::select(&lost, &Range::unknown(), &shifted)
}

/// To the right: what the signed bounds say afterwards, the unsigned ones and the known bits say too.
fn rsh<W: Word>(dst: &Range<W>, amount: &W) -> Range<W> {
    Range::unsigned(dst.umin.lshr(amount), dst.umax.lshr(amount))
}

/// To the right with the sign.
fn arsh<W: Word>(dst: &Range<W>, amount: &W) -> Range<W> {
    Range { smin: dst.smin.ashr(amount), smax: dst.smax.ashr(amount), ..Range::unknown() }
}

/// By half the width to the left, the low half's signed range becomes the whole's: compilers sign-extend with that.
fn signed_half<A: Algebra>(dst: &Scalar<A>, amount: &A::W64, range: Range<A::W64>) -> Range<A::W64> {
    let half = A::W64::lit(u64::from(A::W32::BITS));
    let is_half = amount.same(&half);
    let raised = |bound: &A::W32| -> A::W64 {
        let wide: A::W64 = bound.zx();
        wide.shl(&half)
    };
    Range {
        smin: A::W64::select(&is_half, &raised(&dst.s32_min), &range.smin),
        smax: A::W64::select(&is_half, &raised(&dst.s32_max), &range.smax),
        ..range
    }
}

/// The low half of a 64-bit shift. To the right, bits come in from above: the known bits alone say which.
fn low_half<A: Algebra>(op: ShiftOp, dst: &Scalar<A>, amount: &A::W64) -> Range<A::W32> {
    if op != ShiftOp::Lsh {
        return Range::unknown();
    }
    let inside = amount.ult(&A::W64::lit(u64::from(A::W32::BITS)));
    Range::select(&inside, &lsh(&dst.half(), &A::low(amount)), &Range::unknown())
}

/// `dst = dst op source` on whatever the registers hold (`check_alu_op`).
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    (op, width, source): (ShiftOp, Width, Source),
    insn: &Insn,
) -> Result<(), Stop> {
    if source == Source::X {
        readable(state, insn.src)?;
    }
    readable(state, insn.dst)?;
    if source == Source::K && insn.imm >= bits::<semantics::word::Concrete>(width) {
        return Err(Refusal::Shift { amount: insn.imm as i32 }.into());
    }
    writable(insn.dst)?;
    let rule = env.rules.at(width).shift(op);
    alu::apply(env, state, Operation::Shift(op), (width, source), rule, insn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::word::narrow::{Eighth, Narrow};

    /// Every shift of every range of 8-bit numbers contains its results, in every domain.
    #[test]
    fn shifts_contain_their_results() {
        for domain in Domain::ALL {
            for amount in 0..9u8 {
                let src = Scalar::<Eighth>::constant(&Narrow::new(amount));
                for least in (0..=255u8).step_by(3) {
                    for most in (least..=255).step_by(7) {
                        let dst = Scalar { umin: Narrow::new(least), umax: Narrow::new(most), ..Scalar::unknown() };
                        let dst = dst.sync_in(&domain);
                        for (op, width) in ShiftOp::ALL.iter().flat_map(|op| [(*op, Width::W64), (*op, Width::W32)]) {
                            let result = transfer(op, width, &domain, &dst, &src);
                            for value in [least, most, least + (most - least) / 2] {
                                let shifted = concrete(op, width, Narrow::new(value), Narrow::new(amount));
                                assert!(result.contains(&shifted), "{op:?} {width:?} {value} {amount} {}", domain.name);
                            }
                        }
                    }
                }
            }
        }
    }

    fn concrete(op: ShiftOp, width: Width, value: Narrow<8>, amount: Narrow<8>) -> Narrow<8> {
        match width {
            Width::W64 => op.apply(&value, &amount),
            Width::W32 => Eighth::zext(&op.apply(&Eighth::low(&value), &Eighth::low(&amount))),
        }
    }
}
