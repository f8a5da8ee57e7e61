//! From typed instructions to bytes, written once for every world (Intel SDM volume 2, chapter 2).
//!
//! Which of the encodings is used may depend on an immediate or a displacement: 8 bits or 32, or no displacement at all.
//! [`Flag::decide`] makes that choice, so a proof sees one path for each. Every other byte that steers decoding is literal.

use semantics::insn::{Size, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

use super::{AluOp, Branch, Inst, LockOp, Reach, Reg, ShiftOp};

/// Where encoded bytes go.
pub trait Sink<B> {
    /// Appends bytes.
    fn put<const N: usize>(&mut self, bytes: [B; N]);
}

impl<B: Clone> Sink<B> for Vec<B> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [B; N]) {
        self.extend_from_slice(&bytes);
    }
}

/// The bytes of one instruction, at most 15: a number, so that it lives in registers. A vector counts its length in memory,
/// and bytes stored one by one are not forwarded to a load of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffer {
    bytes: u128,
    bits: u32,
}

impl Buffer {
    /// Appends the bytes to code.
    #[inline(always)]
    pub fn append_to(self, code: &mut Vec<u8>) {
        let len = code.len() + (self.bits / 8) as usize;
        // All sixteen are copied at once.
        code.extend_from_slice(&self.bytes.to_le_bytes());
        code.truncate(len);
    }
}

impl Sink<u8> for Buffer {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.bytes |= u128::from(value) << self.bits;
        self.bits += 8 * N as u32;
    }
}

/// Appends the encoding of `inst`. A [`Branch`] has none without its displacement, see [`branch`]: it adds nothing.
#[inline]
pub fn encode<A: Algebra>(inst: &Inst<A>, out: &mut Vec<A::W8>) {
    encode_to(inst, out);
}

