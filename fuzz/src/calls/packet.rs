//! Packets and devices that helpers of packets do something for: headers of IP, fragments, checksums, little room.

use semantics::program_type::ProgramType;
use semantics::world::skb::{Gso, SkbConfig};
use semantics::world::xdp::{XDP_FRAME, XdpConfig};
use semantics::world::{Checksum, Device, ETH_HLEN, Input};

use crate::dice::Dice;

/// Fields that follow from the packet unless an input states them.
const DERIVED: [&str; 5] = ["protocol", "pkt_type", "vlan_present", "vlan_tci", "vlan_proto"];

/// Gives an input of a program that sees packets headers, and now and then a world that no test run sets up.
pub(super) fn vary(dice: &mut Dice, program_type: ProgramType, input: &mut Input) {
    let is_xdp = program_type == ProgramType::Xdp;
    if !is_xdp && program_type.declaration().context != "__sk_buff" {
        return;
    }
    if dice.chance(3, 4) {
        headers(dice, &mut input.packet);
        input.context.retain(|(name, _)| !DERIVED.contains(&name.as_str()));
    }
    if dice.chance(1, 2) {
        return;
    }
    let len = input.packet.len() as u32;
    if is_xdp {
        input.world.xdp = xdp(dice, len);
    } else {
        input.world.skb = skb(dice, len);
    }
    let up = dice.chance(3, 4);
    let mtu = dice.pick(&[20, 64, 100, 1500]);
    let other = Device {
        ifindex: 2,
        name: "eth0".to_owned(),
        mtu,
        up,
        mac_header_xmit: dice.chance(3, 4),
        ..Device::default()
    };
    input.world.devices = vec![Device { up, ..Device::default() }, other];
}

/// Writes an Ethernet header, perhaps tags, and the header of IPv4 or IPv6 over what is there.
fn headers(dice: &mut Dice, packet: &mut Vec<u8>) {
    let mut head = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for _ in 0..dice.pick(&[0, 0, 0, 1, 2]) {
        head.extend_from_slice(&dice.pick(&[[0x81, 0x00], [0x88, 0xa8]]));
        head.extend_from_slice(&[0x20, dice.below(8) as u8]);
    }
    let (service, transport) = (dice.below(256) as u8, dice.pick(&[6, 17, 132]));
    match dice.below(8) {
        0 => head.extend_from_slice(&[0x88, 0xb5]),
        1..=4 => {
            head.extend_from_slice(&[0x08, 0x00, 0x45, service, 0, 40, 0, 1, 0, 0, 64, transport, 0, 0]);
            head.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        }
        _ => {
            head.extend_from_slice(&[0x86, 0xdd, 0x60 | service >> 4, service << 4, 0, 0, 0, 40, transport, 64]);
            head.extend_from_slice(&[0; 32]);
        }
    }
    if packet.len() < head.len() && dice.chance(7, 8) {
        packet.resize(head.len() + dice.below(64), 0);
    }
    let len = head.len().min(packet.len());
    packet[..len].copy_from_slice(&head[..len]);
}

/// Up to three fragments at the end of `len` bytes.
fn frags(dice: &mut Dice, mut len: u32) -> Vec<u32> {
    let mut frags = Vec::new();
    for _ in 0..dice.below(4) {
        let frag = dice.below(len as usize / 2 + 1) as u32;
        frags.push(frag);
        len -= frag;
    }
    frags
}

fn skb(dice: &mut Dice, len: u32) -> SkbConfig {
    let offset = |dice: &mut Dice| dice.chance(1, 4).then(|| dice.pick(&[0, 14, 18, 34, 54]));
    let checksum = match dice.below(5) {
        0 => Checksum::Unnecessary { level: dice.below(4) as u8 },
        1 | 2 => Checksum::Complete { sum: dice.wide() as u32 },
        3 => Checksum::Partial { start: dice.pick(&[0, 14, 34]), offset: dice.pick(&[0, 6, 16]) },
        _ => Checksum::None,
    };
    SkbConfig {
        headroom: dice.chance(1, 3).then(|| dice.below(64) as u32),
        tailroom: dice.chance(1, 3).then(|| dice.below(64) as u32),
        frags: frags(dice, len.saturating_sub(ETH_HLEN as u32)),
        cloned: dice.chance(1, 4),
        no_mac_header: dice.chance(1, 16),
        mac_len: dice.pick(&[0, 14, 18]),
        network_header: offset(dice),
        transport_header: offset(dice),
        checksum,
        l4_hash: dice.chance(1, 4),
        sw_hash: dice.chance(1, 4),
        gso_type: if dice.chance(1, 2) { vec![dice.pick(&Gso::ALL)] } else { Vec::new() },
        encapsulation: dice.chance(1, 8),
        ingress: dice.chance(1, 4),
    }
}

fn xdp(dice: &mut Dice, len: u32) -> XdpConfig {
    let headroom = dice.pick(&[64, 256, 512]);
    let meta = if dice.chance(1, 4) { dice.pick(&[4, 8, 24]).min(len).min(headroom - XDP_FRAME as u32) } else { 0 };
    XdpConfig {
        headroom,
        frame_size: dice.pick(&[1024, 4096, 8192]),
        frag_size: dice.pick(&[0, 128, 4096, 8192]),
        meta,
        no_meta: meta == 0 && dice.chance(1, 8),
        frags: Some(frags(dice, len - meta)),
    }
}
