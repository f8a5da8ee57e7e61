//! Moves of scalars and immediates.

use super::{readable, writable};
use crate::env::Env;
use crate::refusal::Stop;
use crate::scalar::Scalar;
use crate::state::{Kind, Number, RegState, State};
use semantics::insn::{Insn, Source, Width};
use semantics::word::Algebra;

/// What `dst = src` leaves: a 32-bit move zero-extends.
#[inline(always)]
pub fn transfer<A: Algebra>(width: Width, src: &Scalar<A>) -> Scalar<A> {
    match width {
        Width::W64 => src.clone(),
        Width::W32 => src.zero_extend_32().sync(),
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
    let moved = match (width, src.kind) {
        (Width::W64, Kind::Scalar) => linked(env, state, insn),
        (Width::W64, _) => src,
        (Width::W32, Kind::Scalar) => {
            let src = if src.var.umax >> 32 == 0 { linked(env, state, insn) } else { RegState { id: 0, ..src } };
            RegState { var: (env.rules.w32.mov)(&src.var), ..src }
        }
        (Width::W32, _) => RegState::scalar((env.rules.w32.mov)(&Number::unknown())),
    };
    state.set(insn.dst, moved);
    Ok(())
}

/// The source with an id, unless it is a constant (`assign_scalar_id_before_mov`).
fn linked(env: &mut Env<'_>, state: &mut State, insn: &Insn) -> RegState {
    let src = &mut state.regs[insn.src.index()];
    if src.id == 0 && src.as_constant().is_none() {
        src.id = env.new_id();
    }
    *src
}
