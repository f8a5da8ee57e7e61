//! Checksums in a socket buffer and of it (`net/core/filter.c`).

use super::skb_data::{PACKET, make_writable};
use super::{Call, Change, Helper, ResultClass, id};
use crate::csum;
use crate::errno::Errno;
use crate::trap::Trap;
use crate::word::Concrete;
use crate::world::skb::{self, ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, SKB_MAX_CSUM_LEVEL, VLAN_HLEN};
use crate::world::{Checksum, ETH_HLEN, Refusal, Room, World};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("l3_csum_replace"),
        changes: PACKET,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Efault)],
        meaning: |call| Refusal::ends(l3_csum_replace(call)),
    },
    Helper {
        id: id("l4_csum_replace"),
        changes: PACKET,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Efault)],
        meaning: |call| Refusal::ends(l4_csum_replace(call)),
    },
    Helper {
        id: id("csum_diff"),
        changes: &[],
        results: &[ResultClass::Error(Errno::Einval), ResultClass::U32],
        meaning: csum_diff,
    },
    Helper {
        id: id("csum_update"),
        changes: &[Change::Room(Room::Packet)],
        results: &[ResultClass::Error(Errno::Enotsupp), ResultClass::U32],
        meaning: csum_update,
    },
    Helper {
        id: id("csum_level"),
        changes: &[Change::Room(Room::Packet)],
        results: &[
            ResultClass::Error(Errno::Einval),
            ResultClass::Error(Errno::Eacces),
            ResultClass::Range(0, SKB_MAX_CSUM_LEVEL as i64),
        ],
        meaning: csum_level,
    },
    Helper {
        id: id("skb_ecn_set_ce"),
        changes: &[Change::Packet, Change::Room(Room::Packet)],
        results: &[ResultClass::Range(0, 0), ResultClass::Range(1, 1)],
        meaning: ecn_set_ce,
    },
];

/// `BPF_F_HDR_FIELD_MASK`: bytes of the field that changed.
const FIELD_MASK: u64 = 0xf;
/// `BPF_F_PSEUDO_HDR`: the field belongs to a pseudo header.
const PSEUDO_HDR: u64 = 0x10;
/// `BPF_F_MARK_MANGLED_0`: a checksum of 0 says that there is none, as in UDP.
const MARK_MANGLED_0: u64 = 0x20;
/// `BPF_F_MARK_ENFORCE`: there is one all the same.
const MARK_ENFORCE: u64 = 0x40;
/// A checksum that is 0, where 0 says that there is none (`CSUM_MANGLED_0`).
const MANGLED_0: u16 = 0xffff;

/// The address of the checksum at the offset that argument 2 is, to be written.
fn checksum_at(call: &mut Call<'_>) -> Result<u64, Refusal> {
    let offset = call.int(2) as u64;
    if offset > 0xffff || offset % 2 == 1 {
        return Err(Errno::Efault.into());
    }
    make_writable(call, offset + 2)?;
    Ok(call.world.packet.data() + offset)
}

/// `bpf_l3_csum_replace(skb, offset, from, to, size)`: updates a checksum for a field that changed; for size 0 by the difference
/// `to`.
fn l3_csum_replace(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (from, to, flags) = (call.arg(3), call.arg(4), call.arg(5));
    if flags & !FIELD_MASK != 0 {
        return Err(Errno::Einval.into());
    }
    let at = checksum_at(call)?;
    let sum = call.world.half_at(at);
    let sum = match flags {
        0 if from == 0 => csum::replace_by_diff::<Concrete>(&sum, &(to as u32)),
        2 => csum::replace2(&sum, &(from as u16), &(to as u16)),
        4 => csum::replace4::<Concrete>(&sum, &(from as u32), &(to as u32)),
        _ => return Err(Errno::Einval.into()),
    };
    call.world.memory.poke(at, &sum.to_le_bytes());
    Ok(0)
}

