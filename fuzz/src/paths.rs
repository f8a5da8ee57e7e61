//! Programs whose verdict hangs on which way a path went: what pruning has to keep apart.
//!
//! Numbers that depend on the path go through registers, slots, links, atomics and calls; at the end one of them is the offset
//! of an access, which is in bounds for some. A state that is cut short though it differs where it matters lets such a program
//! get away.

use std::sync::Arc;

use semantics::insn::{AluOp, AtomicOp, Cond, Insn, Op, Opcode, Order, Reg, Size, Source, Width};
use semantics::program::{Load, Program};
use semantics::program_type::ProgramType;

use crate::dice::Dice;
use crate::generate::{self, Options};
use crate::test::Test;

/// Registers with numbers that depend on the path.
const NUMBERS: [Reg; 3] = [Reg::R2, Reg::R3, Reg::R4];
/// Registers with numbers that nothing is known of.
const OPEN: [Reg; 2] = [Reg::R8, Reg::R9];
/// Slots that they go through.
const SLOTS: usize = 3;

/// Writes programs of this kind.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    options: Options,
}

impl Generator {
    /// A generator with these options.
    pub fn new(options: Options) -> Generator {
        Generator { options }
    }

    /// The test that these dice give.
    pub fn test(&self, mut dice: Dice) -> Test {
        let program_type = dice.pick(&[ProgramType::Xdp, ProgramType::SocketFilter]);
        let mut writer = Writer { dice: &mut dice, insns: Vec::with_capacity(96), calls: Vec::new() };
        writer.program(program_type, self.options.insns / 5);
        let insns = writer.insns;
        let input = generate::input(&mut dice, program_type.declaration(), &[]);
        let load = Load { test_state_freq: dice.chance(3, 4), ..Load::default() };
        let program = Program::new("paths", program_type, "GPL", Vec::new(), insns)
            .expect("the generator writes structurally sound programs")
            .with_load(load);
        Test { program: Arc::new(program), input }
    }
}

struct Writer<'a> {
    dice: &'a mut Dice,
    insns: Vec<Insn>,
    /// Calls whose subprogram is written later.
    calls: Vec<usize>,
}

fn slot(at: usize) -> i16 {
    -8 * (at as i16 + 1)
}

