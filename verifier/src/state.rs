//! What is known at one point of one path: registers and the stack (kernel: `struct bpf_verifier_state`).

use crate::env::Env;
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

/// What a register holds, without what [`Flags`] say of it (`enum bpf_reg_type`, `base_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing that may be read.
    NotInit,
    /// A number.
    Scalar,
    /// The address of the context.
    Ctx,
    /// An address in the stack of frame [`RegState::frame`], from its frame pointer.
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
    /// An address in a key of a map, from its first byte.
    MapKey,
    /// An address in `struct bpf_flow_keys`.
    FlowKeys,
    /// A `struct bpf_sock`.
    Socket,
    /// A `struct bpf_sock` of which only the part in common is there (`struct sock_common`).
    SockCommon,
    /// A `struct bpf_tcp_sock`.
    TcpSock,
    /// A `struct bpf_xdp_sock`.
    XdpSock,
    /// An address in the buffer of a writable tracepoint.
    TpBuffer,
    /// An address in an object of the kernel, whose type is [`RegState::what`] in its BTF.
    BtfId,
    /// An address in [`RegState::what`] bytes of memory.
    Mem,
    /// An address in a buffer whose length the kernel checks when it is known.
    Buf,
    /// The subprogram [`RegState::what`].
    Func,
    /// A dynptr that the kernel gave (`CONST_PTR_TO_DYNPTR`); in a slot of the stack: a dynptr that lies there.
    Dynptr,
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
            Kind::MapKey => "map_key",
            Kind::FlowKeys => "flow_keys",
            Kind::Socket => "sock",
            Kind::SockCommon => "sock_common",
            Kind::TcpSock => "tcp_sock",
            Kind::XdpSock => "xdp_sock",
            Kind::TpBuffer => "tp_buffer",
            Kind::BtfId => "ptr_",
            Kind::Mem => "mem",
            Kind::Buf => "buf",
            Kind::Func => "func",
            Kind::Dynptr => "dynptr_ptr",
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
    /// Whether it is a socket of some sort (`type_is_sk_pointer`).
    #[inline]
    pub fn is_socket(self) -> bool {
        matches!(self, Kind::Socket | Kind::SockCommon | Kind::TcpSock | Kind::XdpSock)
    }
}

/// What a pointer is besides its kind (`enum bpf_type_flag`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// None of them.
    pub const NONE: Flags = Flags(0);
    /// It may be 0 (`PTR_MAYBE_NULL`).
    pub const MAYBE_NULL: Flags = Flags(1);
    /// What it points to is only read (`MEM_RDONLY`).
    pub const RDONLY: Flags = Flags(1 << 1);
    /// A record of a ring buffer (`MEM_RINGBUF`; in Linux 6.1 [`Flags::ALLOC`]).
    pub const RINGBUF: Flags = Flags(1 << 2);
    /// An address of user space (`MEM_USER`).
    pub const USER: Flags = Flags(1 << 3);
    /// A variable of each CPU (`MEM_PERCPU`).
    pub const PERCPU: Flags = Flags(1 << 4);
    /// It may lead nowhere: only reads that cannot fault (`PTR_UNTRUSTED`).
    pub const UNTRUSTED: Flags = Flags(1 << 5);
    /// An object that is surely there (`PTR_TRUSTED`).
    pub const TRUSTED: Flags = Flags(1 << 6);
    /// There as long as a read-side critical section lasts (`MEM_RCU`).
    pub const RCU: Flags = Flags(1 << 7);
    /// A dynptr of local memory (`DYNPTR_TYPE_LOCAL`).
    pub const LOCAL: Flags = Flags(1 << 8);
    /// A record of a ring buffer as Linux 6.1 names it (`MEM_ALLOC`).
    pub const ALLOC: Flags = Flags(1 << 9);

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
    /// These without those.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
    /// Whether one of those is among these.
    #[inline]
    pub const fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}

