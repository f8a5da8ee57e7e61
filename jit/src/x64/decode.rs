//! From bytes back to typed instructions: exactly the shapes that [`encode`](super::encode) makes, so that a proof can
//! claim `decode(encode(i)) == i` for all immediates and displacements.
//!
//! Bytes that steer decoding must be literal. Where one is not, or means nothing here, decoding fails at once: a decoder
//! that explored symbolic prefixes would not come back from a wrong encoding.

use semantics::insn::{Size, Width};
use semantics::word::{Algebra, Convert, Word};

use super::{AluOp, Branch, Cc, Inst, LockOp, Reach, Reg, ShiftOp};

/// A byte that may be known.
pub trait Literal {
    /// Its value, `None` where it is symbolic.
    fn literal(&self) -> Option<u8>;
}

impl Literal for u8 {
    #[inline(always)]
    fn literal(&self) -> Option<u8> {
        Some(*self)
    }
}

/// What one encoding stands for.
#[derive(Clone, Debug)]
pub enum Decoded<A: Algebra> {
    /// An instruction that is no branch.
    Inst(Inst<A>),
    /// A branch and the distance from its end; the call of a stub looks like [`Branch::Local`] and decodes to it.
    Branch {
        /// The kind.
        branch: Branch,
        /// The width of the encoded displacement.
        reach: Reach,
        /// The displacement, sign-extended.
        rel: A::W32,
    },
}

/// Decodes one instruction and gives the number of bytes that it takes.
pub fn decode<A: Algebra>(bytes: &[A::W8]) -> Option<(Decoded<A>, usize)>
where
    A::W8: Literal,
{
    let mut reader = Reader::<A> { bytes, at: 0 };
    let decoded = reader.instruction()?;
    Some((decoded, reader.at))
}

/// The prefixes of one instruction.
#[derive(Clone, Copy)]
struct Prefix {
    operand16: bool,
    /// The REX byte, 0 where there is none.
    rex: u8,
}

impl Prefix {
    fn width(self) -> Width {
        if self.rex & 8 == 0 { Width::W32 } else { Width::W64 }
    }
    fn reg(self, low: u8) -> Reg {
        Reg::ALL[usize::from(low | (self.rex & 4) << 1)]
    }
    fn base(self, low: u8) -> Reg {
        Reg::ALL[usize::from(low | (self.rex & 1) << 3)]
    }
    /// The size that `89` and `c7` access memory with.
    fn size(self) -> Option<Size> {
        match (self.operand16, self.width()) {
            (false, Width::W32) => Some(Size::W),
            (false, Width::W64) => Some(Size::Dw),
            (true, Width::W32) => Some(Size::H),
            (true, Width::W64) => None,
        }
    }
}

/// `ModRM` with what follows it.
enum Operand<A: Algebra> {
    Register(Reg),
    Memory { base: Reg, disp: A::W32 },
}

struct Reader<'a, A: Algebra> {
    bytes: &'a [A::W8],
    at: usize,
}

