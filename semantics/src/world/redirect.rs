//! Where packets go: the record of the processor that redirecting helpers leave (`struct bpf_redirect_info`), and clones that
//! were sent on the way.

use super::World;
use super::room::Observation;

/// `BPF_F_INGRESS`: into the device, not out of it.
pub const BPF_F_INGRESS: u64 = 1 << 0;
/// `BPF_F_BROADCAST`: to all devices of a map.
pub const BPF_F_BROADCAST: u64 = 1 << 3;
/// `BPF_F_EXCLUDE_INGRESS`: but the one that it came in through.
pub const BPF_F_EXCLUDE_INGRESS: u64 = 1 << 4;
/// `BPF_F_PEER`, which the kernel keeps to itself: into the peer of the device.
pub const BPF_F_PEER: u64 = 1 << 17;

/// Where the packet is to go if the program returns so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Redirect {
    /// Flags, those that the kernel keeps to itself included.
    pub flags: u64,
    /// Number of a device, or key of a map.
    pub target: u32,
    /// The map whose entry is the target, by index.
    pub map: Option<u32>,
    /// The map to all of whose devices it goes, by index.
    pub broadcast: Option<u32>,
}

impl Redirect {
    pub(super) fn observe(&self, to: &mut Observation<'_>) {
        if *self == Redirect::default() {
            return;
        }
        to.number("target", self.target);
        to.text("flags", &format!("{:#x}", self.flags));
        for (name, map) in [("map", self.map), ("broadcast", self.broadcast)] {
            if let Some(map) = map {
                to.number(name, map);
            }
        }
    }
}

/// A copy of the packet that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The device.
    pub ifindex: u32,
    /// Into it, as if received.
    pub ingress: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn observe(&self, to: &mut Observation<'_>) {
        let way = if self.ingress { "into" } else { "out of" };
        to.bytes(&format!("{way} {}", self.ifindex), &self.bytes);
    }
}

impl World {
    /// The copy of bytes of the packet goes this way.
    pub(crate) fn send(&mut self, ifindex: u32, ingress: bool, bytes: Vec<u8>) {
        self.sent.push(Sent { ifindex, ingress, bytes });
    }
}
