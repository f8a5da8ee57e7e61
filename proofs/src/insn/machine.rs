//! The two machines that proofs run code on: the state of a BPF program, and the processor that stands for it.

use crate::theory::{Context, Memory, Theory};
use jit::insn::native;
use jit::x64::meaning::{Cpu, Outside};
use jit::x64::{self, Reg as Native};
use semantics::helper::tail_call;
use semantics::insn::{Machine, Reg, Size};
use semantics::word::{Algebra, Flag, Word};
use std::convert::Infallible;

/// What a helper call leaves in the registers that it may change, by [`Native::index`]: the same on both sides.
type Clobbered<A> = [<A as Algebra>::W64; 16];

/// The state of a BPF program.
#[derive(Clone, Debug)]
pub struct Bpf<A: Theory> {
    /// By [`Reg::index`].
    pub regs: [A::W64; 11],
    /// All memory.
    pub memory: A::Memory,
    clobbered: Clobbered<A>,
    open: Open<A>,
    /// Where the tail call led, if one was made: the address of a program, or 0.
    pub target: Option<A::W64>,
}

/// What the world answers to an instruction, of which there is one: any value.
#[derive(Clone, Debug)]
struct Open<A: Algebra> {
    /// An address, or bytes of a packet.
    value: A::W64,
    /// Whether there are such bytes, or such a program.
    found: A::Flag,
    /// Whether the instruction is, on the processor, a call, so that what a call may change is open.
    calls: bool,
}

/// What surrounds the processor.
#[derive(Clone, Debug)]
pub struct Surroundings<A: Theory> {
    /// All memory.
    pub memory: A::Memory,
    clobbered: Clobbered<A>,
    open: Open<A>,
    /// Where control went by a jump through a register.
    pub entered: Option<A::W64>,
}

impl<A: Theory> Bpf<A> {
    /// Any state. Registers are variables named by the part that they play in an instruction with these operands, so that
    /// the questions of one choice of registers are literally those of another. Memory is any, and what a call leaves in
    /// registers too if there is one.
    pub fn any(cx: &mut Context<'_, A>, dst: Option<Reg>, src: Option<Reg>, calls: bool) -> Self {
        let role = |reg: Reg| match (dst == Some(reg), src == Some(reg)) {
            (true, _) => "dst".to_owned(),
            (_, true) => "src".to_owned(),
            _ => format!("{reg}"),
        };
        let regs: [A::W64; 11] = Reg::ALL.map(|reg| cx.word(&role(reg)));
        let clobbered: Clobbered<A> = Native::ALL.map(|reg| {
            let clobbered = calls && Native::CALLER_SAVED.contains(&reg);
            if clobbered { cx.word(&format!("clobbered_{reg:?}").to_lowercase()) } else { A::W64::lit(0) }
        });
        let open = Open { value: cx.word("open"), found: cx.word::<A::W8>("found").is_zero(), calls };
        Bpf { regs, memory: cx.memory(), clobbered, open, target: None }
    }
    /// The address that the world answers with.
    pub fn address(&self) -> A::W64 {
        self.open.value.clone()
    }
    /// Leaves in these of R1 to R5 what a call does.
    fn clobber(&mut self, which: impl Fn(Reg) -> bool) {
        for reg in Reg::ARGS.into_iter().filter(|reg| which(*reg)) {
            self.regs[reg.index()] = self.clobbered[native(reg).index()].clone();
        }
    }
    /// A state in which only R1 and R2 hold anything.
    pub fn operands(cx: &mut Context<'_, A>, dst: A::W64, src: A::W64) -> Self {
        let zero = || A::W64::lit(0);
        let mut regs = [(); 11].map(|()| zero());
        (regs[Reg::R1.index()], regs[Reg::R2.index()]) = (dst, src);
        let open = Open { value: zero(), found: A::Flag::lit(false), calls: false };
        Bpf { regs, memory: cx.memory(), clobbered: [(); 16].map(|()| zero()), open, target: None }
    }
    /// The processor in the state that represents this one; registers that stand for none are variables.
    pub fn processor(&self, cx: &mut Context<'_, A>) -> Cpu<A, Surroundings<A>> {
        let represented = |native_reg: Native| Reg::ALL.into_iter().find(|reg| native(*reg) == native_reg);
        let regs = Native::ALL.map(|reg| match represented(reg) {
            Some(bpf) => self.regs[bpf.index()].clone(),
            None => cx.word(&format!("x64.{reg:?}").to_lowercase()),
        });
        let (memory, clobbered, open) = (self.memory.clone(), self.clobbered.clone(), self.open.clone());
        let outside = Surroundings { memory, clobbered, open, entered: None };
        Cpu { regs, flags: None, outside }
    }
}

impl<A: Theory> Machine<A> for Bpf<A> {
    type Fault = Infallible;

