//! Random states of one form through its meaning and through the processor.

use std::ops::Range;

use jit::x64::encode::{encode, len};
use jit::x64::meaning::{Cpu, Fault, Flags, Outside, run};
use jit::x64::{Branch, Inst, LockOp, Reg};
use semantics::insn::{Flow, Size, Width};
use semantics::word::Concrete;

use crate::common::Random;
use crate::forms::{Form, Operands, bytes};
use crate::native::{Native, State, WINDOW};

/// Instructions of one form, with operands of their own, that share its states.
const SNIPPETS: usize = 1024;
/// States that go through one snippet at a time.
const BATCH: usize = 64;
/// Bytes of code that the snippets of a form need at most.
const CAPACITY: usize = SNIPPETS * 512;

/// What a meaning is: [`run`], or one with a mistake.
pub type Meaning = fn(&[Inst], &mut Cpu<Concrete, Window>) -> Result<Flow<bool>, Fault<Range<u64>>>;

/// The memory of a state as the meaning sees it; whatever else is touched is given back as a fault.
#[derive(Clone, Debug)]
pub struct Window {
    base: u64,
    bytes: [u8; WINDOW],
    /// Where control went into another program.
    entered: u64,
}

impl Window {
    fn at(&self, size: Size, addr: u64) -> Result<Range<usize>, Range<u64>> {
        let (at, len) = (addr.wrapping_sub(self.base), u64::from(size.bytes()));
        let fits = at <= WINDOW as u64 - len;
        if fits { Ok(at as usize..(at + len) as usize) } else { Err(addr..addr.wrapping_add(len)) }
    }
}

impl Outside<Concrete> for Window {
    type Fault = Range<u64>;
    #[inline]
    fn load(&mut self, size: Size, addr: &u64) -> Result<u64, Range<u64>> {
        let at = self.at(size, *addr)?;
        let mut value = [0; 8];
        value[..at.len()].copy_from_slice(&self.bytes[at]);
        Ok(u64::from_le_bytes(value))
    }
    #[inline]
    fn store(&mut self, size: Size, addr: &u64, value: &u64) -> Result<(), Range<u64>> {
        let at = self.at(size, *addr)?;
        let len = at.len();
        self.bytes[at].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
    fn call_helper(&mut self, _: &u32, _: [&u64; 5]) -> Result<u64, Range<u64>> {
        unreachable!("a call is left to the snippet")
    }
    fn tail_call(&mut self, _: [&u64; 3]) -> Result<u64, Range<u64>> {
        unreachable!("a call is left to the snippet")
    }
    fn enter(&mut self, addr: &u64) {
        self.entered = *addr;
    }
    fn load_packet(&mut self, _: Size, _: &u64, _: &u32) -> Result<(u64, bool), Range<u64>> {
        unreachable!("a call is left to the snippet")
    }
    fn clobbered(&mut self, _: Reg) -> u64 {
        unreachable!("a call is left to the snippet")
    }
}

/// Code with what shows whether it jumps: a move that a jump skips, or that a jump back reaches.
#[derive(Clone, Debug)]
pub struct Snippet {
    /// One instruction of a form, or straight code.
    code: Vec<Inst>,
    marker: Inst,
    aim: Aim,
    entry: usize,
    /// The first byte after the code, and after the snippet.
    next: u64,
    landing: u64,
}

/// What registers have to be so that the processor can carry out the code.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    Anything,
    /// This many bytes of the window from a base register and a displacement.
    Memory(Reg, u32, usize),
    /// As above; every other time `rax` is there.
    Equal(Reg, u32),
    /// The stack pointer with room for a word below it.
    Below,
    /// The stack pointer at a word.
    Above,
    /// As [`Aim::Below`], and a register at the landing.
    Call(Reg),
    /// A register at the landing.
    Jump(Reg),
    /// The stack pointer at the address of the landing.
    Return,
    /// `rdx` extends `rax`.
    Dividend(bool, Width),
}

