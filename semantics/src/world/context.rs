//! What a context holds when a program is entered: as `BPF_PROG_TEST_RUN` sets it up on the loopback device, where the
//! kernel has a test run for the type.
//!
//! The packet of the input is what `data_in` is there. For programs that see a socket buffer behind its link-layer header,
//! `data` leads behind the first 14 bytes. The buffer's socket is bound to the addresses of the packet.
//!
//! `data_end` of a `cgroup_skb` program is where the packet ends, as when it is attached; the test run of kernels before 7 leaves
//! it 0.
//!
//! Types without a test run, and fields not named here, begin with zeros, apart from pointers to the packet and its length.

use super::World;
use super::packet::{ETH_HLEN, Packet};
use crate::memory::layout;
use crate::program_type::ProgramType;
use crate::program_type::context::layout::{FLOW_KEYS, FLOW_KEYS_LEN, Row};
use crate::program_type::context::row;

/// Index of the loopback device.
const LOOPBACK: u64 = 1;

/// A field of the context, as the kernel's side reads and writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    addr: u64,
    len: u64,
}

impl Field {
    /// The field of this name in a context that is laid out like this.
    pub const fn of(layout: &[Row], name: &str) -> Field {
        let (_, offset, len, _) = row(layout, name);
        assert!(len <= 8);
        Field { addr: layout::CONTEXT + offset as u64, len: len as u64 }
    }
}

