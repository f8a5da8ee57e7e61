//! Entry and exit of compiled code: prologue, epilogue and the helper stub (System V ABI, section 3.2).
//!
//! The code of a program is a function `extern "sysv64" fn(context: u64, entry: *mut Entry) -> u64`. Its prologue saves
//! the registers that it will use and a caller wants back, an even number of them, so that the stack pointer lies 8 off
//! a multiple of 16 as on entry and the stub, which one more return address aligns, can call at once. The stack pointer
//! then goes to the [`Entry`](crate::runtime::Entry): a trap in a helper leaves through it, however deep the stack is.

use semantics::insn::{Reg as Bpf, Size, Width};
use semantics::memory::layout::frame_top;

use crate::insn::native;
use crate::x64::{AluOp, Branch, Cc, Inst, Reg};

/// BPF registers that live in registers which a callee must keep.
const KEPT: [Bpf; 5] = [Bpf::R6, Bpf::R7, Bpf::R8, Bpf::R9, Bpf::R10];

/// The BPF registers that a program names, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved(pub u16);

impl Saved {
    /// The native registers to save, in the order of their pushes.
    fn regs(self) -> impl DoubleEndedIterator<Item = Reg> {
        KEPT.into_iter().filter(move |reg| self.0 >> reg.number() & 1 == 1).map(native)
    }
    /// Whether a push of no meaning makes their number even.
    fn is_padded(self) -> bool {
        self.regs().count() % 2 == 1
    }
    fn uses(self, reg: Bpf) -> bool {
        self.0 >> reg.number() & 1 == 1
    }

    /// Appends the prologue. R1 is already the context.
    pub fn prologue(self, out: &mut Vec<Inst>) {
        out.extend(self.regs().map(|src| Inst::Push { src }));
        if self.is_padded() {
            out.push(Inst::Push { src: Reg::Rax });
        }
        out.push(Inst::Store { size: Size::Dw, base: Reg::Rsi, disp: 0, src: Reg::Rsp });
        if self.uses(Bpf::FP) {
            out.push(Inst::MovAbs { dst: native(Bpf::FP), imm: frame_top(0) });
        }
    }
    /// Appends the epilogue. R0 is already the result.
    pub fn epilogue(self, out: &mut Vec<Inst>) {
        if self.is_padded() {
            out.push(Inst::Pop { dst: Reg::Rcx });
        }
        out.extend(self.regs().rev().map(|dst| Inst::Pop { dst }));
        out.push(Inst::Ret);
    }
}

/// Appends the helper stub: calls `helper`, which returns the result in `rax` and, after a trap, the saved stack pointer
/// in `rdx`, else 0. The branch goes to the trap exit, which follows.
pub fn stub(helper: u64, out: &mut Vec<Inst>) {
    let trapped = Reg::Rdx;
    out.push(Inst::MovAbs { dst: Reg::Rax, imm: helper });
    out.push(Inst::CallReg { target: Reg::Rax });
    out.push(Inst::AluRr { op: AluOp::Test, width: Width::W64, dst: trapped, src: trapped });
    out.push(Inst::Branch(Branch::Jcc(Cc::Ne)));
    out.push(Inst::Ret);
}

/// Appends the trap exit: drops whatever is on the stack above the saved registers and leaves.
pub fn trap_exit(saved: Saved, out: &mut Vec<Inst>) {
    out.push(Inst::MovRr { width: Width::W64, dst: Reg::Rsp, src: Reg::Rdx });
    saved.epilogue(out);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use semantics::word::Concrete;

    use super::*;
    use crate::x64::meaning::{Cpu, Outside, run};

    #[derive(Default)]
    struct Stack(HashMap<u64, u64>);

    impl Outside<Concrete> for Stack {
        type Fault = ();
        fn load(&mut self, size: Size, addr: &u64) -> Result<u64, ()> {
            assert_eq!(size, Size::Dw);
            self.0.get(addr).copied().ok_or(())
        }
        fn store(&mut self, size: Size, addr: &u64, value: &u64) -> Result<(), ()> {
            assert_eq!(size, Size::Dw);
            self.0.insert(*addr, *value);
            Ok(())
        }
        fn call_helper(&mut self, _: &u32, _: [&u64; 5]) -> Result<u64, ()> {
            Err(())
        }
        fn clobbered(&mut self, _: Reg) -> u64 {
            0
        }
    }

    /// For every set of registers: what the ABI keeps is kept, the stack is aligned as the stub expects, R10 is set.
    #[test]
    fn prologue_and_epilogue_are_inverse() {
        const KEPT: [Reg; 7] = [Reg::Rbx, Reg::Rsp, Reg::Rbp, Reg::R12, Reg::R13, Reg::R14, Reg::R15];
        for named in 0..1 << 11 {
            let mut cpu: Cpu<Concrete, Stack> =
                Cpu { regs: std::array::from_fn(|at| at as u64 + 100), flags: None, outside: Stack::default() };
            let (saved, entry) = (Saved(named), 0x1000);
            cpu.set(Reg::Rsp, 0x7ff8);
            cpu.set(Reg::Rsi, entry);
            let before = cpu.regs;
            let mut code = Vec::new();
            saved.prologue(&mut code);
            run(&code, &mut cpu).unwrap();
            assert_eq!(cpu.get(Reg::Rsp) % 16, 8);
            assert_eq!(cpu.outside.0[&entry], cpu.get(Reg::Rsp));
            assert_eq!(cpu.get(Reg::Rdi), before[Reg::Rdi.index()]);
            for reg in Bpf::ALL.into_iter().filter(|reg| saved.uses(*reg) && *reg != Bpf::FP) {
                cpu.set(native(reg), 0xdead);
            }
            if saved.uses(Bpf::FP) {
                assert_eq!(cpu.get(Reg::Rbp), frame_top(0));
            }
            // The trap exit, from deeper in the stack, is the epilogue and more.
            cpu.set(Reg::Rdx, cpu.get(Reg::Rsp));
            cpu.set(Reg::Rsp, 0x100);
            let result = cpu.get(Reg::Rax);
            code.clear();
            trap_exit(saved, &mut code);
            assert_eq!(code.pop(), Some(Inst::Ret));
            run(&code, &mut cpu).unwrap();
            for reg in KEPT {
                assert_eq!(cpu.get(reg), before[reg.index()], "{reg:?} of {named:#x}");
            }
            assert_eq!(cpu.get(Reg::Rax), result);
        }
    }
}
