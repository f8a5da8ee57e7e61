//! Multiplication, division and modulo of scalars (kernel: `scalar_min_max_mul`, `scalar_min_max_udiv`,
//! `scalar_min_max_sdiv`, `scalar_min_max_umod`, `scalar_min_max_smod` and their 32-bit forms).

use super::alu::{self, Operation};
use super::{readable, writable};
use crate::domain::Domain;
use crate::env::Env;
use crate::range::Range;
use crate::refusal::{Refusal, Stop};
use crate::scalar::Scalar;
use crate::state::State;
use crate::tnum::Tnum;
use semantics::insn::{Insn, MulDivOp, Source, Width};
use semantics::word::{Algebra, Flag, Word};

/// What `dst op src` may be.
///
/// ```
/// use semantics::insn::{MulDivOp, Width};
/// use semantics::word::Concrete;
/// use verifier::{Domain, insn::muldiv, scalar::Scalar};
/// let (byte, ten) = (Scalar::<Concrete>::of_bits(8), Scalar::constant(&10));
/// let of = |op, domain| muldiv::transfer(op, Width::W64, domain, &byte, &ten).umax;
/// assert_eq!(of(MulDivOp::Mul, &Domain::V6_1), 2550);
/// assert_eq!((of(MulDivOp::Mod, &Domain::V6_1), of(MulDivOp::Mod, &Domain::V7_2)), (u64::MAX, 9));
/// ```
pub fn transfer<A: Algebra>(
    op: MulDivOp,
    width: Width,
    domain: &Domain,
    dst: &Scalar<A>,
    src: &Scalar<A>,
) -> Scalar<A> {
    let known = alu::is_constant(width, src);
    if op == MulDivOp::Mul {
        let product = multiplied(width, domain, dst, src).sync_in(domain);
        return if domain.any_operand { product } else { Scalar::select(&known, &product, &Scalar::unknown()) };
    }
    if !domain.division {
        // Quotients were not followed. Those by constants were still cut to the width of the operation before 6.11.
        let cut = width == Width::W32 && !domain.any_operand;
        return if cut { Scalar::select(&known, &Scalar::unknown_32(), &Scalar::unknown()) } else { Scalar::unknown() };
    }
    let quotient = divided(op, width, dst, src).sync_in(domain);
    Scalar::select(&known, &quotient, &Scalar::unknown())
}

/// What `dst * src` may be, before the views have told each other what they know.
pub fn multiplied<A: Algebra>(width: Width, domain: &Domain, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let bits = product_bits(domain, &dst.var_off, &src.var_off);
            let wide = product(domain, &dst.wide(), &src.wide());
            Scalar::from_views(bits, wide, product(domain, &dst.half(), &src.half()))
        }
        Width::W32 => {
            let bits = product_bits::<A::W32>(domain, &dst.var_off.cast(), &src.var_off.cast());
            Scalar::from_half(&bits, product(domain, &dst.half(), &src.half()))
        }
    }
}

/// The known bits of products.
pub fn product_bits<W: Word>(domain: &Domain, dst: &Tnum<W>, src: &Tnum<W>) -> Tnum<W> {
    if domain.long_multiplication { dst.mul(src) } else { dst.mul_apart(src) }
}

/// The ranges of products.
pub fn product<W: Word>(domain: &Domain, dst: &Range<W>, src: &Range<W>) -> Range<W> {
    if domain.signed_products { dst.mul(src) } else { dst.mul_halves(src) }
}

/// What the quotient or remainder by a constant may be, before the views have told each other what they know.
pub fn divided<A: Algebra>(op: MulDivOp, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let divisor = &src.var_off.value;
            let result = Scalar::from_views(Tnum::unknown(), divided_range(op, &dst.wide(), divisor), Range::unknown());
            settled(op, &divisor.is_zero(), &leaves_dividend(op, &dst.wide(), divisor), dst, &result)
        }
        Width::W32 => {
            let divisor: A::W32 = A::low(&src.var_off.value);
            let result = Scalar::from_half(&Tnum::unknown(), divided_range(op, &dst.half(), &divisor));
            let dividend = Scalar::from_half(&dst.var_off.cast(), dst.half());
            settled(op, &divisor.is_zero(), &leaves_dividend(op, &dst.half(), &divisor), &dividend, &result)
        }
    }
}

/// The result of a division: by 0 it is 0, of modulo by 0 the dividend, which some divisors leave as it is.
pub fn settled<A: Algebra>(
    op: MulDivOp,
    by_zero: &A::Flag,
    leaves_dividend: &A::Flag,
    dividend: &Scalar<A>,
    result: &Scalar<A>,
) -> Scalar<A> {
    let zero = match op {
        MulDivOp::Mul | MulDivOp::Div | MulDivOp::Sdiv => &Scalar::constant(&A::W64::lit(0)),
        MulDivOp::Mod | MulDivOp::Smod => dividend,
    };
    Scalar::select(by_zero, zero, &Scalar::select(leaves_dividend, dividend, result))
}

/// The ranges of quotients or remainders by a constant that is not 0.
pub fn divided_range<W: Word>(op: MulDivOp, dst: &Range<W>, divisor: &W) -> Range<W> {
    match op {
        MulDivOp::Div => dst.udiv(divisor),
        MulDivOp::Sdiv => dst.sdiv(divisor),
        MulDivOp::Mod => dst.urem(divisor),
        MulDivOp::Smod => dst.srem(divisor),
        MulDivOp::Mul => Range::unknown(),
    }
}

/// Whether the operation leaves all dividends as they are.
pub fn leaves_dividend<W: Word>(op: MulDivOp, dst: &Range<W>, divisor: &W) -> W::Flag {
    match op {
        MulDivOp::Mod => dst.is_below(divisor),
        MulDivOp::Smod => dst.is_within(divisor),
        MulDivOp::Mul | MulDivOp::Div | MulDivOp::Sdiv => W::Flag::lit(false),
    }
}

/// `dst = dst op source` on whatever the registers hold (`check_alu_op`).
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    (op, width, source): (MulDivOp, Width, Source),
    insn: &Insn,
) -> Result<(), Stop> {
    if source == Source::X {
        readable(state, insn.src)?;
    }
    readable(state, insn.dst)?;
    if source == Source::K && insn.imm == 0 && op != MulDivOp::Mul {
        return Err(Refusal::DivisionByZero.into());
    }
    writable(insn.dst)?;
    let rule = env.rules.at(width).muldiv(op);
    alu::apply(env, state, Operation::MulDiv(op), (width, source), rule, insn)
}