impl Aim {
    fn of(inst: &Inst) -> Aim {
        match *inst {
            Inst::Load { size, base, disp, .. }
            | Inst::LoadSx { size, base, disp, .. }
            | Inst::Store { size, base, disp, .. }
            | Inst::StoreImm { size, base, disp, .. } => Aim::Memory(base, disp, size.bytes() as usize),
            Inst::Lock { op: LockOp::Cmpxchg, base, disp, .. } => Aim::Equal(base, disp),
            Inst::Lock { base, disp, .. } => Aim::Memory(base, disp, 8),
            Inst::Push { .. } | Inst::Branch(Branch::Stub(_) | Branch::Local) => Aim::Below,
            Inst::Pop { .. } => Aim::Above,
            Inst::CallReg { target } => Aim::Call(target),
            Inst::JmpReg { target } => Aim::Jump(target),
            Inst::Ret => Aim::Return,
            Inst::Div { signed, width, .. } => Aim::Dividend(signed, width),
            _ => Aim::Anything,
        }
    }
    fn reads_memory(self) -> bool {
        !matches!(self, Aim::Anything | Aim::Jump(_) | Aim::Dividend(..))
    }
}

impl Snippet {
    /// Draws operands and adds the code.
    fn new(form: Form, index: usize, draw: &mut Draw, native: &mut Native) -> Snippet {
        let marker = Inst::MovZx { dst: draw.random.pick(&Reg::ALL), imm: draw.random.next() as u32 };
        let skipped = len(&marker);
        let mut operands = draw.operands(form, index);
        let mut body = Vec::new();
        match form.inst {
            Inst::Skip { .. } => operands.imm = skipped as u64,
            Inst::Retry { .. } => {
                // Forward to the retry, over the marker and a jump to the end.
                encode::<Concrete>(&Inst::Skip { cc: None, count: 2, bytes: skipped as u8 + 2 }, &mut body);
                encode(&marker, &mut body);
                encode::<Concrete>(&Inst::Skip { cc: None, count: 1, bytes: 2 }, &mut body);
                operands.imm = body.len() as u64;
            }
            _ => {}
        }
        let inst = form.with(&operands);
        body.extend(bytes(&inst, form.reach, skipped as u32));
        let next = native.next() + body.len() as u64;
        let jumps = matches!(
            inst,
            Inst::Skip { .. } | Inst::Branch(_) | Inst::CallReg { .. } | Inst::JmpReg { .. } | Inst::Ret
        );
        if jumps {
            encode(&marker, &mut body);
        }
        let landing = native.next() + body.len() as u64;
        Snippet { code: vec![inst], marker, aim: Aim::of(&inst), entry: native.add(&body), next, landing }
    }

    /// Adds code that is no single instruction.
    fn straight(code: Vec<Inst>, aim: Aim, native: &mut Native) -> Snippet {
        let mut body = Vec::new();
        for inst in &code {
            encode(inst, &mut body);
        }
        let next = native.next() + body.len() as u64;
        Snippet { code, marker: Inst::Ret, aim, entry: native.add(&body), next, landing: next }
    }

    /// What the snippet makes of a state. The transfers that are the meaning of whoever puts two functions together are
    /// spelled out here.
    #[inline]
    fn expect(&self, cpu: &mut Cpu<Concrete, Window>, meaning: Meaning) -> Result<(), Fault<Range<u64>>> {
        let skips_marker = match self.code[..] {
            [inst @ Inst::Skip { .. }] => return meaning(&[inst, self.marker], cpu).map(drop),
            [Inst::Retry { .. }] => match meaning(&self.code, cpu) {
                Err(Fault::Retried) => false,
                other => return other.map(drop),
            },
            [Inst::Branch(Branch::Stub(_) | Branch::Local) | Inst::CallReg { .. }] => {
                let top = cpu.get(Reg::Rsp).wrapping_sub(8);
                cpu.outside.store(Size::Dw, &top, &self.next).map_err(Fault::Outside)?;
                cpu.set(Reg::Rsp, top);
                true
            }
            [Inst::Ret] => {
                let top = cpu.get(Reg::Rsp);
                let target = cpu.outside.load(Size::Dw, &top).map_err(Fault::Outside)?;
                assert_eq!(target, self.landing);
                cpu.set(Reg::Rsp, top.wrapping_add(8));
                true
            }
            _ => match meaning(&self.code, cpu)? {
                Flow::Next | Flow::Exit => true,
                Flow::Branch(taken) => taken,
                Flow::Tail(taken) if cpu.outside.entered == self.landing => taken,
                _ => return Err(Fault::Control),
            },
        };
        if skips_marker { Ok(()) } else { meaning(&[self.marker], cpu).map(drop) }
    }

