//! The meaning of the subset against the processor: random states go through both.

mod common;

use std::convert::Infallible;

use common::Random;
use jit::Rules;
use jit::frame::Entry;
use jit::image::Image;
use jit::insn::native;
use jit::x64::encode::{branch, encode};
use jit::x64::meaning::{Cpu, Fault, Flags, Outside, run};
use jit::x64::{AluOp, Branch, Cc, Inst, LockOp, Reach, Reg, ShiftOp};
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Size, Width};
use semantics::word::Concrete;

const STATES: usize = 10_000;
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// What the snippet pops and pushes: flags, then every register but rsp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
struct State {
    flags: u64,
    regs: [u64; 15],
}

const SCRATCH: usize = 512;

#[repr(C, align(64))]
struct Buffer {
    input: State,
    /// Stack during the code, and memory that it may touch.
    scratch: [u8; SCRATCH],
    output: State,
    /// The stack pointer to go back to.
    stack_pointer: u64,
}

/// CF, ZF, SF, OF.
const FLAGS: [u32; 4] = [0, 6, 7, 11];

fn popped() -> impl DoubleEndedIterator<Item = Reg> {
    Reg::ALL.into_iter().filter(|reg| *reg != Reg::Rsp)
}

struct Harness {
    image: Image,
    buffer: Box<Buffer>,
    random: Random,
    bytes: Vec<u8>,
}

impl Harness {
    fn new(seed: u64) -> Harness {
        let zero = State::default();
        let buffer = Box::new(Buffer { input: zero, scratch: [0; SCRATCH], output: zero, stack_pointer: 0 });
        Harness { image: Image::new(4096).unwrap(), buffer, random: Random(seed), bytes: Vec::new() }
    }

    fn put(&mut self, insts: &[Inst]) {
        for inst in insts {
            encode(inst, &mut self.bytes);
        }
    }

    /// The middle of the scratch bytes, where rsp points.
    fn middle(&self) -> u64 {
        self.buffer.scratch.as_ptr() as u64 + SCRATCH as u64 / 2
    }

    /// Runs `code` on the processor from the state in the buffer.
    fn execute(&mut self, code: &[u8]) {
        const KEPT: [Reg; 6] = [Reg::Rbx, Reg::Rbp, Reg::R12, Reg::R13, Reg::R14, Reg::R15];
        let at = |field: *const u8| field as u64;
        let save = at((&raw const self.buffer.stack_pointer).cast());
        let output_end = at((&raw const self.buffer.output).cast()) + size_of::<State>() as u64;
        let middle = self.middle();
        self.bytes.clear();
        for src in KEPT {
            self.put(&[Inst::Push { src }]);
        }
        self.put(&[
            Inst::MovAbs { dst: Reg::Rax, imm: save },
            Inst::Store { size: Size::Dw, base: Reg::Rax, disp: 0, src: Reg::Rsp },
            Inst::MovRr { width: Width::W64, dst: Reg::Rsp, src: Reg::Rdi },
        ]);
        self.bytes.push(0x9d); // popfq
        popped().for_each(|dst| self.put(&[Inst::Pop { dst }]));
        self.put(&[Inst::MovAbs { dst: Reg::Rsp, imm: middle }]);
        self.bytes.extend_from_slice(code);
        self.put(&[Inst::MovAbs { dst: Reg::Rsp, imm: output_end }]);
        popped().rev().for_each(|src| self.put(&[Inst::Push { src }]));
        self.bytes.push(0x9c); // pushfq
        self.put(&[
            Inst::MovAbs { dst: Reg::Rsp, imm: save },
            Inst::Load { size: Size::Dw, dst: Reg::Rsp, base: Reg::Rsp, disp: 0 },
        ]);
        for dst in KEPT.into_iter().rev() {
            self.put(&[Inst::Pop { dst }]);
        }
        self.put(&[Inst::Ret]);
        self.image.load(&self.bytes).unwrap();
        let input = (&raw mut self.buffer.input) as u64;
        // SAFETY: the snippet above saves what the ABI wants saved, and touches only the buffer.
        unsafe { self.image.call([input, 0, 0, 0, 0], std::ptr::null_mut::<Entry>()) };
    }

