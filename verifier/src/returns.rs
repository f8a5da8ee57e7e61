//! What programs and callbacks may return (kernel: `check_return_code`, `verbose_invalid_scalar`).

use crate::env::Env;
use crate::insn::readable;
use crate::refusal::{Refusal, Stop};
use crate::state::{RegState, State};
use crate::tnum::Tnum;
use semantics::insn::Reg;

/// R0 when the program, or a function that is verified on its own, exits.
pub(crate) fn check(_env: &Env<'_>, state: &State) -> Result<(), Stop> {
    readable(state, Reg::R0)?;
    Ok(())
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
