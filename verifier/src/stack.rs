//! The stack: spills, fills, and bytes that are merely written (kernel: `check_stack_read`, `check_stack_write`,
//! `check_stack_range_initialized`).

use crate::access;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::refusal::{Refusal, Way};
use crate::state::{Byte, Kind, Number, RegState, STACK_BOTTOM, Slot, State, slot_of};
use semantics::insn::{Reg, Size};

/// Offsets beyond this are refused wherever they come up (`BPF_MAX_VAR_OFF`).
pub(crate) const MAX_VAR_OFF: i64 = 1 << 29;

/// What is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored {
    /// The contents of a register.
    Reg(RegState),
    /// An immediate, sign-extended.
    Imm(i32),
}

impl Stored {
    fn is_zero(&self) -> bool {
        match self {
            Stored::Reg(reg) => reg.as_constant() == Some(0),
            Stored::Imm(imm) => *imm == 0,
        }
    }
}

/// A range of the stack: the first byte lies from `min` to `max`, offsets from the frame pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    reg: Reg,
    frame: u8,
    min: i64,
    max: i64,
    exact: bool,
}

/// Where `size` bytes at `base + off` lie, if surely inside the frame (`check_stack_access_within_bounds`). `off` is that of
/// the instruction.
pub(crate) fn place(
    env: &Env<'_>,
    state: &State,
    reg: Reg,
    base: &RegState,
    off: i32,
    size: u32,
    way: Way,
) -> Result<Place, Refusal> {
    let (var, off) = access::parts(env.dialect, base, off);
    let var_off = var.var_off;
    let exact = var_off.mask == 0;
    let (min, max) = if exact {
        let at = (var_off.value as i64).saturating_add(i64::from(off));
        (at, at)
    } else {
        let (smin, smax) = (var.smin as i64, var.smax as i64);
        if smax >= MAX_VAR_OFF || smin <= -MAX_VAR_OFF {
            return Err(Refusal::UnboundedStack { reg, way });
        }
        (smin + i64::from(off), smax + i64::from(off))
    };
    if min < STACK_BOTTOM || max.saturating_add(i64::from(size)) > 0 || max >= 0 {
        return Err(if exact {
            Refusal::StackBounds { reg, way, off: min, size }
        } else {
            let off = env.dialect.variable_stack_off.then_some(off);
            Refusal::VariableStackBounds { reg, way, var_off: env.dialect.bits(var_off), off, size }
        });
    }
    env.use_stack(state, base.frame, -min);
    match way {
        Way::Write if exact && size == 8 && min % 8 == 0 => env.touched.write(base.frame, min),
        Way::Write => {}
        Way::Read | Way::Helper => env.touched.read(base.frame, min, max + i64::from(size)),
    }
    if exact && way != Way::Helper {
        env.touched.moves(base.frame, min);
    }
    Ok(Place { reg, frame: base.frame, min, max, exact })
}

/// Writes `value` (`check_stack_write_fixed_off`, `check_stack_write_var_off`).
pub(crate) fn write(
    state: &mut State,
    place: Place,
    size: Size,
    value: &Stored,
    value_reg: Reg,
    next_id: &mut u32,
    dialect: Dialect,
) -> Result<(), Refusal> {
    if !place.exact {
        write_somewhere(state, place, size, value.is_zero());
        return Ok(());
    }
    let off = place.min;
    let aligned = off % 8 == 0;
    let spill = match value {
        Stored::Reg(_) if value.is_zero() && !dialect.zero_spills => None,
        Stored::Reg(reg) if reg.kind == Kind::Scalar => (aligned && reg.var != Number::unknown()).then_some(*reg),
        Stored::Reg(_) if size != Size::Dw => return Err(Refusal::SpillSize { reg: value_reg }),
        Stored::Reg(reg) => Some(*reg),
        Stored::Imm(imm) if aligned && (*imm != 0 || dialect.zero_imm_spills) => {
            Some(RegState::constant(i64::from(*imm) as u64))
        }
        Stored::Imm(_) => None,
    };
    let bytes = size.bytes() as usize;
    let first = off.rem_euclid(8) as usize;
    let Some(mut spill) = spill else {
        let kind = if value.is_zero() { Byte::Zero } else { Byte::Misc };
        let slot = state.slot_mut(place.frame, off);
        slot.scrub();
        slot.bytes[first..first + bytes].fill(kind);
        return Ok(());
    };
    if spill.kind == Kind::Scalar {
        if spill.as_constant().is_none() && spill.id == 0 {
            *next_id += 1;
            spill.id = *next_id;
            if matches!(value, Stored::Reg(_)) {
                state.regs[value_reg.index()].id = spill.id;
            }
        }
        if size != Size::Dw && spill.var.umax >> (8 * size.bytes()) != 0 {
            spill.id = 0;
        }
    }
    let slot = state.slot_mut(place.frame, off);
    slot.scrub();
    slot.bytes[..bytes].fill(Byte::Spill);
    slot.spill = spill;
    Ok(())
}

