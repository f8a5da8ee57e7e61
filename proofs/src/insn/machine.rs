//! The two machines that proofs run code on: the state of a BPF program, and the processor that stands for it.

use crate::theory::{Context, Memory, Theory};
use jit::insn::native;
use jit::x64::meaning::{Cpu, Outside};
use jit::x64::{self, Reg as Native};
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
}

/// What the world answers to an instruction, of which there is one: any value.
#[derive(Clone, Debug)]
struct Open<A: Algebra> {
    /// An address, or bytes of a packet.
    value: A::W64,
    /// Whether there are such bytes.
    found: A::Flag,
}

/// What surrounds the processor.
#[derive(Clone, Debug)]
pub struct Surroundings<A: Theory> {
    /// All memory.
    pub memory: A::Memory,
    clobbered: Clobbered<A>,
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
        let open = Open { value: cx.word("open"), found: cx.word::<A::W8>("found").is_zero() };
        Bpf { regs, memory: cx.memory(), clobbered, open }
    }
    /// A state in which only R1 and R2 hold anything.
    pub fn operands(cx: &mut Context<'_, A>, dst: A::W64, src: A::W64) -> Self {
        let zero = || A::W64::lit(0);
        let mut regs = [(); 11].map(|()| zero());
        (regs[Reg::R1.index()], regs[Reg::R2.index()]) = (dst, src);
        let open = Open { value: zero(), found: A::Flag::lit(false) };
        Bpf { regs, memory: cx.memory(), clobbered: [(); 16].map(|()| zero()), open }
    }
    /// The processor in the state that represents this one; registers that stand for none are variables.
    pub fn processor(&self, cx: &mut Context<'_, A>) -> Cpu<A, Surroundings<A>> {
        let represented = |native_reg: Native| Reg::ALL.into_iter().find(|reg| native(*reg) == native_reg);
        let regs = Native::ALL.map(|reg| match represented(reg) {
            Some(bpf) => self.regs[bpf.index()].clone(),
            None => cx.word(&format!("x64.{reg:?}").to_lowercase()),
        });
        let outside = Surroundings { memory: self.memory.clone(), clobbered: self.clobbered.clone() };
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
    /// An unknown function of the helper's number, R1 to R5 and memory; what R1 to R5 hold afterwards is open.
    fn call_helper(&mut self, id: &A::W32) -> Result<(), Infallible> {
        let args: Vec<A::W64> = Reg::ARGS.iter().map(|reg| self.reg(*reg).clone()).collect();
        let result = call::<A>(&mut self.memory, id, &args);
        for reg in Reg::ARGS {
            self.regs[reg.index()] = self.clobbered[native(reg).index()].clone();
        }
        self.set_reg(Reg::R0, result);
        Ok(())
    }
    fn call_kfunc(&mut self, id: &A::W32) -> Result<(), Infallible> {
        self.call_helper(&id.not())
    }
    fn load_packet(&mut self, size: Size, _: &A::W32) -> Result<(A::W64, A::Flag), Infallible> {
        let bits = u64::from(A::W64::BITS - size.bits() * A::W64::BITS / 64);
        Ok((self.open.value.lshr(&A::W64::lit(bits)), self.open.found.clone()))
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
    fn clobbered(&mut self, reg: x64::Reg) -> A::W64 {
        self.clobbered[reg.index()].clone()
    }
}

fn call<A: Theory>(memory: &mut A::Memory, id: &A::W32, args: &[A::W64]) -> A::W64 {
    let all: Vec<A::W64> = [A::zext(id)].into_iter().chain(args.iter().cloned()).collect();
    memory.call(&all)
}
