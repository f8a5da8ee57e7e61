//! Arithmetic and logic on scalars: add, sub, and, or, xor, neg (kernel: `adjust_scalar_min_max_vals`).

use super::{readable, writable};
use crate::domain::Domain;
use crate::env::Env;
use crate::pointer;
use crate::range::Range;
use crate::refusal::{Refusal, Stop};
use crate::rules::Binary;
use crate::scalar::Scalar;
use crate::state::{RegState, State};
use crate::tnum::Tnum;
use semantics::insn::{AluOp, Insn, MulDivOp, ShiftOp, Source, Width};
use semantics::word::{Algebra, Concrete, Flag, Word};

/// What `dst op src` may be.
///
/// ```
/// use semantics::insn::{AluOp, Width};
/// use semantics::word::Concrete;
/// use verifier::{Domain, insn::alu, scalar::Scalar};
/// let byte = Scalar::<Concrete>::of_bits(8);
/// let sum = alu::transfer(AluOp::Add, Width::W64, &Domain::V6_1, &byte, &byte);
/// assert_eq!((sum.umin, sum.umax), (0, 510));
/// ```
pub fn transfer<A: Algebra>(op: AluOp, width: Width, domain: &Domain, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    let result = unsynced(op, width, domain, dst, src).sync_in(domain);
    match op {
        AluOp::Or | AluOp::Xor if !domain.any_operand => {
            Scalar::select(&is_constant(width, src), &result, &Scalar::unknown())
        }
        _ => result,
    }
}

/// [`transfer`] before the views have told each other what they know, whatever the second operand.
pub fn unsynced<A: Algebra>(op: AluOp, width: Width, domain: &Domain, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let bits = tnum(op, &dst.var_off, &src.var_off);
            let wide = range(op, domain, &bits, &dst.wide(), &src.wide());
            let half = range(op, domain, &bits.cast(), &dst.half(), &src.half());
            Scalar::from_views(bits, wide, half)
        }
        Width::W32 => {
            let bits = tnum::<A::W32>(op, &dst.var_off.cast(), &src.var_off.cast());
            let half = range(op, domain, &bits, &dst.half(), &src.half());
            Scalar::from_half(&bits, half)
        }
    }
}

/// Whether the operand is a constant at this width, in all of its views (`is_safe_to_compute_dst_reg_range`).
#[inline(always)]
pub fn is_constant<A: Algebra>(width: Width, src: &Scalar<A>) -> A::Flag {
    match width {
        Width::W64 => src.is_constant().and(&src.umin.same(&src.umax)).and(&src.smin.same(&src.smax)),
        Width::W32 => src.is_constant_32().and(&src.u32_min.same(&src.u32_max)).and(&src.s32_min.same(&src.s32_max)),
    }
}

/// What `-dst` may be: `0 - dst`; for Linux before 6.17, which does not follow negation, anything.
pub fn transfer_neg<A: Algebra>(width: Width, domain: &Domain, dst: &Scalar<A>) -> Scalar<A> {
    if !domain.neg {
        return Scalar::unknown();
    }
    transfer(AluOp::Sub, width, domain, &Scalar::constant(&A::W64::lit(0)), dst)
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
pub fn range<W: Word>(op: AluOp, domain: &Domain, bits: &Tnum<W>, dst: &Range<W>, src: &Range<W>) -> Range<W> {
    match op {
        AluOp::Add => dst.add(src, domain),
        AluOp::Sub => dst.sub(src, domain),
        AluOp::And => dst.and(src, bits),
        AluOp::Or => dst.or(src, bits),
        AluOp::Xor => Range::xor(bits),
    }
}

/// An operation of two operands, as it is applied to pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Arithmetic and logic.
    Alu(AluOp),
    /// A shift.
    Shift(ShiftOp),
    /// A product, quotient or remainder.
    MulDiv(MulDivOp),
}

impl Operation {
    /// The operator as the kernel names it in messages (`bpf_alu_string`).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Alu(AluOp::Add) => "+=",
            Operation::Alu(AluOp::Sub) => "-=",
            Operation::Alu(AluOp::And) => "&=",
            Operation::Alu(AluOp::Or) => "|=",
            Operation::Alu(AluOp::Xor) => "^=",
            Operation::Shift(ShiftOp::Lsh) => "<<=",
            Operation::Shift(ShiftOp::Rsh) => ">>=",
            Operation::Shift(ShiftOp::Arsh) => "s>>=",
            Operation::MulDiv(MulDivOp::Mul) => "*=",
            Operation::MulDiv(MulDivOp::Div | MulDivOp::Sdiv) => "/=",
            Operation::MulDiv(MulDivOp::Mod | MulDivOp::Smod) => "%=",
        }
    }
}

/// `dst = dst op source` on whatever the registers hold (`check_alu_op`).
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    op: AluOp,
    width: Width,
    source: Source,
    insn: &Insn,
) -> Result<(), Stop> {
    if source == Source::X {
        readable(state, insn.src)?;
    }
    readable(state, insn.dst)?;
    writable(insn.dst)?;
    let rule = env.rules.at(width).alu(op);
    apply(env, state, Operation::Alu(op), (width, source), rule, insn)
}

/// `dst = dst op source` where both may be read and the destination written (`adjust_reg_min_max_vals`).
pub(crate) fn apply(
    env: &mut Env<'_>,
    state: &mut State,
    operation: Operation,
    (width, source): (Width, Source),
    rule: Binary<Concrete>,
    insn: &Insn,
) -> Result<(), Stop> {
    let src = match source {
        Source::X => *state.reg(insn.src),
        Source::K => RegState::scalar((env.rules.at(width).operand)(&insn.imm)),
    };
    let dst = *state.reg(insn.dst);
    let result = match (dst.kind.is_pointer(), src.kind.is_pointer()) {
        (false, false) => RegState::scalar(rule(&env.dialect.domain, &dst.var, &src.var)),
        (true, false) => pointer::arithmetic(env, operation, width, insn.dst, &dst, &src, false)?,
        (false, true) => pointer::arithmetic(env, operation, width, insn.dst, &src, &dst, true)?,
        // The distance of two pointers is a number; other operators on two are mistakes.
        (true, true) if operation == Operation::Alu(AluOp::Sub) => RegState::unknown(),
        (true, true) => {
            return Err(Refusal::TwoPointers { reg: insn.dst, operator: operation.name() }.into());
        }
    };
    state.set(insn.dst, result);
    Ok(())
}

/// `dst = -dst`: of a pointer, some number.
pub(crate) fn check_neg(env: &Env<'_>, state: &mut State, width: Width, insn: &Insn) -> Result<(), Stop> {
    let dst = *readable(state, insn.dst)?;
    writable(insn.dst)?;
    let number = if dst.kind.is_pointer() {
        Scalar::unknown()
    } else {
        (env.rules.at(width).neg)(&env.dialect.domain, &dst.var)
    };
    state.set(insn.dst, RegState::scalar(number));
    Ok(())
}
