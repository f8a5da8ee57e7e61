//! Moves of scalars and immediates.

use super::{readable, writable};
use crate::domain::Domain;
use crate::env::Env;
use crate::range::Range;
use crate::refusal::Stop;
use crate::scalar::Scalar;
use crate::state::{Kind, Number, RegState, State};
use crate::tnum::Tnum;
use semantics::insn::{Insn, Size, Source, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

/// What `dst = src` leaves: a 32-bit move zero-extends.
#[inline(always)]
pub fn transfer<A: Algebra>(width: Width, domain: &Domain, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => src.clone(),
        Width::W32 => src.zero_extend_32().sync_in(domain),
    }
}

/// What `dst = (signed of size from)src` leaves (`coerce_reg_to_size_sx`, `coerce_subreg_to_size_sx`).
///
/// ```
/// use semantics::insn::{Size, Width};
/// use semantics::word::Concrete;
/// use verifier::{Domain, insn::mov, scalar::Scalar};
/// let byte = mov::sign_extend::<Concrete>(Size::B, Width::W64, &Domain::V6_8, &Scalar::unknown());
/// assert_eq!((byte.smin as i64, byte.smax), (-128, 127));
/// ```
pub fn sign_extend<A: Algebra>(from: Size, width: Width, domain: &Domain, src: &Scalar<A>) -> Scalar<A> {
    let extended = sign_extended(from, width, src);
    if domain.beyond_linux {
        let bits = extended.var_off.intersect(&extended_bits(from, width, src));
        return Scalar { var_off: bits, ..extended }.sync_in(domain);
    }
    extended.sync_in(domain)
}

/// The known bits of a sign-extended number, which Linux forgets: an unknown sign makes all bits above it unknown.
pub fn extended_bits<A: Algebra>(from: Size, width: Width, src: &Scalar<A>) -> Tnum<A::W64> {
    fn of<W: Word + Convert<T>, T: Word + Convert<W>>(word: &W) -> W {
        let low: T = word.zx();
        low.sx()
    }
    let extend = |word: &A::W64| match from {
        Size::B => of::<A::W64, A::W8>(word),
        Size::H => of::<A::W64, A::W16>(word),
        Size::W => of::<A::W64, A::W32>(word),
        Size::Dw => word.clone(),
    };
    let bits = Tnum { value: extend(&src.var_off.value), mask: extend(&src.var_off.mask) };
    if width == Width::W32 { bits.cast::<A::W32>().cast() } else { bits }
}

/// [`sign_extend`] before the views have told each other what they know.
pub fn sign_extended<A: Algebra>(from: Size, width: Width, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => {
            let (bits, wide) = (&src.var_off, src.wide());
            let (var_off, wide) = match from {
                Size::B => extended::<A::W64, A::W8>(bits, &wide),
                Size::H => extended::<A::W64, A::W16>(bits, &wide),
                Size::W => extended::<A::W64, A::W32>(bits, &wide),
                Size::Dw => return src.clone(),
            };
            let half = sign_extended_half::<A>(from, &wide);
            Scalar::from_views(var_off, wide, half)
        }
        Width::W32 => {
            let (bits, half) = (src.var_off.cast::<A::W32>(), src.half());
            let (bits, half) = match from {
                Size::B => extended::<A::W32, A::W8>(&bits, &half),
                Size::H => extended::<A::W32, A::W16>(&bits, &half),
                // No row has these sizes: half a register has no sign bits above it.
                Size::W | Size::Dw => (bits, half),
            };
            Scalar::from_half(&bits, half)
        }
    }
}

/// The low part as wide as `T`, sign-extended: from end to end where the range stays on one side of the sign of one block
/// of `T`s, else whatever a `T` may be.
fn extended<W: Word + Convert<T>, T: Word<Flag = W::Flag> + Convert<W>>(
    bits: &Tnum<W>,
    range: &Range<W>,
) -> (Tnum<W>, Range<W>) {
    let low = |word: &W| -> T { word.zx() };
    let high = T::ones().zx().not();
    let (first, last) = (low(&range.smin).sx(), low(&range.smax).sx());
    let one_block = range.smin.and(&high).same(&range.smax.and(&high));
    let one_sign = first.is_negative().xor(&last.is_negative()).not();
    let kept = one_block.and(&one_sign);
    let known = Range { umin: first.clone(), umax: last.clone(), smin: first.clone(), smax: last.clone() };
    let any = Range { smin: T::signed_min().sx(), smax: T::signed_max().sx(), ..Range::unknown() };
    let constant = low(&bits.value).sx();
    let range = Range::select(&kept, &known, &any);
    let bits_of_range = Tnum::select(&kept, &Tnum::range(&first, &last), &Tnum::unknown());
    let one = Range { umin: constant.clone(), umax: constant.clone(), smin: constant.clone(), smax: constant.clone() };
    let is_constant = bits.is_constant();
    (Tnum::select(&is_constant, &Tnum::constant(constant), &bits_of_range), Range::select(&is_constant, &one, &range))
}

