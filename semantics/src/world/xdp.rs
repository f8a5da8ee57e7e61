//! The buffer behind a `struct xdp_md`: what a driver says of its frame (`struct xdp_buff`, `struct xdp_rxq_info`).

use serde::{Deserialize, Serialize};

use super::context::Field;
use super::packet::{Arrival, HEADROOM_MAX};
use super::room::Observation;
use super::skb::SHARED_INFO;
use super::{ConfigError, World};
use crate::memory::layout;
use crate::program_type::context::layout::XDP_MD;

/// Bytes of `struct xdp_frame`, which come first in the room before a packet.
pub const XDP_FRAME: u64 = 40;

/// Fields of the context that the kernel's side reads and writes.
#[allow(missing_docs)]
pub mod field {
    use super::{Field, XDP_MD};

    pub const DATA: Field = Field::of(&XDP_MD, "data");
    pub const DATA_END: Field = Field::of(&XDP_MD, "data_end");
    pub const DATA_META: Field = Field::of(&XDP_MD, "data_meta");
    pub const INGRESS_IFINDEX: Field = Field::of(&XDP_MD, "ingress_ifindex");
}

/// The frame before a run. By default that of a test run: a page, of which 256 bytes come before the data and 320 bytes stay
/// free behind them; what does not fit lies in fragments of a page each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XdpConfig {
    /// Bytes of the frame before the data, metadata included (`XDP_PACKET_HEADROOM`).
    pub headroom: u32,
    /// Bytes of the frame (`frame_sz`).
    pub frame_size: u32,
    /// Bytes that the driver has for a fragment (`frag_size`); 0 if it does not say.
    pub frag_size: u32,
    /// How many bytes at the packet's beginning are metadata.
    pub meta: u32,
    /// Whether the driver has no place for metadata.
    pub no_meta: bool,
    /// Lengths of the fragments that the packet ends with. Unless stated, what does not fit into the frame, in fragments as
    /// long as can be.
    pub frags: Option<Vec<u32>>,
}

impl Default for XdpConfig {
    fn default() -> Self {
        XdpConfig { headroom: 256, frame_size: 4096, frag_size: 4096, meta: 0, no_meta: false, frags: None }
    }
}

impl XdpConfig {
    /// Whether there can be such a frame.
    pub fn check(&self) -> Result<(), ConfigError> {
        if u64::from(self.headroom) > HEADROOM_MAX {
            return Err(ConfigError::Headroom(self.headroom));
        }
        if u64::from(self.meta) + XDP_FRAME > u64::from(self.headroom) || self.no_meta && self.meta > 0 {
            return Err(ConfigError::Metadata(self.meta));
        }
        if u64::from(self.frame_size) <= u64::from(self.headroom) + SHARED_INFO {
            return Err(ConfigError::FrameSize(self.frame_size));
        }
        Ok(())
    }

    /// A frame that holds a packet of any length in one piece.
    pub fn in_one_piece() -> XdpConfig {
        let default = XdpConfig::default();
        let room = u64::from(default.headroom) + layout::PACKET_MAX + SHARED_INFO;
        XdpConfig { frame_size: room as u32, ..default }
    }

    /// The longest linear packet.
    pub(super) fn linear_max(&self) -> u64 {
        u64::from(self.frame_size) - SHARED_INFO - u64::from(self.headroom)
    }

    /// How a packet of `len` bytes, metadata included, lies; `None` if it has fewer bytes than metadata and fragments.
    pub(super) fn arrival(&self, len: u64) -> Option<Arrival> {
        let (before, page) = (u64::from(self.meta), u64::from(if self.frag_size == 0 { 4096 } else { self.frag_size }));
        let data = len.checked_sub(before)?;
        let frags = if let Some(frags) = &self.frags {
            frags.iter().filter(|frag| **frag > 0).map(|frag| u64::from(*frag)).collect()
        } else {
            let paged = data.saturating_sub(self.linear_max());
            (0..paged.div_ceil(page)).map(|at| page.min(paged - at * page)).collect::<Vec<_>>()
        };
        let linear = data.checked_sub(frags.iter().sum())?;
        let tailroom = self.linear_max().saturating_sub(linear);
        Some(Arrival { before, headroom: u64::from(self.headroom), tailroom, frags })
    }
}

/// The state of an XDP buffer beside its bytes and its context.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct XdpBuff {
    /// Bytes of the frame.
    pub frame_size: u64,
    /// Bytes that the driver has for a fragment.
    pub frag_size: u64,
    /// The driver has no place for metadata (`xdp_data_meta_unsupported`).
    pub no_meta: bool,
    /// A helper has changed it.
    touched: bool,
}

impl XdpBuff {
    pub(super) fn new(config: &XdpConfig) -> XdpBuff {
        XdpBuff {
            frame_size: u64::from(config.frame_size),
            frag_size: u64::from(config.frag_size),
            no_meta: config.no_meta,
            touched: false,
        }
    }
    pub(super) fn observe(&self, frags: &[u64], to: &mut Observation<'_>) {
        for len in frags.iter().filter(|_| self.touched) {
            to.number("frag", *len);
        }
    }
}

impl World {
    /// The context follows the packet.
    pub(crate) fn xdp_sync(&mut self) {
        self.xdp.touched = true;
        self.packet.place(&mut self.memory);
        let (meta, data, end) = (self.packet.start(), self.packet.data(), self.packet.end());
        self.set_field(field::DATA, data);
        self.set_field(field::DATA_END, end);
        self.set_field(field::DATA_META, if self.xdp.no_meta { data + 1 } else { meta });
    }
    /// Whether the packet has fragments (`xdp_buff_has_frags`).
    pub(crate) fn xdp_has_frags(&self) -> bool {
        !self.packet.frags().is_empty()
    }
    /// The device that the packet came in through.
    pub(crate) fn xdp_device(&self) -> u32 {
        self.field(field::INGRESS_IFINDEX) as u32
    }
    /// The end of the frame that data may reach to (`xdp_data_hard_end`).
    pub(crate) fn xdp_hard_end(&self) -> u64 {
        self.packet.head() + self.xdp.frame_size - SHARED_INFO
    }
}
