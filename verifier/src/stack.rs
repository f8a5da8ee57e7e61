//! The stack: spills, fills, and bytes that are merely written (kernel: `check_stack_read`, `check_stack_write`,
//! `check_stack_range_initialized`).

use crate::access::{self, Use};
use crate::env::Env;
use crate::refusal::{MemoryRefusal, Refusal, Stop, Way};
use crate::state::{Byte, Flags, Kind, Number, RegState, STACK_BOTTOM, Slot, State, slot_of};
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
    /// Some number: the result of an atomic operation.
    #[allow(dead_code)] // made by `access::atomic`
    Unknown,
}

impl Stored {
    fn is_zero(&self) -> bool {
        match self {
            Stored::Reg(reg) => reg.as_constant() == Some(0),
            Stored::Imm(imm) => *imm == 0,
            Stored::Unknown => false,
        }
    }
}

/// A range of the stack: the first byte lies from `min` to `max`, offsets from the frame pointer.
#[derive(Clone, Copy, Debug)]
struct Place {
    reg: Reg,
    frame: u8,
    min: i64,
    max: i64,
    exact: bool,
}

/// Where `size` bytes at `base + off` lie, if surely inside the frame (`check_stack_access_within_bounds`). `off` is that of
/// the instruction.
fn place(
    env: &Env<'_>,
    state: &State,
    (reg, base, off): (Reg, &RegState, i32),
    size: i64,
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
    // Without leave to read what was never written, reads stay in what was written so far.
    let written = || -8 * state.stack_of(base.frame).len() as i64;
    let bottom = if way == Way::Read && !env.dialect.uninit_stack { written() } else { STACK_BOTTOM };
    if min < bottom || max.saturating_add(size) > 0 || max >= 0 || size < 0 {
        let told = env.dialect.variable_stack_off;
        return Err(if exact {
            Refusal::StackBounds { reg, way, off: if told { min } else { i64::from(off) }, size }
        } else {
            let (var_off, off) = (env.dialect.bits(var_off), told.then_some(off));
            Refusal::VariableStackBounds { reg, way, var_off, off, size }
        });
    }
    env.use_stack(state, base.frame, -min);
    match way {
        Way::Write if exact && size == 8 && min % 8 == 0 => env.touched.write(base.frame, min),
        Way::Write => {}
        Way::Read | Way::Helper => env.touched.read(base.frame, min, max + size),
    }
    if exact && way != Way::Helper {
        env.touched.moves(base.frame, min);
    }
    Ok(Place { reg, frame: base.frame, min, max, exact })
}

/// Writes `value`, which came from `value_reg` (`check_stack_write_fixed_off`, `check_stack_write_var_off`).
pub(crate) fn store(
    env: &mut Env<'_>,
    state: &mut State,
    address: (Reg, &RegState, i32),
    size: Size,
    (value, value_reg): (&Stored, Reg),
) -> Result<(), Stop> {
    let place = place(env, state, address, size.bytes().into(), Way::Write)?;
    if !place.exact {
        write_somewhere(state, place, size, matches!(value, Stored::Reg(_)) && value.is_zero());
        return Ok(());
    }
    let off = place.min;
    let (bytes, first) = (size.bytes() as usize, off.rem_euclid(8) as usize);
    let Some(mut spill) = spilled(env, state, place, size, value, value_reg)? else {
        let kind = if value.is_zero() { Byte::Zero } else { Byte::Misc };
        let slot = state.slot_mut(place.frame, off);
        if slot.is_spilled() && !env.dialect.zero_spills {
            slot.forget_zeros();
        }
        slot.scrub();
        slot.bytes[first..first + bytes].fill(kind);
        return Ok(());
    };
    if spill.kind == Kind::Scalar {
        if env.dialect.spills_link && spill.as_constant().is_none() && spill.id == 0 {
            spill.id = env.new_id();
            if matches!(value, Stored::Reg(_)) {
                state.regs[value_reg.index()].id = spill.id;
            }
        }
        if !(env.rules.fits)(size, &spill.var) {
            spill.id = 0;
        }
    }
    let slot = state.slot_mut(place.frame, off);
    slot.scrub();
    if !env.dialect.zero_spills {
        slot.forget_zeros();
    }
    slot.bytes[..bytes].fill(Byte::Spill);
    slot.spill = spill;
    Ok(())
}

/// What is kept of the value besides that it was written.
fn spilled(
    env: &Env<'_>,
    state: &State,
    place: Place,
    size: Size,
    value: &Stored,
    value_reg: Reg,
) -> Result<Option<RegState>, Refusal> {
    let aligned = place.min % 8 == 0;
    Ok(match value {
        Stored::Unknown => None,
        Stored::Imm(imm) => {
            (aligned && (*imm != 0 || env.dialect.zero_imm_spills)).then(|| RegState::constant(i64::from(*imm) as u64))
        }
        Stored::Reg(_) if value.is_zero() && !env.dialect.zero_spills => None,
        Stored::Reg(held) if held.kind == Kind::Scalar => {
            (aligned && (env.dialect.spills_link || held.var != Number::unknown())).then_some(*held)
        }
        Stored::Reg(held) if !is_spillable(held) => None,
        Stored::Reg(_) if size != Size::Dw => return Err(Refusal::SpillSize { reg: value_reg }),
        Stored::Reg(held) => {
            let is_stack = held.kind == Kind::Fp && held.flags == Flags::NONE;
            if is_stack && usize::from(place.frame) != state.depth() {
                return Err(MemoryRefusal::CallersStack { reg: value_reg }.into());
            }
            Some(*held)
        }
    })
}

