//! What is known at one point of one path: registers and the stack (kernel: `struct bpf_verifier_state`).

use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::insn::{Reg, Size};
use semantics::word::Concrete;

/// A number on the real machine.
pub type Number = Scalar<Concrete>;

/// The stack of a frame in slots of 8 bytes.
pub const SLOTS: usize = 64;
/// The lowest offset from the frame pointer (`MAX_BPF_STACK`).
pub const STACK_BOTTOM: i64 = -512;

/// What a register holds (`enum bpf_reg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing that may be read.
    NotInit,
    /// A number.
    Scalar,
    /// The address of the context.
    Ctx,
    /// An address in the stack, from the frame pointer.
    Fp,
    /// An address in the packet, from its first byte.
    Packet,
    /// An address in the metadata before the packet, from their first byte.
    PacketMeta,
    /// The address one past the last byte of the packet.
    PacketEnd,
    /// A map.
    MapPtr,
    /// An address in a value of a map, from its first byte.
    MapValue,
    /// The address of a value of a map, or 0.
    MapValueOrNull,
}

impl Kind {
    /// The kernel's word in messages (`reg_type_str`).
    pub fn name(self) -> &'static str {
        match self {
            Kind::NotInit => "?",
            Kind::Scalar => "scalar",
            Kind::Ctx => "ctx",
            Kind::Fp => "fp",
            Kind::Packet => "pkt",
            Kind::PacketMeta => "pkt_meta",
            Kind::PacketEnd => "pkt_end",
            Kind::MapPtr => "map_ptr",
            Kind::MapValue => "map_value",
            Kind::MapValueOrNull => "map_value_or_null",
        }
    }
    /// Whether it is an address.
    #[inline]
    pub fn is_pointer(self) -> bool {
        !matches!(self, Kind::NotInit | Kind::Scalar)
    }
    /// Whether it points into the packet or its metadata (`type_is_pkt_pointer`).
    #[inline]
    pub fn is_packet(self) -> bool {
        matches!(self, Kind::Packet | Kind::PacketMeta)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Found at the packet's end or beyond (`AT_PKT_END`).
pub const AT_PACKET_END: i32 = -1;
/// Found beyond the packet's end (`BEYOND_PKT_END`).
pub const BEYOND_PACKET_END: i32 = -2;

/// What is known of a register (`struct bpf_reg_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegState {
    /// What it holds.
    pub kind: Kind,
    /// The map, by index, of map pointers and values.
    pub map: u32,
    /// Registers of one kind with the same id, not 0, hold the same: number, variable part, or address that may be null.
    pub id: u32,
    /// The constant part of an address, bytes.
    pub off: i32,
    /// Of packet pointers: so many bytes after the variable part are proven to be there, or `*_PACKET_END`.
    pub range: i32,
    /// The number, or the variable part of the address, bytes.
    pub var: Number,
}

const ZERO: Number = Scalar {
    var_off: Tnum { value: 0, mask: 0 },
    umin: 0,
    umax: 0,
    smin: 0,
    smax: 0,
    u32_min: 0,
    u32_max: 0,
    s32_min: 0,
    s32_max: 0,
};

impl RegState {
    /// Nothing that may be read.
    pub const NOT_INIT: RegState = RegState { kind: Kind::NotInit, map: 0, id: 0, off: 0, range: 0, var: ZERO };

    /// The start of what `kind` points to.
    pub const fn pointer(kind: Kind) -> RegState {
        RegState { kind, ..RegState::NOT_INIT }
    }
    /// A number.
    #[inline]
    pub fn scalar(var: Number) -> RegState {
        RegState { kind: Kind::Scalar, var, ..RegState::NOT_INIT }
    }
    /// Any number.
    #[inline]
    pub fn unknown() -> RegState {
        RegState::scalar(Number::unknown())
    }
    /// This number.
    #[inline]
    pub fn constant(value: u64) -> RegState {
        RegState::scalar(Number::constant(&value))
    }
    /// The number, if it is one and only one.
    #[inline]
    pub fn as_constant(&self) -> Option<u64> {
        (self.kind == Kind::Scalar && self.var.var_off.mask == 0).then_some(self.var.var_off.value)
    }
    /// The same cut to the low `size` bytes (`coerce_reg_to_size`).
    #[must_use]
    pub fn cut_to(&self, size: Size) -> RegState {
        let bits = size.bytes() * 8;
        if bits == 64 {
            return *self;
        }
        let max = (1u64 << bits) - 1;
        let (old, mut var) = (&self.var, Number::of_bits(bits));
        var.var_off = Tnum { value: old.var_off.value & max, mask: old.var_off.mask & max };
        if old.umin & !max == old.umax & !max {
            (var.umin, var.umax) = (old.umin & max, old.umax & max);
        }
        if bits == 32 {
            let Scalar { u32_min, u32_max, s32_min, s32_max, .. } = *old;
            var = Scalar { u32_min, u32_max, s32_min, s32_max, ..var };
        }
        let id = if old.umax <= max { self.id } else { 0 };
        RegState { id, var: var.sync(), ..*self }
    }
}

