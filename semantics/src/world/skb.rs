//! The socket buffer behind a `struct __sk_buff` context: how its packet is reached without packet pointers.

use super::World;
use crate::insn::Size;
use crate::memory::layout;
use crate::program_type::ProgramType;
use crate::trap::Trap;

/// Length of an Ethernet header.
const ETH_HLEN: i64 = 14;

/// Offsets from here on, up to [`NET_OFF`], count from the link layer's header (`SKF_LL_OFF`).
const LL_OFF: i64 = -0x20_0000;
/// Offsets from here on, up to 0, count from the network layer's header (`SKF_NET_OFF`).
const NET_OFF: i64 = -0x10_0000;

impl World {
    /// `size` bytes of the packet in network order, as `BPF_LD | BPF_ABS` reads them; `None` outside of the packet
    /// (`bpf_skb_load_helper_32`, `bpf_internal_load_pointer_neg_helper`).
    pub fn load_packet(&self, context: u64, size: Size, offset: i32) -> Result<Option<u64>, Trap> {
        if context != layout::CONTEXT || self.program_type.declaration().context != "__sk_buff" {
            return Err(Trap::NoSocketBuffer(context));
        }
        let offset = i64::from(offset);
        let start = match offset {
            0.. => offset + self.skb_data() as i64,
            NET_OFF..0 => offset - NET_OFF + ETH_HLEN,
            LL_OFF..NET_OFF => offset - LL_OFF,
            _ => return Ok(None),
        };
        let packet = self.memory.peek(layout::PACKET, self.packet_len());
        let bytes = usize::try_from(start).ok().and_then(|start| packet.get(start..start + size.bytes() as usize));
        Ok(bytes.map(|bytes| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
    }

    /// Where the data of the buffer begin: at the link layer for programs that see it, else behind its header
    /// (`bpf_prog_test_run_skb`).
    fn skb_data(&self) -> u64 {
        let link_layer = matches!(self.program_type, ProgramType::SchedCls | ProgramType::SchedAct);
        let header = if link_layer { 0 } else { ETH_HLEN as u64 };
        header.min(self.packet_len())
    }
}
