//! Entry and exit of compiled code, and the stubs: the calling convention (System V ABI, section 3.2).
//!
//! The trampoline hands over arguments, frame pointer and an aligned stack, and whoever entered finds the registers that it
//! wants back and the stack pointer as they were, on the way out and on the way out of a trap. A stub hands the runtime its
//! arguments and an aligned stack; what it gives back is what the meaning of [`Stub`] says, which the lowering theorem builds
//! on; where the runtime reports a trap, it leaves through what the trampoline has saved.
//!
//! Both are proven in two halves, around a call of any code that keeps to the ABI: it may change the registers that a callee
//! may change (the program itself: all that stand for BPF registers), and memory below the return address. That stores of
//! the program do not reach the native stack, and that the entry lies outside of it, is assumed. The stack pointer is one
//! literal: the code only adds constants to it, and a symbolic one makes every read of the stack a question of arithmetic.

use crate::insn::lowering::standard;
use crate::obligation::Obligation;
use crate::theory::{Context, Memory, Statement, Theory};
use jit::frame::{ENTRY, SAVED, offset};
use jit::insn::native;
use jit::x64::meaning::{Cpu, Outside, run, step};
use jit::x64::{Inst, Reg, Stub};
use semantics::insn::{Flow, Reg as Bpf, Size};
use semantics::word::{Algebra, Flag, Word};
use std::convert::Infallible;

/// The registers that a callee keeps, beside the stack pointer (System V ABI, section 3.2.1).
const CALLEE_SAVED: [Reg; 6] = [Reg::Rbx, Reg::Rbp, Reg::R12, Reg::R13, Reg::R14, Reg::R15];
/// Where the stack pointer is in a function of a program: a multiple of 16.
pub(crate) const STACK: u64 = 0x7fff_0000_0ff0;
/// Bytes that trampoline and stubs take of the stack at most, with the return address above.
const FRAME: u64 = 64;
/// The address of the function of the runtime that a stub calls, any number.
const FUNCTION: u64 = 0x5555_1234_5678_9ab0;

/// The obligations of entry and exit.
pub fn obligations() -> Vec<Obligation> {
    let stub = |stub: Stub| {
        let name = match stub {
            Stub::Helper => "frame::helper_stub",
            Stub::Tail => "frame::tail_stub",
            Stub::Packet => "frame::packet_stub",
        };
        Obligation::jit(name, None, StubCall(stub))
    };
    let trampoline = Obligation::jit("frame::trampoline", None, Trampoline);
    let trap_exit = Obligation::jit("frame::trap_exit", None, TrapExit);
    [trampoline, trap_exit].into_iter().chain(Stub::ALL.map(stub)).collect()
}

/// Memory alone: the only calls are those that the statements look into.
#[derive(Clone, Debug)]
pub(crate) struct Stack<A: Theory>(pub(crate) A::Memory);

impl<A: Theory> Outside<A> for Stack<A> {
    type Fault = Infallible;
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Infallible> {
        Ok(self.0.load(size, addr))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Infallible> {
        self.0.store(size, addr, value);
        Ok(())
    }
    fn call_helper(&mut self, _: &A::W32, _: [&A::W64; 5]) -> Result<A::W64, Infallible> {
        unreachable!("entry and exit call no stub")
    }
    fn tail_call(&mut self, _: [&A::W64; 3]) -> Result<A::W64, Infallible> {
        unreachable!("entry and exit call no stub")
    }
    fn enter(&mut self, _: &A::W64) {
        unreachable!("entry and exit make no tail call")
    }
    fn load_packet(&mut self, _: Size, _: &A::W64, _: &A::W32) -> Result<(A::W64, A::Flag), Infallible> {
        unreachable!("entry and exit call no stub")
    }
    fn clobbered(&mut self, _: Reg) -> A::W64 {
        unreachable!("entry and exit call no stub")
    }
}

/// Any registers, but for the stack pointer.
fn any_registers<A: Theory>(stack: u64, cx: &mut Context<'_, A>) -> Cpu<A, Stack<A>> {
    let mut regs: [A::W64; 16] = Reg::ALL.map(|reg| cx.word(&format!("{reg:?}").to_lowercase()));
    regs[Reg::Rsp.index()] = A::W64::lit(stack);
    Cpu { regs, flags: None, outside: Stack(cx.memory()) }
}

/// What comes before the only call in `code`, the register that it goes through, and what comes after it.
type Halves<'c, A> = (&'c [Inst<A>], Reg, &'c [Inst<A>]);

fn halves<A: Algebra>(code: &[Inst<A>]) -> Option<Halves<'_, A>> {
    let mut calls = code.iter().enumerate().filter_map(|(at, inst)| match inst {
        Inst::CallReg { target } => Some((at, *target)),
        _ => None,
    });
    let (at, target) = calls.next()?;
    calls.next().is_none().then(|| (&code[..at], target, &code[at + 1..]))
}

fn is_straight<A: Theory>(code: &[Inst<A>], cpu: &mut Cpu<A, Stack<A>>) -> bool {
    code.iter().all(|inst| matches!(step(inst, cpu), Ok(Flow::Next)))
}

