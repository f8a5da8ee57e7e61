//! Recorded states, and whether a run stays inside them: the containment oracle.

use crate::domain::Domain;
use crate::env::INNER;
use crate::state::{Byte, Kind, RegState, Slot, State};
use semantics::insn::Reg;
use semantics::memory::{Memory, Object, layout};
use semantics::provenance::{Origin, Provenance};
use semantics::world::Packet;
use std::cell::Cell;

const NONE: u32 = u32::MAX;

/// Every abstract state that was explored, by the instruction that it stands before.
#[derive(Debug, Default)]
pub struct States {
    lists: Vec<List>,
    records: Vec<Record>,
    used: usize,
}

/// The states before one instruction, in the order in which they were explored.
#[derive(Clone, Debug)]
struct List {
    first: u32,
    last: u32,
    /// Where the next search begins: a loop runs through its states in the order in which they were explored.
    cursor: Cell<u32>,
}

#[derive(Debug)]
struct Record {
    state: State,
    next: u32,
}

/// A run at one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// R0 to R10.
    pub regs: &'a [u64; 11],
    /// Guest memory: the frame's bytes, and where map values lie.
    pub memory: &'a Memory,
    /// Where the packet lies.
    pub packet: &'a Packet,
    /// What addresses were made from, if the run is watched for that. Else a pointer is judged by where it leads.
    pub origins: Option<&'a Provenance>,
}

/// A value that no explored state contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Escape {
    /// No path leads to the instruction.
    #[error("insn {insn} is reached, but no explored path leads there")]
    Unexplored {
        /// The instruction.
        insn: usize,
    },
    /// A register outside of the state that comes closest.
    #[error("before insn {insn}, {reg} holds {value:#x}, which no explored state contains")]
    Register {
        /// The instruction.
        insn: usize,
        /// The register.
        reg: Reg,
        /// What it holds.
        value: u64,
    },
    /// Stack bytes outside of the state that comes closest.
    #[error("before insn {insn}, the stack at r10-{depth} holds {value:#x}, which no explored state contains")]
    Stack {
        /// The instruction.
        insn: usize,
        /// Bytes below the frame pointer.
        depth: usize,
        /// The 8 bytes there.
        value: u64,
    },
    /// Registers that are linked hold different numbers, in the state that comes closest.
    #[error(
        "before insn {insn}, {reg} holds {value:#x}, but every explored state links it to what holds something else"
    )]
    Link {
        /// The instruction.
        insn: usize,
        /// The register, or where its slot is that of the stack, R10.
        reg: Reg,
        /// What it holds.
        value: u64,
    },
}

impl States {
    /// Forgets everything, but not the memory that it took.
    pub(crate) fn reset(&mut self, insns: usize) {
        self.used = 0;
        self.lists.clear();
        self.lists.resize(insns, List { first: NONE, last: NONE, cursor: Cell::new(NONE) });
    }
    pub(crate) fn record(&mut self, insn: usize, state: &State) {
        let at = self.used as u32;
        if let Some(record) = self.records.get_mut(self.used) {
            record.state.clone_from(state);
            record.next = NONE;
        } else {
            self.records.push(Record { state: state.clone(), next: NONE });
        }
        self.used += 1;
        let list = &mut self.lists[insn];
        if list.first == NONE {
            list.first = at;
        } else {
            self.records[list.last as usize].next = at;
        }
        list.last = at;
    }
    /// The states explored before this instruction.
    pub fn at(&self, insn: usize) -> impl Iterator<Item = &State> {
        self.from(self.lists.get(insn).map_or(NONE, |list| list.first)).map(|(_, record)| &record.state)
    }
    fn from(&self, first: u32) -> impl Iterator<Item = (u32, &Record)> {
        let mut next = first;
        std::iter::from_fn(move || {
            let at = next;
            let record = self.records.get(at as usize)?;
            next = record.next;
            Some((at, record))
        })
    }
    /// How many were explored in all.
    pub fn len(&self) -> usize {
        self.used
    }
    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Whether some state explored before `insn` contains the run. Does not allocate.
    pub fn contains(&self, insn: usize, run: &Snapshot<'_>) -> Result<(), Escape> {
        let mut closest = (0, Escape::Unexplored { insn });
        let Some(list) = self.lists.get(insn) else { return Err(closest.1) };
        let cursor = list.cursor.get();
        let before_cursor = self.from(list.first).take_while(|(at, _)| *at != cursor);
        for (_, record) in self.from(cursor).chain(before_cursor) {
            match state_contains(&record.state, insn, run) {
                Ok(()) => {
                    list.cursor.set(record.next);
                    return Ok(());
                }
                Err((depth, escape)) if depth >= closest.0 => closest = (depth, escape),
                Err(_) => {}
            }
        }
        Err(closest.1)
    }
}

