//! The VLAN tag of a socket buffer: kept beside the bytes, or in them (`net/core/filter.c`, `net/core/skbuff.c`).

use super::skb_data::PACKET;
use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::world::skb::{ETH_P_8021AD, ETH_P_8021Q, VLAN_HLEN, field};
use crate::world::{ETH_HLEN, Refusal, World};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("skb_vlan_push"),
        changes: PACKET,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval)],
        meaning: |call| Refusal::ends(vlan_push(call)),
    },
    Helper {
        id: id("skb_vlan_pop"),
        changes: PACKET,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Enomem)],
        meaning: |call| Refusal::ends(vlan_pop(call)),
    },
];

/// Bytes of the two addresses of an Ethernet header.
const ADDRESSES: u64 = 12;

/// Whether a protocol, in network order, is that of a tag (`eth_type_vlan`).
fn is_tag(protocol: u64) -> bool {
    matches!(protocol, ETH_P_8021Q | ETH_P_8021AD)
}

/// A change to the link-layer header, which counts in the packet's sum meanwhile, and packet pointers that follow.
fn on_link_header(call: &mut Call<'_>, change: impl FnOnce(&mut World) -> Result<(), Refusal>) -> Result<u64, Refusal> {
    call.context(1)?;
    call.world.push_mac_rcsum();
    let done = change(call.world);
    call.world.pull_mac_rcsum();
    call.world.compute_data_pointers();
    done.map(|()| 0)
}

/// `bpf_skb_vlan_push(skb, vlan_proto, vlan_tci)`: gives the packet a tag; the one that it has goes into the bytes.
fn vlan_push(call: &mut Call<'_>) -> Result<u64, Refusal> {
    let (protocol, tci) = (call.int(2) as u64, call.int(3) as u64);
    let protocol = if is_tag(protocol) { protocol } else { ETH_P_8021Q };
    on_link_header(call, |world| {
        if world.field(field::VLAN_PRESENT) != 0 {
            write_tag(world)?;
        }
        put_tag(world, protocol, tci);
        Ok(())
    })
}

/// The tag beside the bytes (`__vlan_hwaccel_put_tag`).
fn put_tag(world: &mut World, protocol: u64, tci: u64) {
    world.skb_set(field::VLAN_PRESENT, 1);
    world.skb_set(field::VLAN_PROTO, protocol);
    world.skb_set(field::VLAN_TCI, tci);
}

/// The tag beside the bytes goes into them, behind the addresses (`__vlan_insert_tag`).
fn write_tag(world: &mut World) -> Result<(), Refusal> {
    let (protocol, tci) = (world.field(field::VLAN_PROTO), world.field(field::VLAN_TCI));
    if world.skb_mac_offset() != Some(0) || !world.pskb_may_pull(ETH_HLEN)? {
        return Err(Errno::Einval.into());
    }
    world.skb_cow(VLAN_HLEN)?;
    let old = world.packet.data();
    let addresses = world.memory.peek(old, ADDRESSES).to_vec();
    world.skb_push(VLAN_HLEN as i64);
    let data = world.packet.data();
    world.memory.poke(data, &addresses);
    let tag = [(protocol as u16).to_le_bytes(), (tci as u16).to_be_bytes()].concat();
    world.memory.poke(data + ADDRESSES, &tag);
    let mac_len = world.skb.mac_len;
    let skb = world.skb_mut();
    (skb.mac_header, skb.mac_len) = (Some(data), mac_len.wrapping_add(VLAN_HLEN as u16));
    world.skb_set(field::PROTOCOL, protocol);
    world.skb_postpush_rcsum(data + ADDRESSES, VLAN_HLEN, 0);
    Ok(())
}

/// `bpf_skb_vlan_pop(skb)`: takes the outer tag off; one more in the bytes takes its place.
fn vlan_pop(call: &mut Call<'_>) -> Result<u64, Refusal> {
    on_link_header(call, |world| {
        if world.field(field::VLAN_PRESENT) != 0 {
            for field in [field::VLAN_PRESENT, field::VLAN_PROTO, field::VLAN_TCI] {
                world.skb_set(field, 0);
            }
        } else if is_tag(world.field(field::PROTOCOL)) {
            take_tag(world)?;
        } else {
            return Ok(());
        }
        let protocol = world.field(field::PROTOCOL);
        if is_tag(protocol) {
            let tci = take_tag(world)?;
            put_tag(world, protocol, tci);
        }
        Ok(())
    })
}

/// Takes the tag behind the addresses out of the bytes: its identifier and priority (`__skb_vlan_pop`).
fn take_tag(world: &mut World) -> Result<u64, Refusal> {
    if world.skb_mac_offset() != Some(0) {
        return Err(Errno::Einval.into());
    }
    world.skb_ensure_writable(ETH_HLEN + VLAN_HLEN)?;
    let data = world.packet.data();
    world.skb_postpull_rcsum(data + ADDRESSES, VLAN_HLEN);
    let half = |at: u64| world.half_at(data + at).swap_bytes();
    let (tci, inner) = (half(ETH_HLEN), half(ETH_HLEN + 2));
    let protocol = encapsulated(inner, half(ETH_HLEN + VLAN_HLEN));
    let addresses = world.memory.peek(data, ADDRESSES).to_vec();
    world.memory.poke(data + VLAN_HLEN, &addresses);
    world.skb_set(field::PROTOCOL, u64::from(protocol.swap_bytes()));
    world.skb_push(-(VLAN_HLEN as i64));
    let data = world.packet.data();
    let skb = world.skb_mut();
    skb.mac_header = Some(data);
    skb.network_header = skb.network_header.max(data + ETH_HLEN);
    skb.mac_len = skb.network_header.wrapping_sub(data) as u16;
    Ok(u64::from(tci))
}

/// The protocol behind a tag (`vlan_set_encap_proto`): a number below 0x600 is the length of a frame of 802.2, or of 802.3 where
/// that begins with ffff.
fn encapsulated(number: u16, next: u16) -> u16 {
    const ETH_P_802_3_MIN: u16 = 0x600;
    const ETH_P_802_3: u16 = 1;
    const ETH_P_802_2: u16 = 4;
    match (number, next) {
        (ETH_P_802_3_MIN.., _) => number,
        (_, 0xffff) => ETH_P_802_3,
        _ => ETH_P_802_2,
    }
}
