//! Constant blinding: no constant that a program's author chooses stands in the code as it is (kernel:
//! `bpf_jit_blind_insn`).
//!
//! Each constant would be four or eight bytes of code in a row that its author chose; whoever gets control to jump into the
//! middle of them runs what they like ("JIT spraying"). Here it is emitted xored with a key that nobody can foresee,
//! a fresh one for each instruction, and the code xores it again: `mov r10, constant ^ key; xor r10, key`.
//!
//! Blinded are the immediates of arithmetic, logic, multiplication, division, moves, stores, comparisons and packet loads,
//! and wide constants, addresses of map values among them. As in Linux, not: offsets of accesses, amounts of shifts, numbers
//! of helpers, and of course where jumps lead; nor handles of maps. What the code still shows of a constant is that it is
//! 0, but in stores and tests of bits, and that a signed division is by -1.

use std::fs::File;
use std::io::{self, Read};

use semantics::insn::{Cond, Insn, Mode, MulDivOp, Op, Size, Source, Wide, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

use crate::insn::alu::{operation, zero};
use crate::insn::jump::condition;
use crate::insn::muldiv::{DIVISOR, divide_by};
use crate::insn::{lower_op, native, packet};
use crate::x64::{self, Branch, Inst, Reg};

/// Where a constant goes that an instruction reads.
const CONSTANT: Reg = Reg::R10;

/// Whether instructions of this operation hold a constant that is blinded.
pub const fn is_blinded(op: Op) -> bool {
    match op {
        Op::Alu { source, .. }
        | Op::MulDiv { source, .. }
        | Op::Mov { source, .. }
        | Op::Store { source, .. }
        | Op::Jump { source, .. } => matches!(source, Source::K),
        Op::Wide(kind) => matches!(kind, Wide::Imm64),
        Op::Packet { .. } => true,
        _ => false,
    }
}

/// Appends the code of `insn`, whose operation is `op`, with its constant under `key`; half of that for 32 bits.
pub fn lower_blinded<A: Algebra>(op: Op, insn: &Insn<A>, key: &A::W64, out: &mut Vec<Inst<A>>) {
    let dst = native(insn.dst);
    let constant = |width, reg, out: &mut Vec<Inst<A>>| unblind(width, reg, &insn.imm, key, out);
    match op {
        _ if has_no_constant::<A>(op, &insn.imm) => lower_op(op, insn, out),
        Op::Alu { op, width, .. } => {
            constant(width, CONSTANT, out);
            out.push(Inst::AluRr { op: operation(op), width, dst, src: CONSTANT });
        }
        Op::MulDiv { op: MulDivOp::Mul, width, .. } => {
            constant(width, CONSTANT, out);
            out.push(Inst::Imul { width, dst, src: CONSTANT });
        }
        Op::MulDiv { op, width, .. } => {
            divide_by(op, width, dst, |out| constant(width, DIVISOR, out), out);
        }
        Op::Mov { width, .. } => constant(width, dst, out),
        Op::Wide(Wide::Imm64) => unblind_wide(dst, &insn.wide_imm(), key, out),
        Op::Store { size, .. } => {
            constant(if size == Size::Dw { Width::W64 } else { Width::W32 }, CONSTANT, out);
            out.push(Inst::Store { size, base: dst, disp: insn.off.sx(), src: CONSTANT });
        }
        Op::Jump { cond, width, .. } => {
            let (op, cc) = condition(cond);
            constant(width, CONSTANT, out);
            out.push(Inst::AluRr { op, width, dst, src: CONSTANT });
            out.push(Inst::Branch(Branch::Jcc(cc)));
        }
        Op::Packet { mode, size } => {
            match mode {
                Mode::Abs => constant(Width::W32, packet::OFFSET, out),
                Mode::Ind => {
                    let (width, dst) = (Width::W32, packet::OFFSET);
                    constant(width, CONSTANT, out);
                    out.push(Inst::MovRr { width, dst, src: native(insn.src) });
                    out.push(Inst::AluRr { op: x64::AluOp::Add, width, dst, src: CONSTANT });
                }
            }
            packet::load(size, out);
        }
        other => unreachable!("{other:?} holds no constant that is blinded"),
    }
}

/// Whether the constant is one that the plain code does not hold: 0, and -1 as a divisor.
fn has_no_constant<A: Algebra>(op: Op, imm: &A::W32) -> bool {
    let zero_has_none = match op {
        Op::Alu { .. } | Op::MulDiv { .. } | Op::Mov { .. } | Op::Packet { mode: Mode::Ind, .. } => true,
        Op::Jump { cond, .. } => cond != Cond::Set,
        _ => false,
    };
    let is_signed_division = matches!(op, Op::MulDiv { op: MulDivOp::Sdiv | MulDivOp::Smod, .. });
    (zero_has_none && imm.is_zero().decide()) || (is_signed_division && imm.same(&A::W32::ones()).decide())
}

/// `reg = imm`, sign-extended or, for 32 bits, zero-extended.
fn unblind<A: Algebra>(width: Width, reg: Reg, imm: &A::W32, key: &A::W64, out: &mut Vec<Inst<A>>) {
    let key = A::low(key);
    let blinded = imm.xor(&key);
    out.push(match width {
        // Both are sign-extended, so the sign of the key goes as it came.
        Width::W64 => Inst::MovSx { dst: reg, imm: blinded },
        Width::W32 => Inst::MovZx { dst: reg, imm: blinded },
    });
    out.push(Inst::AluRi { op: x64::AluOp::Xor, width, dst: reg, imm: key });
}

/// `dst = value`.
fn unblind_wide<A: Algebra>(dst: Reg, value: &A::W64, key: &A::W64, out: &mut Vec<Inst<A>>) {
    if value.is_zero().decide() {
        return out.push(zero(dst));
    }
    out.push(Inst::MovAbs { dst, imm: value.xor(key) });
    out.push(Inst::MovAbs { dst: CONSTANT, imm: key.clone() });
    out.push(Inst::AluRr { op: x64::AluOp::Xor, width: Width::W64, dst, src: CONSTANT });
}

/// The keys of a program, one after the other (`SplitMix64`). They can be foreseen no better than their seed, but whoever
/// knows one knows all: nobody may read the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys(u64);

impl Keys {
    /// The keys that begin with this seed.
    pub fn new(seed: u64) -> Self {
        Keys(seed)
    }
    /// A fresh one.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A seed from the kernel's random numbers.
pub fn random_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fresh() {
        let mut keys = Keys::new(7);
        let mut drawn: Vec<u32> = (0..1000).map(|_| keys.draw() as u32).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1000);
        assert_ne!(random_seed().unwrap(), random_seed().unwrap());
    }
}