/// Whether such a pointer is followed through the stack; others become some number (`is_spillable_regtype`).
fn is_spillable(held: &RegState) -> bool {
    held.kind.is_pointer() && !matches!(held.kind, Kind::TpBuffer | Kind::Dynptr)
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

/// What a read yields, before it is cut to `size`; `fills` where it goes to a register (`check_stack_read_fixed_off`,
/// `check_stack_read_var_off`). Bytes that were never written may be read, and hold anything.
pub(crate) fn load(
    env: &Env<'_>,
    state: &State,
    address: (Reg, &RegState, i32),
    size: Size,
    fills: bool,
) -> Result<RegState, Stop> {
    let (reg, base, off) = address;
    let place = place(env, state, address, size.bytes().into(), Way::Read)?;
    if place.exact {
        return Ok(fill(env, state, place, size, fills)?);
    }
    let (var, off) = access::parts(env.dialect, base, off);
    let var_off = env.dialect.bits(var.var_off);
    if !fills {
        return Err(MemoryRefusal::StackSomewhere { reg, var_off, off, size: size.bytes() }.into());
    }
    let mut bytes = (place.min..place.max + i64::from(size.bytes())).map(|off| state.byte(place.frame, off));
    if let Some(at) = bytes.clone().position(|byte| is_hidden(env, byte)) {
        let (at, size) = (at as i64, i64::from(size.bytes()));
        return Err(MemoryRefusal::StackBytesSomewhere { reg, indirect: "", var_off, at, size }.into());
    }
    Ok(if bytes.all(|byte| byte == Byte::Zero) { RegState::constant(0) } else { RegState::unknown() })
}

/// Whether nobody may look at such a byte.
fn is_hidden(env: &Env<'_>, byte: Byte) -> bool {
    byte == Byte::Dynptr || byte == Byte::Invalid && !env.dialect.uninit_stack
}

/// A read of known bytes: the register that was spilled there, if it is read as it was written.
fn fill(env: &Env<'_>, state: &State, place: Place, size: Size, fills: bool) -> Result<RegState, Refusal> {
    let (off, bytes) = (place.min, size.bytes() as usize);
    let slot = state.stack_of(place.frame).get(slot_of(off)).unwrap_or(&Slot::INVALID);
    let first = off.rem_euclid(8) as usize;
    let read = &slot.bytes[first..first + bytes];
    let spilled = if slot.is_spilled() { slot.spilled_bytes() } else { 0 };
    if spilled != 0 {
        if spilled == 8 && bytes == 8 {
            return Ok(slot.spill);
        }
        if slot.spill.kind != Kind::Scalar {
            return Err(Refusal::FillSize { reg: place.reg });
        }
        if !fills {
            return Ok(RegState::unknown());
        }
        if first == 0 && bytes == spilled {
            return Ok(slot.spill);
        }
        if first == 0 && bytes < spilled && env.dialect.spills_link {
            return Ok(slot.spill.cut_to(size, env));
        }
    }
    // Before 6.8 zeros beside a spilled register were forgotten altogether.
    let is_readable = |byte: &Byte| match byte {
        Byte::Dynptr => false,
        Byte::Zero => spilled == 0 || env.dialect.zero_spills,
        Byte::Invalid => env.dialect.uninit_stack,
        Byte::Spill | Byte::Misc => true,
    };
    if let Some(at) = read.iter().position(|byte| !is_readable(byte)) {
        return Err(MemoryRefusal::StackRead { reg: place.reg, off, at: at as i64, size: size.bytes() }.into());
    }
    let part_of_zero = || slot.spill.as_constant() == Some(0) && read.iter().all(|byte| *byte == Byte::Spill);
    let zero = read.iter().all(|byte| *byte == Byte::Zero) || env.dialect.zero_spills && spilled != 0 && part_of_zero();
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

/// `size` bytes at `reg` that a helper is given: it may have written them (`check_stack_range_initialized`).
pub(crate) fn for_helper(env: &Env<'_>, state: &mut State, reg: Reg, size: i64, way: Use) -> Result<(), Stop> {
    let base = *state.reg(reg);
    if size == 0 && !way.none_allowed {
        return Err(MemoryRefusal::ZeroSized { reg }.into());
    }
    let side = match (env.dialect.helper_ways, way.write) {
        (false, _) => Way::Helper,
        (true, false) => Way::Read,
        (true, true) => Way::Write,
    };
    let place = place(env, state, (reg, &base, 0), size, side)?;
    let range = place.min..place.max + size;
    // What is written whole need not hold anything before.
    if !(way.raw && place.exact)
        && let Some(at) = range.clone().position(|off| is_hidden(env, state.byte(place.frame, off)))
    {
        let (at, indirect, var_off) = (at as i64, " indirect", env.dialect.bits(base.var.var_off));
        return Err(if place.exact {
            MemoryRefusal::StackBytes { reg, indirect, off: place.min, at, size }.into()
        } else {
            MemoryRefusal::StackBytesSomewhere { reg, indirect, var_off, at, size }.into()
        });
    }
    if side == Way::Read {
        return Ok(());
    }
    for off in range {
        let slot = state.slot_mut(place.frame, off);
        slot.scrub();
        slot.bytes[off.rem_euclid(8) as usize] = Byte::Misc;
    }
    Ok(())
}
