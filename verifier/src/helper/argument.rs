//! One argument of a call (kernel: `check_func_arg`, `check_reg_type`, `check_func_arg_reg_off`).

use super::prototype::{Demand, Prototype};
use super::{Given, MapGiven, dynptr, member, memory, object, text, types};
use crate::access;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::insn::readable;
use crate::refusal::{CallRefusal, Expected, Refusal, Stop, Unsupported};
use crate::stack;
use crate::state::{Flags, Kind, RegState, State};
use semantics::helper::{Arg, ArgKind};
use semantics::insn::Reg;
use semantics::map::MapType;

/// Argument `at` of the helper, counted from 0.
pub(super) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    prototype: &Prototype,
    at: usize,
    given: &mut Given,
) -> Result<(), Stop> {
    let (reg, mut demand) = (Reg::ARGS[at], prototype.args()[at]);
    if demand.kind == ArgKind::Undeclared {
        return Ok(());
    }
    let held = *readable(state, reg)?;
    if demand.kind == ArgKind::Anything {
        return Ok(());
    }
    if held.kind.is_packet() && !memory::takes_packets(env, prototype) {
        return Err(Refusal::HelperPacket { reg }.into());
    }
    if demand.kind == ArgKind::MapValue {
        resolve_value(env, prototype, reg, &mut demand, given)?;
    }
    let is_null = held.as_constant() == Some(0);
    if !(is_null && demand.is(Arg::OR_NULL)) {
        check_type(env, prototype, reg, &held, demand)?;
        check_offset(env.dialect, reg, &held, demand)?;
    }
    let helper = env.dialect.registers_named.then_some(prototype.fact.name);
    note_references(state, (reg, &held), demand, helper, given)?;
    if is_null && demand.is(Arg::OR_NULL) && demand.kind == ArgKind::MapValue {
        return Ok(());
    }
    check_kind(env, state, prototype, at, demand, given)
}

/// What the kinds ask for beyond the type.
fn check_kind(
    env: &mut Env<'_>,
    state: &mut State,
    prototype: &Prototype,
    at: usize,
    demand: Demand,
    given: &mut Given,
) -> Result<(), Stop> {
    let reg = Reg::ARGS[at];
    let held = *state.reg(reg);
    match demand.kind {
        ArgKind::ConstMapPtr => note_map(&held, given)?,
        ArgKind::MapKey => {
            let size = env.map(named_map(prototype, reg, given)?.number).key_size;
            if env.dialect.constant_keys && held.kind == Kind::Fp {
                given.key = stack::constant_key(state, &held, size);
            }
            memory::check_fixed(env, state, reg, size, demand)?;
        }
        ArgKind::MapValue => {
            let size = env.map(named_map(prototype, reg, given)?.number).value_size;
            memory::check_fixed(env, state, reg, size, demand)?;
        }
        ArgKind::Mem if demand.is(Arg::FIXED_SIZE) => memory::check_fixed(env, state, reg, demand.size, demand)?,
        ArgKind::PtrToInt | ArgKind::PtrToLong => memory::check_fixed(env, state, reg, demand.size, demand)?,
        ArgKind::ConstSize | ArgKind::ConstSizeOrZero => {
            let none_allowed = demand.kind == ArgKind::ConstSizeOrZero;
            memory::check_sized(env, state, reg, prototype.args()[at - 1], none_allowed, given)?;
        }
        ArgKind::ConstAllocSizeOrZero => {
            let size = held.as_constant().ok_or(CallRefusal::NotConstant { reg })?;
            given.mem_size = size as u32;
        }
        ArgKind::SpinLock => member::lock(env, state, reg, prototype.fact.id == id!("spin_lock"))?,
        ArgKind::Timer => given.map = Some(member::timer(env, reg, &held)?),
        ArgKind::Kptr => {
            member::kptr(env, reg, &held)?;
            return Err(Unsupported::Argument { name: prototype.fact.name, number: reg.number() }.into());
        }
        ArgKind::Func => given.function = Some(held),
        ArgKind::ConstStr => text::check_constant(env, state, reg, &held)?,
        ArgKind::Dynptr => dynptr::check(&env.dialect, state, reg, &held, demand, given)?,
        ArgKind::PercpuBtfId => {
            return Err(Unsupported::Argument { name: prototype.fact.name, number: reg.number() }.into());
        }
        // The type says it all.
        ArgKind::Anything
        | ArgKind::Undeclared
        | ArgKind::Mem
        | ArgKind::Ctx
        | ArgKind::Socket
        | ArgKind::SockCommon
        | ArgKind::BtfId
        | ArgKind::BtfIdSockCommon
        | ArgKind::RingbufMem
        | ArgKind::Stack => {}
    }
    Ok(())
}