/// The same, to anything that takes bytes.
#[inline(always)]
#[allow(clippy::too_many_lines)] // a table, an arm per instruction
pub fn encode_to<A: Algebra>(inst: &Inst<A>, out: &mut impl Sink<A::W8>) {
    match inst {
        Inst::AluRr { op, width, dst, src } => {
            let opcode = if *op == AluOp::Test { 0x85 } else { *op as u8 * 8 + 1 };
            literal::<A, 2>(out, rex(*width, src.high(), dst.high()), [opcode, modrm(3, src.low(), dst.low())]);
        }
        Inst::AluRi { op, width, dst, imm } => alu_imm::<A>(*op, *width, *dst, imm, out),
        Inst::Neg { width, dst } => {
            literal::<A, 2>(out, rex(*width, 0, dst.high()), [0xf7, modrm(3, 3, dst.low())]);
        }
        Inst::MovRr { width, dst, src } => {
            literal::<A, 2>(out, rex(*width, src.high(), dst.high()), [0x89, modrm(3, src.low(), dst.low())]);
        }
        Inst::MovZx { dst, imm } => {
            literal::<A, 1>(out, rex(Width::W32, 0, dst.high()), [0xb8 + dst.low()]);
            little32::<A>(imm, out);
        }
        Inst::MovSx { dst, imm } => {
            literal::<A, 2>(out, rex(Width::W64, 0, dst.high()), [0xc7, modrm(3, 0, dst.low())]);
            little32::<A>(imm, out);
        }
        Inst::MovAbs { dst, imm } => {
            literal::<A, 1>(out, rex(Width::W64, 0, dst.high()), [0xb8 + dst.low()]);
            let part = |byte| Convert::<A::W8>::zx(&imm.lshr(&A::W64::lit(8 * byte as u64)));
            out.put(std::array::from_fn::<_, 8, _>(part));
        }
        Inst::Load { size, dst, base, disp } => load::<A>(*size, *dst, *base, disp, out),
        Inst::Store { size, base, disp, src } => store::<A>(*size, *base, disp, *src, out),
        Inst::StoreImm { size, base, disp, imm } => store_imm::<A>(*size, *base, disp, imm, out),
        Inst::LoadSx { size, dst, base, disp } => {
            let rex = rex(Width::W64, dst.high(), base.high());
            match size {
                Size::B => literal::<A, 2>(out, rex, [0x0f, 0xbe]),
                Size::H => literal::<A, 2>(out, rex, [0x0f, 0xbf]),
                Size::W | Size::Dw => literal::<A, 1>(out, rex, [0x63]),
            }
            memory::<A>(dst.low(), *base, disp, out);
        }
        Inst::ShiftImm { op, width, dst, amount } => {
            let is_by_1 = amount.same(&A::W8::lit(1)).decide();
            let opcode = if is_by_1 { 0xd1 } else { 0xc1 };
            literal::<A, 2>(out, rex(*width, 0, dst.high()), [opcode, modrm(3, *op as u8, dst.low())]);
            if !is_by_1 {
                out.put([amount.clone()]);
            }
        }
        Inst::ShiftCl { op, width, dst } => {
            literal::<A, 2>(out, rex(*width, 0, dst.high()), [0xd3, modrm(3, *op as u8, dst.low())]);
        }
        Inst::ShiftX { op, width, dst, src, amount } => {
            literal::<A, 5>(out, 0, shift_x(*op, *width, *dst, *src, *amount));
        }
        Inst::Imul { width, dst, src } => {
            literal::<A, 3>(out, rex(*width, dst.high(), src.high()), [0x0f, 0xaf, modrm(3, dst.low(), src.low())]);
        }
        Inst::ImulImm { width, dst, src, imm } => {
            let (rex, modrm) = (rex(*width, dst.high(), src.high()), modrm(3, dst.low(), src.low()));
            if fits8::<A>(imm).decide() {
                literal::<A, 2>(out, rex, [0x6b, modrm]);
                out.put([imm.zx()]);
            } else {
                literal::<A, 2>(out, rex, [0x69, modrm]);
                little32::<A>(imm, out);
            }
        }
        Inst::Div { signed, width, src } => {
            let extension = if *signed { 7 } else { 6 };
            literal::<A, 2>(out, rex(*width, 0, src.high()), [0xf7, modrm(3, extension, src.low())]);
        }
        Inst::SignRdx { width } => literal::<A, 1>(out, rex(*width, 0, 0), [0x99]),
        Inst::MovZxRr { size, dst, src } => extend::<A>(0xb6, *size, Width::W32, *dst, *src, out),
        Inst::MovSxRr { size: Size::W | Size::Dw, width, dst, src } => {
            literal::<A, 2>(out, rex(*width, dst.high(), src.high()), [0x63, modrm(3, dst.low(), src.low())]);
        }
        Inst::MovSxRr { size, width, dst, src } => extend::<A>(0xbe, *size, *width, *dst, *src, out),
        Inst::Bswap { width, dst } => literal::<A, 2>(out, rex(*width, 0, dst.high()), [0x0f, 0xc8 + dst.low()]),
        Inst::Lock { op, width, base, disp, src } => {
            if *op != LockOp::Xchg {
                byte::<A>(out, 0xf0);
            }
            let rex = rex(*width, src.high(), base.high());
            match op {
                LockOp::Alu(op) => literal::<A, 1>(out, rex, [*op as u8 * 8 + 1]),
                LockOp::Xadd => literal::<A, 2>(out, rex, [0x0f, 0xc1]),
                LockOp::Xchg => literal::<A, 1>(out, rex, [0x87]),
                LockOp::Cmpxchg => literal::<A, 2>(out, rex, [0x0f, 0xb1]),
            }
            memory::<A>(src.low(), *base, disp, out);
        }
        Inst::Skip { cc: Some(cc), bytes, .. } => literal::<A, 2>(out, 0, [0x70 + *cc as u8, *bytes]),
        Inst::Skip { cc: None, bytes, .. } => literal::<A, 2>(out, 0, [0xeb, *bytes]),
        Inst::Retry { bytes } => literal::<A, 2>(out, 0, [0x75, bytes.wrapping_neg()]),
        Inst::Push { src } => literal::<A, 1>(out, rex(Width::W32, 0, src.high()), [0x50 + src.low()]),
        Inst::Pop { dst } => literal::<A, 1>(out, rex(Width::W32, 0, dst.high()), [0x58 + dst.low()]),
        Inst::CallReg { target } => {
            literal::<A, 2>(out, rex(Width::W32, 0, target.high()), [0xff, modrm(3, 2, target.low())]);
        }
        Inst::JmpReg { target } => {
            literal::<A, 2>(out, rex(Width::W32, 0, target.high()), [0xff, modrm(3, 4, target.low())]);
        }
        Inst::Ret => byte::<A>(out, 0xc3),
        Inst::Branch(_) => {}
    }
}

/// Bytes that [`encode`] appends.
pub fn len<A: Algebra>(inst: &Inst<A>) -> usize {
    let mut bytes = Vec::with_capacity(15);
    encode(inst, &mut bytes);
    bytes.len()
}

