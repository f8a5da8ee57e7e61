//! Room in a socket buffer: more or fewer bytes at its head, at its tail and between its headers (`net/core/filter.c`).

use super::skb_data::PACKET;
use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::program_type::ProgramType;
use crate::world::skb::{ETH_P_IP, ETH_P_IPV6, Gso, Inner, SKB_MAX_ALLOC, field};
use crate::world::{Checksum, ETH_HLEN, Refusal, World};

const fn error(errno: Errno) -> ResultClass {
    ResultClass::Error(errno)
}

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("skb_change_proto"),
        changes: PACKET,
        results: &[ResultClass::Success, error(Errno::Einval), error(Errno::Enotsupp), error(Errno::Enomem)],
        meaning: |call| Refusal::ends(change_proto(call)),
    },
    Helper {
        id: id("skb_change_tail"),
        changes: PACKET,
        results: &[ResultClass::Success, error(Errno::Einval), error(Errno::Enotsupp)],
        meaning: |call| Refusal::ends(change_tail(call)),
    },
    Helper {
        id: id("skb_change_head"),
        changes: PACKET,
        results: &[ResultClass::Success, error(Errno::Einval), error(Errno::Enomem)],
        meaning: |call| Refusal::ends(change_head(call)),
    },
    Helper {
        id: id("skb_adjust_room"),
        changes: PACKET,
        results: &[
            ResultClass::Success,
            error(Errno::Einval),
            error(Errno::Efault),
            error(Errno::Enotsupp),
            error(Errno::Enomem),
            error(Errno::Ealready),
        ],
        meaning: |call| Refusal::ends(adjust_room(call)),
    },
];

/// `ETH_P_TEB`, in network order: what follows begins with an Ethernet header.
const ETH_P_TEB: u16 = 0x5865;
/// Bytes of an IPv4 header without options, and of an IPv6 header.
const IPV4: u64 = 20;
const IPV6: u64 = 40;

/// Ends a change of the packet: packet pointers in the context follow.
fn changed(call: &mut Call<'_>, done: Result<(), Refusal>) -> Result<u64, Refusal> {
    call.world.compute_data_pointers();
    done.map(|()| 0)
}

/// The protocol becomes another (`bpf_skb_change_protocol`).
fn set_protocol(world: &mut World, protocol: u64) {
    world.skb_set(field::PROTOCOL, protocol);
}

/// Puts `len` zeros `off` bytes behind the data, and the headers before them with those (`bpf_skb_net_hdr_push`).
fn net_hdr_push(world: &mut World, off: u64, len: u64) {
    let (old, whole) = (world.packet.data(), world.packet.len());
    // Headers that are not there are zero.
    world.memory.clear(old + whole, off.saturating_sub(whole));
    let head = world.memory.peek(old, off).to_vec();
    world.skb_push(len as i64);
    let data = world.packet.data();
    world.memory.poke(data, &head);
    world.memory.clear(data + off, len);
    move_headers(world, -(len as i64));
}

/// Takes `len` bytes `off` behind the data away (`bpf_skb_net_hdr_pop`).
fn net_hdr_pop(world: &mut World, off: u64, len: u64) -> Result<(), Refusal> {
    if !world.pskb_may_pull(off + len)? {
        return Err(Errno::Enomem.into());
    }
    let old = world.packet.data();
    let head = world.memory.peek(old, off).to_vec();
    world.skb_push(-(len as i64));
    world.skb_postpull_rcsum(old + off, len);
    let data = world.packet.data();
    world.memory.poke(data, &head);
    move_headers(world, len as i64);
    Ok(())
}

fn move_headers(world: &mut World, by: i64) {
    let skb = world.skb_mut();
    let is_same = skb.transport_header == Some(skb.network_header);
    skb.mac_header = skb.mac_header.map(|addr| addr.wrapping_add_signed(by));
    skb.network_header = skb.network_header.wrapping_add_signed(by);
    if is_same {
        skb.transport_header = Some(skb.network_header);
    }
}

/// Segments have to be looked at again, in this way; those of TCP become those over the other version of IP.
fn translate_gso(world: &mut World, from: Gso, to: Gso) {
    if world.skb_is_gso() {
        let skb = world.skb_mut();
        if skb.gso_type & from.bit() != 0 {
            skb.gso_type = skb.gso_type & !from.bit() | to.bit();
        }
        skb.gso_type |= Gso::Dodgy.bit();
    }
}

