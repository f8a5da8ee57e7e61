//! Which maps go with which helpers (kernel: `check_map_func_compatibility`, `record_func_map`).

use super::MapGiven;
use super::open::attach_type;
use super::prototype::Prototype;
use crate::env::Env;
use crate::refusal::{CallRefusal, Refusal, Stop};
use semantics::insn::Reg;
use semantics::map::{INNER_MAP, MapType};
use semantics::program_type::{AttachType, ProgramType};

/// The helpers that take maps of this type; `None` where the map's own operations say.
fn helpers_of(map_type: MapType) -> Option<&'static [u32]> {
    Some(match map_type {
        MapType::PROG_ARRAY => const { &[id!("tail_call")] },
        MapType::PERF_EVENT_ARRAY => PERF_EVENT,
        MapType::RINGBUF => RINGBUF,
        MapType::USER_RINGBUF => const { &[id!("user_ringbuf_drain")] },
        MapType::STACK_TRACE => const { &[id!("get_stackid")] },
        MapType::CGROUP_ARRAY => CGROUP_ARRAY,
        MapType::CGROUP_STORAGE | MapType::PERCPU_CGROUP_STORAGE => const { &[id!("get_local_storage")] },
        MapType::DEVMAP | MapType::DEVMAP_HASH | MapType::XSKMAP => {
            const { &[id!("redirect_map"), id!("map_lookup_elem")] }
        }
        MapType::CPUMAP => const { &[id!("redirect_map")] },
        MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => const { &[id!("map_lookup_elem")] },
        MapType::SOCKMAP => {
            const {
                &[
                    id!("sk_redirect_map"),
                    id!("sock_map_update"),
                    id!("msg_redirect_map"),
                    id!("sk_select_reuseport"),
                    id!("map_lookup_elem"),
                ]
            }
        }
        MapType::SOCKHASH => {
            const {
                &[
                    id!("sk_redirect_hash"),
                    id!("sock_hash_update"),
                    id!("msg_redirect_hash"),
                    id!("sk_select_reuseport"),
                    id!("map_lookup_elem"),
                ]
            }
        }
        MapType::REUSEPORT_SOCKARRAY => const { &[id!("sk_select_reuseport")] },
        MapType::QUEUE | MapType::STACK => const { &[id!("map_peek_elem"), id!("map_pop_elem"), id!("map_push_elem")] },
        MapType::SK_STORAGE => SK_STORAGE,
        MapType::INODE_STORAGE => INODE_STORAGE,
        MapType::TASK_STORAGE => TASK_STORAGE,
        MapType::CGRP_STORAGE => CGRP_STORAGE,
        MapType::BLOOM_FILTER => const { &[id!("map_peek_elem"), id!("map_push_elem")] },
        _ => return None,
    })
}

const PERF_EVENT: &[u32] = &[
    id!("perf_event_read"),
    id!("perf_event_output"),
    id!("skb_output"),
    id!("perf_event_read_value"),
    id!("xdp_output"),
];
const RINGBUF: &[u32] = &[
    id!("ringbuf_output"),
    id!("ringbuf_reserve"),
    id!("ringbuf_query"),
    id!("ringbuf_reserve_dynptr"),
    id!("ringbuf_submit_dynptr"),
    id!("ringbuf_discard_dynptr"),
];
const CGROUP_ARRAY: &[u32] = &[id!("skb_under_cgroup"), id!("current_task_under_cgroup")];
const SK_STORAGE: &[u32] = &[id!("sk_storage_get"), id!("sk_storage_delete")];
const INODE_STORAGE: &[u32] = &[id!("inode_storage_get"), id!("inode_storage_delete")];
const TASK_STORAGE: &[u32] = &[id!("task_storage_get"), id!("task_storage_delete")];
const CGRP_STORAGE: &[u32] = &[id!("cgrp_storage_get"), id!("cgrp_storage_delete")];