/// Bytes that [`branch`] appends.
#[inline(always)]
pub const fn branch_len(branch: Branch, reach: Reach) -> u32 {
    match (branch, reach) {
        (Branch::Stub(_) | Branch::Local, _) | (Branch::Jmp, Reach::Near) => 5,
        (_, Reach::Short) => 2,
        (Branch::Jcc(_), Reach::Near) => 6,
    }
}

/// Appends a branch whose target lies `rel` bytes after its end; a short one carries only the low byte. A call is always
/// near.
#[inline]
pub fn branch<A: Algebra>(branch: Branch, reach: Reach, rel: &A::W32, out: &mut impl Sink<A::W8>) {
    match (branch, reach) {
        (Branch::Stub(_) | Branch::Local, _) => byte::<A>(out, 0xe8),
        (Branch::Jmp, Reach::Short) => byte::<A>(out, 0xeb),
        (Branch::Jmp, Reach::Near) => byte::<A>(out, 0xe9),
        (Branch::Jcc(cc), Reach::Short) => byte::<A>(out, 0x70 + cc as u8),
        (Branch::Jcc(cc), Reach::Near) => out.put([A::W8::lit(0x0f), A::W8::lit(u64::from(0x80 + cc as u8))]),
    }
    if branch_len(branch, reach) == 2 { out.put([rel.zx()]) } else { little32::<A>(rel, out) }
}

#[inline(always)]
fn alu_imm<A: Algebra>(op: AluOp, width: Width, dst: Reg, imm: &A::W32, out: &mut impl Sink<A::W8>) {
    let rex = rex(width, 0, dst.high());
    if op != AluOp::Test && fits8::<A>(imm).decide() {
        literal::<A, 2>(out, rex, [0x83, modrm(3, op as u8, dst.low())]);
        return out.put([imm.zx()]);
    }
    // rax has opcodes of its own, without ModRM.
    match (op, dst) {
        (AluOp::Test, Reg::Rax) => literal::<A, 1>(out, rex, [0xa9]),
        (AluOp::Test, _) => literal::<A, 2>(out, rex, [0xf7, modrm(3, 0, dst.low())]),
        (_, Reg::Rax) => literal::<A, 1>(out, rex, [op as u8 * 8 + 5]),
        _ => literal::<A, 2>(out, rex, [0x81, modrm(3, op as u8, dst.low())]),
    }
    little32::<A>(imm, out);
}

/// `movzx` or `movsx` from 1 or 2 bytes of a register; `opcode` is that of 1 byte.
#[inline(always)]
fn extend<A: Algebra>(opcode: u8, size: Size, width: Width, dst: Reg, src: Reg, out: &mut impl Sink<A::W8>) {
    let rex = rex(width, dst.high(), src.high());
    // Without a REX prefix, 4 to 7 name ah, ch, dh and bh.
    let rex = if size == Size::B && src.number() >= 4 { 0x40 | rex } else { rex };
    let opcode = if size == Size::B { opcode } else { opcode + 1 };
    literal::<A, 3>(out, rex, [0x0f, opcode, modrm(3, dst.low(), src.low())]);
}

/// `VEX.LZ.pp.0F38.W F7 /r`: R, X, B and vvvv are stored inverted.
const fn shift_x(op: ShiftOp, width: Width, dst: Reg, src: Reg, amount: Reg) -> [u8; 5] {
    let prefix = match op {
        ShiftOp::Shl => 1,
        ShiftOp::Sar => 2,
        ShiftOp::Shr => 3,
    };
    let map = (1 - dst.high()) << 7 | 1 << 6 | (1 - src.high()) << 5 | 2;
    let wide = (matches!(width, Width::W64) as u8) << 7;
    [0xc4, map, wide | (15 - amount.number()) << 3 | prefix, 0xf7, modrm(3, dst.low(), src.low())]
}

#[inline(always)]
fn load<A: Algebra>(size: Size, dst: Reg, base: Reg, disp: &A::W32, out: &mut impl Sink<A::W8>) {
    let width = if size == Size::Dw { Width::W64 } else { Width::W32 };
    let rex = rex(width, dst.high(), base.high());
    match size {
        Size::B => literal::<A, 2>(out, rex, [0x0f, 0xb6]),
        Size::H => literal::<A, 2>(out, rex, [0x0f, 0xb7]),
        Size::W | Size::Dw => literal::<A, 1>(out, rex, [0x8b]),
    }
    memory::<A>(dst.low(), base, disp, out);
}

