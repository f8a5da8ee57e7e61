//! Bytes of a socket buffer: loads, stores, and making them linear (`net/core/filter.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::csum;
use crate::errno::Errno;
use crate::program_type::ProgramType;
use crate::trap::Trap;
use crate::world::{Checksum, Refusal, Room};

/// What a helper that makes bytes of the packet linear and its own may change.
pub(super) const PACKET: &[Change] = &[Change::Packet, Change::Context, Change::Room(Room::Packet)];

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("skb_load_bytes"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Efault)],
        meaning: load_bytes,
    },
    Helper {
        id: id("skb_load_bytes_relative"),
        changes: &[],
        results: &[ResultClass::Success, ResultClass::Error(Errno::Efault)],
        meaning: load_bytes_relative,
    },
    Helper {
        id: id("skb_store_bytes"),
        changes: PACKET,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Efault)],
        meaning: |call| Refusal::ends(store_bytes(call)),
    },
    Helper {
        id: id("skb_pull_data"),
        changes: PACKET,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Enomem)],
        meaning: |call| Refusal::ends(pull_data(call)),
    },
];

/// `BPF_F_RECOMPUTE_CSUM`.
const RECOMPUTE_CSUM: u64 = 1;
/// `BPF_F_INVALIDATE_HASH`.
const INVALIDATE_HASH: u64 = 2;

/// Copies bytes at an address of the packet to where argument `number` points, or zeroes those: what a load does.
fn load(call: &mut Call<'_>, number: u8, from: Option<u64>, len: u64) -> Result<u64, Trap> {
    let bytes = from.map(|from| call.world.memory.peek(from, len).to_vec());
    let to = call.bytes_mut(number, len)?;
    match bytes {
        Some(bytes) => to.copy_from_slice(&bytes),
        None => to.fill(0),
    }
    Ok(if from.is_some() { 0 } else { Errno::Efault.result() })
}

/// `bpf_skb_load_bytes(skb, offset, to, len)`: copies bytes of the packet, fragments included. Zeroes all of `to` where there
/// are not as many.
fn load_bytes(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let (offset, len) = (call.int(2) as u64, call.int(4) as u64);
    let packet = &call.world.packet;
    let is_there = match call.world.program_type() {
        // `bpf_flow_dissector_load_bytes`: a test run gives it bytes, and no buffer.
        ProgramType::FlowDissector => false,
        _ => i32::try_from(offset).is_ok() && offset + len <= packet.len(),
    };
    let from = is_there.then_some(packet.data() + offset);
    load(call, 3, from, len)
}

/// `bpf_skb_load_bytes_relative(skb, offset, to, len, start_header)`: copies bytes of the linear part, counted from the link-layer
/// or the network header, also where the data begin behind it.
fn load_bytes_relative(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_HDR_START_MAC`, `BPF_HDR_START_NET`.
    const MAC: u64 = 0;
    const NET: u64 = 1;
    call.context(1)?;
    let (offset, len) = (call.int(2) as u64, call.int(4) as u64);
    let start = match call.int(5) as u64 {
        MAC => call.world.skb.mac_header,
        NET => Some(call.world.skb.network_header),
        _ => None,
    };
    let end = call.world.packet.end();
    let is_there = |from: &u64| offset <= 0xffff && from + len <= end;
    let from = start.map(|start| start + offset).filter(is_there);
    load(call, 3, from, len)
}

/// `bpf_skb_store_bytes(skb, offset, from, len, flags)`: writes bytes of the packet.
fn store_bytes(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (offset, len, flags) = (call.int(2) as u64, call.int(4) as u64, call.arg(5));
    if flags & !(RECOMPUTE_CSUM | INVALIDATE_HASH) != 0 {
        return Err(Errno::Einval.into());
    }
    if i32::try_from(offset).is_err() {
        return Err(Errno::Efault.into());
    }
    let bytes = call.bytes(3, len)?.to_vec();
    make_writable(call, offset + len)?;
    let world = &mut *call.world;
    let at = world.packet.data() + offset;
    if flags & RECOMPUTE_CSUM != 0 {
        // `__skb_postpull_rcsum`
        match world.skb.checksum {
            Checksum::Complete { sum } => {
                let less = csum::at_offset(csum::of_bytes(world.memory.peek(at, len), 0), offset);
                world.skb_mut().checksum = Checksum::Complete { sum: csum::sub(&sum, &less) };
            }
            _ => world.skb_postpull_rcsum(at, len),
        }
    }
    world.memory.poke(at, &bytes);
    if flags & RECOMPUTE_CSUM != 0 {
        world.skb_postpush_rcsum(at, len, offset);
    }
    if flags & INVALIDATE_HASH != 0 {
        world.skb_clear_hash();
    }
    Ok(0)
}

/// Makes so many bytes linear and the packet's own; that there are fewer is a bad address.
pub(super) fn make_writable(call: &mut Call<'_>, len: u64) -> Result<(), Refusal> {
    call.world.try_make_writable(len).map_err(|refusal| match refusal {
        Refusal::Errno(_) => Errno::Efault.into(),
        trap @ Refusal::Trap(_) => trap,
    })
}

/// `bpf_skb_pull_data(skb, len)`: makes the first bytes linear and the packet's own; for 0 all that are linear.
fn pull_data(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let len = call.int(2) as u64;
    let len = if len == 0 { call.world.packet.linear() } else { len };
    call.world.try_make_writable(len)?;
    Ok(0)
}
