//! Numbers of generated programs: every operator, atomics, links across the stack, and pointers that wander.

use semantics::insn::{AluOp, AtomicOp, Insn, MulDivOp, Op, Opcode, Reg, Size, Source, Width};

use super::{Kind, NUMBERS, Writer};

impl Writer<'_> {
    /// Any operator on numbers.
    pub(super) fn operator(&mut self) {
        let opcode = self.dice.pick(&self.generator.operators);
        let op = opcode.op();
        let dst = self.number();
        let insn = Insn::new(opcode).dst(dst);
        let insn = match op {
            _ if op.reads_src() => insn.src(self.number()),
            // Shifts that are too long, and divisions by 0, are refused where they are seen.
            Op::Shift { width, .. } => insn.imm(self.dice.below(if width == Width::W32 { 32 } else { 64 }) as i32),
            Op::MulDiv { op: MulDivOp::Mul, .. } => insn.imm(self.dice.imm()),
            Op::MulDiv { .. } => insn.imm(Some(self.dice.imm()).filter(|imm| *imm != 0).unwrap_or(3)),
            _ => insn,
        };
        self.push(insn);
    }

    /// A load of this size, now and then with its sign.
    pub(super) fn load_row(&mut self, size: Size) -> Opcode {
        let op = if size != Size::Dw && self.dice.chance(1, 6) { Op::LoadSx { size } } else { Op::Load { size } };
        Opcode::of(op)
    }

    /// An atomic operation on a slot of the stack or on a map value.
    pub(super) fn atomic(&mut self) {
        if let Some((reg, len)) = self.value_register()
            && self.dice.chance(1, 2)
        {
            return self.atomic_at(reg, 0, len);
        }
        let place = self.place();
        if self.sketch.stack >> place & 1 == 0 {
            return self.stack_store();
        }
        self.atomic_at(Reg::FP, -8 * (place as i16 + 1), 8);
    }

    /// The same somewhere in `len` bytes behind `base + off`, which is aligned.
    pub(super) fn atomic_at(&mut self, base: Reg, off: i16, len: u32) {
        let opcode = self.dice.pick(&self.generator.atomics);
        let Op::Atomic { op, size, .. } = opcode.op() else { return };
        if len < size.bytes() || op == AtomicOp::Cmpxchg && base == Reg::R0 {
            return;
        }
        if op == AtomicOp::Cmpxchg && self.kind(Reg::R0) != Kind::Scalar {
            let imm = self.dice.imm();
            self.push(Insn::new(Opcode::Mov64K).dst(Reg::R0).imm(imm));
            self.set(Reg::R0, Kind::Scalar);
        }
        let inside = self.dice.below((len / size.bytes()) as usize) as i16 * size.bytes() as i16;
        let src = self.number_beside(base);
        self.push(Insn::new(opcode).dst(base).src(src).off(off + inside));
    }

    /// Copies of a number, one of them on the stack; what is learnt of one is learnt of all.
    pub(super) fn linked(&mut self) {
        let from = self.number();
        let others = NUMBERS.map(|reg| if reg == from { Reg::FP } else { reg });
        let copy = self.dice.pick(&others);
        if copy == Reg::FP {
            return;
        }
        if self.dice.chance(1, 2) {
            let (op, width) = (self.dice.pick(&[AluOp::And, AluOp::Or]), self.dice.pick(&[Width::W64, Width::W32]));
            let imm = self.dice.imm();
            self.push(Insn::new(Opcode::of(Op::Alu { op, width, source: Source::K })).dst(from).imm(imm));
        }
        let width = self.dice.pick(&[Width::W64, Width::W64, Width::W32]);
        self.push(Insn::new(Opcode::of(Op::Mov { width, source: Source::X })).dst(copy).src(from));
        self.set(copy, Kind::Scalar);
        let place = self.dice.below(8);
        let off = -8 * (place as i16 + 1);
        if self.sketch.stack >> place & 1 == 0 {
            self.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(off));
        }
        let (stored, size) = (self.dice.pick(&[from, copy]), self.dice.pick(&[Size::Dw, Size::Dw, Size::W, Size::H]));
        let store = Op::Store { size, source: Source::X };
        self.push(Insn::new(Opcode::of(store)).dst(Reg::FP).src(stored).off(off));
        self.sketch.stack |= 1 << place;
        let (compared, imm) = (self.dice.pick(&[from, copy]), self.dice.imm());
        let opcode = self.dice.pick(&self.generator.jumps);
        let insn = Insn::new(opcode).dst(compared);
        let insn = if opcode.op().reads_src() { insn.src(self.number()) } else { insn.imm(imm) };
        self.push(insn);
        let jump = self.insns.len() - 1;
        let before = self.sketch;
        let size = if self.dice.chance(1, 3) { Size::Dw } else { size };
        self.load(size, Reg::FP, off);
        self.land(jump);
        self.sketch.meet(&before);
    }

    /// A byte of the stack at an offset that is not known.
    pub(super) fn indexed_stack(&mut self) {
        let index = self.number();
        let copies = [Reg::R2, Reg::R3, Reg::R4, Reg::R5].map(|reg| if reg == index { Reg::FP } else { reg });
        let copy = self.dice.pick(&copies);
        if copy == Reg::FP {
            return;
        }
        let mask = self.dice.pick(&[1, 7, 12, 15, 63]);
        self.push(Insn::new(Opcode::And64K).dst(index).imm(mask));
        self.push(Insn::new(Opcode::Mov64X).dst(copy).src(Reg::FP));
        self.push(Insn::new(Opcode::Add64K).dst(copy).imm(-64));
        self.push(Insn::new(Opcode::Add64X).dst(copy).src(index));
        self.set(copy, Kind::Nothing);
        if self.dice.chance(1, 2) { self.store(Size::B, copy, 0) } else { self.load_beside(Size::B, copy, 0) }
    }

    /// A copy of a pointer that goes far away, and nowhere is used.
    pub(super) fn wander(&mut self) {
        let base = match self.value_register() {
            Some((reg, _)) if self.dice.chance(2, 3) => reg,
            _ if matches!(self.kind(Reg::R7), Kind::Packet(_)) => Reg::R7,
            _ => Reg::FP,
        };
        let index = self.number_beside(base);
        let others = NUMBERS.map(|reg| if reg == index || reg == base { Reg::FP } else { reg });
        let copy = self.dice.pick(&others);
        if copy == Reg::FP || index == base {
            return;
        }
        let mask = self.dice.pick(&[3, 0xff, 0xffff, 0xff_ffff, 0xfff_ffff]);
        self.push(Insn::new(Opcode::And64K).dst(index).imm(mask));
        self.push(Insn::new(Opcode::Mov64X).dst(copy).src(base));
        let by = if base != Reg::FP && self.dice.chance(1, 2) { Opcode::Sub64X } else { Opcode::Add64X };
        self.push(Insn::new(by).dst(copy).src(index));
        if base != Reg::FP && self.dice.chance(1, 2) {
            let imm = self.dice.below(0x1000) as i32 - 0x800;
            self.push(Insn::new(Opcode::Add64K).dst(copy).imm(imm));
        }
        self.set(copy, Kind::Nothing);
        if base == Reg::R7 && self.kind(Reg::R8) == Kind::PacketEnd && self.dice.chance(1, 2) {
            let compare = self.dice.pick(&[Opcode::Jgt64X, Opcode::Jge64X, Opcode::Jlt64X, Opcode::Jle64X]);
            self.push(Insn::new(compare).dst(copy).src(Reg::R8));
        }
    }
}