#[inline(always)]
fn store<A: Algebra>(size: Size, base: Reg, disp: &A::W32, src: Reg, out: &mut impl Sink<A::W8>) {
    let rex32 = rex(Width::W32, src.high(), base.high());
    match size {
        // Without a REX prefix, 4 to 7 name ah, ch, dh and bh.
        Size::B if src.number() >= 4 => literal::<A, 1>(out, 0x40 | rex32, [0x88]),
        Size::B => literal::<A, 1>(out, rex32, [0x88]),
        Size::H => {
            byte::<A>(out, 0x66);
            literal::<A, 1>(out, rex32, [0x89]);
        }
        Size::W => literal::<A, 1>(out, rex32, [0x89]),
        Size::Dw => literal::<A, 1>(out, rex(Width::W64, src.high(), base.high()), [0x89]),
    }
    memory::<A>(src.low(), base, disp, out);
}

#[inline(always)]
fn store_imm<A: Algebra>(size: Size, base: Reg, disp: &A::W32, imm: &A::W32, out: &mut impl Sink<A::W8>) {
    let rex32 = rex(Width::W32, 0, base.high());
    match size {
        Size::B => literal::<A, 1>(out, rex32, [0xc6]),
        Size::H => {
            byte::<A>(out, 0x66);
            literal::<A, 1>(out, rex32, [0xc7]);
        }
        Size::W => literal::<A, 1>(out, rex32, [0xc7]),
        Size::Dw => literal::<A, 1>(out, rex(Width::W64, 0, base.high()), [0xc7]),
    }
    memory::<A>(0, base, disp, out);
    match size {
        Size::B => out.put([imm.zx()]),
        Size::H => out.put([imm.zx(), imm.lshr(&A::W32::lit(8)).zx()]),
        Size::W | Size::Dw => little32::<A>(imm, out),
    }
}

/// `ModRM`, `SIB` and displacement of `[base + disp]`.
#[inline(always)]
fn memory<A: Algebra>(reg: u8, base: Reg, disp: &A::W32, out: &mut impl Sink<A::W8>) {
    // rbp and r13 without displacement would mean rip-relative, so theirs is at least 8 bits.
    let mode = if base.low() != Reg::Rbp.low() && disp.is_zero().decide() {
        0
    } else if fits8::<A>(disp).decide() {
        1
    } else {
        2
    };
    byte::<A>(out, modrm(mode, reg, base.low()));
    // rsp and r12 in `ModRM` mean that a SIB byte follows: base without index.
    if base.low() == Reg::Rsp.low() {
        byte::<A>(out, 0x24);
    }
    match mode {
        0 => {}
        1 => out.put([disp.zx()]),
        _ => little32::<A>(disp, out),
    }
}

/// Whether the value is the sign extension of its low byte.
#[inline(always)]
pub(crate) fn fits8<A: Algebra>(value: &A::W32) -> A::Flag {
    let byte: A::W8 = value.zx();
    let extended: A::W32 = byte.sx();
    extended.same(value)
}

/// The REX prefix, or 0 where none is needed.
#[inline(always)]
const fn rex(width: Width, reg: u8, base: u8) -> u8 {
    let wrb = (matches!(width, Width::W64) as u8) << 3 | reg << 2 | base;
    if wrb == 0 { 0 } else { 0x40 | wrb }
}

#[inline(always)]
const fn modrm(mode: u8, reg: u8, base: u8) -> u8 {
    mode << 6 | reg << 3 | base
}

#[inline(always)]
fn byte<A: Algebra>(out: &mut impl Sink<A::W8>, byte: u8) {
    out.put([A::W8::lit(u64::from(byte))]);
}

/// Appends a REX prefix, left out where it is 0, and literal bytes.
#[inline(always)]
fn literal<A: Algebra, const N: usize>(out: &mut impl Sink<A::W8>, rex: u8, bytes: [u8; N]) {
    if rex != 0 {
        byte::<A>(out, rex);
    }
    out.put(bytes.map(|byte| A::W8::lit(u64::from(byte))));
}

#[inline(always)]
fn little32<A: Algebra>(value: &A::W32, out: &mut impl Sink<A::W8>) {
    let part = |byte: u64| -> A::W8 { value.lshr(&A::W32::lit(8 * byte)).zx() };
    out.put([part(0), part(1), part(2), part(3)]);
}