/// What is known of a byte of the stack (`enum bpf_stack_slot_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// Never written.
    Invalid,
    /// Part of a spilled register.
    Spill,
    /// Anything.
    Misc,
    /// Zero.
    Zero,
}

/// 8 bytes of the stack. A spilled register of `n` bytes lies in the `n` lowest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// By address, ascending.
    pub bytes: [Byte; 8],
    /// The spilled register, where the lowest byte says that there is one.
    pub spill: RegState,
}

impl Slot {
    /// Never written.
    pub const INVALID: Slot = Slot { bytes: [Byte::Invalid; 8], spill: RegState::NOT_INIT };

    /// Whether a register is spilled here (`is_spilled_reg`).
    #[inline]
    pub fn is_spilled(&self) -> bool {
        self.bytes[0] == Byte::Spill
    }
    /// How many bytes of it.
    #[inline]
    pub fn spilled_bytes(&self) -> usize {
        self.bytes.iter().take_while(|byte| **byte == Byte::Spill).count()
    }
    /// Forgets the spilled register, not that something was written (`scrub_spilled_slot`).
    pub fn scrub(&mut self) {
        self.spill = RegState::NOT_INIT;
        for byte in &mut self.bytes {
            if *byte == Byte::Spill {
                *byte = Byte::Misc;
            }
        }
    }
}

/// Registers and stack at one point of one path.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    /// R0 to R10.
    pub regs: [RegState; 11],
    /// Slots from the frame pointer downwards, as deep as was written.
    pub stack: Vec<Slot>,
}

impl Clone for State {
    fn clone(&self) -> Self {
        State { regs: self.regs, stack: self.stack.clone() }
    }
    fn clone_from(&mut self, source: &Self) {
        self.regs = source.regs;
        self.stack.clone_from(&source.stack);
    }
}

impl State {
    /// On entry: R1 is the context, R10 the frame pointer.
    pub fn entry() -> State {
        let mut regs = [RegState::NOT_INIT; 11];
        regs[Reg::R1.index()] = RegState::pointer(Kind::Ctx);
        regs[Reg::FP.index()] = RegState::pointer(Kind::Fp);
        State { regs, stack: Vec::new() }
    }
    /// The register.
    #[inline]
    pub fn reg(&self, reg: Reg) -> &RegState {
        &self.regs[reg.index()]
    }
    /// Replaces the register.
    #[inline]
    pub fn set(&mut self, reg: Reg, state: RegState) {
        self.regs[reg.index()] = state;
    }
    /// The byte at this offset from the frame pointer, -512 to -1.
    #[inline]
    pub fn byte(&self, off: i64) -> Byte {
        self.stack.get(slot_of(off)).map_or(Byte::Invalid, |slot| slot.bytes[off.rem_euclid(8) as usize])
    }
    /// The slot that holds this offset, made if need be.
    pub fn slot_mut(&mut self, off: i64) -> &mut Slot {
        let at = slot_of(off);
        if at >= self.stack.len() {
            self.stack.resize(at + 1, Slot::INVALID);
        }
        &mut self.stack[at]
    }
    /// Every register that holds something, spilled ones too.
    pub fn for_each(&mut self, mut change: impl FnMut(&mut RegState)) {
        self.regs.iter_mut().for_each(&mut change);
        self.stack.iter_mut().filter(|slot| slot.is_spilled()).for_each(|slot| change(&mut slot.spill));
    }
}

/// The number of the slot that holds this offset from the frame pointer: 0 is the highest.
#[inline]
pub fn slot_of(off: i64) -> usize {
    ((-off - 1) / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_keeps_what_fits() {
        let reg = RegState { id: 3, ..RegState::scalar(Scalar { umax: 300, ..Number::unknown() }.sync()) };
        assert_eq!((reg.cut_to(Size::H).id, reg.cut_to(Size::H).var.umax), (3, 300));
        assert_eq!((reg.cut_to(Size::B).id, reg.cut_to(Size::B).var.umax), (0, 255));
        let constant = RegState::constant(0x1_2345_6789).cut_to(Size::W);
        assert_eq!(constant.as_constant(), Some(0x2345_6789));
    }

    #[test]
    fn slots_count_downwards() {
        assert_eq!([-1, -8, -9, -512].map(slot_of), [0, 0, 1, 63]);
    }
}
