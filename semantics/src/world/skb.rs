//! The socket buffer behind a `struct __sk_buff`: its headers, checksum and other state that the context does not show, and
//! what the kernel's functions do with it (`include/linux/skbuff.h`, `net/core/skbuff.c`).
//!
//! What the context shows is kept there and nowhere else: protocol, type, VLAN tag, hash, time stamp, mark, sizes of segments.

use serde::{Deserialize, Serialize};

use super::context::Field;
use super::packet::{Arrival, ETH_HLEN, Packet, Refusal};
use super::room::Observation;
use super::{ConfigError, World};
use crate::csum;
use crate::errno::Errno;
use crate::insn::Size;
use crate::memory::layout;
use crate::program_type::ProgramType;
use crate::program_type::context::layout::SK_BUFF;
use crate::trap::{Trap, Unsupported};

/// Offsets from here on, up to [`NET_OFF`], count from the link layer's header (`SKF_LL_OFF`).
const LL_OFF: i64 = -0x20_0000;
/// Offsets from here on, up to 0, count from the network layer's header (`SKF_NET_OFF`).
const NET_OFF: i64 = -0x10_0000;

/// Room before a packet that a driver leaves (`NET_SKB_PAD`).
const NET_SKB_PAD: u64 = 64;
/// Bytes of `struct skb_shared_info`, aligned.
pub(super) const SHARED_INFO: u64 = 320;
/// The longest linear packet that helpers make (`SKB_MAX_ALLOC`): four pages without the shared information.
pub const SKB_MAX_ALLOC: u64 = (4096 << 2) - SHARED_INFO;

/// Bytes of a VLAN tag.
pub const VLAN_HLEN: u64 = 4;
/// `ETH_P_IP`, `ETH_P_IPV6`, `ETH_P_8021Q`, `ETH_P_8021AD`, as the context shows them: in network order.
pub const ETH_P_IP: u64 = 0x0008;
#[allow(missing_docs)]
pub const ETH_P_IPV6: u64 = 0xdd86;
#[allow(missing_docs)]
pub const ETH_P_8021Q: u64 = 0x0081;
#[allow(missing_docs)]
pub const ETH_P_8021AD: u64 = 0xa888;

/// Fields of the context that the kernel's side reads and writes.
#[allow(missing_docs)]
pub mod field {
    use super::{Field, SK_BUFF};

    pub const LEN: Field = Field::of(&SK_BUFF, "len");
    pub const PKT_TYPE: Field = Field::of(&SK_BUFF, "pkt_type");
    pub const PROTOCOL: Field = Field::of(&SK_BUFF, "protocol");
    pub const VLAN_PRESENT: Field = Field::of(&SK_BUFF, "vlan_present");
    pub const VLAN_TCI: Field = Field::of(&SK_BUFF, "vlan_tci");
    pub const VLAN_PROTO: Field = Field::of(&SK_BUFF, "vlan_proto");
    pub const IFINDEX: Field = Field::of(&SK_BUFF, "ifindex");
    pub const HASH: Field = Field::of(&SK_BUFF, "hash");
    pub const DATA: Field = Field::of(&SK_BUFF, "data");
    pub const DATA_END: Field = Field::of(&SK_BUFF, "data_end");
    pub const DATA_META: Field = Field::of(&SK_BUFF, "data_meta");
    pub const TSTAMP: Field = Field::of(&SK_BUFF, "tstamp");
    pub const TSTAMP_TYPE: Field = Field::of(&SK_BUFF, "tstamp_type");
    pub const GSO_SEGS: Field = Field::of(&SK_BUFF, "gso_segs");
    pub const GSO_SIZE: Field = Field::of(&SK_BUFF, "gso_size");
}

/// What is known of the checksum of a packet (`ip_summed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Checksum {
    /// Nothing.
    #[default]
    None,
    /// The device found so many checksums and one more to be right.
    Unnecessary {
        /// 0 to 3.
        level: u8,
    },
    /// The device gave the sum of the packet from the network header on.
    Complete {
        /// As the kernel holds it.
        sum: u32,
    },
    /// The device is to fill it in.
    Partial {
        /// Where what it covers begins, in bytes from the first byte of the packet.
        start: u16,
        /// Where it stands, in bytes from there.
        offset: u16,
    },
}

