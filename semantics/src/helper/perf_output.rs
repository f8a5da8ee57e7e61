//! Output into perf events (`kernel/trace/bpf_trace.c`, `net/core/filter.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::map::{Held, MapType};
use crate::program_type::ProgramType;
use crate::trap::{ArgumentFault, Trap, Unsupported};
use crate::world::Room;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("perf_event_output"),
        changes: &[Change::Room(Room::Perf)],
        results: RESULTS,
        meaning: perf_event_output,
    },
    Helper {
        id: id("skb_output"),
        changes: &[Change::Room(Room::Perf)],
        results: RESULTS,
        meaning: |call| packet_output(call, "sk_buff"),
    },
    Helper {
        id: id("xdp_output"),
        changes: &[Change::Room(Room::Perf)],
        results: RESULTS,
        meaning: |call| packet_output(call, "xdp_buff"),
    },
];

const RESULTS: &[ResultClass] = &[
    ResultClass::Success,
    ResultClass::Error(Errno::Einval),
    ResultClass::Error(Errno::Efault),
    ResultClass::Error(Errno::Ebusy),
    ResultClass::Error(Errno::E2big),
    ResultClass::Error(Errno::Enoent),
    ResultClass::Error(Errno::Eopnotsupp),
    ResultClass::Error(Errno::Enospc),
];

/// The part of the flags that is the index of an event in the map (`BPF_F_INDEX_MASK`).
const INDEX: u64 = 0xffff_ffff;
/// The index that stands for the number of the CPU (`BPF_F_CURRENT_CPU`).
const CURRENT_CPU: u64 = INDEX;
/// The part of the flags that says how much of the packet to append (`BPF_F_CTXLEN_MASK`).
const PACKET_LEN: u64 = 0xfffff << PACKET_LEN_SHIFT;
const PACKET_LEN_SHIFT: u32 = 32;

/// Whether programs of this type append bytes of their packet.
fn has_packet(of: ProgramType) -> bool {
    use ProgramType as T;
    matches!(
        of,
        T::SocketFilter
            | T::SchedCls
            | T::SchedAct
            | T::Xdp
            | T::CgroupSkb
            | T::LwtIn
            | T::LwtOut
            | T::LwtXmit
            | T::LwtSeg6local
            | T::SkSkb
    )
}

/// `bpf_perf_event_output(ctx, map, flags, data, size)`: a sample with the data, and behind it as many bytes of the
/// packet as the flags say. In this order: other flags (EINVAL), more bytes than the packet has (EFAULT), too many
/// outputs at once (EBUSY), and what [`output`] says. Of programs that trace, EBUSY comes first.
fn perf_event_output(call: &mut Call<'_>) -> Result<u64, Trap> {
    use ProgramType as T;
    call.context(1)?;
    let (of, flags) = (call.world.program_type(), call.arg(3));
    let traces = matches!(
        of,
        T::Kprobe
            | T::Tracepoint
            | T::PerfEvent
            | T::RawTracepoint
            | T::RawTracepointWritable
            | T::Tracing
            | T::Lsm
            | T::Syscall
    );
    if traces && let Err(errno) = call.world.perf.enter() {
        return Ok(errno.result());
    }
    let known = if has_packet(of) { INDEX | PACKET_LEN } else { INDEX };
    if flags & !known != 0 {
        return Ok(Errno::Einval.result());
    }
    match call.world.packet_start((flags & PACKET_LEN) >> PACKET_LEN_SHIFT) {
        Some(packet) => output(call, &packet),
        None => Ok(Errno::Efault.result()),
    }
}

/// `bpf_skb_output(ctx, map, flags, data, size)`, `bpf_xdp_output(ctx, map, flags, data, size)`: the same for programs
/// that hold a packet of the kernel's. No packet at all is EFAULT.
fn packet_output(call: &mut Call<'_>, of: &'static str) -> Result<u64, Trap> {
    let (object, flags) = (call.arg(1), call.arg(3));
    if flags & !(INDEX | PACKET_LEN) != 0 {
        return Ok(Errno::Einval.result());
    }
    if object == 0 {
        return Ok(Errno::Efault.result());
    }
    if flags & PACKET_LEN != 0 {
        return Err(Unsupported::KernelObject(of).into());
    }
    output(call, &[])
}

/// Puts data and packet into the event that the flags name. Too many outputs at once (EBUSY), an index that the map
/// lacks (E2BIG), or that is empty (ENOENT), an event for something else (EINVAL) or on another CPU (EOPNOTSUPP), a
/// full buffer (ENOSPC).
fn output(call: &mut Call<'_>, packet: &[u8]) -> Result<u64, Trap> {
    let map = call.map(2)?;
    let def = &call.world.maps[map].def;
    if def.map_type != MapType::PERF_EVENT_ARRAY {
        return Err(call.fault(2, ArgumentFault::MapType));
    }
    if let Some(lack) = def.lack() {
        return Err(lack.into());
    }
    let max_entries = u64::from(def.max_entries);
    let sample = [call.bytes(4, call.arg(5))?, packet].concat();
    let world = &mut *call.world;
    if let Err(errno) = world.perf.enter() {
        return Ok(errno.result());
    }
    let index = match call.args[2] & INDEX {
        CURRENT_CPU => u64::from(world.cpus.current),
        index => index,
    };
    if index >= max_entries {
        return Ok(Errno::E2big.result());
    }
    let Some(Held::PerfEvent(event)) = world.maps[map].ops.held(&(index as u32).to_le_bytes()) else {
        return Ok(Errno::Enoent.result());
    };
    Ok(Errno::returned(world.perf_output(event, sample)))
}