/// `bpf_skb_change_proto(skb, proto, flags)`: makes an IPv4 packet an IPv6 one or back, as far as room goes.
fn change_proto(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (to, flags) = (call.int(2) as u64, call.arg(3));
    if flags != 0 {
        return Err(Errno::Einval.into());
    }
    let world = &mut *call.world;
    let done = match (world.field(field::PROTOCOL), to) {
        (ETH_P_IP, ETH_P_IPV6) => proto_4_to_6(world),
        (ETH_P_IPV6, ETH_P_IP) => proto_6_to_4(world),
        _ => Err(Errno::Enotsupp.into()),
    };
    changed(call, done)
}

fn proto_4_to_6(world: &mut World) -> Result<(), Refusal> {
    let off = world.skb_mac_header_len()?;
    world.skb_cow(IPV6 - IPV4)?;
    net_hdr_push(world, off, IPV6 - IPV4);
    translate_gso(world, Gso::Tcpv4, Gso::Tcpv6);
    set_protocol(world, ETH_P_IPV6);
    world.skb_clear_hash();
    Ok(())
}

fn proto_6_to_4(world: &mut World) -> Result<(), Refusal> {
    let off = world.skb_mac_header_len()?;
    world.skb_unclone()?;
    net_hdr_pop(world, off, IPV6 - IPV4)?;
    translate_gso(world, Gso::Tcpv6, Gso::Tcpv4);
    set_protocol(world, ETH_P_IP);
    world.skb_clear_hash();
    Ok(())
}

/// The fewest bytes that a packet may be cut to (`__bpf_skb_min_len`): its headers, up to a checksum that is to be filled in.
fn min_len(world: &World) -> u64 {
    let data = world.packet.data();
    let offset = |addr: u64| u64::try_from(addr.wrapping_sub(data) as i64).ok().filter(|offset| *offset > 0);
    let mut least = offset(world.skb.network_header).unwrap_or(0);
    if let Some(transport) = world.skb.transport_header.and_then(offset) {
        least = transport;
    }
    if let Checksum::Partial { offset: at, .. } = world.skb.checksum
        && let Some(end) = offset(world.skb.csum_start.wrapping_add(u64::from(at) + 2))
    {
        least = end;
    }
    least
}

/// `bpf_skb_change_tail(skb, len, flags)`: cuts the packet to a length, or fills it up with zeros.
fn change_tail(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (len, flags) = (call.int(2) as u64, call.arg(3));
    let done = if flags != 0 || len > SKB_MAX_ALLOC || len < min_len(call.world) {
        Err(Errno::Einval.into())
    } else if call.world.skb.encapsulation {
        Err(Errno::Enotsupp.into())
    } else {
        set_len(call.world, len)
    };
    changed(call, done)
}

fn set_len(world: &mut World, len: u64) -> Result<(), Refusal> {
    let old = world.packet.len();
    world.skb_ensure_writable(old)?;
    if len != old && matches!(world.skb.checksum, Checksum::Complete { .. }) {
        world.skb_mut().checksum = Checksum::None;
    }
    if len > old {
        let lacking = (len - old).saturating_sub(world.packet.tailroom());
        if lacking > 0 {
            world.pskb_expand_head(0, lacking)?;
        }
        let end = world.packet.end();
        world.memory.clear(end, len - old);
    }
    world.packet.move_end(len as i64 - old as i64);
    if world.skb_is_gso() {
        world.skb_set(field::GSO_SIZE, 0);
        world.skb_set(field::GSO_SEGS, 0);
        world.skb_mut().gso_type = 0;
    }
    Ok(())
}

/// `bpf_skb_change_head(skb, len, flags)`: puts zeros before the packet; its link-layer header begins there.
fn change_head(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (room, flags) = (call.int(2) as u64, call.arg(3));
    let world = &mut *call.world;
    let len = world.packet.len() + room;
    let is_too_long = len > SKB_MAX_ALLOC && !world.skb_is_gso();
    let done = if flags != 0 || is_too_long || u32::try_from(len).is_err() {
        Err(Errno::Einval.into())
    } else {
        world.skb_cow(room).map(|()| {
            push_zeros(world, room);
            let data = world.packet.data();
            let skb = world.skb_mut();
            skb.mac_header = Some(data);
            skb.mac_len = skb.network_header.wrapping_sub(data) as u16;
        })
    };
    changed(call, done)
}

fn push_zeros(world: &mut World, len: u64) {
    world.skb_push(len as i64);
    let data = world.packet.data();
    world.memory.clear(data, len);
}

/// Flags of `bpf_skb_adjust_room`, `BPF_F_ADJ_ROOM_*`.
mod room {
    pub const FIXED_GSO: u64 = 1 << 0;
    pub const ENCAP_L3_IPV4: u64 = 1 << 1;
    pub const ENCAP_L3_IPV6: u64 = 1 << 2;
    pub const ENCAP_L4_GRE: u64 = 1 << 3;
    pub const ENCAP_L4_UDP: u64 = 1 << 4;
    pub const NO_CSUM_RESET: u64 = 1 << 5;
    pub const ENCAP_L2_ETH: u64 = 1 << 6;
    pub const DECAP_L3_IPV4: u64 = 1 << 7;
    pub const DECAP_L3_IPV6: u64 = 1 << 8;
    /// Here the length of an inner link-layer header begins (`BPF_F_ADJ_ROOM_ENCAP_L2`).
    pub const ENCAP_L2_SHIFT: u32 = 56;

