//! What stands before the code of a program: the trampoline into it, and the stubs that reach the runtime (System V ABI,
//! section 3.2).
//!
//! The trampoline is a function `extern "sysv64" fn(r1, r2, r3, r4, r5, entry: *mut Entry) -> u64`: the arguments lie where
//! BPF registers do. It saves what its caller wants back, an even number of registers, so that in every function of a
//! program the stack pointer is a multiple of 16, as it is before a call. It notes the stack pointer in the [`Entry`]:
//! whoever has to leave from deeper goes back to it. `r12`, which stands for no BPF register, holds the entry from there on.
//! Every function of a program, the first one too, is called and returns, so that a tail call is a jump.

use semantics::insn::{Reg as Bpf, Size, Width};
use semantics::word::{Algebra, Word};

use crate::insn::native;
use crate::x64::{AluOp, Cc, Inst, Reg, Stub, encode};

/// What native code shares with the runtime: how it was entered, and with what it calls.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Entry {
    /// Noted by the trampoline: the stack pointer once registers are saved.
    pub stack_pointer: u64,
    /// What R10 holds in the function that is called; then what it held at the last call of a helper.
    pub frame_pointer: u64,
    /// The address of the code to call.
    pub target: u64,
    /// The number of the helper that was called last; the upper half is 0.
    pub helper: u64,
    /// The run, for the runtime alone.
    pub run: *mut (),
}

/// Offsets of the fields of [`Entry`].
pub mod offset {
    /// Of `stack_pointer`.
    pub const STACK_POINTER: u64 = 0;
    /// Of `frame_pointer`.
    pub const FRAME_POINTER: u64 = 8;
    /// Of `target`.
    pub const TARGET: u64 = 16;
    /// Of `helper`.
    pub const HELPER: u64 = 24;
}

/// Where the entry is while native code runs.
pub const ENTRY: Reg = Reg::R12;

/// What the trampoline saves, in this order: registers that a callee must keep and the code uses.
pub const SAVED: [Reg; 6] = [Reg::R12, Reg::Rbx, Reg::R13, Reg::R14, Reg::R15, Reg::Rbp];

/// What stands before the code: a row for each piece, so that a planted mistake can replace one.
#[derive(Clone, Copy, Debug)]
pub struct Frame<A: Algebra> {
    /// Appends the trampoline.
    pub trampoline: fn(&mut Vec<Inst<A>>),
    /// Appends the stub that calls the function of the runtime at this address.
    pub stub: fn(Stub, u64, &mut Vec<Inst<A>>),
}

impl<A: Algebra> Default for Frame<A> {
    fn default() -> Self {
        Frame { trampoline, stub }
    }
}

/// Appends the trampoline.
pub fn trampoline<A: Algebra>(out: &mut Vec<Inst<A>>) {
    let (size, base, disp) = (Size::Dw, ENTRY, A::W32::lit);
    let target = Reg::R11;
    out.extend(SAVED.map(|src| Inst::Push { src }));
    out.extend([
        // The sixth argument.
        copy(ENTRY, Reg::R9),
        Inst::Store { size, base, disp: disp(offset::STACK_POINTER), src: Reg::Rsp },
        Inst::Load { size, dst: native(Bpf::FP), base, disp: disp(offset::FRAME_POINTER) },
        Inst::Load { size, dst: target, base, disp: disp(offset::TARGET) },
        Inst::CallReg { target },
    ]);
    leave(out);
}

/// Appends the way out: R0 already is the result.
pub fn leave<A: Algebra>(out: &mut Vec<Inst<A>>) {
    out.extend(SAVED.into_iter().rev().map(|dst| Inst::Pop { dst }));
    out.push(Inst::Ret);
}

/// Appends a stub: it calls `function`, which returns its result in `rax` and, in `rdx`, the stack pointer to leave with after
/// a trap, else something that the stub takes for "go on".
pub fn stub<A: Algebra>(stub: Stub, function: u64, out: &mut Vec<Inst<A>>) {
    let test = Inst::AluRr { op: AluOp::Test, width: Width::W64, dst: Reg::Rdx, src: Reg::Rdx };
    match stub {
        Stub::Helper => {
            let (size, base, disp) = (Size::Dw, ENTRY, A::W32::lit);
            out.extend([
                // The number was moved as 32 bits: the upper half is 0.
                Inst::Store { size, base, disp: disp(offset::HELPER), src: Reg::R9 },
                Inst::Store { size, base, disp: disp(offset::FRAME_POINTER), src: native(Bpf::FP) },
                copy(Reg::R9, ENTRY),
            ]);
            call(function, Reg::Rax, Reg::Rcx, out);
            out.push(test);
            go_on_or_leave(Cc::Ne, out);
        }
        Stub::Tail => {
            out.push(copy(Reg::Rcx, ENTRY));
            // The program that follows finds the context in R1.
            call(function, native(Bpf::R1), native(Bpf::R1), out);
            let clear = Inst::AluRr { op: AluOp::Xor, width: Width::W32, dst: Reg::Rax, src: Reg::Rax };
            out.extend([copy(Reg::R11, Reg::Rax), clear, test]);
            go_on_or_leave(Cc::Ne, out);
        }
        Stub::Packet => {
            out.extend([copy(Reg::Rdi, native(Bpf::R6)), copy(Reg::Rsi, Reg::R9), copy(Reg::Rdx, Reg::R10)]);
            out.push(copy(Reg::Rcx, ENTRY));
            call(function, Reg::Rax, Reg::Rcx, out);
            // 1 says that the packet has no such bytes.
            out.push(Inst::AluRi { op: AluOp::Cmp, width: Width::W64, dst: Reg::Rdx, imm: A::W32::lit(1) });
            go_on_or_leave(Cc::A, out);
        }
    }
}

/// Appends the call of a function: the return address of the stub and what is pushed keep the stack aligned.
fn call<A: Algebra>(function: u64, pushed: Reg, popped: Reg, out: &mut Vec<Inst<A>>) {
    out.extend([
        Inst::Push { src: pushed },
        Inst::MovAbs { dst: Reg::Rax, imm: A::W64::lit(function) },
        Inst::CallReg { target: Reg::Rax },
        Inst::Pop { dst: popped },
    ]);
}

fn copy<A: Algebra>(dst: Reg, src: Reg) -> Inst<A> {
    Inst::MovRr { width: Width::W64, dst, src }
}

/// Appends the end of a stub: returns, but where the condition holds leaves the program with the stack pointer in `rdx`.
fn go_on_or_leave<A: Algebra>(leaves: Cc, out: &mut Vec<Inst<A>>) {
    out.push(Inst::Skip { cc: Some(leaves), count: 1, bytes: encode::len::<A>(&Inst::Ret) as u8 });
    out.push(Inst::Ret);
    trap_exit(out);
}

/// Appends the way out of a trap: drops whatever is on the stack above the saved registers.
pub fn trap_exit<A: Algebra>(out: &mut Vec<Inst<A>>) {
    out.push(Inst::MovRr { width: Width::W64, dst: Reg::Rsp, src: Reg::Rdx });
    leave(out);
}