    fn randomize(&mut self) {
        for value in &mut self.buffer.input.regs {
            *value = self.random.word();
        }
        let random = self.random.next();
        // Bit 1 is always set; interrupts stay on.
        self.buffer.input.flags = FLAGS.iter().fold(0x202, |flags, bit| flags | random & 1 << bit);
        for at in 0..SCRATCH {
            self.buffer.scratch[at] = (random >> (at % 57)) as u8 ^ at as u8;
        }
    }

    fn model(&self) -> Cpu<Concrete, Scratch> {
        let mut regs = [0; 16];
        popped().zip(&self.buffer.input.regs).for_each(|(reg, value)| regs[reg.index()] = *value);
        regs[Reg::Rsp.index()] = self.middle();
        let [carry, zero, sign, overflow] = FLAGS.map(|bit| self.buffer.input.flags >> bit & 1 == 1);
        let outside = Scratch { base: self.buffer.scratch.as_ptr() as u64, bytes: self.buffer.scratch };
        Cpu { regs, flags: Some(Flags { carry, zero, sign, overflow }), outside }
    }

    /// Runs `insts` on both from the state in the buffer and compares all that there is.
    fn compare(&mut self, insts: &[Inst]) {
        let mut cpu = self.model();
        run(insts, &mut cpu).expect("straight code");
        let mut code = Vec::new();
        for inst in insts {
            encode(inst, &mut code);
        }
        self.execute(&code);
        for (reg, value) in popped().zip(&self.buffer.output.regs) {
            assert_eq!(cpu.regs[reg.index()], *value, "{reg:?} after {insts:?} on {:x?}", self.buffer.input);
        }
        let seen = FLAGS.map(|bit| self.buffer.output.flags >> bit & 1 == 1);
        // Flags that are undefined may be anything.
        if let Some(flags) = cpu.flags {
            let ours = [flags.carry, flags.zero, flags.sign, flags.overflow];
            assert_eq!(ours, seen, "flags after {insts:?} on {:x?}", self.buffer.input);
        }
        assert!(cpu.outside.bytes == self.buffer.scratch, "memory after {insts:?} on {:x?}", self.buffer.input);
    }

    fn reg(&mut self) -> Reg {
        let regs: Vec<Reg> = popped().collect();
        self.random.pick(&regs)
    }

    /// `STATES` random states through each form that `form` makes.
    fn sample(&mut self, mut form: impl FnMut(&mut Harness) -> Inst) {
        for _ in 0..STATES {
            self.randomize();
            let inst = form(self);
            self.compare(&[inst]);
        }
    }

    /// Points `base` into the scratch bytes, so that `base + disp` has room on both sides.
    fn aim(&mut self, base: Reg, disp: i32) {
        let target = self.buffer.scratch.as_ptr() as u64 + 64 + self.random.below(SCRATCH - 128) as u64;
        let index = popped().position(|reg| reg == base).unwrap();
        self.buffer.input.regs[index] = target.wrapping_sub(disp as i64 as u64);
    }
}

/// The scratch bytes as the model's memory.
struct Scratch {
    base: u64,
    bytes: [u8; SCRATCH],
}

impl Outside<Concrete> for Scratch {
    type Fault = Infallible;
    fn load(&mut self, size: Size, addr: &u64) -> Result<u64, Infallible> {
        let (at, len) = ((addr - self.base) as usize, size.bytes() as usize);
        Ok(self.bytes[at..at + len].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }
    fn store(&mut self, size: Size, addr: &u64, value: &u64) -> Result<(), Infallible> {
        let (at, len) = ((addr - self.base) as usize, size.bytes() as usize);
        self.bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
    fn call_helper(&mut self, _: &u32, _: [&u64; 5]) -> Result<u64, Infallible> {
        unreachable!("no form here calls")
    }
    fn tail_call(&mut self, _: [&u64; 3]) -> Result<u64, Infallible> {
        unreachable!("no form here calls")
    }
    fn enter(&mut self, _: &u64) {
        unreachable!("no form here calls")
    }
    fn load_packet(&mut self, _: Size, _: &u64, _: &u32) -> Result<(u64, bool), Infallible> {
        unreachable!("no form here calls")
    }
    fn clobbered(&mut self, _: Reg) -> u64 {
        unreachable!("no form here calls")
    }
}

#[test]
fn alu_between_registers() {
    let mut harness = Harness::new(1);
    for (op, width) in AluOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
        harness.sample(|h| Inst::AluRr { op, width, dst: h.reg(), src: h.reg() });
    }
}

#[test]
fn alu_with_immediates() {
    let mut harness = Harness::new(2);
    for (op, width) in AluOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
        harness.sample(|h| Inst::AluRi { op, width, dst: h.reg(), imm: h.random.imm() as u32 });
    }
}