/// Kind and flags: a register's type as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// What it is.
    pub kind: Kind,
    /// What else is true of it.
    pub flags: Flags,
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Type {
        Type { kind, flags: Flags::NONE }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefixes = [
            (Flags::RDONLY, "rdonly_"),
            (Flags::RINGBUF, "ringbuf_"),
            (Flags::ALLOC, "alloc_"),
            (Flags::USER, "user_"),
            (Flags::PERCPU, "percpu_"),
            (Flags::RCU, "rcu_"),
            (Flags::UNTRUSTED, "untrusted_"),
            (Flags::TRUSTED, "trusted_"),
        ];
        for (_, prefix) in prefixes.iter().filter(|(flag, _)| self.flags.any(*flag)) {
            f.write_str(prefix)?;
        }
        f.write_str(self.kind.name())?;
        match (self.flags.any(Flags::MAYBE_NULL), self.kind) {
            (true, Kind::BtfId) => f.write_str("or_null_"),
            (true, _) => f.write_str("_or_null"),
            (false, _) => Ok(()),
        }
    }
}

/// Found at the packet's end or beyond (`AT_PKT_END`).
pub const AT_PACKET_END: i32 = -1;
/// Found beyond the packet's end (`BEYOND_PKT_END`).
pub const BEYOND_PACKET_END: i32 = -2;

/// Whether a verdict depends on a number (`precise`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precise {
    /// None that is known.
    #[default]
    No,
    /// One may: the number comes to where a loop is in progress, behind which not all is followed yet. Until then it is
    /// compared, but the next turn may forget it.
    Perhaps,
    /// One does.
    Yes,
}

/// What is known of a register (`struct bpf_reg_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegState {
    /// What it holds.
    pub kind: Kind,
    /// What else is true of that.
    pub flags: Flags,
    /// Of addresses in a stack: the frame, 0 for the outermost.
    pub frame: u8,
    /// Whether a verdict depends on the exact number: where states are compared as Linux does.
    pub precise: Precise,
    /// The map, by index, of map pointers, keys and values.
    pub map: u32,
    /// Of memory its bytes, of an object of the kernel its type in BTF, of a subprogram its number.
    pub what: u32,
    /// The reference that it holds, or that was held by what it was made from (`ref_obj_id`); 0 for none.
    pub reference: u32,
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
    pub const NOT_INIT: RegState = RegState {
        kind: Kind::NotInit,
        flags: Flags::NONE,
        frame: 0,
        precise: Precise::No,
        map: 0,
        what: 0,
        reference: 0,
        id: 0,
        off: 0,
        range: 0,
        var: ZERO,
    };

    /// The start of what `kind` points to.
    pub const fn pointer(kind: Kind) -> RegState {
        RegState { kind, ..RegState::NOT_INIT }
    }
    /// Kind and flags.
    #[inline]
    pub fn ty(&self) -> Type {
        Type { kind: self.kind, flags: self.flags }
    }
    /// Whether it is of this kind and surely not null.
    #[inline]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind && !self.maybe_null()
    }
    /// Whether it is an address that may be 0.
    #[inline]
    pub fn maybe_null(&self) -> bool {
        self.flags.any(Flags::MAYBE_NULL)
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
    pub(crate) fn cut_to(&self, size: Size, env: &Env<'_>) -> RegState {
        if size == Size::Dw {
            return *self;
        }
        let id = if (env.rules.fits)(size, &self.var) { self.id } else { 0 };
        RegState { id, var: (env.rules.fill)(size, &env.dialect.domain, &self.var), ..*self }
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
    /// Part of a dynptr.
    Dynptr,
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
    /// Whether part of a dynptr lies here.
    #[inline]
    pub fn holds_dynptr(&self) -> bool {
        self.bytes.contains(&Byte::Dynptr)
    }
    /// How many bytes of it.
    #[inline]
    pub fn spilled_bytes(&self) -> usize {
        self.bytes.iter().take_while(|byte| **byte == Byte::Spill).count()
    }
    /// Zeros may be anything (`scrub_spilled_slot` before 6.8).
    pub fn forget_zeros(&mut self) {
        for byte in self.bytes.iter_mut().filter(|byte| **byte == Byte::Zero) {
            *byte = Byte::Misc;
        }
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

/// What a helper calls back, and what the result may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The helper's number.
    pub helper: u32,
    /// The largest result, from 0.
    pub result_max: u32,
    /// Whether it runs later, on its own (`in_async_callback_fn`).
    pub is_async: bool,
}

/// How a frame was entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The call, in slots.
    pub site: usize,
    /// The subprogram, by number.
    pub subprogram: u32,
    /// By which helper, if by one.
    pub callback: Option<Callback>,
    /// How many timers deep (`async_entry_cnt`).
    pub async_depth: u8,
}

/// The frame of a caller that waits (`struct bpf_func_state`).
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// R0 to R10.
    pub regs: [RegState; 11],
    /// Slots from the frame pointer downwards, as deep as was written.
    pub stack: Vec<Slot>,
    /// How it was entered.
    pub entry: Entry,
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        Frame { regs: self.regs, stack: self.stack.clone(), entry: self.entry }
    }
    fn clone_from(&mut self, source: &Self) {
        (self.regs, self.entry) = (source.regs, source.entry);
        self.stack.clone_from(&source.stack);
    }
}

