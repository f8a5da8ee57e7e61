//! Helper calls, checked from the helper's declaration, whether or not it has a meaning (kernel: `check_helper_call`): this
//! is the order of the steps, each of which has its room.

use crate::env::Env;
use crate::refusal::{CallRefusal, Refusal, Stop};
use crate::state::{RegState, State};
use prototype::{Demand, Prototype};
use semantics::helper::{Arg, ArgKind};
use semantics::insn::{Insn, Reg};
use semantics::program_type::ProgramType;

/// The number of the helper of this name.
macro_rules! id {
    ($name:literal) => {
        const { semantics::helper::id($name) }
    };
}

mod argument;
mod callback;
mod dynptr;
pub(crate) mod map;
mod member;
mod memory;
mod object;
mod open;
mod prototype;
pub(crate) mod reference;
mod resolve;
mod result;
mod text;
mod types;

/// What the arguments say of the rest of the call (`struct bpf_call_arg_meta`).
#[derive(Debug, Default)]
struct Given {
    /// The map that it is about.
    map: Option<MapGiven>,
    /// The key, if it is known.
    key: Option<u64>,
    /// The largest size of the memory that was given last.
    size_max: u64,
    /// Bytes of the memory that is returned.
    mem_size: u32,
    /// The reference that an argument holds; 0 for none.
    reference: u32,
    /// The argument whose reference is given back.
    released: Option<Reg>,
    /// The function that is called back.
    function: Option<RegState>,
    /// Where a dynptr is made.
    new_dynptr: Option<(Reg, Demand)>,
}

/// A map that a call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MapGiven {
    /// Its number.
    number: u32,
    /// Of an inner map, which of them; else 0 (`map_uid`).
    uid: u32,
}

/// `r0 = helper(r1, ..., r5)` at `pc`: where the path goes on.
pub(crate) fn check(env: &mut Env<'_>, state: &mut State, insn: &Insn, pc: usize) -> Result<usize, Stop> {
    if state.lock.is_some() && insn.imm != id!("spin_unlock") {
        return Err(Refusal::CallUnderLock.into());
    }
    let prototype = resolve::resolve(env, insn.imm as i32)?;
    let mut given = Given::default();
    for at in 0..prototype.args().len() {
        argument::check(env, state, &prototype, at, &mut given)?;
    }
    if let Some(map) = given.map {
        map::note(env, &prototype, map, pc)?;
    }
    if let Some((reg, demand)) = given.new_dynptr {
        dynptr::make(env, state, reg, demand.is(Arg::RINGBUF), pc)?;
    }
    if let Some(reg) = given.released {
        release(state, &prototype, reg, &given)?;
    }
    check_special(env, state, &prototype, &mut given, pc)?;
    for reg in Reg::ARGS {
        state.set(reg, RegState::NOT_INIT);
    }
    let result = result::result(env, state, &prototype, &given, pc)?;
    state.set(Reg::R0, result);
    if let Some(map) = given.map {
        map::check(env, &prototype, map)?;
    }
    if prototype.fact.id == id!("get_func_ip") {
        check_function_address(env)?;
    }
    if prototype.fact.changes_packet() {
        forget_packets(state);
    }
    Ok(pc + 1)
}

/// Gives back what `reg` holds.
fn release(state: &mut State, prototype: &Prototype, reg: Reg, given: &Given) -> Result<(), CallRefusal> {
    let held = *state.reg(reg);
    let demand = &prototype.args()[usize::from(reg.number()) - 1];
    let was_held = if demand.kind == ArgKind::Dynptr {
        dynptr::unmake(state, &held)
    } else {
        given.reference == 0 || reference::release(state, given.reference)
    };
    if was_held { Ok(()) } else { Err(CallRefusal::NotHeld { name: prototype.fact.name, id: prototype.fact.id }) }
}

/// What single helpers ask for.
fn check_special(
    env: &mut Env<'_>,
    state: &State,
    prototype: &Prototype,
    given: &mut Given,
    pc: usize,
) -> Result<(), Stop> {
    match prototype.fact.id {
        helper if helper == id!("tail_call") => {
            if let Some(held) = reference::leaked(state) {
                return Err(CallRefusal::TailCallLeak { id: held.id, insn: held.insn }.into());
            }
        }
        helper if helper == id!("get_local_storage") => {
            if state.reg(Reg::R2).as_constant() != Some(0) {
                return Err(CallRefusal::StorageFlags { reg: Reg::R2 }.into());
            }
        }
        helper if helper == id!("snprintf") => text::check_format(env, state)?,
        helper if helper == id!("dynptr_from_mem") => {
            let memory = state.reg(Reg::R1);
            if memory.ty() != crate::state::Kind::MapValue.into() {
                return Err(CallRefusal::DynptrMemory { reg: Reg::R1, kind: memory.ty() }.into());
            }
        }
        helper if helper == id!("dynptr_data") => given.reference = dynptr::reference_of(state, state.reg(Reg::R1)),
        _ => callback::follow(env, state, prototype, given, pc)?,
    }
    Ok(())
}

/// Only programs that are attached to a function can ask for its address (`check_get_func_ip`).
fn check_function_address(env: &Env<'_>) -> Result<(), CallRefusal> {
    use semantics::program_type::AttachType as T;
    let id = id!("get_func_ip");
    match env.program.program_type() {
        ProgramType::Kprobe => Ok(()),
        ProgramType::Tracing => match open::attach_type(env) {
            Some(T::TraceFentry | T::TraceFexit | T::ModifyReturn) => Ok(()),
            _ => Err(CallRefusal::FuncIpTracing { id }),
        },
        other => Err(CallRefusal::FuncIp { id, program_type: other.id() }),
    }
}

/// The packet may lie elsewhere now, and be of another length (`clear_all_pkt_pointers`).
fn forget_packets(state: &mut State) {
    state.for_each(|held| {
        if held.kind.is_packet() || held.kind == crate::state::Kind::PacketEnd {
            *held = RegState::unknown();
        }
    });
}