    pub const ENCAP_L3: u64 = ENCAP_L3_IPV4 | ENCAP_L3_IPV6;
    pub const ENCAP_L4: u64 = ENCAP_L4_GRE | ENCAP_L4_UDP;
    pub const DECAP_L3: u64 = DECAP_L3_IPV4 | DECAP_L3_IPV6;
    /// What taking room away may be told.
    pub const SHRINK: u64 = FIXED_GSO | DECAP_L3 | NO_CSUM_RESET;
    pub const ALL: u64 = SHRINK | ENCAP_L3 | ENCAP_L4 | ENCAP_L2_ETH | 0xff << ENCAP_L2_SHIFT;
}

/// The most that room can change by.
const ROOM_MAX: u32 = 0xfff;

/// `bpf_skb_adjust_room(skb, len_diff, mode, flags)`: more or less room behind the link-layer header, or behind the network header.
fn adjust_room(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (diff, mode, flags) = (call.int(2), call.int(3) as u64, call.arg(4));
    if call.world.program_type() == ProgramType::SkSkb {
        return adjust_front(call, diff, mode, flags);
    }
    let len = u64::from((diff as i32).unsigned_abs());
    let off = room_at(call.world, diff, mode, flags)?;
    let world = &mut *call.world;
    let done = if diff < 0 { shrink(world, off, len, flags) } else { grow(world, off, len, flags) };
    if done.is_ok() && flags & room::NO_CSUM_RESET == 0 && matches!(world.skb.checksum, Checksum::Unnecessary { .. }) {
        world.skb_mut().checksum = Checksum::None;
    }
    changed(call, done)
}

/// Where the room is to change, if that can be.
fn room_at(world: &World, diff: i64, mode: u64, flags: u64) -> Result<u64, Refusal> {
    /// `BPF_ADJ_ROOM_NET`, `BPF_ADJ_ROOM_MAC`.
    const NET: u64 = 0;
    const MAC: u64 = 1;
    let len = (diff as i32).unsigned_abs();
    if flags & !room::ALL != 0 {
        return Err(Errno::Einval.into());
    }
    if len > ROOM_MAX {
        return Err(Errno::Efault.into());
    }
    let base = match world.field(field::PROTOCOL) {
        ETH_P_IP => IPV4,
        ETH_P_IPV6 => IPV6,
        _ => return Err(Errno::Enotsupp.into()),
    };
    let off = match mode {
        NET => world.skb_mac_header_len()? + base,
        MAC => world.skb_mac_header_len()?,
        _ => return Err(Errno::Enotsupp.into()),
    };
    let least = match flags & room::DECAP_L3 {
        0 => base,
        _ if diff >= 0 => return Err(Errno::Einval.into()),
        room::DECAP_L3_IPV4 => IPV4,
        room::DECAP_L3_IPV6 => IPV6,
        _ => return Err(Errno::Einval.into()),
    };
    let (len, whole) = (u64::from(len), world.packet.len());
    let now = u64::from((whole as i64 - world.skb_network_offset()) as u32);
    let is_too_much =
        if diff < 0 { len >= now || now - len < least } else { whole + len > SKB_MAX_ALLOC && !world.skb_is_gso() };
    if is_too_much { Err(Errno::Enotsupp.into()) } else { Ok(off) }
}

/// Segments of UDP say where datagrams end: their headers cannot change while their size follows (6.8 permits it if it does not).
fn check_gso(world: &World, flags: u64) -> Result<(), Refusal> {
    let kind = world.skb.gso_type;
    let is_tcp = kind & (Gso::Tcpv4.bit() | Gso::Tcpv6.bit()) != 0;
    let is_fixed_udp = kind & Gso::UdpL4.bit() != 0 && flags & room::FIXED_GSO != 0;
    if world.skb_is_gso() && !is_tcp && !is_fixed_udp { Err(Errno::Enotsupp.into()) } else { Ok(()) }
}

/// Headers changed by so much: so did the segments that fit, unless their size is fixed; they are counted anew.
fn resize_segments(world: &mut World, by: i64, kind: u32, flags: u64) {
    /// Segments are as the fragments are, of no single size (`GSO_BY_FRAGS`).
    const BY_FRAGS: u64 = 0xffff;
    if !world.skb_is_gso() {
        return;
    }
    world.skb_mut().gso_type |= kind;
    world.skb_set(field::GSO_SEGS, 0);
    let size = world.field(field::GSO_SIZE);
    if flags & room::FIXED_GSO == 0 && size != BY_FRAGS {
        world.skb_set(field::GSO_SIZE, u64::from(size.wrapping_add_signed(by) as u16));
    }
}

