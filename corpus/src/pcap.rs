//! Packets from capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).
//!
//! Both byte orders, seconds in micro- and nanosecond fractions (times are not kept), and in pcapng any number of sections
//! and interfaces. Blocks and options that carry no packet are passed over.
//!
//! ```
//! let capture = [
//!     0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 1, 0, 0, 0, // file header: Ethernet
//!     0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0xab, 0xcd, // one record of two bytes
//! ];
//! let packets: Vec<_> = corpus::pcap::packets(&capture)?.collect::<Result<_, _>>()?;
//! assert_eq!((packets[0].bytes, packets[0].link, packets[0].offset), (&[0xab, 0xcd][..], corpus::pcap::LinkType::ETHERNET, 24));
//! # Ok::<(), corpus::pcap::CaptureError>(())
//! ```

use pcap_parser::pcapng::{
    BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, InterfaceDescriptionBlock, SHB_MAGIC, SPB_MAGIC, parse_enhancedpacketblock_be,
    parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock, parse_simplepacketblock_be, parse_simplepacketblock_le, parse_unknownblock_be,
    parse_unknownblock_le,
};
use pcap_parser::{PcapError, nom};

/// What the first bytes of a packet are: the registry of tcpdump.org, `LINKTYPE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: a protocol family of 4 bytes, then IP.
    pub const NULL: LinkType = LinkType(0);
    /// An Ethernet header: what XDP and tc programs are given.
    pub const ETHERNET: LinkType = LinkType(1);
    /// IPv4 or IPv6.
    pub const RAW: LinkType = LinkType(101);
    /// The cooked header of `any` devices.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// The second version of it.
    pub const LINUX_SLL2: LinkType = LinkType(276);
}

impl std::fmt::Display for LinkType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            // 12 is DLT_RAW of most systems, which some writers put into files.
            12 | 101 => "raw IP",
            113 => "Linux cooked",
            276 => "Linux cooked v2",
            other => return write!(f, "link type {other}"),
        };
        write!(f, "{name} (link type {})", self.0)
    }
}

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where its record or block begins: bytes from the start of the file.
    pub offset: usize,
    /// What it begins with.
    pub link: LinkType,
    /// Its bytes on the wire; more than were captured if the capture was made with a limit.
    pub len: u32,
    /// The bytes that were captured.
    pub bytes: &'a [u8],
}

impl Packet<'_> {
    /// Whether the capture has only its beginning.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.len as usize
    }
}

/// Why a file holds no packets, or no more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {kind}")]
pub struct CaptureError {
    /// Where the file header, record or block begins that is wrong: bytes from the start of the file.
    pub offset: usize,
    /// The reason.
    pub kind: CaptureErrorKind,
}

/// Why a file holds no packets, or no more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureErrorKind {
    /// Neither kind of file header.
    #[error("this is neither a pcap nor a pcapng file")]
    NotACapture,
    /// A format that this is not a reader of.
    #[error("version {major}.{minor} of the format is not read")]
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// The file ends inside this.
    #[error("the file ends inside this {what}: {missing} bytes are missing")]
    Truncated {
        /// What it ends in.
        what: &'static str,
        /// How many more bytes it says that it has.
        missing: u64,
    },
    /// A record longer than the file says records are.
    #[error("a packet of {captured} bytes in a file whose limit is {limit}")]
    LongerThanLimit {
        /// What the record says.
        captured: u32,
        /// What the file header says.
        limit: u32,
    },
    /// Packets end in their check sequence, which no program sees.
    #[error("the packets of this file end in a frame check sequence, which is not modelled")]
    CheckSequence,
    /// A block whose lengths do not fit each other.
    #[error("the {0} is malformed: its lengths do not fit each other")]
    Malformed(&'static str),
    /// A packet of an interface that was not described.
    #[error("a packet of interface {interface}, of which this section has {count}")]
    NoSuchInterface {
        /// The interface named.
        interface: u32,
        /// How many there are.
        count: usize,
    },
}

/// The packets of a capture, in order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    file: &'a [u8],
    at: usize,
    format: Format,
}

