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
    let mut quotient = divided(op, width, dst, src);
    if domain.beyond_linux {
        quotient = quotient.meet(&closer(op, width, dst, src));
    }
    Scalar::select(&known, &quotient.sync_in(domain), &Scalar::unknown())
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
    if domain.beyond_linux {
        // Neither is the best in all cases, nor does it come to the same which factor comes first.
        return dst.mul(src).intersect(&src.mul(dst)).intersect(&dst.mul_apart(src));
    }
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

/// More of quotients and remainders by constants than Linux knows: the bits where the constant is a power of two, and the
/// remainders of dividends that all have the same quotient. Where it knows nothing it is everything.
pub fn closer<A: Algebra>(op: MulDivOp, width: Width, dst: &Scalar<A>, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let divisor = &src.var_off.value;
            let bits = divided_bits(op, &dst.var_off, &dst.wide(), divisor);
            Scalar::from_views(bits, remainders(op, &dst.wide(), divisor), Range::unknown())
        }
        Width::W32 => {
            let divisor: A::W32 = A::low(&src.var_off.value);
            let bits = divided_bits::<A::W32>(op, &dst.var_off.cast(), &dst.half(), &divisor);
            Scalar::from_half(&bits, remainders(op, &dst.half(), &divisor))
        }
    }
}

/// The known bits of quotients and remainders by a power of two, unsigned or of dividends that are not negative: those that
/// are shifted out, and those that are left.
pub fn divided_bits<W: Word>(op: MulDivOp, bits: &Tnum<W>, range: &Range<W>, divisor: &W) -> Tnum<W> {
    let (one, unknown) = (W::lit(1), Tnum::unknown());
    let positive = range.smin.is_negative().not();
    let exponents = match op {
        MulDivOp::Div | MulDivOp::Mod => W::BITS,
        // The sign bit alone is no positive number.
        MulDivOp::Sdiv | MulDivOp::Smod => W::BITS - 1,
        MulDivOp::Mul => return unknown,
    };
    let applies = if exponents == W::BITS { W::Flag::lit(true) } else { positive };
    let by_power = (0..exponents).fold(unknown.clone(), |other, exponent| {
        let amount = W::lit(u64::from(exponent));
        let power = one.shl(&amount);
        Tnum::select(&divisor.same(&power), &by_power(op, bits, exponent), &other)
    });
    Tnum::select(&applies, &by_power, &unknown)
}

/// The known bits of quotients and remainders by `2^exponent`.
pub fn by_power<W: Word>(op: MulDivOp, bits: &Tnum<W>, exponent: u32) -> Tnum<W> {
    let amount = W::lit(u64::from(exponent));
    match op {
        MulDivOp::Div | MulDivOp::Sdiv => bits.lshr(&amount),
        MulDivOp::Mod | MulDivOp::Smod => bits.and(&Tnum::constant(W::lit(1).shl(&amount).sub(&W::lit(1)))),
        MulDivOp::Mul => Tnum::unknown(),
    }
}

/// The remainders where all dividends have one quotient: they are as far apart as the dividends.
pub fn remainders<W: Word>(op: MulDivOp, range: &Range<W>, divisor: &W) -> Range<W> {
    let unknown = Range::unknown();
    match op {
        MulDivOp::Mod => {
            let one = range.umin.udiv(divisor).same(&range.umax.udiv(divisor));
            let known = Range::unsigned(range.umin.urem(divisor), range.umax.urem(divisor));
            Range::select(&one.and(&divisor.is_zero().not()), &known, &unknown)
        }
        MulDivOp::Mul | MulDivOp::Div | MulDivOp::Sdiv | MulDivOp::Smod => unknown,
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