/// A reference that the program holds (`struct bpf_reference_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its id, not 0.
    pub id: u32,
    /// Where it was acquired, in slots.
    pub insn: usize,
    /// The frame of the callback that acquired it; 0 outside of callbacks.
    pub callback: u8,
}

/// The spin lock that is held (`active_spin_lock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The id of the value that it lies in.
    pub id: u32,
    /// The map of the value.
    pub map: u32,
}

/// Registers and stack of all frames at one point of one path. The current frame lies here itself.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    /// R0 to R10.
    pub regs: [RegState; 11],
    /// Slots from the frame pointer downwards, as deep as was written.
    pub stack: Vec<Slot>,
    /// How the current frame was entered.
    pub entry: Entry,
    /// The frames that wait, outermost first.
    pub callers: Vec<Frame>,
    /// References held.
    pub references: Vec<Reference>,
    /// The spin lock held.
    pub lock: Option<Lock>,
}

impl Clone for State {
    fn clone(&self) -> Self {
        State {
            regs: self.regs,
            stack: self.stack.clone(),
            entry: self.entry,
            callers: self.callers.clone(),
            references: self.references.clone(),
            lock: self.lock,
        }
    }
    fn clone_from(&mut self, source: &Self) {
        (self.regs, self.entry, self.lock) = (source.regs, source.entry, source.lock);
        self.stack.clone_from(&source.stack);
        self.callers.clone_from(&source.callers);
        self.references.clone_from(&source.references);
    }
}