impl Writer<'_> {
    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }
    fn set(&mut self, dst: Reg, imm: i32) {
        self.push(Insn::new(Opcode::Mov64K).dst(dst).imm(imm));
    }
    fn copy(&mut self, dst: Reg, src: Reg) {
        self.push(Insn::new(Opcode::Mov64X).dst(dst).src(src));
    }
    /// Lets the jump at this slot lead here.
    fn land(&mut self, jump: usize) {
        self.insns[jump] = self.insns[jump].off((self.insns.len() - jump - 1) as i16);
    }
    fn number(&mut self) -> i32 {
        4 * self.dice.below(4) as i32
    }

    fn program(&mut self, program_type: ProgramType, actions: usize) {
        let fields = program_type.declaration().fields;
        let is_plain = |at: usize| {
            fields[at].kind == semantics::program_type::FieldKind::Scalar
                && fields[at].len == 4
                && fields[at].guard.contains(None)
                && fields[at].read.sizes().any(|size| size == Size::W)
        };
        for reg in OPEN {
            let at = (0..fields.len()).filter(|at| is_plain(*at)).nth(usize::from(reg == Reg::R9)).unwrap_or(0);
            self.push(Insn::new(Opcode::LdxW).dst(reg).src(Reg::R1).off(fields[at].offset as i16));
        }
        for (at, reg) in NUMBERS.into_iter().enumerate() {
            self.set(reg, [4, 8, 0][at]);
        }
        for at in 0..8 {
            self.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(slot(at)).imm(0));
        }
        for _ in 0..actions + self.dice.below(8) {
            self.act();
        }
        self.end();
        self.subprogram();
    }

    fn act(&mut self) {
        let (dst, src) = (self.dice.pick(&NUMBERS), self.dice.pick(&NUMBERS));
        match self.dice.below(15) {
            0..3 => self.perhaps(dst),
            3 => self.moved(dst, src),
            4 => self.computed(dst, src),
            5 => self.spill(src),
            6 => self.fill(dst),
            7 => self.compared(dst, src),
            8 => self.bounded(dst, src),
            9 => self.atomic(src),
            10 => self.helper(),
            11 => self.linked(dst, src),
            12 => {
                let imm = self.number();
                let at = self.dice.below(SLOTS);
                self.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(slot(at)).imm(imm));
            }
            _ => self.call(src, dst),
        }
    }

    /// Another number, on one of two ways.
    fn perhaps(&mut self, dst: Reg) {
        let open = self.dice.pick(&OPEN);
        let (cond, width) = (self.dice.pick(&Cond::ALL), self.dice.pick(&[Width::W64, Width::W32]));
        let imm = self.dice.below(9) as i32;
        self.push(Insn::new(Opcode::of(Op::Jump { cond, width, source: Source::K })).dst(open).imm(imm));
        let jump = self.insns.len() - 1;
        let number = self.number();
        self.set(dst, number);
        self.land(jump);
    }

    fn moved(&mut self, dst: Reg, src: Reg) {
        let width = self.dice.pick(&[Width::W64, Width::W64, Width::W32]);
        self.push(Insn::new(Opcode::of(Op::Mov { width, source: Source::X })).dst(dst).src(src));
    }

    /// The same number in a way that has to be followed back, or another of the kind.
    fn computed(&mut self, dst: Reg, src: Reg) {
        let insn = match self.dice.below(6) {
            0 => Insn::new(Opcode::Add64K).dst(dst).imm(self.dice.pick(&[0, 4])),
            1 => {
                let op = self.dice.pick(&[AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Add]);
                let width = self.dice.pick(&[Width::W64, Width::W32]);
                Insn::new(Opcode::of(Op::Alu { op, width, source: Source::X })).dst(dst).src(src)
            }
            2 => Insn::new(Opcode::of(Op::Endian { order: Order::Le, size: Size::Dw })).dst(dst).imm(64),
            3 => {
                for _ in 0..2 {
                    self.push(Insn::new(Opcode::of(Op::Endian { order: Order::Be, size: Size::W })).dst(dst).imm(32));
                }
                return;
            }
            4 => {
                for _ in 0..2 {
                    self.push(Insn::new(Opcode::Neg64).dst(dst));
                }
                return;
            }
            _ => Insn::new(Opcode::And64K).dst(dst).imm(12),
        };
        self.push(insn);
    }

    /// The stack by R10, or by a copy of it.
    fn base(&mut self, at: usize) -> (Reg, i16) {
        if self.dice.chance(1, 2) {
            return (Reg::FP, slot(at));
        }
        self.copy(Reg::R5, Reg::FP);
        self.push(Insn::new(Opcode::Add64K).dst(Reg::R5).imm(i32::from(slot(at))));
        (Reg::R5, 0)
    }
    fn spill(&mut self, src: Reg) {
        let at = self.dice.below(SLOTS);
        let (base, off) = self.base(at);
        let size = self.dice.pick(&[Size::Dw, Size::Dw, Size::W]);
        self.push(Insn::new(Opcode::of(Op::Store { size, source: Source::X })).dst(base).src(src).off(off));
    }
    fn fill(&mut self, dst: Reg) {
        let at = self.dice.below(SLOTS);
        let (base, off) = self.base(at);
        let size = self.dice.pick(&[Size::Dw, Size::Dw, Size::W]);
        self.push(Insn::new(Opcode::of(Op::Load { size })).dst(dst).src(base).off(off));
    }

    /// Another number where two compare so.
    fn compared(&mut self, dst: Reg, src: Reg) {
        let (cond, width) = (self.dice.pick(&Cond::ALL), self.dice.pick(&[Width::W64, Width::W32]));
        self.push(Insn::new(Opcode::of(Op::Jump { cond, width, source: Source::X })).dst(dst).src(src));
        let jump = self.insns.len() - 1;
        let number = self.number();
        self.set(src, number);
        self.land(jump);
    }

    /// An open number, below one that depends on the path.
    fn bounded(&mut self, dst: Reg, src: Reg) {
        let open = self.dice.pick(&OPEN);
        self.copy(dst, open);
        self.push(Insn::new(Opcode::And64K).dst(dst).imm(12));
        self.push(Insn::new(Opcode::Jle64X).dst(dst).src(src));
        let jump = self.insns.len() - 1;
        let number = self.number();
        self.set(dst, number);
        self.land(jump);
    }

    /// What lay in a slot, by an atomic operation.
    fn atomic(&mut self, src: Reg) {
        let at = self.dice.below(SLOTS);
        let (base, off) = self.base(at);
        let op = self.dice.pick(&[AtomicOp::Add, AtomicOp::Xchg, AtomicOp::Or, AtomicOp::Cmpxchg]);
        let fetch = matches!(op, AtomicOp::Xchg | AtomicOp::Cmpxchg) || self.dice.chance(3, 4);
        if op == AtomicOp::Cmpxchg {
            self.set(Reg::R0, 0);
        }
        self.push(Insn::new(Opcode::of(Op::Atomic { op, fetch, size: Size::Dw })).dst(base).src(src).off(off));
        if op == AtomicOp::Cmpxchg {
            self.copy(src, Reg::R0);
        }
    }

    /// A helper, past which numbers are kept in R6 and the stack.
    fn helper(&mut self) {
        let (kept, slotted) = (self.dice.pick(&NUMBERS), self.dice.pick(&NUMBERS));
        let at = self.dice.below(SLOTS);
        self.copy(Reg::R6, kept);
        self.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(slotted).off(slot(at)));
        self.push(Insn::new(Opcode::Call).imm(semantics::helper::id("get_prandom_u32") as i32));
        self.after_call(at);
    }

    /// R0 to R5 are gone.
    fn after_call(&mut self, at: usize) {
        self.copy(Reg::R2, Reg::R6);
        if self.dice.chance(1, 2) {
            self.push(Insn::new(Opcode::And64K).dst(Reg::R0).imm(12));
            self.copy(Reg::R3, Reg::R0);
        } else {
            let number = self.number();
            self.set(Reg::R3, number);
        }
        self.push(Insn::new(Opcode::LdxDw).dst(Reg::R4).src(Reg::FP).off(slot(at)));
    }

    /// Two that are the same, one of which is then bounded.
    fn linked(&mut self, dst: Reg, src: Reg) {
        let open = self.dice.pick(&OPEN);
        self.copy(src, open);
        let mask = self.dice.pick(&[12, 28]);
        self.push(Insn::new(Opcode::And64K).dst(src).imm(mask));
        self.copy(dst, src);
        let bound = self.number();
        self.push(Insn::new(Opcode::Jle64K).dst(src).imm(bound));
        let jump = self.insns.len() - 1;
        let number = self.number();
        self.set(dst, number);
        self.land(jump);
    }

    /// A call of the subprogram, with a number and a slot.
    fn call(&mut self, given: Reg, slotted: Reg) {
        let kept = self.dice.pick(&NUMBERS);
        let at = self.dice.below(SLOTS);
        self.copy(Reg::R6, kept);
        self.copy(Reg::R1, given);
        self.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(slotted).off(slot(at)));
        self.copy(Reg::R2, Reg::FP);
        self.push(Insn::new(Opcode::Add64K).dst(Reg::R2).imm(i32::from(slot(at))));
        self.calls.push(self.insns.len());
        self.push(Insn::new(Opcode::CallLocal));
        self.after_call(at);
        if self.dice.chance(1, 2) {
            self.copy(Reg::R3, Reg::R0);
        }
    }

    /// The access that everything is about.
    fn end(&mut self) {
        let offset = self.dice.pick(&NUMBERS);
        if self.dice.chance(1, 3) {
            // On one way nothing is wanted any more.
            let (open, cond) = (self.dice.pick(&OPEN), self.dice.pick(&[Cond::Set, Cond::Set, Cond::Gt, Cond::Eq]));
            let imm = 1 + self.dice.below(9) as i32;
            self.push(
                Insn::new(Opcode::of(Op::Jump { cond, width: Width::W64, source: Source::K })).dst(open).imm(imm),
            );
            let jump = self.insns.len() - 1;
            self.set(Reg::R0, 0);
            self.push(Insn::new(Opcode::Exit));
            self.land(jump);
        }
        if self.dice.chance(1, 4) {
            // A way that must not be taken with some number.
            let (cond, number) = (self.dice.pick(&[Cond::Eq, Cond::Ne, Cond::Gt, Cond::Set]), self.number());
            self.push(
                Insn::new(Opcode::of(Op::Jump { cond, width: Width::W64, source: Source::K })).dst(offset).imm(number),
            );
            let jump = self.insns.len() - 1;
            self.push(Insn::new(Opcode::LdxDw).dst(Reg::R0).src(Reg::FP).off(8));
            self.land(jump);
        } else {
            self.copy(Reg::R5, Reg::FP);
            self.push(Insn::new(Opcode::Add64K).dst(Reg::R5).imm(-16));
            self.push(Insn::new(Opcode::Add64X).dst(Reg::R5).src(offset));
            self.push(Insn::new(Opcode::LdxW).dst(Reg::R0).src(Reg::R5));
        }
        self.set(Reg::R0, 0);
        self.push(Insn::new(Opcode::Exit));
    }

    /// What is called: its result depends on R1, what R2 leads to, and the way taken.
    fn subprogram(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        for at in std::mem::take(&mut self.calls) {
            let distance = (self.insns.len() - at - 1) as i32;
            self.insns[at] = self.insns[at].imm(distance);
        }
        match self.dice.below(4) {
            0 => self.copy(Reg::R0, Reg::R1),
            1 => {
                self.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(Reg::R1).off(-8));
                self.push(Insn::new(Opcode::LdxDw).dst(Reg::R0).src(Reg::FP).off(-8));
            }
            2 => self.push(Insn::new(Opcode::LdxDw).dst(Reg::R0).src(Reg::R2)),
            _ => {
                self.push(Insn::new(Opcode::LdxDw).dst(Reg::R0).src(Reg::R2));
                self.push(Insn::new(Opcode::StxDw).dst(Reg::R2).src(Reg::R1));
            }
        }
        self.copy(Reg::R3, Reg::R0);
        let number = self.number();
        self.push(Insn::new(Opcode::Jne64K).dst(Reg::R3).imm(number));
        let jump = self.insns.len() - 1;
        let number = self.number();
        self.set(Reg::R0, number);
        self.land(jump);
        self.push(Insn::new(Opcode::Exit));
    }
}
