//! What the generator of closed programs writes next.

use semantics::insn::{AtomicOp, Insn, MulDivOp, Op, Opcode, Reg, Size};
use semantics::program_type::{FieldAccess, FieldKind};

use super::swarm::Family;
use super::writer::{Entry, Holds, Place, Writer};
use crate::dice::Dice;

/// Something to write next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Alu,
    Shift,
    MulDiv,
    Mov,
    Unary,
    Wide,
    Load,
    Store,
    Atomic,
    Ordered,
    Address,
    Context,
    PacketAddress,
    PacketLoad,
    Jump,
    LongJump,
    Always,
    Backward,
    Loop,
    Leave,
    Straight,
    Call,
    Callback,
    TailCall,
    Trap,
    Helper,
    Element,
    MapName,
}

impl Action {
    /// All of them, with how often each is drawn.
    pub(super) const ALL: [(Action, usize); 28] = [
        (Action::Alu, 8),
        (Action::Shift, 4),
        (Action::MulDiv, 4),
        (Action::Mov, 4),
        (Action::Unary, 4),
        (Action::Wide, 2),
        (Action::Load, 5),
        (Action::Store, 5),
        (Action::Atomic, 5),
        (Action::Ordered, 2),
        (Action::Address, 3),
        (Action::Context, 2),
        (Action::PacketAddress, 1),
        (Action::PacketLoad, 2),
        (Action::Jump, 6),
        (Action::LongJump, 1),
        (Action::Always, 1),
        (Action::Backward, 1),
        (Action::Loop, 1),
        (Action::Leave, 1),
        (Action::Straight, 1),
        (Action::Call, 2),
        (Action::Callback, 1),
        (Action::TailCall, 1),
        (Action::Trap, 1),
        (Action::Helper, 1),
        (Action::Element, 1),
        (Action::MapName, 1),
    ];
}

/// Operands where something changes: signs, carries, widths, division.
const OPERANDS: [u64; 16] = [
    0,
    1,
    u64::MAX,
    2,
    1 << 63,
    (1 << 63) - 1,
    1 << 31,
    (1 << 31) - 1,
    0xffff_ffff_8000_0000,
    0xffff_ffff,
    1 << 32,
    (1 << 32) + 1,
    0x8000_0000_0000_0001,
    0x1_ffff_ffff,
    0xffff_ffff_0000_0000,
    0x0123_4567_89ab_cdef,
];

fn operand(dice: &mut Dice) -> u64 {
    if dice.chance(1, 2) { dice.pick(&OPERANDS) } else { dice.wide() }
}