/// The map that an earlier argument named.
fn named_map(prototype: &Prototype, reg: Reg, given: &Given) -> Result<MapGiven, Stop> {
    given.map.ok_or_else(|| Unsupported::Argument { name: prototype.fact.name, number: reg.number() }.into())
}

/// What the values of some maps are (`resolve_map_arg_type`).
fn resolve_value(
    env: &Env<'_>,
    prototype: &Prototype,
    reg: Reg,
    demand: &mut Demand,
    given: &Given,
) -> Result<(), Stop> {
    match env.map(named_map(prototype, reg, given)?.number).map_type {
        MapType::SOCKMAP | MapType::SOCKHASH => {
            if demand.is(Arg::UNINIT) || demand.is(Arg::OR_NULL) {
                return Err(CallRefusal::SockmapValue { reg }.into());
            }
            demand.kind = ArgKind::BtfIdSockCommon;
        }
        // It is asked whether the value is there.
        MapType::BLOOM_FILTER if prototype.fact.id == id!("map_peek_elem") => *demand = Demand::of(ArgKind::MapValue),
        _ => {}
    }
    Ok(())
}

/// `check_reg_type`: flags that the argument permits are left out of account.
fn check_type(env: &Env<'_>, prototype: &Prototype, reg: Reg, held: &RegState, demand: Demand) -> Result<(), Stop> {
    let mut ty = held.ty();
    if demand.is(Arg::RDONLY) {
        ty.flags = ty.flags.without(Flags::RDONLY);
    }
    if demand.is(Arg::OR_NULL) {
        ty.flags = ty.flags.without(Flags::MAYBE_NULL);
    }
    let compatible = types::compatible(demand.kind, &env.dialect);
    if !compatible.contains(&ty) {
        return Err(CallRefusal::Argument { reg, kind: held.ty(), expected: Expected(compatible) }.into());
    }
    if held.kind == Kind::BtfId && held.flags == Flags::NONE && demand.kind != ArgKind::Mem {
        return object::check_argument(prototype, reg, held, demand);
    }
    Ok(())
}

/// Which addresses may be passed with an offset (`check_func_arg_reg_off`).
fn check_offset(dialect: Dialect, reg: Reg, held: &RegState, demand: Demand) -> Result<(), Stop> {
    let is_plain = match held.kind {
        Kind::Fp if demand.kind == ArgKind::Dynptr && held.off % 8 != 0 => {
            return Err(CallRefusal::DynptrOffset { reg }.into());
        }
        Kind::Fp | Kind::Packet | Kind::PacketMeta | Kind::MapKey | Kind::MapValue | Kind::Scalar => {
            held.flags == Flags::NONE
        }
        Kind::Mem => !held.maybe_null(),
        Kind::Buf => !held.flags.any(Flags::MAYBE_NULL.with(Flags::ALLOC).with(Flags::RINGBUF)),
        _ => false,
    };
    if is_plain && demand.kind != ArgKind::RingbufMem {
        return Ok(());
    }
    if held.kind == Kind::BtfId && !held.maybe_null() {
        if demand.is(Arg::RELEASE) && held.off != 0 {
            return Err(CallRefusal::ReleaseOffset { reg }.into());
        }
        // Members of the object may be passed.
        return Ok(access::check_unmodified(dialect, reg, &RegState { off: held.off.min(0), ..*held })?);
    }
    Ok(access::check_unmodified(dialect, reg, held)?)
}

/// What the call gives back, and what it may hand on.
fn note_references(
    state: &State,
    (reg, held): (Reg, &RegState),
    demand: Demand,
    helper: Option<&'static str>,
    given: &mut Given,
) -> Result<(), CallRefusal> {
    if demand.is(Arg::RELEASE) {
        if demand.kind == ArgKind::Dynptr {
            if !dynptr::holds_reference(state, held) {
                return Err(CallRefusal::NotAcquired { reg });
            }
        } else if held.reference == 0 && held.as_constant() != Some(0) {
            return Err(CallRefusal::NotReferenced { reg, helper });
        }
        given.released = Some(reg);
    }
    if held.reference != 0 {
        if given.reference != 0 {
            return Err(CallRefusal::TwoReferences { reg, first: given.reference, second: held.reference });
        }
        given.reference = held.reference;
    }
    Ok(())
}

/// Notes the map. One that came with a timer has to be the same.
fn note_map(held: &RegState, given: &mut Given) -> Result<(), CallRefusal> {
    let map = MapGiven { number: held.map, uid: held.id };
    match given.map {
        Some(earlier) if earlier != map => Err(CallRefusal::TimerMap { timer: earlier.uid, map: map.uid }),
        _ => {
            given.map = Some(map);
            Ok(())
        }
    }
}
