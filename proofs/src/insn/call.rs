//! Calls and exit: their lowering; a helper is an unknown function of its number, its arguments and memory.
//!
//! A call of a subprogram is proven in two halves. At the native call, the registers hold what the subprogram is to see,
//! and the stack is aligned as everywhere in the code of a program. After it, whatever the subprogram left in all
//! registers, and if it returned with the stack pointer where it was and did not store above it, R6 to R10 are back and
//! what it left in R0 to R5 stays. That it does so is the same theorem about its own instructions. As for entry and exit,
//! the stack pointer is one literal.

use super::lowering;
use crate::frame::{STACK, Stack};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use jit::insn::native;
use jit::x64::meaning::{Cpu, step};
use jit::x64::{Branch, Inst, Reg};
use semantics::insn::{Insn, Opcode, Reg as Bpf, Room};
use semantics::memory::layout::FRAME_STRIDE;
use semantics::word::{Flag, Word};

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let local = Obligation::jit("insn::call::lower::call_local", Some(Room::Call), LocalCall);
    lowering::obligations(Room::Call).chain([local]).collect()
}

struct LocalCall;

impl Statement for LocalCall {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let mut code: Vec<Inst<A>> = Vec::new();
        let lowered = lowering::standard(cx).lower(&Insn::new(Opcode::CallLocal), &mut code);
        let is_call = |inst: &Inst<A>| matches!(inst, Inst::Branch(Branch::Local));
        let calls = code.iter().position(is_call).filter(|_| lowered.is_some());
        let Some(call) = calls.filter(|_| code.iter().filter(|inst| is_call(inst)).count() == 1) else {
            return cx.claim("there is one call", A::Flag::lit(false));
        };
        let mut regs: [A::W64; 16] = Reg::ALL.map(|reg| cx.word(&format!("{reg:?}").to_lowercase()));
        regs[Reg::Rsp.index()] = A::W64::lit(STACK);
        let mut cpu: Cpu<A, Stack<A>> = Cpu { regs, flags: None, outside: Stack(cx.memory()) };
        let before = cpu.regs.clone();
        if !code[..call].iter().all(|inst| step(inst, &mut cpu).is_ok()) {
            return cx.claim("what comes before the call is straight", A::Flag::lit(false));
        }
        for reg in Bpf::ALL {
            let old = &before[native(reg).index()];
            let expected = if reg == Bpf::FP { old.add(&A::W64::lit(FRAME_STRIDE)) } else { old.clone() };
            cx.claim(format!("{reg} in the subprogram"), cpu.get(native(reg)).same(&expected));
        }
        // The return address makes it whole.
        let pushed = A::W64::lit(STACK).sub(&cpu.get(Reg::Rsp)).add(&A::W64::lit(8));
        cx.claim("the stack stays aligned", pushed.and(&A::W64::lit(15)).is_zero());

        for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::Rsp) {
            let left = cx.word(&format!("{reg:?}_then").to_lowercase());
            cpu.set(reg, left);
        }
        let left = cpu.regs.clone();
        if !code[call + 1..].iter().all(|inst| step(inst, &mut cpu).is_ok()) {
            return cx.claim("what comes after the call is straight", A::Flag::lit(false));
        }
        for reg in Bpf::ALL {
            let expected = if reg < Bpf::R6 { &left } else { &before };
            cx.claim(format!("{reg} afterwards"), cpu.get(native(reg)).same(&expected[native(reg).index()]));
        }
        cx.claim("rsp afterwards", cpu.get(Reg::Rsp).same(&before[Reg::Rsp.index()]));
    }
}
