//! Entry and exit of compiled code: whatever registers a program names, its caller finds the registers that it wants back
//! and the stack pointer as they were, on the way out and on the way out of a trap.
//!
//! Between prologue and epilogue the program may change every register that stands for a BPF register which it names, and
//! the scratch registers; that it keeps to this is the lowering theorem. That its stores do not reach the frame, and that
//! the stack pointer is noted outside of it, is assumed. The stack pointer is one literal: the code only adds constants to
//! it, and a symbolic one makes every read of the stack a question of arithmetic.

use crate::obligation::Obligation;
use crate::theory::{Context, Memory, Statement, Theory};
use jit::frame::{Saved, trap_exit};
use jit::insn::{SCRATCH, native};
use jit::x64::meaning::{Cpu, Outside, step};
use jit::x64::{Inst, Reg};
use semantics::insn::{Reg as Bpf, Size};
use semantics::memory::layout::frame_top;
use semantics::word::{Flag, Word};
use std::convert::Infallible;

/// The registers that a callee keeps, beside the stack pointer (System V ABI, section 3.2.1).
const CALLEE_SAVED: [Reg; 6] = [Reg::Rbx, Reg::Rbp, Reg::R12, Reg::R13, Reg::R14, Reg::R15];
/// Where the stack pointer is on entry: 8 off a multiple of 16.
pub(crate) const STACK: u64 = 0x7fff_0000_0ff8;
/// Bytes that a frame takes at most, with the return address above it.
const FRAME: u64 = 56;

/// The obligations of entry and exit.
pub fn obligations() -> Vec<Obligation> {
    vec![
        Obligation::jit("frame::epilogue", None, Frame { trap: false }),
        Obligation::jit("frame::trap_exit", None, Frame { trap: true }),
    ]
}

/// Prologue, any body, and one of the exits; a case per choice of named registers among R6 to R10.
struct Frame {
    trap: bool,
}

/// Memory alone: entry and exit call nothing.
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
        unreachable!("entry and exit call no helper")
    }
    fn clobbered(&mut self, _: Reg) -> A::W64 {
        unreachable!("entry and exit call no helper")
    }
}

/// The same instruction in another world; `None` if it is none that entry and exit are made of.
fn lift<A: Theory>(inst: &Inst) -> Option<Inst<A>> {
    Some(match *inst {
        Inst::Push { src } => Inst::Push { src },
        Inst::Pop { dst } => Inst::Pop { dst },
        Inst::MovRr { width, dst, src } => Inst::MovRr { width, dst, src },
        Inst::MovAbs { dst, imm } => Inst::MovAbs { dst, imm: A::W64::lit(imm) },
        Inst::MovZx { dst, imm } => Inst::MovZx { dst, imm: A::W32::lit(u64::from(imm)) },
        Inst::Load { size, dst, base, disp } => Inst::Load { size, dst, base, disp: A::W32::lit(u64::from(disp)) },
        Inst::Store { size, base, disp, src } => Inst::Store { size, base, disp: A::W32::lit(u64::from(disp)), src },
        _ => return None,
    })
}

/// Runs code without branches; false if some of it is something else.
fn run<A: Theory>(code: &[Inst], cpu: &mut Cpu<A, Stack<A>>) -> bool {
    code.iter().all(|inst| lift::<A>(inst).is_some_and(|inst| step(&inst, cpu).is_ok()))
}

impl Frame {
    fn named(case: usize) -> Saved {
        Saved((case as u16) << 6)
    }
    fn exit(&self, saved: Saved) -> Vec<Inst> {
        let mut code = Vec::new();
        if self.trap {
            trap_exit(saved, &mut code);
        } else {
            saved.epilogue(&mut code);
        }
        code
    }
}