/// Any values for what a callee may change.
fn clobber<A: Theory>(regs: impl IntoIterator<Item = Reg>, cpu: &mut Cpu<A, Stack<A>>, cx: &mut Context<'_, A>) {
    for reg in regs {
        let value = cx.word(&format!("{reg:?}_then").to_lowercase());
        cpu.set(reg, value);
    }
    cpu.flags = None;
}

/// That the entry at `addr` lies outside of the stack that is used.
fn is_apart<A: Theory>(addr: &A::W64) -> A::Flag {
    let distance = addr.sub(&A::W64::lit(STACK + 8 - FRAME));
    let len = size_of::<jit::frame::Entry>() as u64;
    A::W64::lit(FRAME).ule(&distance).and(&distance.ule(&A::W64::lit(len).neg()))
}

/// The trampoline, around a function that changes all registers that stand for BPF registers.
struct Trampoline;

impl Statement for Trampoline {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let mut code: Vec<Inst<A>> = Vec::new();
        (standard(cx).frame.trampoline)(&mut code);
        // The return address has been pushed.
        let mut cpu = any_registers(STACK - 8, cx);
        let before = cpu.clone();
        let entry = before.get(Reg::R9);
        cx.assume(&is_apart::<A>(&entry));
        let Some((first, target, second)) = halves(&code) else {
            return cx.claim("there is one call", A::Flag::lit(false));
        };
        if !is_straight(first, &mut cpu) {
            return cx.claim("what comes before the call is straight", A::Flag::lit(false));
        }
        let field =
            |cpu: &Cpu<A, Stack<A>>, at: u64| cpu.outside.clone().0.load(Size::Dw, &entry.add(&A::W64::lit(at)));
        for reg in Bpf::ARGS {
            let same = cpu.get(native(reg)).same(&before.get(native(reg)));
            cx.claim(format!("{reg} is the argument"), same);
        }
        cx.claim(
            "R10 is the frame pointer of the entry",
            cpu.get(native(Bpf::FP)).same(&field(&before, offset::FRAME_POINTER)),
        );
        cx.claim("what is called is the target of the entry", cpu.get(target).same(&field(&before, offset::TARGET)));
        cx.claim("the stack pointer is noted", field(&cpu, offset::STACK_POINTER).same(&cpu.get(Reg::Rsp)));
        let inside = cpu.get(Reg::Rsp).sub(&A::W64::lit(8));
        cx.claim("functions find a multiple of 16", inside.and(&A::W64::lit(15)).is_zero());
        cx.claim("the entry is where stubs look for it", cpu.get(ENTRY).same(&entry));
        // What a trap leaves through is what was saved, in the order that the way out takes.
        for (at, reg) in SAVED.into_iter().rev().enumerate() {
            let addr = cpu.get(Reg::Rsp).add(&A::W64::lit(8 * at as u64));
            let saved = cpu.outside.0.load(Size::Dw, &addr);
            cx.claim(format!("{reg:?} is saved"), saved.same(&before.get(reg)));
        }
        clobber(Bpf::ALL.map(native).into_iter().chain(jit::insn::SCRATCH), &mut cpu, cx);
        let result = cpu.get(Reg::Rax);
        if !matches!(run(second, &mut cpu), Ok(Flow::Exit)) {
            return cx.claim("it returns", A::Flag::lit(false));
        }
        for reg in CALLEE_SAVED.into_iter().chain([Reg::Rsp]) {
            cx.claim(format!("{reg:?} is restored"), cpu.get(reg).same(&before.get(reg)));
        }
        cx.claim("the result is in rax", cpu.get(Reg::Rax).same(&result));
    }
}

/// A stub, around a function of the runtime.
struct StubCall(Stub);

impl StubCall {
    /// What the function must be given, by register: the value before, and whether the upper half counts.
    fn arguments(&self) -> Vec<(Reg, Reg, bool)> {
        let as_it_is = |regs: &[Reg]| -> Vec<_> { regs.iter().map(|reg| (*reg, *reg, true)).collect() };
        match self.0 {
            Stub::Helper => {
                let registers = as_it_is(&[Reg::Rdi, Reg::Rsi, Reg::Rdx, Reg::Rcx, Reg::R8]);
                [registers, vec![(Reg::R9, ENTRY, true)]].concat()
            }
            Stub::Tail => [as_it_is(&[Reg::Rdi, Reg::Rsi, Reg::Rdx]), vec![(Reg::Rcx, ENTRY, true)]].concat(),
            Stub::Packet => {
                let places = vec![(Reg::Rdi, Reg::Rbx, true), (Reg::Rsi, Reg::R9, false), (Reg::Rdx, Reg::R10, false)];
                [places, vec![(Reg::Rcx, ENTRY, true)]].concat()
            }
        }
    }
    /// What [`Stub`] promises of registers that a callee may change: the register, and its value.
    fn results<A: Theory>(&self, before: &Cpu<A, Stack<A>>, returned: &Cpu<A, Stack<A>>) -> Vec<(Reg, A::W64)> {
        let (value, leave) = (returned.get(Reg::Rax), returned.get(Reg::Rdx));
        match self.0 {
            Stub::Helper => vec![(Reg::Rax, value)],
            Stub::Tail => {
                vec![(Reg::Rax, A::W64::lit(0)), (Reg::R11, value), (Reg::Rdi, before.get(Reg::Rdi))]
            }
            Stub::Packet => vec![(Reg::Rax, value), (Reg::Rdx, leave)],
        }
    }
}

