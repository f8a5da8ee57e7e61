//! Sending packets elsewhere (`net/core/filter.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::map::MapType;
use crate::program_type::ProgramType;
use crate::trap::{ArgumentFault, Trap};
use crate::world::redirect::{BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS, BPF_F_INGRESS, BPF_F_PEER, Redirect};
use crate::world::{Device, Refusal, Room, World};

/// `TC_ACT_SHOT`: the packet is dropped.
const TC_ACT_SHOT: u64 = 2;
/// `TC_ACT_REDIRECT`.
const TC_ACT_REDIRECT: u64 = 7;
/// `XDP_ABORTED`.
const XDP_ABORTED: u64 = 0;
/// `XDP_REDIRECT`.
const XDP_REDIRECT: u64 = 4;

const fn one(value: u64) -> ResultClass {
    ResultClass::Range(value as i64, value as i64)
}

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("redirect"),
        changes: &[Change::Room(Room::Redirect)],
        results: &[one(XDP_ABORTED), one(TC_ACT_SHOT), one(XDP_REDIRECT), one(TC_ACT_REDIRECT)],
        meaning: redirect,
    },
    Helper {
        id: id("redirect_peer"),
        changes: &[Change::Room(Room::Redirect)],
        results: &[one(TC_ACT_SHOT), one(TC_ACT_REDIRECT)],
        meaning: redirect_peer,
    },
    Helper {
        id: id("redirect_map"),
        changes: &[Change::Room(Room::Redirect)],
        // On a miss the program says what is returned: `XDP_ABORTED` to `XDP_TX`.
        results: &[one(XDP_ABORTED), one(1), one(2), one(3), one(XDP_REDIRECT)],
        meaning: redirect_map,
    },
    Helper {
        id: id("clone_redirect"),
        changes: &[Change::Packet, Change::Context, Change::Room(Room::Packet), Change::Room(Room::Clones)],
        results: &[
            ResultClass::Success,
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::Erange),
            one(NET_RX_DROP),
            one(NET_XMIT_CN),
        ],
        meaning: |call| Refusal::ends(clone_redirect(call)),
    },
];

/// `NET_RX_DROP`: a device that is down receives nothing.
const NET_RX_DROP: u64 = 1;
/// `NET_XMIT_CN`: what the queue of a device that is down says.
const NET_XMIT_CN: u64 = 2;

/// `bpf_redirect(ifindex, flags)`: the packet is to go to a device, if the program returns what this returns. Whether there is
/// such a device is asked later.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn redirect(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (target, flags) = (call.int(1) as u32, call.arg(2));
    let is_xdp = call.world.program_type() == ProgramType::Xdp;
    let record = &mut call.world.redirect;
    if is_xdp {
        if flags != 0 {
            return Ok(XDP_ABORTED);
        }
        (record.target, record.map) = (target, None);
        return Ok(XDP_REDIRECT);
    }
    if flags & !BPF_F_INGRESS != 0 {
        return Ok(TC_ACT_SHOT);
    }
    (record.flags, record.target) = (flags, target);
    Ok(TC_ACT_REDIRECT)
}

/// `bpf_redirect_peer(ifindex, flags)`: the same into the peer of a device.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn redirect_peer(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (target, flags) = (call.int(1) as u32, call.arg(2));
    if flags != 0 {
        return Ok(TC_ACT_SHOT);
    }
    let record = &mut call.world.redirect;
    (record.flags, record.target) = (BPF_F_PEER, target);
    Ok(TC_ACT_REDIRECT)
}

/// `bpf_redirect_map(map, key, flags)`: the packet is to go to what the map has under the key, or to all devices in it
/// (`__bpf_xdp_redirect_map`).
fn redirect_map(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// The two bits that say what is returned on a miss.
    const ACTION: u64 = 3;
    let map = call.map(1)?;
    let (key, flags) = (call.arg(2) as u32, call.arg(3));
    let def = &call.world.maps[map].def;
    let permitted = match def.map_type {
        MapType::DEVMAP | MapType::DEVMAP_HASH => BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS,
        MapType::CPUMAP | MapType::XSKMAP => 0,
        _ => return Err(call.fault(1, ArgumentFault::MapType)),
    };
    if let Some(lack) = def.lack() {
        return Err(lack.into());
    }
    if flags & !(ACTION | permitted) != 0 {
        return Ok(XDP_ABORTED);
    }
    let is_broadcast = flags & BPF_F_BROADCAST != 0;
    let is_there = call.world.maps[map].ops.held(&key.to_le_bytes()).is_some();
    let record = &mut call.world.redirect;
    if !is_there && !is_broadcast {
        record.map = None;
        return Ok(flags & ACTION);
    }
    let map = map as u32;
    *record = Redirect {
        flags: if is_broadcast { flags } else { 0 },
        target: key,
        map: Some(map),
        broadcast: is_broadcast.then_some(map),
    };
    Ok(XDP_REDIRECT)
}

/// `bpf_clone_redirect(skb, ifindex, flags)`: sends a copy of the packet.
fn clone_redirect(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (ifindex, flags) = (call.int(2) as u32, call.arg(3));
    if flags & !BPF_F_INGRESS != 0 {
        return Err(Errno::Einval.into());
    }
    let Some(device) = call.world.device(ifindex).cloned() else { return Err(Errno::Einval.into()) };
    let world = &mut *call.world;
    // The copy shares the bytes, and the packet gets its own.
    world.skb_mut().cloned = true;
    let linear = world.packet.linear();
    world.try_make_writable(linear)?;
    send(world, &device, flags & BPF_F_INGRESS != 0)
}

/// `__bpf_redirect` of a copy of the packet: what becomes of it.
fn send(world: &mut World, device: &Device, ingress: bool) -> Result<u64, Refusal> {
    let packet = &world.packet;
    let (data, end) = (packet.data(), packet.data() + packet.len());
    let from = if device.mac_header_xmit {
        let has_header = world.skb.mac_header.is_some_and(|mac| mac < world.skb.network_header);
        (has_header && data < end).then_some(data)
    } else {
        // Without its link-layer header; nothing may be left then.
        Some(world.skb.network_header).filter(|network| *network < end)
    };
    let Some(from) = from else { return Err(Errno::Erange.into()) };
    if !device.up {
        return Ok(if ingress { NET_RX_DROP } else { NET_XMIT_CN });
    }
    let bytes = world.memory.peek(from, end - from).to_vec();
    world.send(device.ifindex, ingress, bytes);
    Ok(0)
}