impl Statement for Frame {
    fn cases(&self) -> usize {
        1 << 5
    }
    fn case_name(&self, case: usize) -> String {
        let named = Bpf::ALL.into_iter().filter(|reg| Self::named(case).0 >> reg.number() & 1 == 1);
        format!("a program that names {:?}", named.collect::<Vec<_>>())
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let saved = Self::named(case);
        let mut regs: [A::W64; 16] = Reg::ALL.map(|reg| cx.word(&format!("{reg:?}").to_lowercase()));
        regs[Reg::Rsp.index()] = A::W64::lit(STACK);
        let mut cpu: Cpu<A, Stack<A>> = Cpu { regs, flags: None, outside: Stack(cx.memory()) };
        let before = cpu.regs.clone();
        let note = before[Reg::Rsi.index()].clone();
        // From the lowest byte of the frame to the return address.
        let bottom = before[Reg::Rsp.index()].sub(&A::W64::lit(FRAME - 8));
        let apart = |addr: &A::W64| {
            let distance = addr.sub(&bottom);
            A::W64::lit(FRAME).ule(&distance).and(&distance.ule(&A::W64::lit(8).neg()))
        };
        cx.assume(&apart(&note));
        let mut prologue = Vec::new();
        saved.prologue(&mut prologue);
        if !run(&prologue, &mut cpu) {
            return cx.claim("the prologue is straight", A::Flag::lit(false));
        }
        let inside = cpu.get(Reg::Rsp);
        let size = before[Reg::Rsp.index()].sub(&inside);
        cx.claim("the stack stays aligned for calls", size.and(&A::W64::lit(15)).is_zero());
        cx.claim("the context is in R1", cpu.get(Reg::Rdi).same(&before[Reg::Rdi.index()]));
        let frame_pointer = cpu.get(Reg::Rbp).same(&A::W64::lit(frame_top(0)));
        let names_it = saved.0 >> Bpf::FP.number() & 1 == 1;
        cx.claim("R10 is the frame pointer", A::Flag::lit(!names_it).or(&frame_pointer));
        self.body(case, cx, &mut cpu, &note);

        let result = cpu.get(Reg::Rax);
        let code = self.exit(saved);
        let Some((Inst::Ret, straight)) = code.split_last() else {
            return cx.claim("the exit returns", A::Flag::lit(false));
        };
        if !run(straight, &mut cpu) {
            return cx.claim("the exit is straight", A::Flag::lit(false));
        }
        for reg in CALLEE_SAVED.into_iter().chain([Reg::Rsp]) {
            cx.claim(format!("{reg:?} is restored"), cpu.get(reg).same(&before[reg.index()]));
        }
        cx.claim("the result is in rax", A::Flag::lit(self.trap).or(&cpu.get(Reg::Rax).same(&result)));
    }
}

impl Frame {
    /// What the program may do; a trap moreover leaves the stack pointer anywhere, and what was noted in rdx.
    fn body<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>, cpu: &mut Cpu<A, Stack<A>>, note: &A::W64) {
        let changed = |bpf: &Bpf| bpf.number() < 6 || Self::named(case).0 >> bpf.number() & 1 == 1;
        for reg in Bpf::ALL.into_iter().filter(changed).map(native).chain(SCRATCH) {
            let value = cx.word(&format!("{reg:?}_then").to_lowercase());
            cpu.set(reg, value);
        }
        let noted = cpu.outside.0.load(Size::Dw, note);
        if self.trap {
            let anywhere = cx.word("rsp_then");
            cpu.set(Reg::Rsp, anywhere);
            cpu.set(Reg::Rdx, noted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obligation::Outcome;
    use crate::solver::{self, Settings};

    #[test]
    fn an_exit_that_forgets_a_register_is_refuted() {
        /// Saves what one program names and restores what another does.
        struct Forgetful;
        impl Statement for Forgetful {
            fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
                let (r6, r6_and_r7) = (Saved(1 << 6), Saved(3 << 6));
                let regs: [A::W64; 16] = Reg::ALL.map(|reg| cx.word(&format!("{reg:?}").to_lowercase()));
                let mut cpu: Cpu<A, Stack<A>> = Cpu { regs, flags: None, outside: Stack(cx.memory()) };
                let before = cpu.regs.clone();
                let (mut prologue, mut epilogue) = (Vec::new(), Vec::new());
                r6_and_r7.prologue(&mut prologue);
                r6.epilogue(&mut epilogue);
                let straight = epilogue.iter().filter(|inst| **inst != Inst::Ret).copied().collect::<Vec<_>>();
                assert!(run(&prologue, &mut cpu) && run(&straight, &mut cpu));
                cx.claim("rbx", cpu.get(Reg::Rbx).same(&before[Reg::Rbx.index()]));
            }
        }
        solver::begin("forgetful", Settings::default());
        let outcome = Obligation::jit("forgetful", None, Forgetful).prove(None);
        solver::end();
        assert!(matches!(outcome, Outcome::Refuted(_)), "{outcome:?}");
    }

    #[test]
    fn both_exits_are_proven() {
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
