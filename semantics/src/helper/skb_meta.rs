//! What is known of a socket buffer besides its bytes: type, hash, time stamp (`net/core/filter.c`).

use super::{Call, Change, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::Room;
use crate::world::skb::{ETH_P_IP, ETH_P_IPV6, field};

/// What is shown in the context and kept beside it.
const STATE: &[Change] = &[Change::Context, Change::Room(Room::Packet)];

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("skb_change_type"),
        changes: STATE,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval)],
        meaning: change_type,
    },
    Helper {
        id: id("get_hash_recalc"),
        changes: &[Change::Context, Change::Room(Room::Packet), Change::Random],
        results: &[ResultClass::U32],
        meaning: get_hash_recalc,
    },
    Helper { id: id("set_hash_invalid"), changes: STATE, results: &[ResultClass::Success], meaning: set_hash_invalid },
    Helper { id: id("set_hash"), changes: STATE, results: &[ResultClass::Success], meaning: set_hash },
    Helper {
        id: id("skb_set_tstamp"),
        changes: STATE,
        results: &[ResultClass::Success, ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Eopnotsupp)],
        meaning: set_tstamp,
    },
];

/// `bpf_skb_change_type(skb, type)`: whom the packet is for. Both the old and the new type have to be one of the four that say so.
fn change_type(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `PACKET_OTHERHOST`, the last of them.
    const LAST: u64 = 3;
    call.context(1)?;
    let new = call.int(2) as u64;
    if new > LAST || call.world.field(field::PKT_TYPE) > LAST {
        return Ok(Errno::Einval.result());
    }
    call.world.skb_set(field::PKT_TYPE, new);
    Ok(0)
}

/// `bpf_get_hash_recalc(skb)`: the hash of the flow, computed unless it is known.
fn get_hash_recalc(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    if !call.world.skb.l4_hash && !call.world.skb.sw_hash {
        let (hash, has_ports) = call.world.flow_hash();
        call.world.skb_set_hash(hash, true, has_ports);
    }
    Ok(call.world.field(field::HASH))
}

/// `bpf_set_hash_invalid(skb)`: the hash is not known any more.
fn set_hash_invalid(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    call.world.skb_clear_hash();
    Ok(0)
}

/// `bpf_set_hash(skb, hash)`: the hash becomes that, as if software had computed it of ports, too.
fn set_hash(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.context(1)?;
    let hash = call.int(2) as u32;
    call.world.skb_set_hash(hash, true, true);
    Ok(0)
}

/// `bpf_skb_set_tstamp(skb, tstamp, tstamp_type)`: when the packet is to leave; 0 to forget that.
fn set_tstamp(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_SKB_TSTAMP_UNSPEC`, `BPF_SKB_TSTAMP_DELIVERY_MONO`.
    const UNSPEC: u64 = 0;
    const DELIVERY_MONO: u64 = 1;
    call.context(1)?;
    let (tstamp, kind) = (call.arg(2), call.int(3) as u64);
    if !matches!(call.world.field(field::PROTOCOL), ETH_P_IP | ETH_P_IPV6) {
        return Ok(Errno::Eopnotsupp.result());
    }
    match (kind, tstamp) {
        (DELIVERY_MONO, 1..) | (UNSPEC, 0) => {}
        _ => return Ok(Errno::Einval.result()),
    }
    call.world.skb_set(field::TSTAMP, tstamp);
    call.world.skb_set(field::TSTAMP_TYPE, kind);
    Ok(0)
}
