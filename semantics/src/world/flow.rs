//! The flow that a packet belongs to, and its hash (`net/core/flow_dissector.c`).

use super::World;
use super::choice::Choice;
use super::skb::{ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, VLAN_HLEN, field};

/// TCP, UDP, DCCP, ESP, AH, SCTP, UDP-Lite: their headers begin with ports, or what passes for them (`proto_ports_offset`).
const WITH_PORTS: [u8; 7] = [6, 17, 33, 50, 51, 132, 136];

/// What the hash of a flow is computed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct FlowKeys {
    /// Protocol of the network layer, in network order.
    protocol: u64,
    /// Protocol of the transport layer.
    transport: u8,
    /// Addresses, the smaller first.
    addresses: [[u8; 16]; 2],
    /// Ports, that of the smaller address first.
    ports: [u16; 2],
    /// The label of an IPv6 flow; not looked at where there are ports.
    label: u32,
}

impl FlowKeys {
    /// Both ways of a flow become the same (`__flow_hash_consistentify`).
    fn consistent(mut self) -> FlowKeys {
        if (self.addresses[1], self.ports[1]) < (self.addresses[0], self.ports[0]) {
            self.addresses.swap(0, 1);
            self.ports.swap(0, 1);
        }
        self
    }

    /// Reads the headers of a packet from the network layer on; what is cut off stays 0.
    fn of(mut protocol: u64, mut bytes: &[u8]) -> FlowKeys {
        while matches!(protocol, ETH_P_8021Q | ETH_P_8021AD) && bytes.len() as u64 >= VLAN_HLEN {
            protocol = u64::from(u16::from_le_bytes([bytes[2], bytes[3]]));
            bytes = &bytes[VLAN_HLEN as usize..];
        }
        let mut keys = FlowKeys { protocol, ..FlowKeys::default() };
        let rest = match protocol {
            ETH_P_IP if bytes.len() >= 20 && bytes[0] & 0xf >= 5 => {
                keys.transport = bytes[9];
                keys.addresses[0][..4].copy_from_slice(&bytes[12..16]);
                keys.addresses[1][..4].copy_from_slice(&bytes[16..20]);
                // A fragment has no ports that can be told.
                let is_fragment = bytes[6] & 0x3f != 0 || bytes[7] != 0;
                bytes.get(4 * usize::from(bytes[0] & 0xf)..).filter(|_| !is_fragment)
            }
            ETH_P_IPV6 if bytes.len() >= 40 => {
                keys.transport = bytes[6];
                keys.addresses[0].copy_from_slice(&bytes[8..24]);
                keys.addresses[1].copy_from_slice(&bytes[24..40]);
                keys.label = u32::from_be_bytes([0, bytes[1] & 0xf, bytes[2], bytes[3]]);
                bytes.get(40..)
            }
            _ => None,
        };
        if let Some([a, b, c, d, ..]) = rest.filter(|_| WITH_PORTS.contains(&keys.transport)) {
            keys.ports = [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])];
        }
        keys
    }

    /// Whether it tells connections apart (`flow_keys_have_l4`).
    fn has_ports(&self) -> bool {
        self.ports != [0, 0] || self.label != 0
    }
}

impl World {
    /// The hash of the packet's flow, and whether ports went into it. The key is the world's, drawn once: the same flow has the
    /// same hash, both ways, and never 0.
    pub(crate) fn flow_hash(&mut self) -> (u32, bool) {
        let key = match self.flow_key {
            Some(key) => key,
            None => *self.flow_key.insert(self.choice.next_u64()),
        };
        let (start, end) = (self.skb.network_header, self.packet.data() + self.packet.len());
        let bytes = self.memory.peek(start.min(end), end.saturating_sub(start));
        let keys = FlowKeys::of(self.field(field::PROTOCOL), bytes).consistent();
        let [a, b] = keys.addresses.map(|address| {
            let [high, low] =
                [&address[..8], &address[8..]].map(|half| half.iter().fold(0, |all, b| all << 8 | u64::from(*b)));
            (high, low)
        });
        let ports = u64::from(keys.ports[0]) << 16 | u64::from(keys.ports[1]);
        let rest = keys.protocol << 16 | u64::from(keys.transport);
        let words = [a.0, a.1, b.0, b.1, ports, u64::from(keys.label), rest];
        let hash = words.into_iter().fold(key, |hash, word| Choice::new(hash ^ word).next_u64());
        (((hash >> 32) as u32).max(1), keys.has_ports())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: u8, target: u8, ports: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, source, 10, 0, 0, target];
        bytes.extend(ports);
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn both_ways_of_a_flow_are_one() {
        let there = FlowKeys::of(ETH_P_IP, &packet(1, 2, [0, 80, 3, 9])).consistent();
        assert_eq!(there, FlowKeys::of(ETH_P_IP, &packet(2, 1, [3, 9, 0, 80])).consistent());
        assert_ne!(there, FlowKeys::of(ETH_P_IP, &packet(2, 1, [0, 80, 3, 9])).consistent());
        assert_ne!(there, FlowKeys::of(ETH_P_IP, &packet(1, 3, [0, 80, 3, 9])).consistent());
        assert!(there.has_ports());
    }

    #[test]
    fn a_tag_is_looked_behind_and_a_fragment_has_no_ports() {
        let plain = packet(1, 2, [0, 80, 3, 9]);
        let tagged = [&[0, 5, 0x08, 0x00], plain.as_slice()].concat();
        assert_eq!(FlowKeys::of(ETH_P_8021Q, &tagged), FlowKeys::of(ETH_P_IP, &plain));
        let mut fragment = plain.clone();
        fragment[7] = 1;
        assert!(!FlowKeys::of(ETH_P_IP, &fragment).has_ports());
        assert_eq!(FlowKeys::of(ETH_P_IPV6, &plain[..39]).addresses, [[0; 16]; 2], "cut off");
    }
}