/// How the segments of a packet are made (`SKB_GSO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
#[repr(u32)]
pub enum Gso {
    Tcpv4 = 1 << 0,
    Dodgy = 1 << 1,
    Tcpv6 = 1 << 4,
    Gre = 1 << 6,
    Ipxip4 = 1 << 8,
    Ipxip6 = 1 << 9,
    UdpTunnel = 1 << 10,
    Sctp = 1 << 14,
    UdpL4 = 1 << 17,
}

impl Gso {
    /// All of them.
    pub const ALL: [Gso; 9] =
        [Gso::Tcpv4, Gso::Dodgy, Gso::Tcpv6, Gso::Gre, Gso::Ipxip4, Gso::Ipxip6, Gso::UdpTunnel, Gso::Sctp, Gso::UdpL4];
    /// Its bit.
    pub const fn bit(self) -> u32 {
        self as u32
    }
}

/// The socket buffer before a run, as far as the context does not say. Offsets count from the first byte of the packet.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkbConfig {
    /// Room before the packet's first byte; 64 unless stated.
    pub headroom: Option<u32>,
    /// Room behind its linear part; what the allocation of a test run leaves unless stated.
    pub tailroom: Option<u32>,
    /// Lengths of the fragments that the packet ends with; none unless stated.
    pub frags: Vec<u32>,
    /// Whether another buffer shares the bytes.
    pub cloned: bool,
    /// Whether there is no link-layer header (`mac_header` is not set).
    pub no_mac_header: bool,
    /// Bytes of the link-layer header as the stack counts them (`mac_len`), which a test run does not.
    pub mac_len: u16,
    /// Where the network header begins; behind an Ethernet header unless stated, for stream parsers at the first byte.
    pub network_header: Option<u16>,
    /// Where the transport header begins; not set unless stated.
    pub transport_header: Option<u16>,
    /// Its checksum.
    pub checksum: Checksum,
    /// Whether the context's hash covers ports (`l4_hash`).
    pub l4_hash: bool,
    /// Whether software computed the context's hash (`sw_hash`).
    pub sw_hash: bool,
    /// How segments are made, where the context's `gso_size` says that it is to be cut.
    pub gso_type: Vec<Gso>,
    /// Whether it holds a packet of an inner protocol (`encapsulation`).
    pub encapsulation: bool,
    /// Whether it came in through traffic control (`tc_at_ingress`).
    pub ingress: bool,
}

impl SkbConfig {
    /// Whether there can be such a buffer.
    pub fn check(&self) -> Result<(), ConfigError> {
        let headroom = self.headroom.unwrap_or(0);
        if u64::from(headroom) > super::packet::HEADROOM_MAX {
            return Err(ConfigError::Headroom(headroom));
        }
        match self.checksum {
            Checksum::Unnecessary { level } if level > SKB_MAX_CSUM_LEVEL => Err(ConfigError::ChecksumLevel(level)),
            _ => Ok(()),
        }
    }

    /// How a packet of `len` bytes lies for a program of this type; `None` if it has fewer bytes than the fragments.
    pub(super) fn arrival(&self, program_type: ProgramType, len: u64) -> Option<Arrival> {
        let before = hidden_header(program_type).min(len);
        let frags: Vec<u64> = self.frags.iter().filter(|frag| **frag > 0).map(|frag| u64::from(*frag)).collect();
        let paged: u64 = frags.iter().sum();
        let headroom = self.headroom.map_or(NET_SKB_PAD, u64::from);
        // `bpf_test_init`, and what `kmalloc` makes of it.
        let allocated = (len.next_multiple_of(64) + NET_SKB_PAD + SHARED_INFO).next_power_of_two();
        let tailroom = self.tailroom.map_or(allocated - SHARED_INFO - NET_SKB_PAD - len, u64::from);
        (before + paged <= len).then_some(Arrival { before, headroom: headroom + before, tailroom, frags })
    }
}

/// Bytes of the link-layer header that a program of this type does not see (`bpf_prog_test_run_skb`).
fn hidden_header(program_type: ProgramType) -> u64 {
    use ProgramType as T;
    match program_type {
        T::SocketFilter | T::CgroupSkb | T::LwtIn | T::LwtOut | T::LwtXmit | T::LwtSeg6local => ETH_HLEN,
        _ => 0,
    }
}

/// The highest level of [`Checksum::Unnecessary`].
pub const SKB_MAX_CSUM_LEVEL: u8 = 3;