    /// Makes registers and the window what the code needs.
    #[inline]
    fn steer(&self, state: &mut State, window: u64, draw: &mut Draw) {
        let at = |draw: &mut Draw, room: usize| draw.random.below(WINDOW - room + 1);
        let regs = &mut state.regs;
        match self.aim {
            Aim::Anything => {}
            Aim::Memory(base, disp, room) => {
                let target = window + at(draw, room) as u64;
                regs[base.index()] = target.wrapping_sub(disp as i32 as i64 as u64);
            }
            Aim::Equal(base, disp) => {
                let at = at(draw, 8);
                regs[base.index()] = (window + at as u64).wrapping_sub(disp as i32 as i64 as u64);
                if draw.random.next() & 1 == 0 {
                    state.put(at, state.regs[Reg::Rax.index()]);
                }
            }
            Aim::Below => regs[Reg::Rsp.index()] = window + at(draw, 8) as u64 + 8,
            Aim::Above => regs[Reg::Rsp.index()] = window + at(draw, 8) as u64,
            Aim::Call(target) => {
                regs[Reg::Rsp.index()] = window + at(draw, 8) as u64 + 8;
                regs[target.index()] = self.landing;
            }
            Aim::Jump(target) => regs[target.index()] = self.landing,
            Aim::Return => {
                let at = at(draw, 8);
                regs[Reg::Rsp.index()] = window + at as u64;
                state.put(at, self.landing);
            }
            Aim::Dividend(signed, width) => {
                let (rax, rdx) = (regs[Reg::Rax.index()], &mut regs[Reg::Rdx.index()]);
                *rdx = match (signed, width) {
                    (false, Width::W64) => 0,
                    (true, Width::W64) => (rax as i64 >> 63) as u64,
                    (false, Width::W32) => *rdx & !0xffff_ffff,
                    (true, Width::W32) => *rdx & !0xffff_ffff | u64::from((rax as i32 >> 31) as u32),
                };
            }
        }
    }
}

/// The processor in a state whose window lies at `base`.
#[inline]
pub fn processor(state: &State, base: u64) -> Cpu<Concrete, Window> {
    let [carry, zero, sign, overflow] = state.flags();
    let flags = Some(Flags { carry, zero, sign, overflow });
    Cpu { regs: state.regs, flags, outside: Window { base, bytes: state.window, entered: 0 } }
}

