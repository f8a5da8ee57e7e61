//! The longest packet of a device (`net/core/filter.c`).

use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::program_type::ProgramType;
use crate::world::skb::{self, Gso};
use crate::world::{Refusal, World};

/// `BPF_MTU_CHK_RET_SUCCESS`.
const FITS: u64 = 0;
/// `BPF_MTU_CHK_RET_FRAG_NEEDED`.
const FRAG_NEEDED: u64 = 1;
/// `BPF_MTU_CHK_RET_SEGS_TOOBIG`.
const SEGS_TOO_BIG: u64 = 2;
/// `BPF_MTU_CHK_SEGS`: the segments that a packet is to be cut into are looked at.
const CHK_SEGS: u64 = 1;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("check_mtu"),
    changes: &[],
    results: &[
        ResultClass::Success,
        ResultClass::Range(FRAG_NEEDED as i64, FRAG_NEEDED as i64),
        ResultClass::Range(SEGS_TOO_BIG as i64, SEGS_TOO_BIG as i64),
        ResultClass::Error(Errno::Einval),
        ResultClass::Error(Errno::Enodev),
    ],
    meaning: |call| Refusal::ends(check_mtu(call)),
}];

/// `bpf_check_mtu(ctx, ifindex, mtu_len, len_diff, flags)`: whether the packet, or one with `mtu_len` bytes behind the link-layer
/// header, would fit a device if it were `len_diff` bytes longer; writes what fits to `mtu_len`, which stays as it is where that
/// is not known. Device 0 is that of the packet.
fn check_mtu(call: &mut Call<'_>) -> Result<u64, Refusal> {
    call.context(1)?;
    let (ifindex, diff, flags) = (call.int(2) as u32, call.int(4) as i32, call.arg(5));
    let given = call.bytes(3, 4)?;
    let given = u32::from_le_bytes([given[0], given[1], given[2], given[3]]);
    let world = &*call.world;
    let is_xdp = world.program_type() == ProgramType::Xdp;
    let checks_segments = flags == CHK_SEGS && !is_xdp;
    if flags != 0 && !checks_segments || checks_segments && (diff != 0 || given != 0) {
        return Err(Errno::Einval.into());
    }
    let own = || if is_xdp { world.xdp_device() } else { world.field(skb::field::IFINDEX) as u32 };
    let device = world.device(if ifindex == 0 { own() } else { ifindex }).ok_or(Errno::Enodev)?;
    let (mtu, header) = (device.mtu, u32::from(device.hard_header_len));
    // Of an XDP buffer only the linear part counts.
    let len = match given {
        0 if is_xdp => world.packet.linear() as u32,
        0 => world.packet.len() as u32,
        given => given.wrapping_add(header),
    };
    let fits = (len as i32).wrapping_add(diff) <= mtu.wrapping_add(header) as i32;
    let result = if fits {
        FITS
    } else if is_xdp || !world.skb_is_gso() {
        FRAG_NEEDED
    } else if checks_segments && segment_len(world)? > u64::from(mtu) {
        SEGS_TOO_BIG
    } else {
        FITS
    };
    call.write(3, &mtu.to_le_bytes())?;
    Ok(result)
}

/// Bytes of the longest segment behind the link-layer header (`skb_gso_network_seglen`); where segments are as the fragments are
/// (`GSO_BY_FRAGS`), of the longest fragment.
fn segment_len(world: &World) -> Result<u64, Refusal> {
    const BY_FRAGS: u64 = 0xffff;
    const SCTP_HEADER: u64 = 12;
    const UDP_HEADER: u64 = 8;
    let skb = &world.skb;
    // Kernels that do not look take a header that is not set for one.
    let transport = skb.transport_header.ok_or(Errno::Einval)?;
    let has = |kind: Gso| skb.gso_type & kind.bit() != 0;
    let is_tcp = has(Gso::Tcpv4) || has(Gso::Tcpv6);
    let tcp_header = |at: u64| 4 * u64::from(world.half_at(at + 12) >> 4 & 0xf);
    let header = match skb.inner.and_then(|inner| inner.transport_header).filter(|_| skb.encapsulation) {
        Some(inner) => inner.wrapping_sub(transport) + if is_tcp { tcp_header(inner) } else { 0 },
        None if is_tcp => tcp_header(transport),
        None if has(Gso::Sctp) => SCTP_HEADER,
        None if has(Gso::UdpL4) => UDP_HEADER,
        None => 0,
    };
    let header = transport.wrapping_sub(skb.network_header).wrapping_add(header);
    let longest = match world.field(skb::field::GSO_SIZE) {
        BY_FRAGS => world.packet.frags().iter().copied().max().unwrap_or(0),
        size => size,
    };
    Ok(u64::from(header.wrapping_add(longest) as u32))
}
