//! One function of a closed program being written: what its registers hold, where its jumps land, what it costs.

use semantics::insn::{Insn, Op, Opcode, Reg, Size};
use semantics::map::MapDef;
use semantics::memory::layout::FRAME_LEN;
use semantics::program_type::Declaration;

use super::swarm::{Family, Swarm};
use super::{Function, Generator};
use crate::dice::Dice;

/// What all functions of a program share.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) generator: &'a Generator,
    pub(super) declaration: &'static Declaration,
    pub(super) maps: &'a [MapDef],
    pub(super) packet_len: usize,
    pub(super) swarm: Swarm,
    /// The map of the programs that tail calls lead to, if there are any.
    pub(super) programs: Option<u8>,
    /// Instructions that a program may execute, about, before the generator makes no more loops and calls.
    pub(super) budget: u64,
}

/// How a function is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// With the context in R1: a program.
    Program,
    /// With five arguments.
    Call,
    /// With an index and an argument: by a helper that goes on while it returns 0.
    Callback,
}

/// Memory whose place and length are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The function's own frame, from its top.
    Frame,
    /// The packet, from where `data` leads.
    Packet,
    /// A value of this map.
    Value(u8),
}

/// What a register holds. All that is not an address that may be accessed is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Number,
    Context,
    /// The address so many bytes behind the first of a place.
    Address(Place, i32),
}

/// A function that may be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callee {
    pub(super) number: usize,
    pub(super) cost: u64,
    pub(super) height: usize,
    pub(super) entry: Entry,
    /// It has to be called once.
    pub(super) is_due: bool,
}

/// A jump that leads forward, to no place yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    at: usize,
    /// It lands at the first opportunity behind this slot.
    due: usize,
    holds: [Holds; 11],
}

/// A function being written.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) dice: &'a mut Dice,
    pub(super) insns: Vec<Insn>,
    pub(super) holds: [Holds; 11],
    /// Functions that it may call.
    pub(super) callees: Vec<Callee>,
    pub(super) entry: Entry,
    /// Registers that must not be written, one bit each: counters of the loops that are open.
    pub(super) reserved: u16,
    pending: Vec<Pending>,
    /// Jumps before this one were written outside the innermost loop and must not land inside.
    floor: usize,
    /// How often the code being written is executed.
    pub(super) rounds: u64,
    pub(super) cost: u64,
    height: usize,
    links: Vec<(usize, usize)>,
}

/// R0 to R5, which calls write.
const CLOBBERED: u16 = 0b11_1111;

/// Displacements where encodings change, and far ones.
const DISPLACEMENTS: [i32; 14] =
    [0, 1, -1, 8, 127, 128, 120, -128, -129, -136, 256, i16::MAX as i32, i16::MIN as i32, 0x7ff8];

impl<'a> Writer<'a> {
    /// A function that is entered in this way.
    pub(super) fn new(plan: &'a Plan<'a>, dice: &'a mut Dice, entry: Entry) -> Self {
        let mut holds = [Holds::Number; 11];
        holds[Reg::FP.index()] = Holds::Address(Place::Frame, 0);
        if entry == Entry::Program {
            holds[Reg::R1.index()] = Holds::Context;
        }
        Writer {
            plan,
            dice,
            insns: Vec::with_capacity(64),
            holds,
            callees: Vec::new(),
            entry,
            reserved: 0,
            pending: Vec::new(),
            floor: 0,
            rounds: 1,
            cost: 0,
            height: 1,
            links: Vec::new(),
        }
    }

    /// The whole function, about so many slots long.
    pub(super) fn function(mut self, slots: usize) -> Function {
        self.prologue();
        // What has to be called is called somewhere on the way.
        let due: Vec<Callee> = self.callees.iter().filter(|callee| callee.is_due).copied().collect();
        for callee in &due {
            self.block(slots / (due.len() + 1), 0);
            self.call(*callee);
        }
        self.block(slots / (due.len() + 1), 0);
        self.epilogue();
        Function { insns: self.insns, links: self.links, entry: self.entry, cost: self.cost, height: self.height }
    }

