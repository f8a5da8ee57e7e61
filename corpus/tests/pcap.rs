//! Captures: both formats in both byte orders, what real writers do, and every way of being broken.

use corpus::pcap::{CaptureError, CaptureErrorKind as Kind, LinkType, packets};

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }
    fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }
    fn u32s(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }
}

fn header(order: Order, magic: u32, snaplen: u32, link: u32) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend(order.u16(2));
    file.extend(order.u16(4));
    file.extend(order.u32s(&[0, 0, snaplen, link]));
    file
}

fn record(order: Order, bytes: &[u8], len: u32) -> Vec<u8> {
    let mut record = order.u32s(&[1, 2, bytes.len() as u32, len]);
    record.extend(bytes);
    record
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let body_len = body.len().next_multiple_of(4);
    let len = order.u32(body_len as u32 + 12);
    let mut block = order.u32(kind).to_vec();
    block.extend(len);
    block.extend(body);
    block.resize(8 + body_len, 0);
    block.extend(len);
    block
}

fn section(order: Order) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend([0xff; 8]);
    // A comment of 3 bytes, padded, and the end of options.
    body.extend(order.u16(1));
    body.extend(order.u16(3));
    body.extend(*b"abc\0\0\0\0\0");
    block(order, 0x0a0d_0d0a, &body)
}

fn interface(order: Order, link: u16, snaplen: u32) -> Vec<u8> {
    let mut body = order.u16(link).to_vec();
    body.extend([0, 0]);
    body.extend(order.u32(snaplen));
    block(order, 1, &body)
}

fn enhanced(order: Order, interface: u32, bytes: &[u8], len: u32) -> Vec<u8> {
    let mut body = order.u32s(&[interface, 0, 0, bytes.len() as u32, len]);
    body.extend(bytes);
    block(order, 6, &body)
}

fn simple(order: Order, bytes: &[u8], len: u32) -> Vec<u8> {
    block(order, 3, &[&order.u32(len)[..], bytes].concat())
}

/// Link type, bytes on the wire and captured bytes.
type Found = (u32, u32, Vec<u8>);

/// All packets, and where it went wrong and why.
fn read(file: &[u8]) -> (Vec<Found>, Option<CaptureError>) {
    let mut found = Vec::new();
    let packets = match packets(file) {
        Ok(packets) => packets,
        Err(error) => return (found, Some(error)),
    };
    for packet in packets {
        match packet {
            Ok(packet) => found.push((packet.link.0, packet.len, packet.bytes.to_vec())),
            Err(error) => return (found, Some(error)),
        }
    }
    (found, None)
}

#[test]
fn pcap_in_both_byte_orders_and_precisions() {
    for order in [Order::Little, Order::Big] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
            for link in [0, 1, 12, 101, 113, 276] {
                let file =
                    [header(order, magic, 65535, link), record(order, &[1, 2, 3], 3), record(order, &[4], 60)].concat();
                let expected = vec![(link, 3, vec![1, 2, 3]), (link, 60, vec![4])];
                assert_eq!(read(&file), (expected, None));
            }
        }
    }
    // The format of Alexey Kuznetsov's libpcap has eight bytes more per record.
    let mut modified = header(Order::Little, 0xa1b2_cd34, 65535, 1);
    modified.extend(Order::Little.u32s(&[1, 2, 2, 2, 7, 8]));
    modified.extend([9, 9]);
    assert_eq!(read(&modified), (vec![(1, 2, vec![9, 9])], None));
}

#[test]
fn a_cut_packet_says_so() {
    let file = [header(Order::Little, 0xa1b2_c3d4, 65535, 1), record(Order::Little, &[4], 60)].concat();
    let packet = packets(&file).unwrap().next().unwrap().unwrap();
    assert!(packet.is_cut() && packet.offset == 24 && packet.link == LinkType::ETHERNET);
}

#[test]
fn pcapng_has_sections_and_interfaces() {
    use Order::{Big, Little};
    let file = [
        section(Little),
        interface(Little, 1, 0),
        interface(Little, 101, 4),
        enhanced(Little, 1, &[0x45, 0], 20),
        // Statistics, names, and a block that nobody knows: passed over.
        block(Little, 5, &[0; 12]),
        block(Little, 0x4bad, &[1; 7]),
        simple(Little, &[1, 2, 3, 4, 5], 5),
        section(Big),
        interface(Big, 276, 3),
        simple(Big, &[7, 8, 9], 1500),
        enhanced(Big, 0, &[], 0),
    ]
    .concat();
    let expected =
        vec![(101, 20, vec![0x45, 0]), (1, 5, vec![1, 2, 3, 4, 5]), (276, 1500, vec![7, 8, 9]), (276, 0, vec![])];
    assert_eq!(read(&file), (expected, None));
}

