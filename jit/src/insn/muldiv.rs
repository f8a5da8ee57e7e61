//! Multiplication, division and modulo, unsigned and signed (RFC 9669 section 4.1).
//!
//! The processor divides `rdx:rax`, so both are put aside, and it faults where a BPF division gives a value: by 0, and of
//! the minimum by -1. Both are jumped over.

use semantics::insn::{Insn, MulDivOp, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::alu::{lower_mask, same, zero};
use super::native;
use crate::x64::{AluOp, Cc, Inst, Reg, ShiftOp, encode};

/// `dst = dst op source`.
#[inline(always)]
pub fn lower<A: Algebra>(op: MulDivOp, width: Width, source: Source, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let dst = native(insn.dst);
    match (op, source) {
        (MulDivOp::Mul, Source::K) => multiply_by_imm(width, dst, &insn.imm, out),
        (MulDivOp::Mul, Source::X) => out.push(Inst::Imul { width, dst, src: native(insn.src) }),
        (_, Source::K) => divide_by_imm(op, width, dst, &insn.imm, out),
        (_, Source::X) => {
            let division = Division { op, width, dst };
            division.prologue(out);
            out.push(Inst::MovRr { width, dst: DIVISOR, src: aside(native(insn.src), dst) });
            let result = division.guarded(out);
            division.epilogue(result, out);
        }
    }
}

/// Where the divisor goes.
pub(crate) const DIVISOR: Reg = Reg::R11;
/// Where `rax` is put aside.
const RAX: Reg = Reg::R10;
/// Where `rdx` is put aside.
const RDX: Reg = Reg::R9;

/// Where the value of a register is after the prologue.
fn aside(reg: Reg, dst: Reg) -> Reg {
    match reg {
        Reg::Rax if dst != Reg::Rax => RAX,
        other => other,
    }
}

#[inline(never)]
fn multiply_by_imm<A: Algebra>(width: Width, dst: Reg, imm: &A::W32, out: &mut Vec<Inst<A>>) {
    if imm.is_zero().decide() {
        out.push(zero(dst));
    } else if let Some(exponent) = exponent::<A>(width, imm) {
        shift_by(ShiftOp::Shl, width, dst, exponent, out);
    } else {
        out.push(Inst::ImulImm { width, dst, src: dst, imm: imm.clone() });
    }
}

/// Of which power of two it is that `imm` stands for in an operation of this width.
fn exponent<A: Algebra>(width: Width, imm: &A::W32) -> Option<u32> {
    let rest = imm.and(&imm.sub(&A::W32::lit(1)));
    if !rest.is_zero().decide() {
        return None;
    }
    // Sign-extended, the sign bit is no power of two. A scaled-down world has no room for large amounts.
    let bits = if width == Width::W64 { A::W32::BITS - 1 } else { A::W32::BITS };
    (0..bits.min(1 << A::W8::BITS)).find(|bit| imm.same(&A::W32::lit(1 << bit)).decide())
}

/// Shifts by an amount that may be 0.
fn shift_by<A: Algebra>(op: ShiftOp, width: Width, dst: Reg, amount: u32, out: &mut Vec<Inst<A>>) {
    if amount == 0 {
        same(width, dst, out);
    } else {
        out.push(Inst::ShiftImm { op, width, dst, amount: A::W8::lit(u64::from(amount)) });
    }
}

#[inline(never)]
fn divide_by_imm<A: Algebra>(op: MulDivOp, width: Width, dst: Reg, imm: &A::W32, out: &mut Vec<Inst<A>>) {
    let signed = matches!(op, MulDivOp::Sdiv | MulDivOp::Smod);
    if imm.is_zero().decide() {
        match op {
            MulDivOp::Mod | MulDivOp::Smod => same(width, dst, out),
            _ => out.push(zero(dst)),
        }
    } else if signed && imm.same(&A::W32::ones()).decide() {
        match op {
            MulDivOp::Sdiv => out.push(Inst::Neg { width, dst }),
            _ => out.push(zero(dst)),
        }
    } else if !signed && let Some(exponent) = exponent::<A>(width, imm) {
        match op {
            MulDivOp::Mod => lower_mask(width, dst, &imm.sub(&A::W32::lit(1)), out),
            _ => shift_by(ShiftOp::Shr, width, dst, exponent, out),
        }
    } else {
        let divisor = match width {
            Width::W64 => Inst::MovSx { dst: DIVISOR, imm: imm.clone() },
            Width::W32 => Inst::MovZx { dst: DIVISOR, imm: imm.clone() },
        };
        divide_by(op, width, dst, |out| out.push(divisor), out);
    }
}

/// Divides by a constant that is neither 0 nor, if signed, -1; `load` puts it into [`DIVISOR`] and changes nothing else.
pub(crate) fn divide_by<A: Algebra>(
    op: MulDivOp,
    width: Width,
    dst: Reg,
    load: impl FnOnce(&mut Vec<Inst<A>>),
    out: &mut Vec<Inst<A>>,
) {
    let division = Division { op, width, dst };
    division.prologue(out);
    load(out);
    let reg = division.divide(out);
    // The processor has zero-extended a result of 32 bits.
    division.epilogue(Outcome { reg, is_extended: true }, out);
}

/// A division of `dst` by what is in [`DIVISOR`].
#[derive(Clone, Copy)]
struct Division {
    op: MulDivOp,
    width: Width,
    dst: Reg,
}

impl Division {
    fn is_signed(self) -> bool {
        matches!(self.op, MulDivOp::Sdiv | MulDivOp::Smod)
    }
    fn is_quotient(self) -> bool {
        matches!(self.op, MulDivOp::Div | MulDivOp::Sdiv)
    }

    /// Puts `rax` and `rdx` aside, unless they receive the result; the dividend goes to `rax`.
    fn prologue<A: Algebra>(self, out: &mut Vec<Inst<A>>) {
        if self.dst != Reg::Rdx {
            out.push(copy(RDX, Reg::Rdx));
        }
        if self.dst != Reg::Rax {
            out.push(copy(RAX, Reg::Rax));
            out.push(copy(Reg::Rax, self.dst));
        }
    }

    /// Moves the result where it belongs and brings `rax` and `rdx` back.
    fn epilogue<A: Algebra>(self, result: Outcome, out: &mut Vec<Inst<A>>) {
        let Division { width, dst, .. } = self;
        if dst != result.reg || (width == Width::W32 && !result.is_extended) {
            out.push(Inst::MovRr { width, dst, src: result.reg });
        }
        if dst != Reg::Rax {
            out.push(copy(Reg::Rax, RAX));
        }
        if dst != Reg::Rdx {
            out.push(copy(Reg::Rdx, RDX));
        }
    }

    /// Divides; where the result is.
    fn divide<A: Algebra>(self, out: &mut Vec<Inst<A>>) -> Reg {
        let (width, signed) = (self.width, self.is_signed());
        out.push(if signed { Inst::SignRdx { width } } else { zero(Reg::Rdx) });
        out.push(Inst::Div { signed, width, src: DIVISOR });
        if self.is_quotient() { Reg::Rax } else { Reg::Rdx }
    }

    /// Divides unless the divisor is 0, or -1 of a signed division.
    fn guarded<A: Algebra>(self, out: &mut Vec<Inst<A>>) -> Outcome {
        let width = self.width;
        // x / 0 is 0, as the divisor is then, and x % 0 is x, where the dividend is.
        let result = if self.is_quotient() { DIVISOR } else { Reg::Rax };
        let mut divide = Vec::with_capacity(10);
        if self.is_signed() {
            let mut plain = Vec::with_capacity(2);
            let from = self.divide(&mut plain);
            // x / -1 is -x, x % -1 is 0.
            let special = if self.is_quotient() { Inst::Neg { width, dst: from } } else { zero(from) };
            divide.push(Inst::AluRi { op: AluOp::Cmp, width, dst: DIVISOR, imm: A::W32::ones() });
            choose(Cc::Ne, &plain, special, &mut divide);
            divide.push(copy(result, from));
        } else {
            let from = self.divide(&mut divide);
            divide.push(copy(result, from));
        }
        out.push(Inst::AluRr { op: AluOp::Test, width, dst: DIVISOR, src: DIVISOR });
        skip(Some(Cc::E), &divide, out);
        Outcome { is_extended: self.is_quotient(), reg: result }
    }
}

/// Where the result of a division is.
#[derive(Clone, Copy)]
struct Outcome {
    reg: Reg,
    /// Whether the upper half of a 32-bit result is 0 already, on every way there.
    is_extended: bool,
}

fn copy<A: Algebra>(dst: Reg, src: Reg) -> Inst<A> {
    Inst::MovRr { width: Width::W64, dst, src }
}

/// Appends `yes` for where the condition holds, and `no` for where it does not.
fn choose<A: Algebra>(cc: Cc, yes: &[Inst<A>], no: Inst<A>, out: &mut Vec<Inst<A>>) {
    let over_yes = Inst::Skip { cc: None, count: yes.len() as u8, bytes: length(yes) };
    skip(Some(cc), &[no, over_yes], out);
    out.extend_from_slice(yes);
}

/// Appends `body` behind a jump over it.
fn skip<A: Algebra>(cc: Option<Cc>, body: &[Inst<A>], out: &mut Vec<Inst<A>>) {
    out.push(Inst::Skip { cc, count: body.len() as u8, bytes: length(body) });
    out.extend_from_slice(body);
}

/// Bytes that the instructions take.
fn length<A: Algebra>(body: &[Inst<A>]) -> u8 {
    body.iter().map(encode::len).sum::<usize>() as u8
}