impl World {
    /// The value of a field of the context.
    pub(crate) fn field(&self, field: Field) -> u64 {
        let bytes = self.memory.peek(field.addr, field.len);
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
    /// Gives a field of the context the low bytes of `value`.
    pub(crate) fn set_field(&mut self, field: Field, value: u64) {
        self.memory.poke(field.addr, &value.to_le_bytes()[..field.len as usize]);
    }
}

/// A value that is not 0: name of the field, index of the element, value.
pub(super) type Default = (&'static str, u32, u64);

/// What is not 0, where the bytes that are observed of a packet are `bytes`.
pub(super) fn defaults(program_type: ProgramType, packet: &Packet, no_meta: bool, bytes: &[u8]) -> Vec<Default> {
    use ProgramType as T;
    let len = packet.len();
    let (start, end) = (packet.data(), packet.end());
    match program_type {
        T::Xdp => {
            // `xdp_set_data_meta_invalid`
            let meta = if no_meta { start + 1 } else { packet.start() };
            vec![("data", 0, start), ("data_end", 0, end), ("data_meta", 0, meta), ("ingress_ifindex", 0, LOOPBACK)]
        }
        T::SocketFilter => buffer(bytes, len),
        T::SchedCls | T::SchedAct => {
            let mut all = buffer(bytes, len);
            all.extend([("data", 0, start), ("data_end", 0, end), ("data_meta", 0, start)]);
            all
        }
        T::LwtIn | T::LwtOut | T::LwtXmit | T::LwtSeg6local => {
            let mut all = buffer(bytes, len);
            all.extend([("data", 0, start), ("data_end", 0, end)]);
            all
        }
        T::CgroupSkb => {
            let mut all = buffer(bytes, len);
            all.extend([("data", 0, start), ("data_end", 0, end)]);
            all.extend(addresses(bytes));
            all
        }
        T::SkSkb => vec![("len", 0, len), ("data", 0, start), ("data_end", 0, end)],
        T::FlowDissector => vec![("data", 0, start), ("data_end", 0, end), ("flow_keys", 0, layout::FLOW_KEYS)],
        T::SkReuseport => vec![("data", 0, start), ("data_end", 0, end), ("len", 0, len)],
        T::SkMsg => vec![("data", 0, start), ("data_end", 0, end), ("size", 0, len)],
        T::SockOps => vec![("skb_data", 0, start), ("skb_data_end", 0, end), ("skb_len", 0, len)],
        T::CgroupSockopt => vec![("optval", 0, start), ("optval_end", 0, end), ("optlen", 0, len)],
        T::Kprobe
        | T::Tracepoint
        | T::PerfEvent
        | T::CgroupSock
        | T::CgroupDevice
        | T::RawTracepoint
        | T::RawTracepointWritable
        | T::CgroupSockAddr
        | T::LircMode2
        | T::CgroupSysctl
        | T::Tracing
        | T::StructOps
        | T::Ext
        | T::Lsm
        | T::SkLookup
        | T::Syscall
        | T::Netfilter => Vec::new(),
    }
}

/// A socket buffer with `len` bytes that came in through the loopback device (`bpf_prog_test_run_skb`).
fn buffer(packet: &[u8], len: u64) -> Vec<Default> {
    vec![
        ("len", 0, len),
        ("pkt_type", 0, packet_type(packet)),
        ("protocol", 0, protocol(packet)),
        ("ifindex", 0, LOOPBACK),
    ]
}

/// The protocol number in network order, read as a little-endian number (`eth_type_trans`). A number below 0x600 is the
/// length of a frame of 802.2, or of 802.3 where that begins with ffff.
fn protocol(packet: &[u8]) -> u64 {
    const ETH_P_802_2: u16 = 4;
    const ETH_P_802_3: u16 = 1;
    let number = match packet.get(12..).unwrap_or_default() {
        [high, low, ..] if *high >= 6 => u16::from_be_bytes([*high, *low]),
        [_, _, 0xff, 0xff, ..] => ETH_P_802_3,
        [_, _, ..] => ETH_P_802_2,
        _ => 0,
    };
    u64::from(number.swap_bytes())
}

/// `PACKET_HOST` 0, `PACKET_MULTICAST` 2, `PACKET_OTHERHOST` 3. Address and broadcast address of the loopback device are all
/// zeros: there is no other broadcast.
fn packet_type(packet: &[u8]) -> u64 {
    match packet.get(..6) {
        None | Some([0, 0, 0, 0, 0, 0]) => 0,
        Some([first, ..]) if first & 1 == 1 => 2,
        Some(_) => 3,
    }
}

/// The length on the wire, where an input states some of the context and leaves this 0: that of the buffer
/// (`convert___skb_to_skb`). Without a context it is not set up.
pub(super) fn wire_len(program_type: ProgramType, packet: &[u8]) -> Option<u64> {
    matches!(program_type, ProgramType::SchedCls | ProgramType::SchedAct).then_some(packet.len() as u64)
}

/// What a flow dissector finds in its keys: the protocol of the link-layer header, and where the next one begins
/// (`bpf_prog_test_run_flow_dissector`, `bpf_flow_dissect`).
pub(super) fn flow_keys(packet: &[u8]) -> [u8; FLOW_KEYS_LEN as usize] {
    let mut keys = [0; FLOW_KEYS_LEN as usize];
    let mut set = |name, value: u64| {
        let (_, offset, len, _) = row(&FLOW_KEYS, name);
        let (offset, len) = (offset as usize, len as usize);
        keys[offset..offset + len].copy_from_slice(&value.to_le_bytes()[..len]);
    };
    set("nhoff", ETH_HLEN);
    set("thoff", ETH_HLEN);
    // As the header has it, also where that is a length.
    set("n_proto", packet.get(12..14).map_or(0, |b| u64::from(u16::from_le_bytes([b[0], b[1]]))));
    keys
}

/// Family and addresses of the socket: the packet's source is its own address, the destination the peer's. Nothing if the
/// network-layer header is not whole.
fn addresses(packet: &[u8]) -> Vec<Default> {
    const AF_INET: u64 = 2;
    const AF_INET6: u64 = 10;
    let word = |at: usize| packet[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let network = ETH_HLEN as usize;
    match packet.get(12..14) {
        Some([0x08, 0x00]) if packet.len() >= network + 20 => {
            vec![("family", 0, AF_INET), ("local_ip4", 0, word(network + 12)), ("remote_ip4", 0, word(network + 16))]
        }
        Some([0x86, 0xdd]) if packet.len() >= network + 40 => {
            let mut all = vec![("family", 0, AF_INET6)];
            for at in 0..4 {
                let byte = 4 * at as usize;
                all.push(("local_ip6", at, word(network + 8 + byte)));
                all.push(("remote_ip6", at, word(network + 24 + byte)));
            }
            all
        }
        _ => Vec::new(),
    }
}
