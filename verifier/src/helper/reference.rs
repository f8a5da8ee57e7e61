//! References that a program holds (kernel: `release_reference`, `check_reference_leak`).

use crate::state::{RegState, State};
use semantics::map::MapType;

/// Helpers whose result has to be given back (`is_acquire_function`).
pub(super) fn acquires(number: u32, map: Option<MapType>) -> bool {
    [id!("sk_lookup_tcp"), id!("sk_lookup_udp"), id!("skc_lookup_tcp"), id!("ringbuf_reserve"), id!("kptr_xchg")]
        .contains(&number)
        || number == id!("map_lookup_elem") && matches!(map, Some(MapType::SOCKMAP | MapType::SOCKHASH))
}

/// Helpers whose result is the argument, as another type (`is_ptr_cast_function`).
pub(super) fn casts(number: u32) -> bool {
    [
        id!("tcp_sock"),
        id!("sk_fullsock"),
        id!("skc_to_tcp_sock"),
        id!("skc_to_tcp6_sock"),
        id!("skc_to_udp6_sock"),
        id!("skc_to_mptcp_sock"),
        id!("skc_to_tcp_timewait_sock"),
        id!("skc_to_tcp_request_sock"),
    ]
    .contains(&number)
}

/// Gives a reference back: all that holds it is some number from now on. Whether this function held it: callbacks cannot give
/// back what their callers acquired.
pub(super) fn release(state: &mut State, id: u32) -> bool {
    let frame = state.depth() as u8;
    let is_callback = state.entry.callback.is_some() && frame > 0;
    let is_foreign = |held: &crate::state::Reference| held.id == id && is_callback && held.callback != frame;
    if state.references.iter().any(is_foreign) || !state.release(id) {
        return false;
    }
    state.for_each(|held| {
        if held.reference == id {
            *held = RegState::unknown();
        }
    });
    true
}

/// What is still held where the path ends, or where a callback does that acquired it.
pub(crate) fn leaked(state: &State) -> Option<crate::state::Reference> {
    let frame = state.depth() as u8;
    if frame == 0 {
        return state.references.first().copied();
    }
    state.entry.callback?;
    state.references.iter().find(|held| held.callback == frame).copied()
}
