//! Arithmetic and logic on scalars: add, sub, and, or, xor, neg (kernel: `adjust_scalar_min_max_vals`).

use super::{readable, writable};
use crate::env::Env;
use crate::pointer;
use crate::range::Range;
use crate::refusal::{Refusal, Stop};
use crate::scalar::Scalar;
use crate::state::{RegState, State};
use crate::tnum::Tnum;
use semantics::insn::{AluOp, Insn, Source, Width};
use semantics::word::{Algebra, Word};

/// What `dst op src` may be.
///
/// ```
/// use semantics::insn::{AluOp, Width};
/// use semantics::word::Concrete;
/// use verifier::{insn::alu, scalar::Scalar};
/// let byte = Scalar::<Concrete>::of_bits(8);
/// let sum = alu::transfer(AluOp::Add, Width::W64, &byte, &byte);
/// assert_eq!((sum.umin, sum.umax), (0, 510));
/// ```
pub fn transfer<A: Algebra>(op: AluOp, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    unsynced(op, width, dst, src).sync()
}

/// [`transfer`] before the views have told each other what they know.
pub fn unsynced<A: Algebra>(op: AluOp, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let bits = tnum(op, &dst.var_off, &src.var_off);
            let wide = range(op, &bits, &dst.wide(), &src.wide());
            let half = range(op, &bits.cast(), &dst.half(), &src.half());
            Scalar::from_views(bits, wide, half)
        }
        Width::W32 => {
            let bits = tnum::<A::W32>(op, &dst.var_off.cast(), &src.var_off.cast());
            let half = range(op, &bits, &dst.half(), &src.half());
            Scalar::from_half(&bits, half)
        }
    }
}

/// What `-dst` may be: `0 - dst`.
pub fn transfer_neg<A: Algebra>(width: Width, dst: &Scalar<A>) -> Scalar<A> {
    transfer(AluOp::Sub, width, &Scalar::constant(&A::W64::lit(0)), dst)
}

/// What `-dst` may be for Linux before 6.17, which does not follow negation: anything.
#[inline(always)]
pub fn transfer_neg_unknown<A: Algebra>(_dst: &Scalar<A>) -> Scalar<A> {
    Scalar::unknown()
}

/// The operation on known bits.
pub fn tnum<W: Word>(op: AluOp, dst: &Tnum<W>, src: &Tnum<W>) -> Tnum<W> {
    match op {
        AluOp::Add => dst.add(src),
        AluOp::Sub => dst.sub(src),
        AluOp::And => dst.and(src),
        AluOp::Or => dst.or(src),
        AluOp::Xor => dst.xor(src),
    }
}

/// The operation on ranges; `bits` are the known bits of the result.
pub fn range<W: Word>(op: AluOp, bits: &Tnum<W>, dst: &Range<W>, src: &Range<W>) -> Range<W> {
    match op {
        AluOp::Add => dst.add(src),
        AluOp::Sub => dst.sub(src),
        AluOp::And => dst.and(src, bits),
        AluOp::Or => dst.or(src, bits),
        AluOp::Xor => Range::xor(bits),
    }
}

/// `dst = dst op source` on whatever the registers hold (`check_alu_op`, `adjust_reg_min_max_vals`).
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    op: AluOp,
    width: Width,
    source: Source,
    insn: &Insn,
) -> Result<(), Stop> {
    let rules = env.rules.at(width);
    let src = match source {
        Source::X => *readable(state, insn.src)?,
        Source::K => RegState::scalar((rules.operand)(&insn.imm)),
    };
    let dst = *readable(state, insn.dst)?;
    writable(insn.dst)?;
    let result = match (dst.kind.is_pointer(), src.kind.is_pointer()) {
        (false, false) if is_given_up(env, op, width, &src) => RegState::unknown(),
        (false, false) => RegState::scalar(rules.alu(op)(&dst.var, &src.var)),
        (true, false) => pointer::arithmetic(env, op, width, insn.dst, &dst, &src, false)?,
        (false, true) => pointer::arithmetic(env, op, width, insn.dst, &src, &dst, true)?,
        // The distance of two pointers is a number; other operators on two are mistakes.
        (true, true) if op == AluOp::Sub => RegState::unknown(),
        (true, true) => {
            return Err(Refusal::TwoPointers { reg: insn.dst, operator: pointer::operator(op) }.into());
        }
    };
    state.set(insn.dst, result);
    Ok(())
}

/// Whether a version does not follow the operator with this source, which it does not know (`!src_known`).
fn is_given_up(env: &Env<'_>, op: AluOp, width: Width, src: &RegState) -> bool {
    let is_known = match width {
        Width::W64 => src.var.is_constant(),
        Width::W32 => src.var.is_constant_32(),
    };
    matches!(op, AluOp::Or | AluOp::Xor) && !env.dialect.or_xor_of_unknown && !is_known
}

/// `dst = -dst`: of a pointer, some number.
pub(crate) fn check_neg(env: &Env<'_>, state: &mut State, width: Width, insn: &Insn) -> Result<(), Stop> {
    let dst = *readable(state, insn.dst)?;
    writable(insn.dst)?;
    let number = if dst.kind.is_pointer() || !env.dialect.neg_tracked {
        transfer_neg_unknown(&dst.var)
    } else {
        (env.rules.at(width).neg)(&dst.var)
    };
    state.set(insn.dst, RegState::scalar(number));
    Ok(())
}
