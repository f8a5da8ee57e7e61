//! Lowering, one room per family of instructions: from a BPF instruction to x86-64 code.
//!
//! It is straight, but for short jumps inside the code of one instruction. It keeps BPF registers in their [`native`]
//! registers, may change flags and the scratch registers r9, r10 and r11, touches memory only where the instruction does,
//! and ends in the branch that it takes.

use semantics::insn::{Insn, Op, Reg as Bpf, Source, Wide};
use semantics::word::Algebra;

use crate::x64::{Inst, Reg};

pub mod alu;
pub mod atomic;
pub mod call;
pub mod endian;
pub mod jump;
pub mod load_store;
pub mod mov;
pub mod muldiv;
pub mod packet;
pub mod shift;
pub mod wide;

/// Where a BPF register lives: arguments where the ABI passes them, R6 to R10 in registers that calls keep. It is the
/// assignment of Linux's JIT.
#[inline(always)]
pub const fn native(reg: Bpf) -> Reg {
    match reg {
        Bpf::R0 => Reg::Rax,
        Bpf::R1 => Reg::Rdi,
        Bpf::R2 => Reg::Rsi,
        Bpf::R3 => Reg::Rdx,
        Bpf::R4 => Reg::Rcx,
        Bpf::R5 => Reg::R8,
        Bpf::R6 => Reg::Rbx,
        Bpf::R7 => Reg::R13,
        Bpf::R8 => Reg::R14,
        Bpf::R9 => Reg::R15,
        Bpf::R10 => Reg::Rbp,
    }
}

/// Registers that the code of one instruction may change and that hold nothing between instructions; a call of a helper
/// passes its number in r9.
pub const SCRATCH: [Reg; 3] = [Reg::R9, Reg::R10, Reg::R11];

/// Whether instructions of this operation are lowered. What is not has no rule, and a program with it is `Unsupported`. A wide
/// constant that only the whole program tells has no rule either: it is [linked](crate::link) first.
pub const fn is_lowered(op: Op) -> bool {
    match op {
        Op::Alu { .. }
        | Op::Neg { .. }
        | Op::Shift { .. }
        | Op::MulDiv { .. }
        | Op::Mov { .. }
        | Op::MovSx { .. }
        | Op::Endian { .. }
        | Op::Packet { .. }
        | Op::Wide(Wide::Imm64 | Wide::Map | Wide::MapIndex | Wide::MapValue | Wide::MapIndexValue | Wide::Code)
        | Op::WideTail
        | Op::Load { .. }
        | Op::LoadSx { .. }
        | Op::Store { .. }
        | Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Ja
        | Op::Gotol
        | Op::CallHelper
        | Op::CallLocal
        | Op::Exit => true,
        Op::Wide(Wide::Variable) | Op::CallKfunc => false,
    }
}

/// Appends the code of `insn`, whose operation is `op`: apart, so that a row passes a constant and the match folds away.
#[inline(always)]
pub fn lower_op<A: Algebra>(op: Op, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    match op {
        Op::Alu { op, width, source } => alu::lower(op, width, source, insn, out),
        Op::Neg { width } => alu::lower_neg(width, insn, out),
        Op::Shift { op, width, source } => shift::lower(op, width, source, insn, out),
        Op::MulDiv { op, width, source } => muldiv::lower(op, width, source, insn, out),
        Op::Mov { width, source } => mov::lower(width, source, insn, out),
        Op::MovSx { from, width } => mov::lower_sx(from, width, insn, out),
        Op::Endian { order, size } => endian::lower(order, size, insn, out),
        Op::Wide(kind) => wide::lower(kind, insn, out),
        // The first slot has loaded both halves.
        Op::WideTail => {}
        Op::Load { size } | Op::LoadAcquire { size } => load_store::lower_load(size, insn, out),
        Op::LoadSx { size } => load_store::lower_load_sx(size, insn, out),
        Op::Atomic { op, fetch, size } => atomic::lower(op, fetch, size, insn, out),
        Op::StoreRelease { size } => load_store::lower_store(size, Source::X, insn, out),
        Op::Store { size, source } => load_store::lower_store(size, source, insn, out),
        Op::Packet { mode, size } => packet::lower(mode, size, insn, out),
        Op::Jump { cond, width, source } => jump::lower(cond, width, source, insn, out),
        Op::Ja | Op::Gotol => jump::lower_always(out),
        Op::CallHelper => call::lower_helper(insn, out),
        Op::CallLocal => call::lower_local(out),
        Op::Exit => call::lower_exit(out),
        Op::CallKfunc => unreachable!("{op:?} has no rule"),
    }
}