impl Statement for StubCall {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let mut code: Vec<Inst<A>> = Vec::new();
        (standard(cx).frame.stub)(self.0, FUNCTION, &mut code);
        // A function of the program calls: the return address has been pushed.
        let mut cpu = any_registers(STACK - 8, cx);
        let before = cpu.clone();
        cx.assume(&is_apart::<A>(&before.get(ENTRY)));
        let Some((first, target, second)) = halves(&code) else {
            return cx.claim("there is one call", A::Flag::lit(false));
        };
        if !is_straight(first, &mut cpu) {
            return cx.claim("what comes before the call is straight", A::Flag::lit(false));
        }
        cx.claim("what is called is the function", cpu.get(target).same(&A::W64::lit(FUNCTION)));
        cx.claim("the stack is aligned for the call", cpu.get(Reg::Rsp).and(&A::W64::lit(15)).is_zero());
        for (reg, given, whole) in self.arguments() {
            let (actual, expected) = (cpu.get(reg), before.get(given));
            let same = if whole { actual.same(&expected) } else { A::low(&actual).same(&A::low(&expected)) };
            cx.claim(format!("{reg:?} is the argument"), same);
        }
        for reg in CALLEE_SAVED {
            cx.claim(format!("{reg:?} is kept"), cpu.get(reg).same(&before.get(reg)));
        }
        if self.0 == Stub::Helper {
            let entry = before.get(ENTRY);
            let mut field = |at: u64| cpu.outside.0.load(Size::Dw, &entry.add(&A::W64::lit(at)));
            let (frame_pointer, helper) = (field(offset::FRAME_POINTER), field(offset::HELPER));
            cx.claim("the frame pointer is noted", frame_pointer.same(&before.get(native(Bpf::FP))));
            cx.claim("the helper's number is noted", helper.same(&before.get(Reg::R9)));
        }
        clobber(Reg::CALLER_SAVED, &mut cpu, cx);
        let returned = cpu.clone();
        let leave = returned.get(Reg::Rdx);
        let limit = A::W64::lit(u64::from(self.0 == Stub::Packet));
        if !matches!(run(second, &mut cpu), Ok(Flow::Exit)) {
            return cx.claim("it returns", A::Flag::lit(false));
        }
        if leave.ule(&limit).decide() {
            for (reg, expected) in self.results(&before, &returned) {
                cx.claim(format!("{reg:?} is the result"), cpu.get(reg).same(&expected));
            }
            for reg in CALLEE_SAVED.into_iter().chain([Reg::Rsp]) {
                cx.claim(format!("{reg:?} is as before"), cpu.get(reg).same(&before.get(reg)));
            }
        } else {
            claim_left(&returned, &cpu, cx);
        }
    }
}

/// Claims that whoever left with the stack pointer in `rdx` is back in who entered, with the registers that were saved.
fn claim_left<A: Theory>(before: &Cpu<A, Stack<A>>, after: &Cpu<A, Stack<A>>, cx: &mut Context<'_, A>) {
    let (leave, mut memory) = (before.get(Reg::Rdx), before.outside.0.clone());
    for (at, reg) in SAVED.into_iter().rev().enumerate() {
        let saved = memory.load(Size::Dw, &leave.add(&A::W64::lit(8 * at as u64)));
        cx.claim(format!("{reg:?} is what the trampoline saved"), after.get(reg).same(&saved));
    }
    let return_address = leave.add(&A::W64::lit(8 * SAVED.len() as u64));
    cx.claim("it returns to who entered", after.get(Reg::Rsp).same(&return_address));
}

/// The exit that a fault in the code of a program is led to, from any state.
struct TrapExit;

impl Statement for TrapExit {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let mut code: Vec<Inst<A>> = Vec::new();
        jit::frame::trap_exit(&mut code);
        let mut cpu = any_registers(STACK, cx);
        let before = cpu.clone();
        if !matches!(run(&code, &mut cpu), Ok(Flow::Exit)) {
            return cx.claim("it returns", A::Flag::lit(false));
        }
        claim_left(&before, &cpu, cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obligation::Outcome;
    use crate::solver::{self, Settings};

    #[test]
    fn all_are_proven() {
        for obligation in obligations() {
            solver::begin(
                &obligation.name,
                Settings { timeout: std::time::Duration::from_secs(5), ..Settings::default() },
            );
            let outcome = obligation.prove(None);
            println!("{} {:?}", obligation.name, solver::end());
            assert_eq!(outcome, Outcome::Proven);
        }
    }
}