impl State {
    /// On entry: R1 is the context, R10 the frame pointer.
    pub fn entry() -> State {
        let mut regs = [RegState::NOT_INIT; 11];
        regs[Reg::R1.index()] = RegState::pointer(Kind::Ctx);
        regs[Reg::FP.index()] = RegState::pointer(Kind::Fp);
        State {
            regs,
            stack: Vec::new(),
            entry: Entry::default(),
            callers: Vec::new(),
            references: Vec::new(),
            lock: None,
        }
    }
    /// Nothing at all.
    pub(crate) const fn empty() -> State {
        let entry = Entry { site: 0, subprogram: 0, callback: None, async_depth: 0 };
        State {
            regs: [RegState::NOT_INIT; 11],
            stack: Vec::new(),
            entry,
            callers: Vec::new(),
            references: Vec::new(),
            lock: None,
        }
    }
    /// Back to the entry, keeping memory.
    pub(crate) fn reset(&mut self) {
        self.regs = State::entry().regs;
        (self.entry, self.lock) = (Entry::default(), None);
        self.stack.clear();
        self.callers.clear();
        self.references.clear();
    }
    /// The number of the current frame: 0 outside of calls (`curframe`).
    #[inline]
    pub fn depth(&self) -> usize {
        self.callers.len()
    }
    /// Enters a subprogram: the current frame waits, and the new one has nothing but its frame pointer.
    pub fn push_frame(&mut self, entry: Entry) {
        let mut regs = [RegState::NOT_INIT; 11];
        let frame = self.depth() as u8 + 1;
        regs[Reg::FP.index()] = RegState { frame, ..RegState::pointer(Kind::Fp) };
        let caller = Frame {
            regs: std::mem::replace(&mut self.regs, regs),
            stack: std::mem::take(&mut self.stack),
            entry: std::mem::replace(&mut self.entry, entry),
        };
        self.callers.push(caller);
    }
    /// Leaves a subprogram: its frame, if there is one that waits.
    pub fn pop_frame(&mut self) -> Option<Frame> {
        let caller = self.callers.pop()?;
        Some(Frame {
            regs: std::mem::replace(&mut self.regs, caller.regs),
            stack: std::mem::replace(&mut self.stack, caller.stack),
            entry: std::mem::replace(&mut self.entry, caller.entry),
        })
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
    /// The stack of this frame.
    #[inline]
    pub fn stack_of(&self, frame: u8) -> &Vec<Slot> {
        self.callers.get(usize::from(frame)).map_or(&self.stack, |caller| &caller.stack)
    }
    /// The same, to change it.
    #[inline]
    pub fn stack_of_mut(&mut self, frame: u8) -> &mut Vec<Slot> {
        match self.callers.get_mut(usize::from(frame)) {
            Some(caller) => &mut caller.stack,
            None => &mut self.stack,
        }
    }
    /// The byte at this offset from the frame pointer of a frame, -512 to -1.
    #[inline]
    pub fn byte(&self, frame: u8, off: i64) -> Byte {
        self.stack_of(frame).get(slot_of(off)).map_or(Byte::Invalid, |slot| slot.bytes[off.rem_euclid(8) as usize])
    }
    /// The slot of a frame that holds this offset, made if need be.
    pub fn slot_mut(&mut self, frame: u8, off: i64) -> &mut Slot {
        let (at, stack) = (slot_of(off), self.stack_of_mut(frame));
        if at >= stack.len() {
            stack.resize(at + 1, Slot::INVALID);
        }
        &mut stack[at]
    }
    /// Every register of every frame, spilled ones too (`bpf_for_each_reg_in_vstate`).
    pub fn for_each(&mut self, mut change: impl FnMut(&mut RegState)) {
        let own = (&mut self.regs, &mut self.stack);
        let frames = self.callers.iter_mut().map(|caller| (&mut caller.regs, &mut caller.stack)).chain([own]);
        for (regs, stack) in frames {
            regs.iter_mut().for_each(&mut change);
            stack.iter_mut().filter(|slot| slot.is_spilled()).for_each(|slot| change(&mut slot.spill));
        }
    }
    /// Holds a new reference (`acquire_reference_state`).
    pub fn acquire(&mut self, id: u32, insn: usize) {
        let callback = if self.entry.callback.is_some() { self.depth() as u8 } else { 0 };
        self.references.push(Reference { id, insn, callback });
    }
    /// Gives a reference back; whether it was held (`release_reference_state`).
    pub fn release(&mut self, id: u32) -> bool {
        let held = self.references.iter().position(|reference| reference.id == id);
        held.map(|at| self.references.swap_remove(at)).is_some()
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
    fn slots_count_downwards() {
        assert_eq!([-1, -8, -9, -512].map(slot_of), [0, 0, 1, 63]);
    }
}
