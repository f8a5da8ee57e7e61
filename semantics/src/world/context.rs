//! What a context holds when a program is entered, as `BPF_PROG_TEST_RUN` sets it up on the loopback device.

use crate::memory::layout;
use crate::program_type::ProgramType;

/// Bytes of an Ethernet header, which a socket buffer no longer counts when a socket filter sees it.
const ETH_HLEN: u64 = 14;

/// Fields that are not 0, by name.
pub(super) fn defaults(program_type: ProgramType, packet: &[u8]) -> Vec<(&'static str, u64)> {
    let len = packet.len() as u64;
    match program_type {
        ProgramType::Xdp => vec![
            ("data", layout::PACKET),
            ("data_end", layout::PACKET + len),
            ("data_meta", layout::PACKET),
            ("ingress_ifindex", 1),
        ],
        ProgramType::SocketFilter => vec![
            ("len", len.saturating_sub(ETH_HLEN)),
            ("pkt_type", packet_type(packet)),
            ("protocol", protocol(packet)),
            ("ifindex", 1),
        ],
    }
}

/// The protocol number in network order, read as a little-endian number (`eth_type_trans`).
fn protocol(packet: &[u8]) -> u64 {
    packet.get(12..14).map_or(0, |b| u64::from(u16::from_le_bytes([b[0], b[1]])))
}

/// `PACKET_HOST` 0, `PACKET_BROADCAST` 1, `PACKET_MULTICAST` 2, `PACKET_OTHERHOST` 3; the device's address is all zeros.
fn packet_type(packet: &[u8]) -> u64 {
    match packet.get(..6) {
        None | Some([0, 0, 0, 0, 0, 0]) => 0,
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => 1,
        Some([first, ..]) if first & 1 == 1 => 2,
        Some(_) => 3,
    }
}