#[derive(Clone, Debug)]
enum Format {
    Pcap { big_endian: bool, modified: bool, link: LinkType, snaplen: u32 },
    Pcapng { big_endian: bool, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
}

/// Whether a file begins like a capture.
pub fn is_capture(file: &[u8]) -> bool {
    file.first_chunk().is_some_and(|magic| {
        matches!(u32::from_le_bytes(*magic), 0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 | 0xa1b2_cd34)
            || u32::from_le_bytes(*magic) == SHB_MAGIC
    })
}

/// The packets of a pcap or pcapng file.
pub fn packets(file: &[u8]) -> Result<Packets<'_>, CaptureError> {
    let fail = |kind| CaptureError { offset: 0, kind };
    if !is_capture(file) {
        return Err(fail(CaptureErrorKind::NotACapture));
    }
    if file[..4] == SHB_MAGIC.to_le_bytes() {
        // The section header is the first block.
        return Ok(Packets { file, at: 0, format: Format::Pcapng { big_endian: false, interfaces: Vec::new() } });
    }
    let missing = 24u64.saturating_sub(file.len() as u64);
    let truncated = CaptureErrorKind::Truncated { what: "file header", missing };
    let (_, header) = pcap_parser::parse_pcap_header(file).map_err(|_| fail(truncated))?;
    let (major, minor) = (header.version_major, header.version_minor);
    if major != 2 || minor < 3 {
        return Err(fail(CaptureErrorKind::Version { major, minor }));
    }
    let network = header.network.0 as u32;
    // Bit 26: the check sequence is there, and bits 28 to 31 say how long it is.
    if network & 1 << 26 != 0 && network >> 28 != 0 {
        return Err(fail(CaptureErrorKind::CheckSequence));
    }
    let format = Format::Pcap {
        big_endian: header.is_bigendian(),
        modified: header.is_modified_format(),
        link: LinkType(network & 0xffff),
        snaplen: header.snaplen,
    };
    Ok(Packets { file, at: 24, format })
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.file.len() {
            let offset = self.at;
            let packet = match self.format {
                Format::Pcap { .. } => self.record().map(Some),
                Format::Pcapng { .. } => self.block(),
            };
            match packet {
                Ok(Some(packet)) => return Some(Ok(packet)),
                Ok(None) => {}
                Err(kind) => {
                    self.at = self.file.len();
                    return Some(Err(CaptureError { offset, kind }));
                }
            }
        }
        None
    }
}

impl<'a> Packets<'a> {
    /// The record at the current place of a pcap file.
    fn record(&mut self) -> Result<Packet<'a>, CaptureErrorKind> {
        let Format::Pcap { big_endian, modified, link, snaplen } = self.format else { unreachable!("a pcap file") };
        let rest = &self.file[self.at..];
        let parse = match (modified, big_endian) {
            (true, _) => pcap_parser::parse_pcap_frame_modified,
            (false, true) => pcap_parser::parse_pcap_frame_be,
            (false, false) => pcap_parser::parse_pcap_frame,
        };
        let (after, record) = parse(rest).map_err(|error| match error {
            nom::Err::Incomplete(nom::Needed::Size(missing)) => {
                CaptureErrorKind::Truncated { what: "record", missing: missing.get() as u64 }
            }
            _ => CaptureErrorKind::Malformed("record"),
        })?;
        if snaplen != 0 && record.caplen > snaplen {
            return Err(CaptureErrorKind::LongerThanLimit { captured: record.caplen, limit: snaplen });
        }
        let offset = self.at;
        self.at = self.file.len() - after.len();
        Ok(Packet { offset, link, len: record.origlen, bytes: record.data })
    }

    /// The block at the current place of a pcapng file: a packet, or none.
    fn block(&mut self) -> Result<Option<Packet<'a>>, CaptureErrorKind> {
        let Format::Pcapng { big_endian, interfaces } = &mut self.format else { unreachable!("a pcapng file") };
        let (offset, rest) = (self.at, &self.file[self.at..]);
        if rest.starts_with(&SHB_MAGIC.to_le_bytes())
            && let Some(order) = rest.get(8..12)
        {
            // The byte order of a section is that of this number in its header.
            *big_endian = order == BOM_MAGIC.to_be_bytes();
            interfaces.clear();
        }
        let number = |at: usize| {
            let bytes = *rest.get(at..)?.first_chunk()?;
            Some(if *big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
        };
        let short = CaptureErrorKind::Truncated { what: "block", missing: 8u64.saturating_sub(rest.len() as u64) };
        let (kind, len) = number(0).zip(number(4)).ok_or(short)?;
        let what = match kind {
            SHB_MAGIC => "section header",
            IDB_MAGIC => "interface description",
            EPB_MAGIC => "enhanced packet",
            SPB_MAGIC => "simple packet",
            _ => "block",
        };
        let (after, found) = contents(kind, rest, *big_endian, interfaces).map_err(|failure| match failure {
            Failure::Lengths => match u64::from(len).saturating_sub(rest.len() as u64) {
                0 => CaptureErrorKind::Malformed(what),
                missing => CaptureErrorKind::Truncated { what, missing },
            },
            Failure::Version { major, minor } => CaptureErrorKind::Version { major, minor },
        })?;
        let end = self.file.len() - after.len();
        // The length stands behind a block once more.
        if number(end - offset - 4) != Some(len) || len % 4 != 0 {
            return Err(CaptureErrorKind::Malformed(what));
        }
        self.at = end;
        let Some(Found { interface, len, bytes }) = found else { return Ok(None) };
        let count = interfaces.len();
        let Interface { link, .. } =
            interfaces.get(interface as usize).ok_or(CaptureErrorKind::NoSuchInterface { interface, count })?;
        Ok(Some(Packet { offset, link: *link, len, bytes }))
    }
}