impl State {
    /// Writes a word at any byte of the window.
    fn put(&mut self, at: usize, value: u64) {
        self.window[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// Random operands and states that like borders.
pub struct Draw {
    pub random: Random,
    /// What is kept of a random number, and what is changed in the rest.
    kinds: Box<[(u64, u64); 512]>,
}

impl Draw {
    /// A quarter of the kinds is any number, a quarter a small one, and half near a power of two or its negative.
    pub fn new(seed: u64) -> Draw {
        let kind = |at: usize| {
            let power = 1u64 << (at % 64);
            match at / 64 {
                0 | 1 => (u64::MAX, 0),
                2 | 3 => (power - 1, 0),
                4 => (0, power),
                5 => (0, power - 1),
                6 => (0, power.wrapping_neg()),
                _ => (0, !power),
            }
        };
        Draw { random: Random(seed), kinds: Box::new(std::array::from_fn(kind)) }
    }

    #[inline]
    fn words<const N: usize>(&mut self, words: &mut [u64; N]) {
        for word in words {
            let any = self.random.next();
            // Other bits than those that the number keeps; a table, because branches would be predicted wrong.
            let (kept, changed) = self.kinds[(any.wrapping_mul(0xd134_2543_de82_ef95) >> 55) as usize];
            *word = any & kept ^ changed;
        }
    }

    fn operands(&mut self, form: Form, index: usize) -> Operands {
        let reg = |number: usize| Reg::ALL[number % 16];
        let mut regs = [reg(index), reg(index / 16), self.random.pick(&Reg::ALL)];
        while !is_possible(&form.with(&Operands { regs, ..Operands::ZERO })) {
            regs[0] = self.random.pick(&Reg::ALL);
        }
        let wide = matches!(form.inst, Inst::MovAbs { .. });
        let imm = if wide { self.random.word() } else { self.random.imm() as u64 };
        Operands { regs, imm, disp: self.random.imm() as u32 }
    }
}

/// Whether the processor can carry it out in any of the states that are drawn.
fn is_possible(inst: &Inst) -> bool {
    !matches!(
        inst,
        // The dividend's upper half is 0 and the divisor.
        Inst::Div { signed: false, src: Reg::Rdx, .. }
        // The target would be the top of the stack.
            | Inst::CallReg { target: Reg::Rsp }
    )
}

/// Whether this processor has the instruction.
pub fn is_supported(form: &Form) -> bool {
    let supported = !matches!(form.inst, Inst::ShiftX { .. }) || std::arch::is_x86_feature_detected!("bmi2");
    if !supported {
        println!("skipped, because this processor has no BMI2: {form:?}");
    }
    supported
}

/// Takes states through both and compares all that there is.
pub struct Sample {
    native: Native,
    draw: Draw,
    input: Vec<State>,
    output: Vec<State>,
}

impl Sample {
    pub fn new(seed: u64) -> Sample {
        Sample {
            native: Native::new(CAPACITY),
            draw: Draw::new(seed),
            input: vec![State::ZERO; BATCH],
            output: vec![State::ZERO; BATCH],
        }
    }

    /// Takes at least `states` states through instructions of the form; what differs first is told.
    pub fn form(&mut self, form: Form, states: usize, meaning: Meaning) -> Result<(), String> {
        let Sample { native, draw, .. } = self;
        native.clear();
        let snippets: Vec<Snippet> = (0..SNIPPETS).map(|index| Snippet::new(form, index, draw, native)).collect();
        self.check(&snippets, states, meaning)
    }

    /// As above, through straight code of which `make` draws one after the other.
    pub fn straight(
        &mut self,
        states: usize,
        mut make: impl FnMut(&mut Random) -> (Vec<Inst>, Aim),
    ) -> Result<(), String> {
        let Sample { native, draw, .. } = self;
        native.clear();
        let mut snippet = || {
            let (code, aim) = make(&mut draw.random);
            Snippet::straight(code, aim, native)
        };
        let snippets: Vec<Snippet> = (0..SNIPPETS).map(|_| snippet()).collect();
        self.check(&snippets, states, MEANING)
    }

    fn check(&mut self, snippets: &[Snippet], states: usize, meaning: Meaning) -> Result<(), String> {
        self.native.load();
        for snippet in snippets {
            for _ in 0..states.div_ceil(SNIPPETS * BATCH) {
                self.fill(snippet, meaning);
                self.native.run(snippet.entry, &self.input, &mut self.output);
                self.compare(snippet, meaning)?;
            }
        }
        Ok(())
    }

    /// Draws a batch; what divides nothing is drawn again.
    fn fill(&mut self, snippet: &Snippet, meaning: Meaning) {
        for (state, output) in self.input.iter_mut().zip(&mut self.output) {
            let window = (&raw const output.window) as u64;
            let mut drawn = 0;
            loop {
                self.draw.words(&mut state.regs);
                let random = self.draw.random.next();
                // CF, ZF, SF and OF; bit 1 is always set, and interrupts stay on.
                state.flags = random & 0x8c1 | 0x202;
                if snippet.aim.reads_memory() {
                    let mut words = [0; WINDOW / 8];
                    self.draw.words(&mut words);
                    for (bytes, word) in state.window.chunks_exact_mut(8).zip(words) {
                        bytes.copy_from_slice(&word.to_le_bytes());
                    }
                }
                snippet.steer(state, window, &mut self.draw);
                let divides = matches!(snippet.aim, Aim::Dividend(..));
                if !divides || snippet.expect(&mut processor(state, window), meaning) != Err(Fault::Division) {
                    break;
                }
                drawn += 1;
                assert!(drawn < 1000, "nothing divides: {:?}", snippet.code);
            }
            output.window = state.window;
        }
    }

    fn compare(&self, snippet: &Snippet, meaning: Meaning) -> Result<(), String> {
        for (input, output) in self.input.iter().zip(&self.output) {
            let mut cpu = processor(input, (&raw const output.window) as u64);
            let fault = snippet.expect(&mut cpu, meaning);
            // Flags that are undefined may be anything.
            let is_seen = |flags: &Flags<bool>| [flags.carry, flags.zero, flags.sign, flags.overflow] == output.flags();
            let flags = cpu.flags.as_ref().is_none_or(is_seen);
            let memory = cpu.outside.bytes == output.window;
            if fault.is_err() || cpu.regs != output.regs || !memory || !flags {
                return Err(format!("{snippet:?} from {input:x?}\nexpected {fault:x?} {cpu:x?}\nseen {output:x?}"));
            }
        }
        Ok(())
    }
}

/// The meaning that is sampled.
pub const MEANING: Meaning = run::<Concrete, Window>;
