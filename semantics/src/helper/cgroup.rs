//! Cgroups of the current task and of the packet's socket (`kernel/bpf/helpers.c`, `net/core/filter.c`).

use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::map::{Held, MapType};
use crate::program_type::ProgramType;
use crate::trap::{ArgumentFault, Trap, Unsupported};

/// Whether somebody is under a cgroup.
const IS_UNDER: ResultClass = ResultClass::Range(0, 1);

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("get_current_cgroup_id"), changes: &[], results: &[ResultClass::U64], meaning: current_id },
    Helper {
        id: id("get_current_ancestor_cgroup_id"),
        changes: &[],
        results: &[ResultClass::Null, ResultClass::U64],
        meaning: current_ancestor_id,
    },
    Helper { id: id("skb_cgroup_id"), changes: &[], results: &[ResultClass::Null, ResultClass::U64], meaning: skb_id },
    Helper {
        id: id("skb_ancestor_cgroup_id"),
        changes: &[],
        results: &[ResultClass::Null, ResultClass::U64],
        meaning: skb_ancestor_id,
    },
    Helper { id: id("get_cgroup_classid"), changes: &[], results: &[ResultClass::U32], meaning: classid },
    Helper { id: id("skb_cgroup_classid"), changes: &[], results: &[ResultClass::U32], meaning: skb_classid },
    Helper {
        id: id("current_task_under_cgroup"),
        changes: &[],
        results: &[IS_UNDER, ResultClass::Error(Errno::E2big), ResultClass::Error(Errno::Eagain)],
        meaning: task_under,
    },
    Helper {
        id: id("skb_under_cgroup"),
        changes: &[],
        results: &[
            IS_UNDER,
            ResultClass::Error(Errno::Enoent),
            ResultClass::Error(Errno::E2big),
            ResultClass::Error(Errno::Eagain),
        ],
        meaning: skb_under,
    },
    Helper { id: id("get_route_realm"), changes: &[], results: &[ResultClass::U32], meaning: route_realm },
];

/// `bpf_get_current_cgroup_id()`: the id of the current task's cgroup.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn current_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    let cgroups = &call.world.cgroups;
    Ok(cgroups.id(cgroups.of_task()))
}

/// The id of the ancestor at a level; 0 above the root and below the cgroup itself.
fn ancestor_id(call: &Call<'_>, cgroup: usize, level: i64) -> u64 {
    let cgroups = &call.world.cgroups;
    cgroups.ancestor(cgroup, level as i32).map_or(0, |ancestor| cgroups.id(ancestor))
}

/// `bpf_get_current_ancestor_cgroup_id(level)`: that of its ancestor; the root is level 0.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn current_ancestor_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(ancestor_id(call, call.world.cgroups.of_task(), call.int(1)))
}

/// `bpf_skb_cgroup_id(skb)`: the id of the cgroup of the packet's full socket; 0 where it has none.
fn skb_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let cgroups = &call.world.cgroups;
    Ok(cgroups.of_socket().map_or(0, |cgroup| cgroups.id(cgroup)))
}

/// `bpf_skb_ancestor_cgroup_id(skb, level)`: that of its ancestor; 0 where there is none.
fn skb_ancestor_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    Ok(call.world.cgroups.of_socket().map_or(0, |cgroup| ancestor_id(call, cgroup, call.int(2))))
}

/// The class of the packet's full socket; 0 where it has none.
fn class_of_socket(call: &Call<'_>) -> u64 {
    let socket = &call.world.cgroups.socket;
    if socket.none { 0 } else { u64::from(socket.classid) }
}

/// `bpf_get_cgroup_classid(skb)`: the class of the current task; in a soft interrupt, where that means nothing, of the packet's
/// socket. Programs without a packet are given no argument, and always that of the task.
fn classid(call: &mut Call<'_>) -> Result<u64, Trap> {
    use ProgramType as T;
    let of_packet = matches!(
        call.world.program_type(),
        T::SchedCls | T::SchedAct | T::LwtIn | T::LwtOut | T::LwtXmit | T::LwtSeg6local
    );
    if of_packet {
        call.context(1)?;
        if call.world.task.config.in_softirq {
            return Ok(class_of_socket(call));
        }
    }
    Ok(u64::from(call.world.cgroups.task_classid))
}

/// `bpf_skb_cgroup_classid(skb)`: the class of the packet's full socket.
fn skb_classid(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    Ok(class_of_socket(call))
}

/// `bpf_get_route_realm(skb)`: the realm of the route that the packet takes; 0 without one.
fn route_realm(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    Ok(u64::from(call.world.route.realm))
}

/// Whether a cgroup is in the subtree of the one that the array in argument `number` holds under the index behind it: one beyond
/// the array is E2BIG, an empty one EAGAIN.
fn under(call: &Call<'_>, number: u8, cgroup: usize) -> Result<u64, Trap> {
    let map = &call.world.maps[call.map(number)?];
    if map.def.map_type != MapType::CGROUP_ARRAY {
        return Err(call.fault(number, ArgumentFault::MapType));
    }
    let index = call.int(number + 1) as u32;
    if index >= map.def.max_entries {
        return Ok(Errno::E2big.result());
    }
    match map.ops.held(&index.to_le_bytes()) {
        Some(Held::Cgroup(other)) if (other as usize) < call.world.cgroups.tree.len() => {
            Ok(u64::from(call.world.cgroups.is_under(cgroup, other as usize)))
        }
        Some(Held::Cgroup(other)) => Err(Unsupported::Cgroup(other).into()),
        _ => Ok(Errno::Eagain.result()),
    }
}

/// `bpf_current_task_under_cgroup(map, index)`: 1 if the current task is in the subtree of the cgroup at the index, else 0.
fn task_under(call: &mut Call<'_>) -> Result<u64, Trap> {
    under(call, 1, call.world.cgroups.of_task())
}

/// `bpf_skb_under_cgroup(skb, map, index)`: 1 if the packet's full socket is in the subtree of the cgroup at the index, else 0. No
/// such socket comes first (ENOENT).
fn skb_under(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    match call.world.cgroups.of_socket() {
        Some(cgroup) => under(call, 2, cgroup),
        None => Ok(Errno::Enoent.result()),
    }
}
