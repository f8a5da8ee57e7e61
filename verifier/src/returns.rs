//! What programs and callbacks may return (kernel: `check_return_code`, `verbose_invalid_scalar`).

use crate::access::target;
use crate::env::Env;
use crate::insn::readable;
use crate::refusal::{MemoryRefusal, Refusal, Stop};
use crate::state::{Kind, Reference, RegState, State};
use crate::tnum::Tnum;
use semantics::insn::Reg;
use semantics::program_type::{AttachType, ProgramType};

/// The largest error of the kernel (`MAX_ERRNO`).
const MAX_ERRNO: i32 = 4095;

/// R0 when the program, or a function that is verified on its own, exits.
pub(crate) fn check(env: &Env<'_>, state: &State) -> Result<(), Stop> {
    let is_subprogram = state.entry.subprogram != 0;
    if !is_subprogram && returns_nothing(env) {
        return Ok(());
    }
    let held = readable(state, Reg::R0)?;
    let is_number = held.kind == Kind::Scalar;
    if state.entry.callback.is_some_and(|callback| callback.is_async) {
        return check_later(env, held);
    }
    if is_subprogram {
        let place = "subprogram exit";
        let refusal = || MemoryRefusal::Returned { place, expected: "scalar", kind: held.ty() }.into();
        return if is_number { Ok(()) } else { Err(refusal()) };
    }
    let Some(range) = permitted(env) else { return Ok(()) };
    let place = "program exit";
    if !is_number {
        return Err(MemoryRefusal::Returned { place, expected: "known", kind: held.ty() }.into());
    }
    Ok(check_range(env, held, range, place)?)
}

/// The result of a function that a helper calls later: 0.
fn check_later(env: &Env<'_>, held: &RegState) -> Result<(), Stop> {
    let by_bounds = env.dialect.results_by_bounds;
    let place = if by_bounds { "async callback return" } else { "async callback" };
    match held.kind {
        Kind::Scalar => Ok(check_range(env, held, (0, 0), place)?),
        _ if by_bounds => Err(MemoryRefusal::Returned { place, expected: "known", kind: held.ty() }.into()),
        _ => Err(MemoryRefusal::ReturnedLater { kind: held.ty() }.into()),
    }
}

/// Whether the program is a hook that has no result.
fn returns_nothing(env: &Env<'_>) -> bool {
    let is_hook = match env.program.program_type() {
        ProgramType::Lsm => env.program.attach_type() != Some(AttachType::LsmCgroup),
        ProgramType::StructOps => true,
        _ => false,
    };
    is_hook && target::of(env.program).is_some_and(|function| function.result.is_none())
}

/// The results that the program may have, if not all.
fn permitted(env: &Env<'_>) -> Option<(i32, i32)> {
    let (program_type, attach) = (env.program.program_type(), env.program.attach_type());
    let declared = env.declaration.results(attach).map(|results| (results.least, results.greatest));
    match program_type {
        ProgramType::Lsm if attach == Some(AttachType::LsmCgroup) => {
            let is_void = target::of(env.program).is_some_and(|function| function.result.is_none());
            if is_void { Some((1, 1)) } else { declared }
        }
        // Hooks return 0 or an error.
        ProgramType::Lsm if env.dialect.hooks_return_errors => Some((-MAX_ERRNO, 0)),
        _ => declared,
    }
}

/// References that are held where the program, or a callback that acquired them, ends (`check_reference_leak`); `then` is
/// what else is said of it.
pub(crate) fn check_references(state: &State, then: &'static str) -> Result<(), Refusal> {
    let (depth, in_callback) = (state.depth(), state.entry.callback.is_some());
    if depth != 0 && !in_callback {
        return Ok(());
    }
    let leaks = |held: &&Reference| !in_callback || usize::from(held.callback) == depth;
    match state.references.iter().find(leaks) {
        Some(held) => Err(MemoryRefusal::Leak { id: held.id, insn: held.insn, then }.into()),
        None => Ok(()),
    }
}

/// A result must be a number from `min` to `max`; `place` as messages say it: `callback return`.
pub(crate) fn check_range(
    env: &Env<'_>,
    held: &RegState,
    (min, max): (i32, i32),
    place: &'static str,
) -> Result<(), Refusal> {
    let (smin, smax) = (held.var.smin as i64, held.var.smax as i64);
    if env.dialect.results_by_bounds {
        let inside = smin >= i64::from(min) && smax <= i64::from(max);
        return if inside { Ok(()) } else { Err(Refusal::ResultBounds { place, smin, smax, min, max }) };
    }
    let range = Tnum::range(&(i64::from(min) as u64), &(i64::from(max) as u64));
    let var_off = held.var.var_off;
    let inside = var_off.mask & !range.mask == 0 && var_off.value & !range.mask == range.value;
    if inside { Ok(()) } else { Err(Refusal::ResultBits { place, var_off, range }) }
}

/// Known bits of a result, or that there are none.
pub(crate) fn shown_bits(var_off: &Tnum<u64>) -> impl std::fmt::Display {
    let var_off = *var_off;
    std::fmt::from_fn(move |f| match var_off.mask {
        u64::MAX => f.write_str("unknown scalar value"),
        _ => write!(f, "value {}", crate::refusal::bits(&var_off)),
    })
}

/// Bounds of a result, or that there are none.
pub(crate) fn shown_bounds(smin: i64, smax: i64) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| {
        if smin > i64::MIN {
            write!(f, " smin={smin}")?;
        }
        if smax < i64::MAX {
            write!(f, " smax={smax}")?;
        }
        if (smin, smax) == (i64::MIN, i64::MAX) { f.write_str(" unknown scalar value") } else { Ok(()) }
    })
}