/// The low half of a sign-extended number, which lies in the same signed range.
fn sign_extended_half<A: Algebra>(from: Size, wide: &Range<A::W64>) -> Range<A::W32> {
    let (smin, smax) = (A::low(&wide.smin), A::low(&wide.smax));
    match from {
        Size::B | Size::H | Size::W => Range { smin, smax, ..Range::unknown() },
        Size::Dw => Range::unknown(),
    }
}

/// What `dst = imm` leaves: sign-extended to 64 bits, or zero-extended by a 32-bit move.
///
/// ```
/// use semantics::{insn::Width, word::Concrete};
/// use verifier::insn::mov;
/// assert_eq!(mov::immediate::<Concrete>(Width::W32, &0xffff_ffff).umax, 0xffff_ffff);
/// ```
#[inline(always)]
pub fn immediate<A: Algebra>(width: Width, imm: &A::W32) -> Scalar<A> {
    Scalar::constant(&match width {
        Width::W64 => A::sext(imm),
        Width::W32 => A::zext(imm),
    })
}

/// `dst = source` on whatever the register holds. A number that is copied stays linked to its copy: what is learnt of one
/// is learnt of both.
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    width: Width,
    source: Source,
    insn: &Insn,
) -> Result<(), Stop> {
    if source == Source::K {
        writable(insn.dst)?;
        state.set(insn.dst, RegState::scalar((env.rules.at(width).mov_immediate)(&insn.imm)));
        return Ok(());
    }
    let src = *readable(state, insn.src)?;
    writable(insn.dst)?;
    let domain = env.dialect.domain;
    let moved = match (width, src.kind) {
        (Width::W64, Kind::Scalar) => linked(env, state, insn, true),
        (Width::W64, _) => src,
        (Width::W32, Kind::Scalar) => {
            let src = linked(env, state, insn, src.var.umax >> 32 == 0 && env.dialect.links_narrow_moves);
            RegState { var: (env.rules.w32.mov)(&domain, &src.var), ..src }
        }
        (Width::W32, _) => RegState::scalar((env.rules.w32.mov)(&domain, &Number::unknown())),
    };
    state.set(insn.dst, moved);
    Ok(())
}

/// `dst = (signed of size from)src` on whatever the register holds: of a pointer, some number. A number that is its own
/// sign-extension stays linked to its copy.
pub(crate) fn check_sx(
    env: &mut Env<'_>,
    state: &mut State,
    (from, width): (Size, Width),
    insn: &Insn,
) -> Result<(), Stop> {
    let src = *readable(state, insn.src)?;
    writable(insn.dst)?;
    let domain = env.dialect.domain;
    let moved = if src.kind == Kind::Scalar {
        let src = linked(env, state, insn, src.var.umax < 1 << (from.bits() - 1));
        RegState { var: (env.rules.at(width).mov_sx)(from, &domain, &src.var), ..src }
    } else {
        let unknown = Number::unknown();
        RegState::scalar(if width == Width::W32 { (env.rules.w32.mov)(&domain, &unknown) } else { unknown })
    };
    state.set(insn.dst, moved);
    Ok(())
}

/// The source, linked to the copy that is made of it if the copy is the `same` number (`assign_scalar_id_before_mov`).
/// Constants need no link.
fn linked(env: &mut Env<'_>, state: &mut State, insn: &Insn, same: bool) -> RegState {
    let src = &mut state.regs[insn.src.index()];
    if !same {
        return RegState { id: 0, ..*src };
    }
    if src.id == 0 && src.as_constant().is_none() {
        src.id = env.new_id();
    }
    *src
}