impl<A: Algebra> Reader<'_, A>
where
    A::W8: Literal,
{
    fn instruction(&mut self) -> Option<Decoded<A>> {
        let mut opcode = self.literal()?;
        let operand16 = opcode == 0x66;
        if operand16 {
            opcode = self.literal()?;
        }
        let rex = if opcode & 0xf0 == 0x40 { opcode } else { 0 };
        if rex != 0 {
            opcode = self.literal()?;
        }
        let prefix = Prefix { operand16, rex };
        if operand16 && !matches!(opcode, 0x89 | 0xc7) {
            return None;
        }
        match opcode {
            0xf0 if rex == 0 && !operand16 => self.lock().map(Decoded::Inst),
            0xc4 if rex == 0 && !operand16 => self.shift_x().map(Decoded::Inst),
            0x70..=0x7f | 0xe8 | 0xe9 | 0xeb if rex == 0 => self.branch(opcode),
            0x0f => self.two_bytes(prefix),
            _ => self.one_byte(opcode, prefix).map(Decoded::Inst),
        }
    }

    fn branch(&mut self, opcode: u8) -> Option<Decoded<A>> {
        let (branch, reach) = match opcode {
            0xe8 => (Branch::Local, Reach::Near),
            0xe9 => (Branch::Jmp, Reach::Near),
            0xeb => (Branch::Jmp, Reach::Short),
            _ => (Branch::Jcc(condition(opcode)?), Reach::Short),
        };
        let rel = if reach == Reach::Short { self.sx8()? } else { self.little32()? };
        Some(Decoded::Branch { branch, reach, rel })
    }

    fn two_bytes(&mut self, prefix: Prefix) -> Option<Decoded<A>> {
        let opcode = self.literal()?;
        match opcode {
            0x80..=0x8f if prefix.rex == 0 => {
                let branch = Branch::Jcc(condition(opcode)?);
                Some(Decoded::Branch { branch, reach: Reach::Near, rel: self.little32()? })
            }
            0xaf => match self.modrm(prefix)? {
                (reg, Operand::Register(src)) => {
                    Some(Decoded::Inst(Inst::Imul { width: prefix.width(), dst: prefix.reg(reg), src }))
                }
                _ => None,
            },
            0xb6 => self.extend(false, Size::B, prefix).map(Decoded::Inst),
            0xb7 => self.extend(false, Size::H, prefix).map(Decoded::Inst),
            0xbe => self.extend(true, Size::B, prefix).map(Decoded::Inst),
            0xbf => self.extend(true, Size::H, prefix).map(Decoded::Inst),
            0xc8..=0xcf => Some(Decoded::Inst(Inst::Bswap { width: prefix.width(), dst: prefix.base(opcode & 7) })),
            _ => None,
        }
    }

    /// `movzx`, `movsx` and `movsxd`, from memory or a register.
    fn extend(&mut self, signed: bool, size: Size, prefix: Prefix) -> Option<Inst<A>> {
        let width = prefix.width();
        match (self.modrm(prefix)?, signed) {
            // Without a REX prefix these would be ah, ch, dh and bh.
            ((_, Operand::Register(src)), _) if size == Size::B && prefix.rex == 0 && src.number() >= 4 => None,
            ((reg, Operand::Register(src)), true) => Some(Inst::MovSxRr { size, width, dst: prefix.reg(reg), src }),
            ((reg, Operand::Register(src)), false) if width == Width::W32 => {
                Some(Inst::MovZxRr { size, dst: prefix.reg(reg), src })
            }
            ((reg, Operand::Memory { base, disp }), true) if width == Width::W64 => {
                Some(Inst::LoadSx { size, dst: prefix.reg(reg), base, disp })
            }
            ((reg, Operand::Memory { base, disp }), false) => {
                Some(Inst::Load { size, dst: prefix.reg(reg), base, disp })
            }
            _ => None,
        }
    }

    /// What follows a lock prefix.
    fn lock(&mut self) -> Option<Inst<A>> {
        let mut opcode = self.literal()?;
        let rex = if opcode & 0xf0 == 0x40 { opcode } else { 0 };
        if rex != 0 {
            opcode = self.literal()?;
        }
        let prefix = Prefix { operand16: false, rex };
        let op = match opcode {
            0x01 | 0x09 | 0x21 | 0x31 => LockOp::Alu(operation(opcode >> 3)?),
            0x0f => match self.literal()? {
                0xb1 => LockOp::Cmpxchg,
                0xc1 => LockOp::Xadd,
                _ => return None,
            },
            _ => return None,
        };
        self.locked(op, prefix)
    }

    fn locked(&mut self, op: LockOp, prefix: Prefix) -> Option<Inst<A>> {
        match self.modrm(prefix)? {
            (reg, Operand::Memory { base, disp }) => {
                Some(Inst::Lock { op, width: prefix.width(), base, disp, src: prefix.reg(reg) })
            }
            _ => None,
        }
    }

    /// What follows the first byte of a long VEX prefix.
    fn shift_x(&mut self) -> Option<Inst<A>> {
        let (map, last, opcode, modrm) = (self.literal()?, self.literal()?, self.literal()?, self.literal()?);
        let op = match last & 7 {
            1 => ShiftOp::Shl,
            2 => ShiftOp::Sar,
            3 => ShiftOp::Shr,
            _ => return None,
        };
        if map & 0x5f != 0x42 || opcode != 0xf7 || modrm >> 6 != 3 {
            return None;
        }
        let width = if last & 0x80 == 0 { Width::W32 } else { Width::W64 };
        let number = |low: u8, inverted: u8| Reg::ALL[usize::from(low & 7 | (inverted ^ 1) << 3)];
        let amount = Reg::ALL[usize::from(15 - (last >> 3 & 15))];
        let (dst, src) = (number(modrm >> 3, map >> 7), number(modrm, map >> 5 & 1));
        Some(Inst::ShiftX { op, width, dst, src, amount })
    }

    /// Shifts by an immediate or by `cl`.
    fn shift(&mut self, opcode: u8, prefix: Prefix) -> Option<Inst<A>> {
        let (extension, Operand::Register(dst)) = self.modrm(prefix)? else { return None };
        let width = prefix.width();
        let op = ShiftOp::ALL.into_iter().find(|op| *op as u8 == extension)?;
        Some(match opcode {
            0xc1 => Inst::ShiftImm { op, width, dst, amount: self.byte()? },
            0xd1 => Inst::ShiftImm { op, width, dst, amount: A::W8::lit(1) },
            _ => Inst::ShiftCl { op, width, dst },
        })
    }

    fn one_byte(&mut self, opcode: u8, prefix: Prefix) -> Option<Inst<A>> {
        let width = prefix.width();
        match opcode {
            0x01 | 0x09 | 0x21 | 0x29 | 0x31 | 0x39 | 0x85 => {
                let op = if opcode == 0x85 { AluOp::Test } else { operation(opcode >> 3)? };
                let (reg, Operand::Register(dst)) = self.modrm(prefix)? else { return None };
                Some(Inst::AluRr { op, width, dst, src: prefix.reg(reg) })
            }
            0x05 | 0x0d | 0x25 | 0x2d | 0x35 | 0x3d | 0xa9 if matches!(prefix.rex, 0 | 0x48) => {
                let op = if opcode == 0xa9 { AluOp::Test } else { operation(opcode >> 3)? };
                Some(Inst::AluRi { op, width, dst: Reg::Rax, imm: self.little32()? })
            }
            0x50..=0x57 if width == Width::W32 => Some(Inst::Push { src: prefix.base(opcode & 7) }),
            0x58..=0x5f if width == Width::W32 => Some(Inst::Pop { dst: prefix.base(opcode & 7) }),
            0x63 => self.extend(true, Size::W, prefix),
            0x69 | 0x6b => {
                let (reg, Operand::Register(src)) = self.modrm(prefix)? else { return None };
                let imm = if opcode == 0x6b { self.sx8()? } else { self.little32()? };
                Some(Inst::ImulImm { width, dst: prefix.reg(reg), src, imm })
            }
            0x81 | 0x83 => {
                let (extension, Operand::Register(dst)) = self.modrm(prefix)? else { return None };
                let imm = if opcode == 0x83 { self.sx8()? } else { self.little32()? };
                Some(Inst::AluRi { op: operation(extension)?, width, dst, imm })
            }
            0x87 => self.locked(LockOp::Xchg, prefix),
            0x88 => self.store(Size::B, prefix),
            0x89 => self.store(prefix.size()?, prefix),
            0x8b => self.load(prefix.size()?, prefix),
            0x99 if matches!(prefix.rex, 0 | 0x48) => Some(Inst::SignRdx { width }),
            0xc1 | 0xd1 | 0xd3 => self.shift(opcode, prefix),
            0xb8..=0xbf => {
                let dst = prefix.base(opcode & 7);
                Some(match width {
                    Width::W32 => Inst::MovZx { dst, imm: self.little32()? },
                    Width::W64 => Inst::MovAbs { dst, imm: self.little64()? },
                })
            }
            0xc3 => Some(Inst::Ret),
            0xc6 => self.store_imm(Size::B, prefix),
            0xc7 => self.store_imm(prefix.size()?, prefix),
            0xf7 => match self.modrm(prefix)? {
                (0, Operand::Register(dst)) => Some(Inst::AluRi { op: AluOp::Test, width, dst, imm: self.little32()? }),
                (3, Operand::Register(dst)) => Some(Inst::Neg { width, dst }),
                (extension @ (6 | 7), Operand::Register(src)) => Some(Inst::Div { signed: extension == 7, width, src }),
                _ => None,
            },
            0xff => match self.modrm(prefix)? {
                (2, Operand::Register(target)) if width == Width::W32 => Some(Inst::CallReg { target }),
                (4, Operand::Register(target)) if width == Width::W32 => Some(Inst::JmpReg { target }),
                _ => None,
            },
            _ => None,
        }
    }

    fn load(&mut self, size: Size, prefix: Prefix) -> Option<Inst<A>> {
        match self.modrm(prefix)? {
            (reg, Operand::Memory { base, disp }) => Some(Inst::Load { size, dst: prefix.reg(reg), base, disp }),
            _ => None,
        }
    }

    fn store(&mut self, size: Size, prefix: Prefix) -> Option<Inst<A>> {
        match self.modrm(prefix)? {
            // Without a REX prefix these bytes would name ah, ch, dh and bh.
            (4..=7, _) if size == Size::B && prefix.rex == 0 => None,
            (reg, Operand::Memory { base, disp }) => Some(Inst::Store { size, base, disp, src: prefix.reg(reg) }),
            (reg, Operand::Register(dst)) if matches!(size, Size::W | Size::Dw) => {
                Some(Inst::MovRr { width: prefix.width(), dst, src: prefix.reg(reg) })
            }
            _ => None,
        }
    }

    fn store_imm(&mut self, size: Size, prefix: Prefix) -> Option<Inst<A>> {
        match self.modrm(prefix)? {
            (0, Operand::Register(dst)) if size == Size::Dw => Some(Inst::MovSx { dst, imm: self.little32()? }),
            (0, Operand::Memory { base, disp }) => {
                let imm = match size {
                    Size::B => self.sx8()?,
                    Size::H => self.little16()?,
                    Size::W | Size::Dw => self.little32()?,
                };
                Some(Inst::StoreImm { size, base, disp, imm })
            }
            _ => None,
        }
    }

    /// The `reg` field and the operand that the other fields name.
    fn modrm(&mut self, prefix: Prefix) -> Option<(u8, Operand<A>)> {
        let modrm = self.literal()?;
        let (mode, reg, base) = (modrm >> 6, modrm >> 3 & 7, prefix.base(modrm & 7));
        if mode == 3 {
            return Some((reg, Operand::Register(base)));
        }
        if base.low() == Reg::Rsp.low() && self.literal()? != 0x24 {
            return None;
        }
        let disp = match mode {
            0 if base.low() == Reg::Rbp.low() => return None,
            0 => A::W32::lit(0),
            1 => self.sx8()?,
            _ => self.little32()?,
        };
        Some((reg, Operand::Memory { base, disp }))
    }

    fn byte(&mut self) -> Option<A::W8> {
        let byte = self.bytes.get(self.at)?.clone();
        self.at += 1;
        Some(byte)
    }
    fn literal(&mut self) -> Option<u8> {
        self.byte()?.literal()
    }
    fn sx8(&mut self) -> Option<A::W32> {
        Some(self.byte()?.sx())
    }
    /// Sign-extended, as an immediate that [`encode`](super::encode) truncates may be read back.
    fn little16(&mut self) -> Option<A::W32> {
        let low: A::W16 = self.byte()?.zx();
        let high: A::W16 = self.byte()?.zx();
        Some(low.or(&high.shl(&A::W16::lit(8))).sx())
    }
    fn little32(&mut self) -> Option<A::W32> {
        let mut value: A::W32 = self.byte()?.zx();
        for at in 1..4 {
            let byte: A::W32 = self.byte()?.zx();
            value = value.or(&byte.shl(&A::W32::lit(8 * at)));
        }
        Some(value)
    }
    fn little64(&mut self) -> Option<A::W64> {
        let (low, high) = (self.little32()?, self.little32()?);
        Some(A::zext(&low).or(&A::zext(&high).shl(&A::W64::lit(32))))
    }
}

/// The operation that an opcode extension names.
fn operation(number: u8) -> Option<AluOp> {
    AluOp::ALL.into_iter().find(|op| *op as u8 == number && *op != AluOp::Test)
}

/// The condition in the low half of an opcode.
fn condition(opcode: u8) -> Option<Cc> {
    Cc::ALL.into_iter().find(|cc| *cc as u8 == opcode & 15)
}