/// `bpf_l4_csum_replace(skb, offset, from, to, flags)`: the same where the checksum may cover a pseudo header, may be missing, and
/// may be the device's to finish.
fn l4_csum_replace(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (from, to, flags) = (call.arg(3), call.arg(4), call.arg(5));
    if flags & !(MARK_MANGLED_0 | MARK_ENFORCE | PSEUDO_HDR | FIELD_MASK) != 0 {
        return Err(Errno::Einval.into());
    }
    let is_pseudo = flags & PSEUDO_HDR != 0;
    let at = checksum_at(call)?;
    let world = &mut *call.world;
    let old = world.half_at(at);
    if flags & (MARK_MANGLED_0 | MARK_ENFORCE) == MARK_MANGLED_0 && old == 0 {
        return Ok(0);
    }
    let (from, to, is_diff) = match flags & FIELD_MASK {
        0 if from == 0 => (0, to as u32, true),
        2 => (u32::from(from as u16), u32::from(to as u16), false),
        4 => (from as u32, to as u32, false),
        _ => return Err(Errno::Einval.into()),
    };
    let mut sum = match (world.skb.checksum, is_diff) {
        // What the device is to complete covers the pseudo header alone, uncomplemented.
        (Checksum::Partial { .. }, _) if !is_pseudo => old,
        (Checksum::Partial { .. }, true) => !csum::fold::<Concrete>(&csum::add(&to, &u32::from(old))),
        (Checksum::Partial { .. }, false) => csum::unfinished::<Concrete>(&old, &from, &to),
        (_, true) => csum::replace_by_diff::<Concrete>(&old, &to),
        (_, false) => csum::replace4::<Concrete>(&old, &from, &to),
    };
    if let (Checksum::Complete { sum: whole }, true) = (world.skb.checksum, is_pseudo) {
        // The pseudo header is no part of the packet: the checksum changed, and nothing to make up for it.
        let whole = if is_diff { csum::sub(&to, &whole) } else { csum::add(&csum::sub(&!whole, &from), &to) };
        world.skb_mut().checksum = Checksum::Complete { sum: !whole };
    }
    if flags & MARK_MANGLED_0 != 0 && sum == 0 {
        sum = MANGLED_0;
    }
    world.memory.poke(at, &sum.to_le_bytes());
    Ok(0)
}

/// `bpf_csum_diff(from, from_size, to, to_size, seed)`: the sum of a seed, the words of `to` and the complements of those of
/// `from`. Other architectures and kernels from 6.13 return other numbers that fold to the same checksum.
fn csum_diff(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// Bytes of the buffer that the kernel collects the words in (`MAX_BPF_STACK`).
    const MAX: u64 = 512;
    let (from_size, to_size, seed) = (call.int(2) as u64, call.int(4) as u64, call.int(5) as u32);
    if (from_size | to_size) % 4 != 0 || from_size + to_size > MAX {
        return Ok(Errno::Einval.result());
    }
    let from = if from_size > 0 { call.bytes(1, from_size)? } else { &[] };
    let to = if to_size > 0 { call.bytes(3, to_size)? } else { &[] };
    let words = csum::words(from).map(|word| !word).chain(csum::words(to));
    Ok(u64::from(csum::partial(words, seed)))
}

/// `bpf_csum_update(skb, csum)`: adds to the packet's sum, if the device gave one.
fn csum_update(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let more = call.int(2) as u32;
    let Checksum::Complete { sum } = call.world.skb.checksum else { return Ok(Errno::Enotsupp.result()) };
    let sum = csum::add(&sum, &more);
    call.world.skb_mut().checksum = Checksum::Complete { sum };
    Ok(u64::from(sum))
}