/// A write that may hit any of several bytes: spilled registers there are lost, zeros stay where zero is written.
fn write_somewhere(state: &mut State, place: Place, size: Size, zero: bool) {
    for off in place.min..place.max + i64::from(size.bytes()) {
        let slot = state.slot_mut(place.frame, off);
        slot.scrub();
        let byte = &mut slot.bytes[off.rem_euclid(8) as usize];
        if !(zero && *byte == Byte::Zero) {
            *byte = Byte::Misc;
        }
    }
}

/// What a read yields, before it is cut to `size` (`check_stack_read_fixed_off`, `check_stack_read_var_off`). Bytes that
/// were never written may be read, and hold anything.
pub(crate) fn read(state: &State, place: Place, size: Size) -> Result<RegState, Refusal> {
    let (off, bytes) = (place.min, size.bytes());
    if place.exact {
        let slot = state.stack_of(place.frame).get(slot_of(off)).unwrap_or(&Slot::INVALID);
        let whole = off % 8 == 0 && bytes as usize == slot.spilled_bytes();
        if slot.is_spilled() && whole {
            return Ok(slot.spill);
        }
        if slot.is_spilled() && slot.spill.kind != Kind::Scalar {
            return Err(Refusal::FillSize { reg: place.reg });
        }
        let first = off.rem_euclid(8) as usize;
        let part = slot.bytes[first..first + bytes as usize].iter().all(|byte| *byte == Byte::Spill);
        if part && slot.spill.as_constant() == Some(0) {
            return Ok(RegState::constant(0));
        }
    }
    let zero = (place.min..place.max + i64::from(bytes)).all(|off| state.byte(place.frame, off) == Byte::Zero);
    Ok(if zero { RegState::constant(0) } else { RegState::unknown() })
}

/// The key of an array that lies here, if it is known (`get_constant_map_key`): zeros, or a number that was spilled with
/// as many bytes.
pub(crate) fn constant_key(state: &State, key: &RegState, size: u32) -> Option<u64> {
    let off = key.var.is_constant().then(|| i64::from(key.off).wrapping_add(key.var.var_off.value as i64))?;
    if !(STACK_BOTTOM..0).contains(&off) {
        return None;
    }
    let slot = state.stack_of(key.frame).get(slot_of(off))?;
    let bytes = &slot.bytes[off.rem_euclid(8) as usize..];
    let run = |kind: Byte| bytes.iter().take_while(|byte| **byte == kind).count();
    if run(Byte::Zero) >= size as usize {
        return Some(0);
    }
    if slot.is_spilled() && run(Byte::Spill) == size as usize { slot.spill.as_constant() } else { None }
}

/// What a helper leaves of `size` bytes that it is given: it may have written them (`check_stack_range_initialized`).
pub(crate) fn give(state: &mut State, place: Place, size: u32) {
    for off in place.min..place.max + i64::from(size) {
        let slot = state.slot_mut(place.frame, off);
        slot.scrub();
        slot.bytes[off.rem_euclid(8) as usize] = Byte::Misc;
    }
}