#[test]
fn moves_and_neg() {
    let mut harness = Harness::new(3);
    for width in WIDTHS {
        harness.sample(|h| Inst::Neg { width, dst: h.reg() });
        harness.sample(|h| Inst::MovRr { width, dst: h.reg(), src: h.reg() });
    }
    harness.sample(|h| Inst::MovZx { dst: h.reg(), imm: h.random.imm() as u32 });
    harness.sample(|h| Inst::MovSx { dst: h.reg(), imm: h.random.imm() as u32 });
    harness.sample(|h| Inst::MovAbs { dst: h.reg(), imm: h.random.word() });
}

#[test]
fn memory() {
    let mut harness = Harness::new(4);
    for size in Size::ALL {
        harness.sample(|h| {
            let (dst, base, disp) = (h.reg(), h.reg(), h.random.imm());
            h.aim(base, disp);
            Inst::Load { size, dst, base, disp: disp as u32 }
        });
        harness.sample(|h| {
            let (src, base, disp) = (h.reg(), h.reg(), h.random.imm());
            h.aim(base, disp);
            Inst::Store { size, base, disp: disp as u32, src }
        });
        harness.sample(|h| {
            let (base, disp, imm) = (h.reg(), h.random.imm(), h.random.imm() as u32);
            h.aim(base, disp);
            Inst::StoreImm { size, base, disp: disp as u32, imm }
        });
    }
}

#[test]
fn stack() {
    let mut harness = Harness::new(5);
    for _ in 0..STATES {
        harness.randomize();
        let (reg, other) = (harness.reg(), harness.reg());
        // The stack pointer itself is seen through a register.
        harness.compare(&[Inst::Push { src: reg }, Inst::MovRr { width: Width::W64, dst: other, src: Reg::Rsp }]);
        harness.compare(&[Inst::Pop { dst: reg }, Inst::MovRr { width: Width::W64, dst: other, src: Reg::Rsp }]);
        harness.compare(&[Inst::Push { src: Reg::Rsp }, Inst::Pop { dst: reg }]);
    }
}

#[test]
fn shifts() {
    let mut harness = Harness::new(7);
    for (op, width) in ShiftOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
        harness.sample(|h| Inst::ShiftImm { op, width, dst: h.reg(), amount: h.random.next() as u8 });
        harness.sample(|h| Inst::ShiftCl { op, width, dst: h.reg() });
        if std::arch::is_x86_feature_detected!("bmi2") {
            harness.sample(|h| Inst::ShiftX { op, width, dst: h.reg(), src: h.reg(), amount: h.reg() });
        }
    }
}

#[test]
fn products_and_extensions() {
    let mut harness = Harness::new(8);
    for width in WIDTHS {
        harness.sample(|h| Inst::Imul { width, dst: h.reg(), src: h.reg() });
        harness.sample(|h| Inst::ImulImm { width, dst: h.reg(), src: h.reg(), imm: h.random.imm() as u32 });
        harness.sample(|_| Inst::SignRdx { width });
        harness.sample(|h| Inst::Bswap { width, dst: h.reg() });
        for size in [Size::B, Size::H] {
            harness.sample(|h| Inst::MovSxRr { size, width, dst: h.reg(), src: h.reg() });
        }
    }
    harness.sample(|h| Inst::MovSxRr { size: Size::W, width: Width::W64, dst: h.reg(), src: h.reg() });
    harness.sample(|h| Inst::MovZxRr { size: Size::B, dst: h.reg(), src: h.reg() });
    harness.sample(|h| Inst::MovZxRr { size: Size::H, dst: h.reg(), src: h.reg() });
    harness.sample(|h| Inst::Rol16 { dst: h.reg() });
    for size in [Size::B, Size::H, Size::W] {
        harness.sample(|h| {
            let (dst, base, disp) = (h.reg(), h.reg(), h.random.imm());
            h.aim(base, disp);
            Inst::LoadSx { size, dst, base, disp: disp as u32 }
        });
    }
}