/// The maps that this helper takes; `None` where it takes all that take it.
fn maps_of(helper: u32) -> Option<&'static [MapType]> {
    let is = |names: &[u32]| names.contains(&helper);
    Some(match helper {
        _ if helper == id!("tail_call") => &[MapType::PROG_ARRAY],
        _ if is(PERF_EVENT) => &[MapType::PERF_EVENT_ARRAY],
        _ if is(RINGBUF) => &[MapType::RINGBUF],
        _ if helper == id!("user_ringbuf_drain") => &[MapType::USER_RINGBUF],
        _ if helper == id!("get_stackid") => &[MapType::STACK_TRACE],
        _ if is(CGROUP_ARRAY) => &[MapType::CGROUP_ARRAY],
        _ if helper == id!("redirect_map") => {
            &[MapType::DEVMAP, MapType::DEVMAP_HASH, MapType::CPUMAP, MapType::XSKMAP]
        }
        _ if is(&[id!("sk_redirect_map"), id!("msg_redirect_map"), id!("sock_map_update")]) => &[MapType::SOCKMAP],
        _ if is(&[id!("sk_redirect_hash"), id!("msg_redirect_hash"), id!("sock_hash_update")]) => &[MapType::SOCKHASH],
        _ if helper == id!("get_local_storage") => &[MapType::CGROUP_STORAGE, MapType::PERCPU_CGROUP_STORAGE],
        _ if helper == id!("sk_select_reuseport") => {
            &[MapType::REUSEPORT_SOCKARRAY, MapType::SOCKMAP, MapType::SOCKHASH]
        }
        _ if helper == id!("map_pop_elem") => &[MapType::QUEUE, MapType::STACK],
        _ if is(&[id!("map_peek_elem"), id!("map_push_elem")]) => {
            &[MapType::QUEUE, MapType::STACK, MapType::BLOOM_FILTER]
        }
        _ if helper == id!("map_lookup_percpu_elem") => {
            &[MapType::PERCPU_ARRAY, MapType::PERCPU_HASH, MapType::LRU_PERCPU_HASH]
        }
        _ if is(SK_STORAGE) => &[MapType::SK_STORAGE],
        _ if is(INODE_STORAGE) => &[MapType::INODE_STORAGE],
        _ if is(TASK_STORAGE) => &[MapType::TASK_STORAGE],
        _ if is(CGRP_STORAGE) => &[MapType::CGRP_STORAGE],
        _ => return None,
    })
}

/// Whether the helper takes maps of this type, whatever else the program is.
pub fn takes_map(helper: u32, map_type: MapType) -> bool {
    helpers_of(map_type).is_none_or(|helpers| helpers.contains(&helper))
        && maps_of(helper).is_none_or(|maps| maps.contains(&map_type))
}

/// Whether map and helper go together.
pub(super) fn check(env: &Env<'_>, prototype: &Prototype, map: MapGiven) -> Result<(), Stop> {
    let (map_type, helper, name) = (env.map(map.number).map_type, prototype.fact.id, prototype.fact.name);
    let refusal = || Refusal::HelperMapType { reg: Reg::R1, map_type, name, id: helper };
    if helpers_of(map_type).is_some_and(|helpers| !helpers.contains(&helper)) {
        match update_of_sockets(env, map_type, helper) {
            Some(true) => {}
            Some(false) => return Err(CallRefusal::SockmapUpdate { map_type: map_type.id(), name, id: helper }.into()),
            None => return Err(refusal().into()),
        }
    }
    if maps_of(helper).is_some_and(|maps| !maps.contains(&map_type)) {
        return Err(refusal().into());
    }
    Ok(())
}

/// Whether the program may change a map of sockets by the helpers for all maps; `None` if this is something else
/// (`may_update_sockmap`).
fn update_of_sockets(env: &Env<'_>, map_type: MapType, helper: u32) -> Option<bool> {
    use ProgramType as P;
    if !matches!(map_type, MapType::SOCKMAP | MapType::SOCKHASH) {
        return None;
    }
    let deletes = helper == id!("map_delete_elem");
    if !deletes && helper != id!("map_update_elem") {
        return None;
    }
    Some(match env.program.program_type() {
        P::Tracing => attach_type(env) == Some(AttachType::TraceIter),
        P::SockOps => deletes,
        P::SocketFilter | P::SchedCls | P::SchedAct | P::Xdp | P::SkReuseport | P::FlowDissector | P::SkLookup => true,
        _ => false,
    })
}

/// Helpers that change elements, which programs cannot do to maps that they only read.
const CHANGES: [u32; 4] = [id!("map_delete_elem"), id!("map_update_elem"), id!("map_push_elem"), id!("map_pop_elem")];

/// Whether the map surely has a value at this key (`can_elide_value_nullness`).
pub(super) fn has_value(env: &Env<'_>, map: u32, key: Option<u64>) -> bool {
    let map = env.map(map);
    map.map_type == MapType::ARRAY
        && map.flags & INNER_MAP == 0
        && key.is_some_and(|key| key < u64::from(map.max_entries))
}

/// Notes the map of a call (`record_func_map`).
pub(super) fn note(env: &mut Env<'_>, prototype: &Prototype, map: MapGiven, pc: usize) -> Result<(), Stop> {
    let helper = prototype.fact.id;
    if CHANGES.contains(&helper) && env.map(map.number).is_read_only() {
        return Err(Refusal::HelperMapWrite { reg: Reg::R1 }.into());
    }
    let map_type = env.map(map.number).map_type;
    if helper == id!("tail_call") && map_type != MapType::PROG_ARRAY {
        let words = env.dialect.no_prog_array;
        return Err(Refusal::NoProgArray { reg: Reg::R2, map_type, words }.into());
    }
    if helper == id!("for_each_map_elem") {
        match env.maps_at.iter().find(|(at, _)| *at == pc) {
            Some((_, known)) if *known != map.number => return Err(CallRefusal::MapsMixed.into()),
            Some(_) => {}
            None => env.maps_at.push((pc, map.number)),
        }
    }
    Ok(())
}