/// The first value that is outside, and how many were inside before it.
fn state_contains(state: &State, insn: usize, run: &Snapshot<'_>) -> Result<(), (usize, Escape)> {
    let fp = Reg::FP.index();
    let origin = |reg: Reg| run.origins.map_or(Made::Unwatched, |origins| Made::of(origins.reg(reg)));
    // The frame pointer says how many calls deep the run is.
    if !reg_contains(state.reg(Reg::FP), run.regs[fp], origin(Reg::FP), run) {
        return Err((0, Escape::Register { insn, reg: Reg::FP, value: run.regs[fp] }));
    }
    let mut links = Links::default();
    for (at, (held, value)) in state.regs.iter().zip(run.regs).enumerate() {
        let reg = Reg::ALL[at];
        if !reg_contains(held, *value, origin(reg), run) {
            return Err((at, Escape::Register { insn, reg, value: *value }));
        }
        if !links.hold(held, *value) {
            return Err((at, Escape::Link { insn, reg, value: *value }));
        }
    }
    for (depth, caller) in state.callers.iter().enumerate() {
        stack_contains(depth, &caller.stack, insn, run, &mut links)?;
    }
    stack_contains(state.depth(), &state.stack, insn, run, &mut links)
}

/// The first slot of this frame that is outside.
fn stack_contains(
    depth: usize,
    stack: &[Slot],
    insn: usize,
    run: &Snapshot<'_>,
    links: &mut Links,
) -> Result<(), (usize, Escape)> {
    if stack.is_empty() {
        return Ok(());
    }
    let frame = run.memory.peek(layout::frame_bottom(depth as u64), layout::FRAME_LEN);
    let (words, _) = frame.as_chunks::<8>();
    for (at, (slot, bytes)) in stack.iter().zip(words.iter().rev()).enumerate() {
        let value = u64::from_le_bytes(*bytes);
        let origin = run.origins.map_or(Made::Unwatched, |origins| Made::of(origins.slot(depth, at, value)));
        if !slot_contains(slot, *bytes, origin, run) {
            return Err((11 + at, Escape::Stack { insn, depth: 8 * (at + 1), value }));
        }
        if slot.bytes == [Byte::Spill; 8] && !links.hold(&slot.spill, value) {
            return Err((11 + at, Escape::Link { insn, reg: Reg::FP, value }));
        }
    }
    Ok(())
}

/// What a value was made from.
#[derive(Clone, Copy, Debug)]
enum Made {
    /// Nobody watched.
    Unwatched,
    /// Numbers.
    FromNumbers,
    /// An address.
    From(Origin),
}

impl Made {
    fn of(origin: Option<Origin>) -> Made {
        origin.map_or(Made::FromNumbers, Made::From)
    }
    /// Whether it was made from such an address; `None` if nobody watched.
    fn is_from(self, is_meant: impl Fn(Origin) -> bool) -> Option<bool> {
        match self {
            Made::Unwatched => None,
            Made::FromNumbers => Some(false),
            Made::From(origin) => Some(is_meant(origin)),
        }
    }
}

/// What registers with an id hold: one number per id, and addresses that may be null are null together.
#[derive(Default)]
struct Links {
    seen: [(u32, u64); 16],
    used: usize,
}

impl Links {
    /// Whether this register holds what the others with its id do.
    #[inline]
    fn hold(&mut self, held: &RegState, value: u64) -> bool {
        if held.id == 0 || held.kind != Kind::Scalar && !held.maybe_null() {
            return true;
        }
        let value = if held.kind == Kind::Scalar { value } else { u64::from(value != 0) };
        if let Some((_, other)) = self.seen[..self.used].iter().find(|(id, _)| *id == held.id) {
            return *other == value;
        }
        if let Some(free) = self.seen.get_mut(self.used) {
            *free = (held.id, value);
            self.used += 1;
        }
        true
    }
}

