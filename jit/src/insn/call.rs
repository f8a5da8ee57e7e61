//! Calls of helpers and of subprograms, tail calls, and exit (RFC 9669 section 4.3.1).

use semantics::helper::tail_call;
use semantics::insn::{Insn, Reg as Bpf, Width};
use semantics::memory::layout;
use semantics::word::{Algebra, Flag, Word};

use super::native;
use crate::x64::{AluOp, Branch, Cc, Inst, Reg, Stub, encode};

/// `r0 = helper(r1, ..., r5)`: R1 to R5 lie where the stub expects arguments, and so does the result.
#[inline(always)]
pub fn lower_helper<A: Algebra>(insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    if insn.imm.same(&A::W32::lit(u64::from(tail_call::ID))).decide() {
        return lower_tail(out);
    }
    out.push(Inst::MovZx { dst: Reg::R9, imm: insn.imm.clone() });
    out.push(Inst::Branch(Branch::Stub(Stub::Helper)));
}

/// A tail call: nothing is left to do in this function, whose frame and return address the program that follows takes over.
#[inline(never)]
fn lower_tail<A: Algebra>(out: &mut Vec<Inst<A>>) {
    const TARGET: Reg = Reg::R11;
    let enter = Inst::JmpReg { target: TARGET };
    out.push(Inst::Branch(Branch::Stub(Stub::Tail)));
    out.push(Inst::AluRr { op: AluOp::Test, width: Width::W64, dst: TARGET, src: TARGET });
    out.push(Inst::Skip { cc: Some(Cc::E), count: 1, bytes: encode::len::<A>(&enter) as u8 });
    out.push(enter);
}

/// Distance from the frame of a function to that of one that it calls.
pub const FRAME_STRIDE: i32 = layout::FRAME_STRIDE as i32;

/// What a subprogram may change and its caller wants back: R6 to R9, and R10.
pub const KEPT: [Bpf; 5] = [Bpf::R10, Bpf::R6, Bpf::R7, Bpf::R8, Bpf::R9];

/// `r0 = subprogram(r1, ..., r5)`: R6 to R10 wait on the native stack, an odd number of them, so that it is aligned in the
/// subprogram as it is here; the subprogram gets the next frame.
#[inline(never)]
pub fn lower_local<A: Algebra>(out: &mut Vec<Inst<A>>) {
    let frame_pointer = native(Bpf::FP);
    out.extend(KEPT.map(|reg| Inst::Push { src: native(reg) }));
    let imm = A::W32::lit(FRAME_STRIDE as u64);
    out.push(Inst::AluRi { op: AluOp::Add, width: Width::W64, dst: frame_pointer, imm });
    out.push(Inst::Branch(Branch::Local));
    out.extend(KEPT.into_iter().rev().map(|reg| Inst::Pop { dst: native(reg) }));
}

/// Leaves the function: R0 already lies where the ABI returns it.
#[inline(always)]
pub fn lower_exit<A: Algebra>(out: &mut Vec<Inst<A>>) {
    out.push(Inst::Ret);
}