    fn reg(&self, reg: Reg) -> &A::W64 {
        &self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: A::W64) {
        self.regs[reg.index()] = value;
    }
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        Ok(self.memory.load(size, addr))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        self.memory.store(size, addr, value);
        Ok(())
    }
    /// An unknown function of the helper's number, R1 to R5 and memory; what R1 to R5 hold afterwards is open. Of a tail call it
    /// is where it leads, and R1 stays.
    fn call_helper(&mut self, id: &A::W32) -> Result<A::Flag, Infallible> {
        let is_tail = id.same(&tail_id::<A>()).decide();
        let args: Vec<A::W64> = Reg::ARGS.iter().map(|reg| self.reg(*reg).clone()).collect();
        if !is_tail {
            let result = call::<A>(&mut self.memory, id, &args);
            self.clobber(|_| true);
            self.set_reg(Reg::R0, result);
            return Ok(A::Flag::lit(false));
        }
        self.target = Some(tail::<A>(&mut self.memory, &self.open, &args[..3]));
        self.clobber(|reg| reg != Reg::R1);
        self.set_reg(Reg::R0, A::W64::lit(0));
        Ok(self.open.found.clone())
    }
    fn call_kfunc(&mut self, id: &A::W32) -> Result<(), Infallible> {
        let args: Vec<A::W64> = Reg::ARGS.iter().map(|reg| self.reg(*reg).clone()).collect();
        // Another function than that of helpers: it has one argument more.
        let args: Vec<A::W64> = args.into_iter().chain([A::W64::lit(0)]).collect();
        let result = call::<A>(&mut self.memory, id, &args);
        self.clobber(|_| true);
        self.set_reg(Reg::R0, result);
        Ok(())
    }
    /// An unknown function of the context, the offset and the size.
    fn load_packet(&mut self, size: Size, offset: &A::W32) -> Result<(A::W64, A::Flag), Infallible> {
        let context = self.reg(Reg::R6).clone();
        let (value, found) = packet::<A>(&mut self.memory, &self.open, size, &context, offset);
        if self.open.calls {
            self.clobber(|_| true);
            // The stub says in the register of R3 whether it found them.
            self.set_reg(Reg::R3, A::W64::select(&found, &A::W64::lit(0), &A::W64::lit(1)));
        }
        Ok((value, found))
    }
    fn map_value(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(self.open.value.clone())
    }
    fn variable(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(self.open.value.clone())
    }
    fn code(&self, _: &A::W32) -> Result<A::W64, Infallible> {
        Ok(self.open.value.clone())
    }
}

impl<A: Theory> Outside<A> for Surroundings<A> {
    type Fault = Infallible;

    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        Ok(self.memory.load(size, addr))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        self.memory.store(size, addr, value);
        Ok(())
    }
    fn call_helper(&mut self, id: &A::W32, args: [&A::W64; 5]) -> Result<A::W64, Infallible> {
        Ok(call::<A>(&mut self.memory, id, &args.map(Clone::clone)))
    }
    fn tail_call(&mut self, args: [&A::W64; 3]) -> Result<A::W64, Infallible> {
        Ok(tail::<A>(&mut self.memory, &self.open, &args.map(Clone::clone)))
    }
    fn enter(&mut self, addr: &A::W64) {
        self.entered = Some(addr.clone());
    }
    fn load_packet(&mut self, size: Size, context: &A::W64, offset: &A::W32) -> Result<(A::W64, A::Flag), Infallible> {
        Ok(packet::<A>(&mut self.memory, &self.open, size, context, offset))
    }
    fn clobbered(&mut self, reg: x64::Reg) -> A::W64 {
        self.clobbered[reg.index()].clone()
    }
}

/// The bytes of the packet, the size's most significant ones of the open value. The question is remembered.
fn packet<A: Theory>(
    memory: &mut A::Memory,
    open: &Open<A>,
    size: Size,
    context: &A::W64,
    offset: &A::W32,
) -> (A::W64, A::Flag) {
    memory.note(&[context.clone(), A::zext(offset), A::W64::lit(u64::from(size.bytes()))]);
    let bits = u64::from(A::W64::BITS - size.bits() * A::W64::BITS / 64);
    (open.value.lshr(&A::W64::lit(bits)), open.found.clone())
}

/// Where a tail call leads: an unknown function of its arguments and memory, but not 0, if it finds a program at all.
fn tail<A: Theory>(memory: &mut A::Memory, open: &Open<A>, args: &[A::W64]) -> A::W64 {
    let target = call::<A>(memory, &tail_id::<A>(), args).or(&A::W64::lit(1));
    A::W64::select(&open.found, &target, &A::W64::lit(0))
}

/// The number of the helper that makes tail calls.
fn tail_id<A: Algebra>() -> A::W32 {
    A::W32::lit(u64::from(tail_call::ID))
}

fn call<A: Theory>(memory: &mut A::Memory, id: &A::W32, args: &[A::W64]) -> A::W64 {
    let all: Vec<A::W64> = [A::zext(id)].into_iter().chain(args.iter().cloned()).collect();
    memory.call(&all)
}
