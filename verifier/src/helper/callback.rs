//! Helpers that call the program's functions (kernel: `set_loop_callback_state` and its kin).

use super::Given;
use super::prototype::Prototype;
use crate::access::object;
use crate::env::Env;
use crate::insn::call;
use crate::refusal::{CallRefusal, Stop, Unsupported};
use crate::state::{Callback, Kind, RegState, State};
use semantics::insn::Reg;
use semantics::map::MapType;

/// What a callback is given: R1 to R5, from what the helper was given; and whether it runs later. `None` for helpers that do
/// not call back.
fn arguments(
    env: &mut Env<'_>,
    state: &State,
    prototype: &Prototype,
    given: &Given,
) -> Result<Option<([RegState; 5], bool)>, Stop> {
    const NONE: RegState = RegState::NOT_INIT;
    let held = |reg: Reg| *state.reg(reg);
    let helper = prototype.fact.id;
    let map = given.map.map_or(0, |map| map.number);
    let of_map = |kind: Kind| RegState { map, ..RegState::pointer(kind) };
    Ok(Some(match helper {
        _ if helper == id!("for_each_map_elem") => {
            if !has_for_each(env.map(map).map_type) {
                return Err(CallRefusal::NoForEach.into());
            }
            let element = [held(Reg::R1), of_map(Kind::MapKey), of_map(Kind::MapValue), held(Reg::R3), NONE];
            (element, false)
        }
        _ if helper == id!("timer_set_callback") => {
            ([of_map(Kind::MapPtr), of_map(Kind::MapKey), of_map(Kind::MapValue), NONE, NONE], true)
        }
        _ if helper == id!("loop") => ([RegState::unknown(), held(Reg::R3), NONE, NONE, NONE], false),
        _ if helper == id!("user_ringbuf_drain") => {
            ([RegState::pointer(Kind::Dynptr), held(Reg::R3), NONE, NONE, NONE], false)
        }
        _ if helper == id!("find_vma") => {
            let unsupported = || Unsupported::Argument { name: prototype.fact.name, number: 3 };
            let what = object::number("vm_area_struct").ok_or_else(unsupported)?;
            let area = RegState { what, ..RegState::pointer(Kind::BtfId) };
            ([held(Reg::R1), area, held(Reg::R4), NONE, NONE], false)
        }
        _ => return Ok(None),
    }))
}

/// Maps whose elements can be gone through (`map_for_each_callback`).
fn has_for_each(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::HASH
            | MapType::PERCPU_HASH
            | MapType::LRU_HASH
            | MapType::LRU_PERCPU_HASH
            | MapType::ARRAY
            | MapType::PERCPU_ARRAY
    )
}

/// Follows the function that a helper calls back, if it does. `state` is that before the call.
pub(super) fn follow(
    env: &mut Env<'_>,
    state: &State,
    prototype: &Prototype,
    given: &Given,
    pc: usize,
) -> Result<(), Stop> {
    let Some(function) = given.function else { return Ok(()) };
    let Some((arguments, is_async)) = arguments(env, state, prototype, given)? else { return Ok(()) };
    let callback = Callback { helper: prototype.fact.id, result_max: 1, is_async };
    call::call_back(env, state, callback, &function, arguments, pc)
}