/// Headers of a packet in a packet: addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// First byte of its link-layer header.
    pub mac_header: u64,
    /// First byte of its network header.
    pub network_header: u64,
    /// First byte of its transport header, if it is set.
    pub transport_header: Option<u64>,
    /// Its protocol, in network order.
    pub protocol: u16,
}

/// The state of a socket buffer beside its bytes and its context. Headers are addresses.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SkBuff {
    /// First byte of the link-layer header, if it is set.
    pub mac_header: Option<u64>,
    /// First byte of the network header.
    pub network_header: u64,
    /// First byte of the transport header, if it is set.
    pub transport_header: Option<u64>,
    /// The packet inside, once there is one.
    pub inner: Option<Inner>,
    /// Bytes of the link-layer header as the stack counts them.
    pub mac_len: u16,
    /// What is known of its checksum, but where one begins that is to be filled in.
    pub checksum: Checksum,
    /// Where a checksum that is to be filled in begins to count: an address.
    pub csum_start: u64,
    /// Whether another buffer shares the bytes.
    pub cloned: bool,
    /// The hash covers ports.
    pub l4_hash: bool,
    /// Software computed the hash.
    pub sw_hash: bool,
    /// Bits of [`Gso`].
    pub gso_type: u32,
    /// It holds a packet of an inner protocol.
    pub encapsulation: bool,
    /// It came in through traffic control.
    pub ingress: bool,
    /// A helper has changed it.
    touched: bool,
}

impl SkBuff {
    /// The buffer before a run.
    pub(super) fn new(config: &SkbConfig, program_type: ProgramType, packet: &Packet) -> SkBuff {
        let first = packet.start();
        let at = |offset: u16| first + u64::from(offset);
        let network = match program_type {
            ProgramType::SkSkb | ProgramType::SkReuseport => first,
            _ => first + ETH_HLEN.min(packet.observed()),
        };
        let csum_start = if let Checksum::Partial { start, .. } = config.checksum { at(start) } else { 0 };
        SkBuff {
            mac_header: (!config.no_mac_header).then_some(first),
            network_header: config.network_header.map_or(network, at),
            transport_header: config.transport_header.map(at),
            mac_len: config.mac_len,
            checksum: config.checksum,
            csum_start,
            cloned: config.cloned,
            l4_hash: config.l4_hash,
            sw_hash: config.sw_hash,
            gso_type: config.gso_type.iter().fold(0, |all, gso| all | gso.bit()),
            encapsulation: config.encapsulation,
            ingress: config.ingress,
            ..SkBuff::default()
        }
    }

    /// All headers move by so much: the bytes did.
    fn move_headers(&mut self, by: i64) {
        let moved = |addr: u64| addr.wrapping_add_signed(by);
        self.mac_header = self.mac_header.map(moved);
        self.network_header = moved(self.network_header);
        self.transport_header = self.transport_header.map(moved);
        if let Some(inner) = &mut self.inner {
            (inner.mac_header, inner.network_header) = (moved(inner.mac_header), moved(inner.network_header));
            inner.transport_header = inner.transport_header.map(moved);
        }
        self.csum_start = moved(self.csum_start);
    }

    /// What can be observed once a helper has changed it.
    pub(super) fn observe(&self, packet: &Packet, to: &mut Observation<'_>) {
        if !self.touched {
            return;
        }
        let offset = |addr: u64| i128::from(addr.wrapping_sub(packet.data()) as i64);
        let mut header = |name: &str, addr: Option<u64>| {
            if let Some(addr) = addr {
                to.number(name, offset(addr));
            }
        };
        header("mac_header", self.mac_header);
        header("network_header", Some(self.network_header));
        header("transport_header", self.transport_header);
        if let Some(inner) = self.inner {
            header("inner_mac_header", Some(inner.mac_header));
            header("inner_network_header", Some(inner.network_header));
            header("inner_transport_header", inner.transport_header);
            to.number("inner_protocol", inner.protocol.swap_bytes());
        }
        let (kind, value) = match self.checksum {
            Checksum::None => ("none", 0),
            Checksum::Unnecessary { level } => ("unnecessary", i128::from(level)),
            Checksum::Complete { sum } => ("complete", i128::from(sum)),
            Checksum::Partial { .. } => ("partial", offset(self.csum_start)),
        };
        to.number(kind, value);
        to.number("mac_len", self.mac_len);
        to.number("gso_type", self.gso_type);
        let flags = [("cloned", self.cloned), ("l4_hash", self.l4_hash), ("sw_hash", self.sw_hash)];
        for (name, flag) in flags.into_iter().chain([("encapsulation", self.encapsulation)]) {
            to.number(name, flag);
        }
    }
}