/// Where the model has no meaning, the processor would fault.
#[test]
fn quotients() {
    let mut harness = Harness::new(9);
    for (signed, width) in [false, true].into_iter().flat_map(|signed| WIDTHS.map(|width| (signed, width))) {
        let (mut divided, mut faults) = (0, 0);
        while divided < STATES {
            harness.randomize();
            let src = harness.reg();
            let extend = if signed {
                Inst::SignRdx { width }
            } else {
                Inst::AluRr { op: AluOp::Xor, width: Width::W32, dst: Reg::Rdx, src: Reg::Rdx }
            };
            let code = [extend, Inst::Div { signed, width, src }];
            match run(&code, &mut harness.model()) {
                Ok(_) => {
                    harness.compare(&code);
                    divided += 1;
                }
                Err(fault) => {
                    assert_eq!(fault, Fault::Division);
                    faults += 1;
                }
            }
        }
        assert!(faults > 0, "some divisors are 0");
    }
}

#[test]
fn locked_forms() {
    let mut harness = Harness::new(10);
    for (op, width) in LockOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
        harness.sample(|h| {
            let (src, base, disp) = (h.reg(), h.reg(), h.random.imm());
            h.aim(base, disp);
            // Every other time a compare-and-exchange succeeds.
            if op == LockOp::Cmpxchg && h.random.below(2) == 0 && base != Reg::Rax {
                let index = popped().position(|reg| reg == base).unwrap();
                let addr = h.buffer.input.regs[index].wrapping_add(disp as i64 as u64);
                let at = (addr - h.buffer.scratch.as_ptr() as u64) as usize;
                let bytes = h.buffer.scratch[at..at + 8].try_into().unwrap();
                h.buffer.input.regs[0] = u64::from_le_bytes(bytes);
            }
            Inst::Lock { op, width, base, disp: disp as u32, src }
        });
    }
}

/// What lowering makes of divisions and of fetching loops, with its jumps inside, as the processor runs it.
#[test]
fn sequences_with_jumps() {
    let mut harness = Harness::new(11);
    let rules = Rules::standard();
    let has_jumps = |op: Op| matches!(op, Op::MulDiv { .. } | Op::Atomic { fetch: true, .. });
    for row in TABLE.iter().filter(|row| has_jumps(row.op)) {
        for _ in 0..STATES / 4 {
            harness.randomize();
            let bpf = |h: &mut Harness| h.random.pick(&semantics::insn::Reg::ALL);
            let (dst, src) = (bpf(&mut harness), bpf(&mut harness));
            let (mut insn, mut code) = (Insn::new(row.opcode).dst(dst).src(src), Vec::new());
            if matches!(row.op, Op::Atomic { .. }) {
                insn = insn.off(harness.random.below(64) as i16);
                harness.aim(native(dst), i32::from(insn.off as i16));
            } else {
                insn = insn.imm(harness.random.imm());
            }
            rules.lower(&insn, &mut code).unwrap();
            harness.compare(&code);
        }
    }
}

#[test]
fn conditions() {
    let mut harness = Harness::new(6);
    for cc in Cc::ALL {
        for state in 0..STATES {
            harness.randomize();
            let mut code = Vec::new();
            let skipped: Inst = Inst::MovZx { dst: Reg::Rax, imm: 77 };
            let reach = if state % 2 == 0 { Reach::Short } else { Reach::Near };
            branch::<Concrete>(Branch::Jcc(cc), reach, &5, &mut code);
            encode(&skipped, &mut code);
            harness.buffer.input.regs[0] = 0;
            let wanted = harness.model().flags.unwrap().holds(cc);
            harness.execute(&code);
            assert_eq!(harness.buffer.output.regs[0] == 0, wanted, "{cc:?} on {:x?}", harness.buffer.input);
        }
    }
}