fn slot_contains(slot: &Slot, bytes: [u8; 8], origin: Made, run: &Snapshot<'_>) -> bool {
    if slot.bytes == [Byte::Spill; 8] {
        return reg_contains(&slot.spill, u64::from_le_bytes(bytes), origin, run);
    }
    if slot.is_spilled() {
        let size = match slot.spilled_bytes() {
            1 => semantics::insn::Size::B,
            2 => semantics::insn::Size::H,
            4 => semantics::insn::Size::W,
            // Part of the register was overwritten: the rest of it is not read as such any more.
            _ => return true,
        };
        let low = u64::from_le_bytes(bytes) & ((1 << (8 * size.bytes())) - 1);
        if !slot.spill.var.cut_to(size, &Domain::V7_2).contains(&low) {
            return false;
        }
    }
    slot.bytes.iter().zip(bytes).all(|(known, byte)| *known != Byte::Zero || byte == 0)
}

/// Whether a register holds this; `origin` is what the address was made from, if the run is watched for that.
#[inline]
fn reg_contains(held: &RegState, value: u64, origin: Made, run: &Snapshot<'_>) -> bool {
    let beyond = |start: u64| value.wrapping_sub(start).wrapping_sub(i64::from(held.off) as u64);
    let made_from =
        |is_meant: fn(Object) -> bool| origin.is_from(|of| is_meant(of.object) && held.var.contains(&beyond(of.base)));
    match held.kind {
        _ if held.maybe_null() && value == 0 => true,
        // Until it is known not to be NULL, an inner map counts as a value of the map that holds it.
        Kind::MapValue if held.maybe_null() && layout::map_of_handle(value).is_some() => true,
        // Addresses of the kernel's objects are left open, and memory that a helper may give from its middle.
        Kind::NotInit
        | Kind::MapKey
        | Kind::Socket
        | Kind::SockCommon
        | Kind::TcpSock
        | Kind::XdpSock
        | Kind::TpBuffer
        | Kind::BtfId
        | Kind::Mem
        | Kind::Buf
        | Kind::Dynptr => true,
        Kind::Scalar => held.var.contains(&value),
        Kind::Ctx => held.var.contains(&beyond(layout::CONTEXT)),
        Kind::Fp => {
            let frame = Object::Frame(held.frame.into());
            let is_there = origin.is_from(|of| of.object == frame).unwrap_or(true);
            is_there && held.var.contains(&beyond(layout::frame_top(u64::from(held.frame))))
        }
        Kind::FlowKeys => made_from(|object| object == Object::FlowKeys).unwrap_or(true),
        Kind::Packet => {
            let var = beyond(run.packet.data());
            let is_there = made_from(|object| object == Object::Packet).unwrap_or_else(|| held.var.contains(&var));
            is_there && range_holds(held, var, value, run)
        }
        Kind::PacketMeta => held.var.contains(&beyond(run.packet.start())),
        Kind::PacketEnd => value == run.packet.end(),
        Kind::MapPtr => held.map & INNER != 0 || layout::map_of_handle(value) == Some(held.map as usize),
        Kind::MapValue => match made_from(|object| matches!(object, Object::MapValue(_))) {
            Some(is_there) => {
                let map = Object::MapValue(held.map);
                is_there && (held.map & INNER != 0 || origin.is_from(|of| of.object == map) == Some(true))
            }
            None => held.map & INNER != 0 || map_value_contains(held, value, run.memory),
        },
        Kind::Func => layout::slot_of_code(value).is_some(),
    }
}

/// The bytes that are proven to be in the packet are there.
fn range_holds(held: &RegState, var: u64, value: u64, run: &Snapshot<'_>) -> bool {
    let end = run.packet.end();
    match held.range {
        crate::state::AT_PACKET_END => value >= end,
        crate::state::BEYOND_PACKET_END => value > end,
        // Signed: a subtraction may have moved the pointer before the packet.
        range => range <= 0 || (var as i64).saturating_add(i64::from(range)) <= run.packet.linear() as i64,
    }
}

/// Some value of the map begins where the address would lead back to. Where nobody watched what it was made from, and the
/// offset is so open that many could, nothing can be said: pointers may wander off as long as they are not used.
fn map_value_contains(held: &RegState, value: u64, memory: &Memory) -> bool {
    const CANDIDATES: i64 = 4;
    let object = Object::MapValue(held.map);
    let Some(values) = memory.regions().find(|region| region.object == object) else { return false };
    let distance = value.wrapping_sub(values.base).wrapping_sub(i64::from(held.off) as u64) as i64;
    let stride = values.stride as i64;
    let first = distance.saturating_sub(held.var.smax as i64).saturating_add(stride - 1).div_euclid(stride).max(0);
    let last = distance.saturating_sub(held.var.smin as i64).div_euclid(stride).min(values.count as i64 - 1);
    last.saturating_sub(first) >= CANDIDATES
        || (first..=last).any(|part| held.var.contains(&(distance.wrapping_sub(part * stride) as u64)))
}