/// `bpf_skb_net_grow`
fn grow(world: &mut World, off: u64, len: u64, flags: u64) -> Result<(), Refusal> {
    let is_encap = flags & room::ENCAP_L3 != 0;
    check_gso(world, flags)?;
    world.skb_cow(len)?;
    if is_encap {
        check_encap(world, len, flags)?;
    }
    let (inner_net, inner_transport) = (world.skb.network_header, world.skb.transport_header);
    let mac_len = world.skb_mac_header_len()?;
    net_hdr_push(world, off, len);
    let mut kind = Gso::Dodgy.bit();
    if is_encap {
        let data = world.packet.data();
        let protocol = world.field(field::PROTOCOL) as u16;
        let skb = world.skb_mut();
        skb.inner = Some(Inner {
            mac_header: inner_net - (flags >> room::ENCAP_L2_SHIFT),
            network_header: inner_net,
            transport_header: inner_transport,
            protocol: if flags & room::ENCAP_L2_ETH != 0 { ETH_P_TEB } else { protocol },
        });
        skb.encapsulation = true;
        skb.network_header = data + mac_len;
        let header = if flags & room::ENCAP_L3_IPV6 != 0 { IPV6 } else { IPV4 };
        if flags & room::ENCAP_L4 != 0 {
            skb.transport_header = Some(data + mac_len + header);
        }
        kind |= encap_gso(flags).bit();
        set_protocol(world, if header == IPV6 { ETH_P_IPV6 } else { ETH_P_IP });
    }
    resize_segments(world, -(len as i64), kind, flags);
    Ok(())
}

fn encap_gso(flags: u64) -> Gso {
    if flags & room::ENCAP_L4_UDP != 0 {
        Gso::UdpTunnel
    } else if flags & room::ENCAP_L4_GRE != 0 {
        Gso::Gre
    } else if flags & room::ENCAP_L3_IPV6 != 0 {
        Gso::Ipxip6
    } else {
        Gso::Ipxip4
    }
}

/// Whether the packet can become that of an inner protocol.
fn check_encap(world: &World, len: u64, flags: u64) -> Result<(), Refusal> {
    let inner_mac = flags >> room::ENCAP_L2_SHIFT;
    let has_both = |mask: u64| flags & mask == mask;
    if has_both(room::ENCAP_L3) || has_both(room::ENCAP_L4) {
        return Err(Errno::Einval.into());
    }
    if flags & room::ENCAP_L2_ETH != 0 && inner_mac < ETH_HLEN {
        return Err(Errno::Einval.into());
    }
    if world.skb.encapsulation {
        return Err(Errno::Ealready.into());
    }
    if inner_mac > len { Err(Errno::Einval.into()) } else { Ok(()) }
}

/// `bpf_skb_net_shrink`
fn shrink(world: &mut World, off: u64, len: u64, flags: u64) -> Result<(), Refusal> {
    if flags & !room::SHRINK != 0 {
        return Err(Errno::Einval.into());
    }
    check_gso(world, flags)?;
    world.skb_unclone()?;
    net_hdr_pop(world, off, len)?;
    match (world.field(field::PROTOCOL), flags & room::DECAP_L3) {
        (ETH_P_IP, room::DECAP_L3_IPV6) => set_protocol(world, ETH_P_IPV6),
        (ETH_P_IPV6, room::DECAP_L3_IPV4) => set_protocol(world, ETH_P_IP),
        _ => {}
    }
    resize_segments(world, len as i64, Gso::Dodgy.bit(), flags);
    Ok(())
}

/// `sk_skb_adjust_room`: more or less room before the packet, without mode and flags.
fn adjust_front(call: &mut Call<'_>, diff: i64, mode: u64, flags: u64) -> Result<u64, Refusal> {
    let len = (diff as i32).unsigned_abs();
    if flags != 0 || mode != 0 {
        return Err(Errno::Einval.into());
    }
    if len > ROOM_MAX {
        return Err(Errno::Efault.into());
    }
    let (world, len) = (&mut *call.world, u64::from(len));
    let done = if diff >= 0 {
        world.skb_cow(len).map(|()| push_zeros(world, len))
    } else {
        match world.pskb_may_pull(len) {
            Ok(true) => {
                world.skb_push(-(len as i64));
                Ok(())
            }
            Ok(false) => Err(Errno::Enomem.into()),
            Err(refusal) => Err(refusal),
        }
    };
    changed(call, done)
}