/// `bpf_csum_level(skb, level)`: how many checksums the device found to be right, or a change of that.
fn csum_level(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_CSUM_LEVEL_QUERY`, `_INC`, `_DEC`, `_RESET`.
    const QUERY: u64 = 0;
    const INC: u64 = 1;
    const DEC: u64 = 2;
    const RESET: u64 = 3;
    call.context(1)?;
    let now = call.world.skb.checksum;
    let next = match (call.arg(2), now) {
        (QUERY, Checksum::Unnecessary { level }) => return Ok(u64::from(level)),
        (QUERY, _) => return Ok(Errno::Eacces.result()),
        (INC, Checksum::Unnecessary { level }) => Checksum::Unnecessary { level: (level + 1).min(SKB_MAX_CSUM_LEVEL) },
        (INC, Checksum::None) => Checksum::Unnecessary { level: 0 },
        (DEC, Checksum::Unnecessary { level: level @ 1.. }) => Checksum::Unnecessary { level: level - 1 },
        (DEC | RESET, Checksum::Unnecessary { .. }) => Checksum::None,
        (INC | DEC | RESET, _) => now,
        _ => return Ok(Errno::Einval.result()),
    };
    call.world.skb_mut().checksum = next;
    Ok(0)
}

/// `bpf_skb_ecn_set_ce(skb)`: marks the packet as having met congestion, if its sender knows of that: whether it is marked now.
fn ecn_set_ce(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let world = &mut *call.world;
    let header = match protocol_behind_tags(world) {
        ETH_P_IP => 20,
        ETH_P_IPV6 => 40,
        _ => return Ok(0),
    };
    let at = world.skb.network_header;
    if world.packet.linear() < header || world.skb.cloned || at + header > world.packet.end() {
        return Ok(0);
    }
    Ok(if header == 20 { set_ce_v4(world, at) } else { set_ce_v6(world, at) })
}

/// The protocol behind VLAN tags in the packet (`vlan_get_protocol`), in network order; 0 where they are cut off, or too many.
fn protocol_behind_tags(world: &World) -> u64 {
    /// At the last one (`VLAN_MAX_DEPTH`) the kernel gives up.
    const DEPTH: usize = 8 - 1;
    let is_tag = |protocol: u64| matches!(protocol, ETH_P_8021Q | ETH_P_8021AD);
    let mut protocol = world.field(skb::field::PROTOCOL);
    let mac_len = u64::from(world.skb.mac_len);
    let mut next = if mac_len == 0 { Some(ETH_HLEN) } else { mac_len.checked_sub(VLAN_HLEN) };
    for _ in 0..DEPTH {
        if !is_tag(protocol) {
            return protocol;
        }
        let Some(at) = next.filter(|at| at + VLAN_HLEN <= world.packet.len()) else { return 0 };
        protocol = u64::from(world.half_at(world.packet.data() + at + 2));
        next = Some(at + VLAN_HLEN);
    }
    if is_tag(protocol) { 0 } else { protocol }
}

/// `IP_ECN_set_ce`: the second byte of the header, and its checksum.
fn set_ce_v4(world: &mut World, at: u64) -> u64 {
    const CE: u8 = 3;
    let service = world.memory.peek(at + 1, 1)[0];
    // Not capable 1, capable in two ways 2 and 3, congestion met 0.
    let kind = service.wrapping_add(1) & CE;
    if kind & 2 == 0 {
        return u64::from(kind == 0);
    }
    let change = u16::to_be(0xfffb).wrapping_add(u16::to_be(u16::from(kind)));
    let sum = csum::add(&world.half_at(at + 10), &change);
    world.memory.poke(at + 10, &sum.to_le_bytes());
    world.memory.poke(at + 1, &[service | CE]);
    1
}

/// `IP6_ECN_set_ce`: bits 10 and 11 of the header.
fn set_ce_v6(world: &mut World, at: u64) -> u64 {
    let word = |world: &World| {
        let bytes = world.memory.peek(at, 4);
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    let old = word(world);
    let mask = u32::to_be(3 << 20);
    if old & mask == 0 {
        return 0;
    }
    let new = old | mask;
    world.memory.poke(at, &new.to_le_bytes());
    if let Checksum::Complete { sum } = world.skb.checksum {
        world.skb_mut().checksum = Checksum::Complete { sum: csum::add(&csum::sub(&sum, &old), &new) };
    }
    1
}