impl Writer<'_> {
    pub(super) fn act(&mut self, action: Action, depth: usize) {
        match action {
            Action::Alu => self.binary(Family::Alu, 8),
            Action::Shift => self.shift(),
            Action::MulDiv => self.muldiv(),
            Action::Mov => self.mov(),
            Action::Unary => self.unary(),
            Action::Wide => {
                let dst = self.free();
                self.wide(dst);
            }
            Action::Load => self.load(),
            Action::Store => self.store(),
            Action::Atomic => self.atomic(),
            Action::Ordered => self.ordered(),
            Action::Address => self.address(),
            Action::Context => self.context(),
            Action::PacketAddress => self.packet_address(),
            Action::PacketLoad => self.packet_load(),
            Action::Jump => {
                let slots = if self.dice.chance(3, 4) { self.dice.below(5) } else { self.dice.below(60) };
                self.jump(slots);
            }
            Action::LongJump => {
                let slots = 20 + self.dice.below(180);
                self.jump(slots);
            }
            Action::Always => self.always(),
            Action::Backward => self.backward(depth),
            Action::Loop => self.counted(depth),
            Action::Leave => self.leave(),
            Action::Straight => self.straight(),
            Action::Call => self.call_any(),
            Action::Callback => self.callback(),
            Action::TailCall => self.tail_call(),
            Action::Trap => self.trap(),
            Action::Helper => self.helper(),
            Action::Element => self.element(),
            Action::MapName => self.map_name(),
        }
    }

    /// Writes an operand to `dst`.
    pub(super) fn seed(&mut self, dst: Reg) {
        let value = operand(self.dice);
        self.number(dst, value);
    }

    /// Writes `value` to `dst`, as shortly as it can be or as long.
    pub(super) fn number(&mut self, dst: Reg, value: u64) {
        if value as i64 == i64::from(value as i32) && self.dice.chance(7, 8) {
            self.put(dst, Insn::new(Opcode::Mov64K).imm(value as i32));
        } else if u32::try_from(value).is_ok() && self.dice.chance(7, 8) {
            self.put(dst, Insn::new(Opcode::Mov32K).imm(value as i32));
        } else {
            self.put(dst, Insn::new(Opcode::Lddw).wide(value));
        }
    }

    pub(super) fn wide(&mut self, dst: Reg) {
        let value = operand(self.dice);
        self.put(dst, Insn::new(Opcode::Lddw).wide(value));
    }

    /// A source register; one time of so many it first gets an operand.
    fn source(&mut self, seeded: usize) -> Reg {
        let src = self.any();
        if self.is_free(src) && self.dice.chance(1, seeded) {
            self.seed(src);
        }
        src
    }

    /// An operation on a register and another or an immediate.
    fn binary(&mut self, family: Family, seeded: usize) {
        let Some(opcode) = self.row(family) else { return };
        let dst = self.free();
        if self.dice.chance(1, seeded) {
            self.seed(dst);
        }
        let insn = if opcode.op().reads_src() {
            Insn::new(opcode).src(self.source(seeded))
        } else {
            Insn::new(opcode).imm(self.dice.imm())
        };
        self.put(dst, insn);
    }

    fn shift(&mut self) {
        let Some(opcode) = self.row(Family::Shift) else { return };
        let (dst, amount) = (self.free(), self.dice.below(66) as i32);
        if self.dice.chance(1, 4) {
            self.seed(dst);
        }
        let amount = if self.dice.chance(3, 4) { amount } else { self.dice.imm() };
        if !opcode.op().reads_src() {
            return self.put(dst, Insn::new(opcode).imm(amount));
        }
        let src = self.any();
        if self.is_free(src) && src != dst && self.dice.chance(1, 2) {
            self.put(src, Insn::new(Opcode::Mov64K).imm(amount));
        }
        self.put(dst, Insn::new(opcode).src(src));
    }

    fn muldiv(&mut self) {
        let Some(opcode) = self.row(Family::MulDiv) else { return };
        let is_division = !matches!(opcode.op(), Op::MulDiv { op: MulDivOp::Mul, .. });
        let dst = self.free();
        if self.dice.chance(1, 2) {
            self.seed(dst);
        }
        let insn = Insn::new(opcode);
        let insn = if opcode.op().reads_src() {
            insn.src(self.source(2))
        } else if is_division && self.dice.chance(1, 2) {
            insn.imm(self.dice.pick(&[0, -1, 1, 2, 3, 10, i32::MIN, i32::MAX]))
        } else {
            insn.imm(self.dice.imm())
        };
        self.put(dst, insn);
    }

    fn mov(&mut self) {
        let family = if self.dice.chance(1, 2) { Family::Mov } else { Family::MovSx };
        let Some(opcode) = self.row(family) else { return };
        let dst = self.free();
        // A move to itself is where a JIT is tempted to emit nothing.
        let src = if self.dice.chance(1, 8) { dst } else { self.source(8) };
        let insn = Insn::new(opcode);
        let insn = if opcode.op().reads_src() { insn.src(src) } else { insn.imm(self.dice.imm()) };
        self.put(dst, insn);
    }

    fn unary(&mut self) {
        let family = if self.dice.chance(1, 3) { Family::Neg } else { Family::Endian };
        let Some(opcode) = self.row(family) else { return };
        let dst = self.free();
        if self.dice.chance(1, 4) {
            self.wide(dst);
        }
        self.put(dst, Insn::new(opcode));
    }

    pub(super) fn load(&mut self) {
        let family = if self.dice.chance(2, 3) { Family::Load } else { Family::LoadSx };
        let Some(opcode) = self.row(family) else { return };
        let (base, off) = self.access(size_of(opcode.op()), false, false);
        let dst = self.free();
        self.put(dst, Insn::new(opcode).src(base).off(off));
    }

    pub(super) fn store(&mut self) {
        let Some(opcode) = self.row(Family::Store) else { return };
        let (base, off) = self.access(size_of(opcode.op()), true, false);
        let insn = Insn::new(opcode).dst(base).off(off);
        let insn = if opcode.op().reads_src() { insn.src(self.any()) } else { insn.imm(self.dice.imm()) };
        self.push(insn);
    }

    fn ordered(&mut self) {
        let family = if self.dice.chance(1, 2) { Family::Acquire } else { Family::Release };
        let Some(opcode) = self.row(family) else { return };
        let is_write = family == Family::Release;
        let (base, off) = self.access(size_of(opcode.op()), is_write, true);
        if is_write {
            let src = self.any();
            self.push(Insn::new(opcode).dst(base).src(src).off(off));
        } else {
            let dst = self.free();
            self.put(dst, Insn::new(opcode).src(base).off(off));
        }
    }

    pub(super) fn atomic(&mut self) {
        let Some(opcode) = self.row(Family::Atomic) else { return };
        let Op::Atomic { op, size, .. } = opcode.op() else { return };
        let (base, off) = self.access(size, true, true);
        let is_exchange = op == AtomicOp::Cmpxchg;
        if is_exchange && !self.is_free(Reg::R0) {
            return;
        }
        if is_exchange && base != Reg::R0 && self.dice.chance(2, 3) {
            // What is there, so that it succeeds; of a word also with something in the upper half.
            self.put(Reg::R0, Insn::new(Opcode::of(Op::Load { size })).src(base).off(off));
            if size == Size::W && self.dice.chance(1, 2) {
                let high = self.free();
                if high != Reg::R0 && high != base {
                    self.put(high, Insn::new(Opcode::Lddw).wide(0xdead_beef << 32));
                    self.put(Reg::R0, Insn::new(Opcode::Or64X).src(high));
                }
            }
        }
        let src = if opcode.op().writes_src() { self.free() } else { self.any() };
        let src = if self.dice.chance(1, 8) && self.is_free(Reg::R0) { Reg::R0 } else { src };
        self.push(Insn::new(opcode).dst(base).src(src).off(off));
        if opcode.op().writes_src() {
            self.set(src, Holds::Number);
        }
        if is_exchange {
            self.set(Reg::R0, Holds::Number);
        }
    }

    /// A load from a field of the context, or a store to it.
    fn context(&mut self) {
        let Some(base) = Reg::ALL.into_iter().find(|reg| self.holds[reg.index()] == Holds::Context) else { return };
        let fields = self.plan.declaration.fields;
        let field = fields[self.dice.below(fields.len())];
        let is_write = self.dice.chance(1, 4);
        let sizes: Vec<Size> = if is_write { field.write } else { field.read }.sizes().collect();
        if sizes.is_empty() || !field.guard.contains(None) || (is_write && !field.write_guard.contains(None)) {
            return;
        }
        let size = self.dice.pick(&sizes);
        if field.kind != FieldKind::Scalar || field.len < size.bytes() || !field.offset.is_multiple_of(size.bytes()) {
            return;
        }
        let inside = self.dice.below((field.len / size.bytes()) as usize) as u32 * size.bytes();
        if !field.permits(None, field.offset + inside, size, is_write) {
            return;
        }
        let off = (field.offset + inside) as i16;
        if is_write {
            let src = self.any();
            let source = semantics::insn::Source::X;
            self.push(Insn::new(Opcode::of(Op::Store { size, source })).dst(base).src(src).off(off));
        } else {
            let dst = self.free();
            self.put(dst, Insn::new(Opcode::of(Op::Load { size })).src(base).off(off));
        }
    }

    /// The address of the packet, from the context.
    fn packet_address(&mut self) {
        let Some(base) = Reg::ALL.into_iter().find(|reg| self.holds[reg.index()] == Holds::Context) else { return };
        let data = self.plan.declaration.field("data");
        let Some(data) = data.filter(|f| f.kind == FieldKind::Packet && f.read != FieldAccess::Never) else { return };
        let Some(size) = data.read.sizes().last().filter(|_| data.guard.contains(None)) else { return };
        let dst = self.free();
        self.push(Insn::new(Opcode::of(Op::Load { size })).dst(dst).src(base).off(data.offset as i16));
        self.set(dst, Holds::Address(Place::Packet, 0));
    }

    /// A legacy load from the packet: mostly from where it has bytes, since else the function is left.
    fn packet_load(&mut self) {
        let is_buffer = self.plan.declaration.context == "__sk_buff";
        let len = self.plan.packet_len.saturating_sub(14);
        if self.entry != Entry::Program
            || !is_buffer
            || !self.may_call()
            || self.holds[Reg::R6.index()] != Holds::Context
        {
            return;
        }
        let Some(opcode) = self.row(Family::Packet) else { return };
        let Op::Packet { size, .. } = opcode.op() else { return };
        let room = (len + 1).saturating_sub(size.bytes() as usize);
        if room == 0 {
            return;
        }
        let offset = if self.dice.chance(1, 16) { self.dice.imm() } else { self.dice.below(room) as i32 };
        let mut insn = Insn::new(opcode).imm(offset);
        if opcode.op().reads_src() {
            let src = self.free();
            if src == Reg::R6 {
                return;
            }
            let part = self.dice.imm();
            // Only the low half counts.
            let high = self.dice.bits() << 32;
            self.put(src, Insn::new(Opcode::Lddw).wide(high | u64::from(part as u32)));
            insn = insn.src(src).imm(offset.wrapping_sub(part));
        }
        self.push(insn);
        self.returned();
    }

    /// A conditional jump over so many slots, with operands that are often close to each other.
    fn jump(&mut self, slots: usize) {
        let Some(opcode) = self.row(Family::Jump) else { return };
        let near = self.dice.below(3) as i64 - 1;
        let related = self.dice.chance(1, 2);
        if opcode.op().reads_src() {
            let (dst, src) = (self.any(), self.source(8));
            if related && self.is_free(dst) && dst != src {
                self.put(dst, Insn::new(Opcode::Mov64X).src(src));
                if near != 0 {
                    self.put(dst, Insn::new(Opcode::Add64K).imm(near as i32));
                }
                self.disturb_upper(dst);
            }
            return self.jump_over(Insn::new(opcode).dst(dst).src(src), slots);
        }
        let (dst, imm) = (self.any(), self.dice.imm());
        if related && self.is_free(dst) {
            self.number(dst, (i64::from(imm) + near) as u64);
            self.disturb_upper(dst);
        }
        self.jump_over(Insn::new(opcode).dst(dst).imm(imm), slots);
    }

    /// Sometimes changes the upper half of a register, which a 32-bit comparison must not see.
    fn disturb_upper(&mut self, dst: Reg) {
        let other = self.free();
        if other != dst && self.dice.chance(1, 3) {
            let bits = self.dice.pick(&[1 << 32, 1 << 63, 0xffff_ffff << 32]);
            self.put(other, Insn::new(Opcode::Lddw).wide(bits));
            self.put(dst, Insn::new(Opcode::Xor64X).src(other));
        }
    }

    fn always(&mut self) {
        let slots = self.dice.below(12);
        if let Some(opcode) = self.row(Family::Always) {
            self.jump_over(Insn::new(opcode), slots);
        }
    }

    /// Code that is reached by a jump backward: `goto a; b: ...; goto c; a: goto b; c:`.
    fn backward(&mut self, depth: usize) {
        if depth >= 3 {
            return;
        }
        let (Some(over), Some(out)) = (self.row(Family::Always), self.row(Family::Always)) else { return };
        let over_at = self.insns.len();
        self.push(Insn::new(over));
        let body = self.insns.len();
        let slots = if self.dice.chance(1, 4) { self.dice.below(60) } else { self.dice.below(6) };
        self.block(slots, depth + 1);
        let out_at = self.insns.len();
        self.push(Insn::new(out));
        self.aim(over_at, self.insns.len());
        let back_at = self.insns.len();
        self.push(Insn::new(over));
        self.aim(back_at, body);
        self.aim(out_at, self.insns.len());
    }

    /// A loop of a few rounds.
    fn counted(&mut self, depth: usize) {
        let rounds = 1 + self.dice.below(6) as u64;
        let slots = if self.dice.chance(1, 4) { 20 + self.dice.below(40) } else { self.dice.below(10) };
        if depth >= 2 || !self.affords(4 * rounds * slots as u64) {
            return;
        }
        let counter = self.dice.pick(&[Reg::R6, Reg::R7, Reg::R8, Reg::R9, Reg::R1, Reg::R5]);
        if !self.is_free(counter) {
            return;
        }
        self.put(counter, Insn::new(Opcode::Mov64K).imm(rounds as i32));
        self.reserved |= 1 << counter.number();
        self.repeated(rounds, |writer| {
            let head = writer.insns.len();
            writer.block(slots, depth + 1);
            writer.round(counter, head);
        });
        self.reserved &= !(1 << counter.number());
    }

    /// Counts down and goes back to `head` until the counter is 0.
    fn round(&mut self, counter: Reg, head: usize) {
        let down = self.dice.pick(&[
            Insn::new(Opcode::Add64K).imm(-1),
            Insn::new(Opcode::Sub64K).imm(1),
            Insn::new(Opcode::Add32K).imm(-1),
            Insn::new(Opcode::Sub32K).imm(1),
        ]);
        self.push(down.dst(counter));
        // Few kinds: one that is lowered wrongly makes loops without end, and then little else is found.
        let back = self.dice.pick(&[
            Insn::new(Opcode::Jne64K),
            Insn::new(Opcode::Jne64K),
            Insn::new(Opcode::Jne32K),
            Insn::new(Opcode::Ja),
            Insn::new(Opcode::Gotol),
        ]);
        if !back.op().reads_dst() {
            let out = Insn::new(Opcode::Jeq64K).dst(counter).off(1);
            self.push(out);
        }
        let at = self.insns.len();
        self.push(if back.op().reads_dst() { back.dst(counter) } else { back });
        self.aim(at, head);
    }

    /// Leaves the function, under a condition.
    fn leave(&mut self) {
        let Some(opcode) = self.row(Family::Jump).filter(|opcode| !opcode.op().reads_src()) else { return };
        let (dst, imm) = (self.any(), self.dice.imm());
        self.push(Insn::new(opcode).dst(dst).imm(imm).off(1));
        self.push(Insn::new(Opcode::Exit));
    }

    /// Long code without jumps: distances that need 32 bits, and images that grow.
    fn straight(&mut self) {
        if self.rounds > 1 || !self.dice.chance(1, 6) {
            return;
        }
        let count = self.dice.pick(&[30, 60, 100, 400, 1500]);
        if !self.affords(2 * count) {
            return;
        }
        for _ in 0..count {
            let dst = self.free();
            match self.dice.below(3) {
                0 => self.wide(dst),
                1 => self.put(dst, Insn::new(Opcode::Add64K).imm(0x1234_5678)),
                _ => self.put(dst, Insn::new(Opcode::Xor64X).src(Reg::FP)),
            }
        }
    }
}

/// Bytes that an operation accesses.
fn size_of(op: Op) -> Size {
    match op {
        Op::Load { size }
        | Op::LoadSx { size }
        | Op::Store { size, .. }
        | Op::LoadAcquire { size }
        | Op::StoreRelease { size } => size,
        _ => Size::Dw,
    }
}