    pub(super) fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
        if matches!(insn.op(), Op::Wide(_)) {
            self.insns.push(Insn::new(Opcode::WideTail));
        }
        self.cost += self.rounds;
    }

    /// Appends an instruction that writes a number to `dst`.
    pub(super) fn put(&mut self, dst: Reg, insn: Insn) {
        self.push(insn.dst(dst));
        self.set(dst, Holds::Number);
    }

    pub(super) fn set(&mut self, reg: Reg, holds: Holds) {
        self.holds[reg.index()] = holds;
    }

    pub(super) fn row(&mut self, family: Family) -> Option<Opcode> {
        self.plan.swarm.row(self.dice, family, &self.plan.generator.rows)
    }

    /// Whether `rounds` more executions of `cost` instructions are within the budget.
    pub(super) fn affords(&self, cost: u64) -> bool {
        self.cost + self.rounds * cost <= self.plan.budget
    }

    pub(super) fn is_free(&self, reg: Reg) -> bool {
        reg != Reg::FP && self.reserved >> reg.number() & 1 == 0
    }

    /// A register that may be written. There is one: few loops are open at a time.
    pub(super) fn free(&mut self) -> Reg {
        loop {
            let reg = Reg::ALL[self.dice.below(10)];
            if self.is_free(reg) {
                return reg;
            }
        }
    }

    /// Any register: all hold something.
    pub(super) fn any(&mut self) -> Reg {
        Reg::ALL[self.dice.below(11)]
    }

    /// Whether a call may be made here.
    pub(super) fn may_call(&self) -> bool {
        self.reserved & CLOBBERED == 0
    }

    /// Actions for about so many slots.
    pub(super) fn block(&mut self, slots: usize, depth: usize) {
        let end = self.insns.len() + slots;
        // An action may write nothing, so the number of tries is bounded too.
        for _ in 0..2 * slots + 2 {
            self.land_due();
            if self.insns.len() >= end || !self.affords(20) {
                return;
            }
            let at = self.dice.below(self.plan.swarm.actions.len());
            self.act(self.plan.swarm.actions[at], depth);
        }
    }

    /// Appends a jump over so many slots, or somewhat more.
    pub(super) fn jump_over(&mut self, jump: Insn, slots: usize) {
        self.push(jump);
        let at = self.insns.len() - 1;
        self.pending.push(Pending { at, due: self.insns.len() + slots, holds: self.holds });
    }

    fn land_due(&mut self) {
        let mut at = self.floor;
        while at < self.pending.len() {
            if self.pending[at].due <= self.insns.len() { self.land(at) } else { at += 1 }
        }
    }

    /// Lets all jumps that are still pending lead here.
    pub(super) fn land_all(&mut self) {
        while !self.pending.is_empty() {
            self.land(0);
        }
    }

    /// Lets a few of the pending jumps lead here.
    pub(super) fn land_some(&mut self) {
        for at in (0..self.pending.len()).rev() {
            if self.dice.chance(1, 2) {
                self.land(at);
            }
        }
    }

    fn land(&mut self, at: usize) {
        let jump = self.pending.swap_remove(at);
        self.aim(jump.at, self.insns.len());
        for (ours, theirs) in self.holds.iter_mut().zip(jump.holds) {
            if *ours != theirs {
                *ours = Holds::Number;
            }
        }
    }

    /// Lets the jump at slot `at` lead to slot `to`.
    pub(super) fn aim(&mut self, at: usize, to: usize) {
        let distance = to as i64 - at as i64 - 1;
        let insn = self.insns[at];
        self.insns[at] = match insn.op() {
            Op::Gotol => insn.imm(distance as i32),
            _ => insn.off(distance as i16),
        };
    }

    /// Writes `body` as code that is executed `rounds` times: jumps from outside do not land in it, and no register holds
    /// an address at its start, since it may hold something else when the code is repeated.
    pub(super) fn repeated(&mut self, rounds: u64, body: impl FnOnce(&mut Self)) {
        let floor = std::mem::replace(&mut self.floor, self.pending.len());
        for reg in Reg::ALL {
            if self.is_free(reg) {
                self.set(reg, Holds::Number);
            }
        }
        self.rounds *= rounds;
        body(self);
        self.rounds /= rounds;
        self.floor = floor;
    }

    /// Appends an instruction that names another function.
    pub(super) fn link(&mut self, insn: Insn, callee: Callee) {
        self.links.push((self.insns.len(), callee.number));
        self.push(insn);
        self.height = self.height.max(callee.height + 1);
    }

    /// Appends what names another function as a number in `dst`.
    pub(super) fn link_code(&mut self, code: Opcode, dst: Reg, callee: Callee) {
        self.link(Insn::new(code).dst(dst), callee);
        self.set(dst, Holds::Number);
    }

    /// Calls another function.
    pub(super) fn call(&mut self, callee: Callee) {
        self.link(Insn::new(Opcode::CallLocal), callee);
        self.cost += self.rounds * callee.cost;
        self.returned();
    }

    /// First and last offset of a place, as far as its first byte is 0 or its top is.
    fn limits(&self, place: Place) -> (i32, i32) {
        match place {
            Place::Frame => (-(FRAME_LEN as i32), 0),
            // Where `data` leads behind a link-layer header, that is missing at the end.
            Place::Packet => (0, self.plan.packet_len.saturating_sub(14) as i32),
            Place::Value(map) => (0, self.plan.maps[usize::from(map)].value_size as i32),
        }
    }

    fn is_writable(&self, place: Place) -> bool {
        place != Place::Packet || self.plan.declaration.packet_write
    }

    /// A register that holds an address, with that: any, or the frame pointer.
    pub(super) fn base(&mut self) -> (Reg, Place, i32) {
        let start = self.dice.below(11);
        for at in (start..11).chain(0..start) {
            if let Holds::Address(place, delta) = self.holds[at] {
                return (Reg::ALL[at], place, delta);
            }
        }
        (Reg::FP, Place::Frame, 0)
    }

    /// Where to access `size` bytes: a base register and the displacement.
    pub(super) fn access(&mut self, size: Size, is_write: bool, is_aligned: bool) -> (Reg, i16) {
        let (mut base, mut place, mut delta) = self.base();
        let bytes = size.bytes() as i32;
        let (first, end) = self.limits(place);
        let unfit =
            end - first < bytes || (is_write && !self.is_writable(place)) || (is_aligned && place == Place::Packet);
        if unfit {
            (base, place, delta) = (Reg::FP, Place::Frame, 0);
        }
        let (first, end) = self.limits(place);
        let step = if is_aligned { bytes } else { 1 };
        for _ in 0..3 {
            let target = delta + self.dice.pick(&DISPLACEMENTS);
            if target >= first && target <= end - bytes && target % step == 0 {
                return (base, (target - delta) as i16);
            }
        }
        let target = first + step * self.dice.below(((end - first - bytes) / step) as usize + 1) as i32;
        match i16::try_from(target - delta) {
            Ok(off) => (base, off),
            Err(_) => (Reg::FP, (-8 * (1 + self.dice.below(64) as i32)) as i16),
        }
    }

    /// Lets a register hold an address from which something interesting is far away.
    pub(super) fn address(&mut self) {
        let (base, place, delta) = self.base();
        let (first, end) = self.limits(place);
        let target = first + self.dice.below((end - first).max(1) as usize) as i32;
        let target = if self.dice.chance(1, 2) { target & !7 } else { target };
        let moved = target - self.dice.pick(&DISPLACEMENTS) - delta;
        let dst = self.free();
        if dst != base {
            self.push(Insn::new(Opcode::Mov64X).dst(dst).src(base));
        }
        let by = if self.dice.chance(1, 2) {
            Insn::new(Opcode::Add64K).imm(moved)
        } else {
            Insn::new(Opcode::Sub64K).imm(-moved)
        };
        self.push(by.dst(dst));
        self.set(dst, Holds::Address(place, delta + moved));
    }
}
