//! Bytes of an XDP buffer: its ends, its metadata, loads and stores (`net/core/filter.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::program_type::ProgramType;
use crate::trap::{Trap, Unsupported};
use crate::world::xdp::XDP_FRAME;
use crate::world::{ETH_HLEN, Refusal, Room, World};

/// What a helper that moves ends of the packet may change.
const ENDS: &[Change] = &[Change::Packet, Change::Context, Change::Room(Room::Packet)];

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("xdp_adjust_head"),
        changes: ENDS,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval)],
        meaning: |call| Refusal::ends(adjust_head(call)),
    },
    Helper {
        id: id("xdp_adjust_meta"),
        changes: ENDS,
        results: &[
            ResultClass::Success,
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::Eacces),
            ResultClass::Error(Errno::Enotsupp),
        ],
        meaning: |call| Refusal::ends(adjust_meta(call)),
    },
    Helper {
        id: id("xdp_adjust_tail"),
        changes: ENDS,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Eopnotsupp)],
        meaning: |call| Refusal::ends(adjust_tail(call)),
    },
    Helper { id: id("xdp_get_buff_len"), changes: &[], results: &[ResultClass::U32], meaning: get_buff_len },
    Helper {
        id: id("xdp_load_bytes"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Efault)],
        meaning: |call| Refusal::ends(load_bytes(call)),
    },
    Helper {
        id: id("xdp_store_bytes"),
        changes: &[Change::Packet],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Efault)],
        meaning: |call| Refusal::ends(store_bytes(call)),
    },
];

/// `bpf_xdp_adjust_head(xdp, delta)`: moves the first byte, and metadata with it. Bytes that come to light are as they were left.
fn adjust_head(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let delta = call.int(2);
    let world = &mut *call.world;
    let packet = &world.packet;
    let (meta, meta_len) = (packet.start(), packet.before());
    let data = packet.data() as i64 + delta;
    let first = packet.head() + XDP_FRAME + meta_len;
    if data < first as i64 || data > packet.end() as i64 - ETH_HLEN as i64 {
        return Err(Errno::Einval.into());
    }
    let metadata = world.memory.peek(meta, meta_len).to_vec();
    world.packet.move_data(delta);
    world.packet.set_before(meta_len);
    let meta = world.packet.start();
    world.memory.poke(meta, &metadata);
    world.xdp_sync();
    Ok(0)
}

/// `bpf_xdp_adjust_meta(xdp, delta)`: moves the first byte of the metadata.
fn adjust_meta(call: &mut Call<'_>) -> Result<u64, Refusal> {
    /// `xdp_metalen_invalid`: what `meta_len` of the shared information can hold.
    const META_MAX: i64 = 255;
    call.context(1)?;
    let delta = call.int(2);
    let world = &mut *call.world;
    if world.xdp.no_meta {
        return Err(Errno::Enotsupp.into());
    }
    let packet = &world.packet;
    let (meta, data) = (packet.start() as i64 + delta, packet.data() as i64);
    if meta < (packet.head() + XDP_FRAME) as i64 || meta > data {
        return Err(Errno::Einval.into());
    }
    let len = data - meta;
    if len % 4 != 0 || len > META_MAX {
        return Err(Errno::Eacces.into());
    }
    world.packet.set_before(len as u64);
    world.xdp_sync();
    Ok(0)
}

/// `bpf_xdp_adjust_tail(xdp, delta)`: moves the end. Bytes that come to light are zero.
fn adjust_tail(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let delta = call.int(2);
    let world = &mut *call.world;
    if world.xdp_has_frags() {
        if delta < 0 { shrink_frags(world, delta) } else { grow_frags(world, delta as u64) }?;
    } else {
        let (end, limit) = (world.packet.end(), world.xdp_hard_end());
        let new = end as i64 + delta;
        if new > limit as i64 || new < (world.packet.data() + ETH_HLEN) as i64 {
            return Err(Errno::Einval.into());
        }
        world.memory.clear(end, delta.max(0) as u64);
        world.packet.move_end(delta);
    }
    world.xdp_sync();
    Ok(0)
}

/// `bpf_xdp_frags_increase_tail`: the last fragment grows, as far as the driver has bytes for it.
fn grow_frags(world: &mut World, by: u64) -> Result<(), Refusal> {
    let (frag_size, frame_size) = (world.xdp.frag_size, world.xdp.frame_size);
    if frag_size == 0 || frag_size > frame_size {
        return Err(Errno::Eopnotsupp.into());
    }
    let last = world.packet.frags().last().copied().unwrap_or(0);
    if by > frag_size.saturating_sub(last) {
        return Err(Errno::Einval.into());
    }
    let end = world.packet.data() + world.packet.len();
    world.memory.clear(end, by);
    world.packet.set_last_frag(last + by);
    Ok(())
}

/// `bpf_xdp_frags_shrink_tail`: fragments go, from the last one on, and then the end of the linear part.
fn shrink_frags(world: &mut World, by: i64) -> Result<(), Refusal> {
    // The number is negated as an `int`.
    let mut rest = i64::from((by as i32).wrapping_neg());
    if rest > world.packet.len() as i64 - ETH_HLEN as i64 {
        return Err(Errno::Einval.into());
    }
    while rest > 0
        && let Some(last) = world.packet.frags().last().copied()
    {
        let gone = last.min(rest as u64);
        world.packet.set_last_frag(last - gone);
        rest -= gone as i64;
    }
    if rest > 0 {
        world.packet.move_end(-rest);
    }
    Ok(())
}

/// `bpf_xdp_get_buff_len(xdp)`: bytes of the packet, fragments included.
fn get_buff_len(call: &mut Call<'_>) -> Result<u64, Trap> {
    if call.world.program_type() != ProgramType::Xdp {
        return Err(Unsupported::Packet("the buffer of a traced function").into());
    }
    call.context(1)?;
    Ok(call.world.packet.len())
}

/// The address of `len` bytes at an offset (`bpf_xdp_pointer`); they may lie in several fragments.
fn pointer(call: &Call<'_>, offset: u64, len: u64) -> Result<u64, Refusal> {
    const MAX: u64 = 0xffff;
    if offset > MAX || len > MAX {
        return Err(Errno::Efault.into());
    }
    let packet = &call.world.packet;
    if offset + len > packet.len() { Err(Errno::Einval.into()) } else { Ok(packet.data() + offset) }
}

/// `bpf_xdp_load_bytes(xdp, offset, buf, len)`: copies bytes of the packet. Where it fails, `buf` stays as it is.
fn load_bytes(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (offset, len) = (call.int(2) as u64, call.int(4) as u64);
    let from = pointer(call, offset, len)?;
    let bytes = call.world.memory.peek(from, len).to_vec();
    call.write(3, &bytes)?;
    Ok(0)
}

/// `bpf_xdp_store_bytes(xdp, offset, buf, len)`: writes bytes of the packet, which stays where it is.
fn store_bytes(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (offset, len) = (call.int(2) as u64, call.int(4) as u64);
    let to = pointer(call, offset, len)?;
    let bytes = call.bytes(3, len)?.to_vec();
    call.world.memory.poke(to, &bytes);
    Ok(0)
}