/// A packet in a block.
struct Found<'a> {
    interface: u32,
    len: u32,
    bytes: &'a [u8],
}

/// Why the fields of a block cannot be read.
enum Failure {
    Lengths,
    Version { major: u16, minor: u16 },
}

impl From<nom::Err<PcapError<&[u8]>>> for Failure {
    fn from(_: nom::Err<PcapError<&[u8]>>) -> Failure {
        Failure::Lengths
    }
}

/// The block of this kind at the start of `rest`: what is after it, and the packet in it. Notes a described interface.
fn contents<'a>(
    kind: u32,
    rest: &'a [u8],
    big_endian: bool,
    interfaces: &mut Vec<Interface>,
) -> Result<(&'a [u8], Option<Found<'a>>), Failure> {
    Ok(match kind {
        SHB_MAGIC => {
            let (after, header) = parse_sectionheaderblock(rest)?;
            if header.major_version != 1 {
                return Err(Failure::Version { major: header.major_version, minor: header.minor_version });
            }
            (after, None)
        }
        IDB_MAGIC if big_endian => described(parse_interfacedescriptionblock_be(rest)?, interfaces),
        IDB_MAGIC => described(parse_interfacedescriptionblock_le(rest)?, interfaces),
        EPB_MAGIC => {
            let parse = if big_endian { parse_enhancedpacketblock_be } else { parse_enhancedpacketblock_le };
            let (after, packet) = parse(rest)?;
            let bytes = packet.data.get(..packet.caplen as usize).ok_or(Failure::Lengths)?;
            (after, Some(Found { interface: packet.if_id, len: packet.origlen, bytes }))
        }
        SPB_MAGIC => {
            let parse = if big_endian { parse_simplepacketblock_be } else { parse_simplepacketblock_le };
            let (after, packet) = parse(rest)?;
            // How much was captured follows from the limit of interface 0; the rest is padding.
            let limit = interfaces.first().map_or(0, |interface| interface.snaplen);
            let captured = if limit == 0 { packet.origlen } else { packet.origlen.min(limit) };
            let bytes = packet.data.get(..captured as usize).ok_or(Failure::Lengths)?;
            (after, Some(Found { interface: 0, len: packet.origlen, bytes }))
        }
        _ if big_endian => (parse_unknownblock_be(rest)?.0, None),
        _ => (parse_unknownblock_le(rest)?.0, None),
    })
}

fn described<'a>(
    (after, block): (&'a [u8], InterfaceDescriptionBlock<'_>),
    interfaces: &mut Vec<Interface>,
) -> (&'a [u8], Option<Found<'a>>) {
    interfaces.push(Interface { link: LinkType(block.linktype.0 as u32), snaplen: block.snaplen });
    (after, None)
}