impl World {
    /// `size` bytes of the packet in network order, as `BPF_LD | BPF_ABS` reads them; `None` outside of the packet
    /// (`bpf_skb_load_helper_32`, `bpf_internal_load_pointer_neg_helper`).
    pub fn load_packet(&self, context: u64, size: Size, offset: i32) -> Result<Option<u64>, Trap> {
        if context != layout::CONTEXT || self.program_type.declaration().context != "__sk_buff" {
            return Err(Trap::NoSocketBuffer(context));
        }
        let (offset, data) = (i64::from(offset), self.packet.data());
        let (start, end) = match offset {
            0.. => (data.wrapping_add_signed(offset), data + self.packet.len()),
            NET_OFF..0 => (self.skb.network_header.wrapping_add_signed(offset - NET_OFF), self.packet.end()),
            LL_OFF..NET_OFF => {
                let Some(mac) = self.skb.mac_header else { return Ok(None) };
                (mac.wrapping_add_signed(offset - LL_OFF), self.packet.end())
            }
            _ => return Ok(None),
        };
        let len = u64::from(size.bytes());
        if start < self.packet.head() || start.saturating_add(len) > end {
            return Ok(None);
        }
        let bytes = self.memory.peek(start, len);
        Ok(Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
    }

    /// A field of the context becomes `value`.
    pub(crate) fn skb_set(&mut self, field: Field, value: u64) {
        self.skb.touched = true;
        self.set_field(field, value);
    }
    /// The state of the buffer, to be changed.
    pub(crate) fn skb_mut(&mut self) -> &mut SkBuff {
        self.skb.touched = true;
        &mut self.skb
    }

    /// Packet pointers in the context follow the packet (`bpf_compute_data_pointers`), and so does its length.
    pub(crate) fn compute_data_pointers(&mut self) {
        self.skb.touched = true;
        self.packet.place(&mut self.memory);
        let (data, end, len) = (self.packet.data(), self.packet.end(), self.packet.len());
        self.set_field(field::DATA, data);
        self.set_field(field::DATA_END, end);
        self.set_field(field::LEN, len);
        if matches!(self.program_type, ProgramType::SchedCls | ProgramType::SchedAct) {
            self.set_field(field::DATA_META, data);
        }
    }

    /// Whether segments are to be made of it (`skb_is_gso`).
    pub(crate) fn skb_is_gso(&self) -> bool {
        self.field(field::GSO_SIZE) != 0
    }
    /// Bytes from the data to the network header (`skb_network_offset`).
    pub(crate) fn skb_network_offset(&self) -> i64 {
        self.skb.network_header.wrapping_sub(self.packet.data()) as i64
    }
    /// Bytes of the link-layer header (`skb_mac_header_len`). Without one Linux would go astray.
    pub(crate) fn skb_mac_header_len(&self) -> Result<u64, Refusal> {
        let len = self.skb.mac_header.and_then(|mac| self.skb.network_header.checked_sub(mac));
        len.ok_or(Refusal::Trap(Unsupported::Packet("a link-layer header that is not set").into()))
    }
    /// Bytes from the link-layer header to the data.
    pub(crate) fn skb_mac_offset(&self) -> Option<u64> {
        self.skb.mac_header.map(|mac| self.packet.data().wrapping_sub(mac))
    }

    /// Makes the first `len` bytes linear (`pskb_may_pull`): whether there are as many.
    pub(crate) fn pskb_may_pull(&mut self, len: u64) -> Result<bool, Refusal> {
        /// What a new buffer has room for beyond the need (`__pskb_pull_tail`).
        const AHEAD: u64 = 128;
        if len <= self.packet.linear() {
            return Ok(true);
        }
        if len > self.packet.len() {
            return Ok(false);
        }
        let missing = len - self.packet.linear();
        let lacking = missing.saturating_sub(self.packet.pulled_tailroom());
        if lacking > 0 || self.skb.cloned {
            self.pskb_expand_head(0, if lacking > 0 { lacking + AHEAD } else { 0 })?;
        }
        self.packet.pull_frags(missing);
        Ok(true)
    }

    /// Makes the first `len` bytes linear and nobody else's (`skb_ensure_writable`).
    pub(crate) fn skb_ensure_writable(&mut self, len: u64) -> Result<(), Refusal> {
        if !self.pskb_may_pull(len)? {
            return Err(Errno::Enomem.into());
        }
        self.skb_unclone()
    }
    /// The same, and packet pointers in the context follow (`bpf_try_make_writable`).
    pub(crate) fn try_make_writable(&mut self, len: u64) -> Result<(), Refusal> {
        let done = self.skb_ensure_writable(len);
        self.compute_data_pointers();
        done
    }
    /// Copies what another buffer shares (`skb_unclone`).
    pub(crate) fn skb_unclone(&mut self) -> Result<(), Refusal> {
        if self.skb.cloned { self.pskb_expand_head(0, 0) } else { Ok(()) }
    }
    /// Makes room before the data, of its own (`skb_cow`, `skb_cow_head`).
    pub(crate) fn skb_cow(&mut self, headroom: u64) -> Result<(), Refusal> {
        let lacking = headroom.saturating_sub(self.packet.headroom());
        if lacking > 0 || self.skb.cloned {
            self.pskb_expand_head(lacking.next_multiple_of(NET_SKB_PAD), 0)?;
        }
        Ok(())
    }
    /// A new buffer with so much more room.
    pub(crate) fn pskb_expand_head(&mut self, head: u64, tail: u64) -> Result<(), Refusal> {
        let by = self.packet.expand(&mut self.memory, head, tail)?;
        self.skb_mut().move_headers(by);
        self.skb.cloned = false;
        Ok(())
    }

    /// The data begin earlier, where there is room (`__skb_push`), or later (`__skb_pull`), for a negative number.
    pub(crate) fn skb_push(&mut self, by: i64) {
        self.skb.touched = true;
        self.packet.move_data(-by);
    }

    /// Where a checksum that is to be filled in begins, in bytes from the data (`skb_checksum_start_offset`).
    pub(crate) fn skb_checksum_start_offset(&self) -> i64 {
        self.skb.csum_start.wrapping_sub(self.packet.data()) as i64
    }
    /// The checksum of what is left once `len` bytes at `start` do not count any more (`skb_postpull_rcsum`).
    pub(crate) fn skb_postpull_rcsum(&mut self, start: u64, len: u64) {
        match self.skb.checksum {
            Checksum::Complete { sum } => {
                let rest = csum::of_bytes(self.memory.peek(start, len), sum.wrapping_neg());
                self.skb_mut().checksum = Checksum::Complete { sum: rest.wrapping_neg() };
            }
            Checksum::Partial { .. } if self.skb_checksum_start_offset() < 0 => {
                self.skb_mut().checksum = Checksum::None;
            }
            _ => {}
        }
    }
    /// The checksum once `len` bytes at `start`, `offset` behind the data, count as well (`__skb_postpush_rcsum`).
    pub(crate) fn skb_postpush_rcsum(&mut self, start: u64, len: u64, offset: u64) {
        if let Checksum::Complete { sum } = self.skb.checksum {
            let more = csum::at_offset(csum::of_bytes(self.memory.peek(start, len), 0), offset);
            self.skb_mut().checksum = Checksum::Complete { sum: csum::add(&sum, &more) };
        }
    }
    /// The link-layer header counts while it is changed, where it was taken off before (`bpf_push_mac_rcsum`).
    pub(crate) fn push_mac_rcsum(&mut self) {
        if let Some(mac) = self.skb.mac_header.filter(|_| self.skb.ingress) {
            self.skb_postpush_rcsum(mac, u64::from(self.skb.mac_len), 0);
        }
    }
    /// The link-layer header does not count any more (`bpf_pull_mac_rcsum`).
    pub(crate) fn pull_mac_rcsum(&mut self) {
        if let Some(mac) = self.skb.mac_header.filter(|_| self.skb.ingress) {
            self.skb_postpull_rcsum(mac, u64::from(self.skb.mac_len));
        }
    }

    /// The hash is not known any more (`skb_clear_hash`).
    pub(crate) fn skb_clear_hash(&mut self) {
        self.skb_set_hash(0, false, false);
    }
    /// The hash becomes `hash` (`__skb_set_hash`).
    pub(crate) fn skb_set_hash(&mut self, hash: u32, is_sw: bool, is_l4: bool) {
        self.skb_set(field::HASH, u64::from(hash));
        (self.skb.sw_hash, self.skb.l4_hash) = (is_sw, is_l4);
    }
}