#[test]
fn errors_say_the_byte_and_keep_what_was_before() {
    use Order::{Big, Little};
    let pcap = |link| header(Little, 0xa1b2_c3d4, 100, link);
    let good = record(Little, &[1], 1);
    let ng = [section(Little), interface(Little, 1, 0)].concat();
    let bad_length = {
        let mut block = enhanced(Little, 0, &[1, 2, 3, 4], 4);
        let last = block.len() - 4;
        block[last] += 4;
        block
    };
    let too_long = {
        let mut block = enhanced(Little, 0, &[1, 2, 3, 4], 4);
        block[20] = 40;
        block
    };
    let version = {
        let mut file = pcap(1);
        file[4] = 3;
        file
    };
    let section_of_version_2 = {
        let mut file = section(Big);
        file[13] = 2;
        file
    };
    let at = ng.len();
    let malformed = Kind::Malformed("enhanced packet");
    let cases: Vec<(Vec<u8>, usize, usize, Kind)> = vec![
        (b"GIF89a".to_vec(), 0, 0, Kind::NotACapture),
        (vec![], 0, 0, Kind::NotACapture),
        (pcap(1)[..20].to_vec(), 0, 0, Kind::Truncated { what: "file header", missing: 4 }),
        (version, 0, 0, Kind::Version { major: 3, minor: 4 }),
        (pcap(1 << 26 | 4 << 28 | 1), 0, 0, Kind::CheckSequence),
        ([pcap(1), good.clone(), good[..16].to_vec()].concat(), 1, 41, Kind::Truncated { what: "record", missing: 1 }),
        ([pcap(1), good.clone(), vec![0; 3]].concat(), 1, 41, Kind::Truncated { what: "record", missing: 13 }),
        (
            [pcap(1), record(Little, &[0; 101], 101)].concat(),
            0,
            24,
            Kind::LongerThanLimit { captured: 101, limit: 100 },
        ),
        (section(Little)[..10].to_vec(), 0, 0, Kind::Truncated { what: "section header", missing: 30 }),
        (section_of_version_2, 0, 0, Kind::Version { major: 2, minor: 0 }),
        ([ng.clone(), vec![6, 0, 0]].concat(), 0, at, Kind::Truncated { what: "block", missing: 5 }),
        ([ng.clone(), bad_length].concat(), 0, at, malformed),
        ([ng.clone(), too_long].concat(), 0, at, malformed),
        ([ng.clone(), block(Little, 6, &[0; 8])].concat(), 0, at, malformed),
        ([ng.clone(), simple(Little, &[1], 9)].concat(), 0, at, Kind::Malformed("simple packet")),
        (
            [ng.clone(), enhanced(Little, 0, &[1], 1), enhanced(Little, 1, &[1], 1)].concat(),
            1,
            at + 36,
            Kind::NoSuchInterface { interface: 1, count: 1 },
        ),
        (
            [section(Little), simple(Little, &[1], 1)].concat(),
            0,
            section(Little).len(),
            Kind::NoSuchInterface { interface: 0, count: 0 },
        ),
    ];
    for (file, before, offset, kind) in cases {
        let (found, error) = read(&file);
        assert_eq!((found.len(), error), (before, Some(CaptureError { offset, kind })), "{file:x?}");
    }
}

/// Any bytes give packets or an error, and the reading ends.
#[test]
fn broken_captures_give_errors() {
    use Order::{Big, Little};
    let sources = [
        [header(Little, 0xa1b2_c3d4, 65535, 1), record(Little, &[1; 9], 9), record(Little, &[2; 5], 60)].concat(),
        [header(Big, 0xa1b2_3c4d, 0, 101), record(Big, &[1; 30], 30)].concat(),
        [section(Little), interface(Little, 1, 8), enhanced(Little, 0, &[3; 11], 11), simple(Little, &[4; 8], 60)]
            .concat(),
        [section(Big), interface(Big, 1, 0), enhanced(Big, 0, &[3; 11], 11), section(Little)].concat(),
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % limit.max(1) as u64) as usize
    };
    let (mut failed, mut found) = (0, 0);
    for _ in 0..200_000 {
        let mut file = sources[below(sources.len())].clone();
        for _ in 0..=below(4) {
            let at = below(file.len());
            match below(5) {
                0 => file.truncate(at),
                1 => drop(file.drain(at..(at + below(9)).min(file.len()))),
                2 if at < file.len() => file[at] = [0, 0xff, 0x7f, 0x80, 0xfc, 3][below(6)],
                3 if at + 4 <= file.len() => file[at..at + 4].fill([0, 0xff][below(2)]),
                _ if at < file.len() => file[at] ^= 1 << below(8),
                _ => {}
            }
        }
        let (packets, error) = read(&file);
        found += packets.len();
        if let Some(error) = error {
            failed += 1;
            assert!(error.offset < file.len().max(1), "{error}");
        }
    }
    assert!(failed > 10_000 && found > 50_000, "{failed} failed, {found} packets");
}
