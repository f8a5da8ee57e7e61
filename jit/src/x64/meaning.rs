//! What the instructions of the subset do, over any algebra (Intel SDM volumes 1 and 2).
//!
//! Flags are CF, ZF, SF and OF, or undefined: then reading them is a [`Fault`], so that code which leans on them is not
//! proven right by luck. Nothing writes PF and AF here, because nothing reads them.

use semantics::insn::{Flow, Size, Width};
use semantics::word::{Algebra, Flag, Word};

use super::{AluOp, Branch, Cc, Inst, Reg};

/// The flags that conditions read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags<F> {
    /// CF: unsigned carry or borrow.
    pub carry: F,
    /// ZF: the result is 0.
    pub zero: F,
    /// SF: the result's sign bit.
    pub sign: F,
    /// OF: signed overflow.
    pub overflow: F,
}

impl<F: Flag> Flags<F> {
    /// Whether the condition holds.
    #[inline(always)]
    pub fn holds(&self, cc: Cc) -> F {
        let less = || self.sign.xor(&self.overflow);
        match cc {
            Cc::O => self.overflow.clone(),
            Cc::No => self.overflow.not(),
            Cc::B => self.carry.clone(),
            Cc::Ae => self.carry.not(),
            Cc::E => self.zero.clone(),
            Cc::Ne => self.zero.not(),
            Cc::Be => self.carry.or(&self.zero),
            Cc::A => self.carry.or(&self.zero).not(),
            Cc::S => self.sign.clone(),
            Cc::Ns => self.sign.not(),
            Cc::L => less(),
            Cc::Ge => less().not(),
            Cc::Le => self.zero.or(&less()),
            Cc::G => self.zero.or(&less()).not(),
        }
    }
}

/// What lies outside the processor: memory, and the helper stub with all that it reaches.
pub trait Outside<A: Algebra> {
    /// Why an access or a call could not be carried out.
    type Fault;
    /// Reads `size` little-endian bytes, zero-extended.
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Self::Fault>;
    /// Writes the low `size` bytes of `value`, little-endian.
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Self::Fault>;
    /// Calls the helper with this number and gives its result.
    fn call_helper(&mut self, id: &A::W32, args: [&A::W64; 5]) -> Result<A::W64, Self::Fault>;
    /// What a register that the call may change holds afterwards: any value.
    fn clobbered(&mut self, reg: Reg) -> A::W64;
}

/// Processor and surroundings.
#[derive(Clone, Debug)]
pub struct Cpu<A: Algebra, M> {
    /// By [`Reg::index`].
    pub regs: [A::W64; 16],
    /// `None` where they are undefined.
    pub flags: Option<Flags<A::Flag>>,
    /// Memory and helpers.
    pub outside: M,
}

/// Why a sequence has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<E> {
    /// A condition on flags that nothing has defined.
    UndefinedFlags,
    /// A branch that is not last, or an instruction that only stubs may hold.
    Control,
    /// An access or a call failed.
    Outside(E),
}

/// Runs straight code to its end or to the branch that ends it.
pub fn run<A: Algebra, M: Outside<A>>(code: &[Inst<A>], cpu: &mut Cpu<A, M>) -> Result<Flow<A::Flag>, Fault<M::Fault>> {
    for (index, inst) in code.iter().enumerate() {
        let last = index + 1 == code.len();
        match step(inst, cpu)? {
            Flow::Next => {}
            flow if last => return Ok(flow),
            _ => return Err(Fault::Control),
        }
    }
    Ok(Flow::Next)
}

/// The meaning of one instruction.
#[inline(always)]
pub fn step<A: Algebra, M: Outside<A>>(inst: &Inst<A>, cpu: &mut Cpu<A, M>) -> Result<Flow<A::Flag>, Fault<M::Fault>> {
    match inst {
        Inst::AluRr { op, width, dst, src } => {
            let src = cpu.get(*src);
            cpu.alu(*op, *width, *dst, &src);
        }
        Inst::AluRi { op, width, dst, imm } => cpu.alu(*op, *width, *dst, &A::sext(imm)),
        Inst::Neg { width, dst } => cpu.neg(*width, *dst),
        Inst::MovRr { width, dst, src } => {
            let value = cpu.get(*src);
            cpu.set(*dst, if *width == Width::W64 { value } else { A::zext(&A::low(&value)) });
        }
        Inst::MovZx { dst, imm } => cpu.set(*dst, A::zext(imm)),
        Inst::MovSx { dst, imm } => cpu.set(*dst, A::sext(imm)),
        Inst::MovAbs { dst, imm } => cpu.set(*dst, imm.clone()),
        Inst::Load { size, dst, base, disp } => {
            let addr = cpu.address(*base, disp);
            let value = cpu.outside.load(*size, &addr).map_err(Fault::Outside)?;
            cpu.set(*dst, value);
        }
        Inst::Store { size, base, disp, src } => {
            let addr = cpu.address(*base, disp);
            cpu.outside.store(*size, &addr, &cpu.regs[src.index()]).map_err(Fault::Outside)?;
        }
        Inst::StoreImm { size, base, disp, imm } => {
            let addr = cpu.address(*base, disp);
            cpu.outside.store(*size, &addr, &A::sext(imm)).map_err(Fault::Outside)?;
        }
        Inst::Push { src } => {
            let (value, top) = (cpu.get(*src), cpu.get(Reg::Rsp).sub(&A::W64::lit(8)));
            cpu.outside.store(Size::Dw, &top, &value).map_err(Fault::Outside)?;
            cpu.set(Reg::Rsp, top);
        }
        Inst::Pop { dst } => {
            let top = cpu.get(Reg::Rsp);
            let value = cpu.outside.load(Size::Dw, &top).map_err(Fault::Outside)?;
            cpu.set(Reg::Rsp, top.add(&A::W64::lit(8)));
            cpu.set(*dst, value);
        }
        Inst::Branch(Branch::Jcc(cc)) => {
            let flags = cpu.flags.as_ref().ok_or(Fault::UndefinedFlags)?;
            return Ok(Flow::Branch(flags.holds(*cc)));
        }
        Inst::Branch(Branch::Jmp) => return Ok(Flow::Branch(A::Flag::lit(true))),
        Inst::Branch(Branch::Exit) => return Ok(Flow::Exit),
        Inst::Branch(Branch::Call) => cpu.call_helper()?,
        Inst::CallReg { .. } | Inst::Ret => return Err(Fault::Control),
    }
    Ok(Flow::Next)
}

impl<A: Algebra, M> Cpu<A, M> {
    /// The value of a register.
    #[inline(always)]
    pub fn get(&self, reg: Reg) -> A::W64 {
        self.regs[reg.index()].clone()
    }
    /// Replaces the value of a register.
    #[inline(always)]
    pub fn set(&mut self, reg: Reg, value: A::W64) {
        self.regs[reg.index()] = value;
    }

    #[inline(always)]
    fn address(&self, base: Reg, disp: &A::W32) -> A::W64 {
        self.regs[base.index()].add(&A::sext(disp))
    }

    #[inline(always)]
    fn alu(&mut self, op: AluOp, width: Width, dst: Reg, src: &A::W64) {
        let old = &self.regs[dst.index()];
        let (value, flags) = match width {
            Width::W64 => alu(op, old, src),
            Width::W32 => {
                let (value, flags) = alu(op, &A::low(old), &A::low(src));
                (A::zext(&value), flags)
            }
        };
        self.flags = Some(flags);
        if op.writes() {
            self.set(dst, value);
        }
    }

    /// `0 - dst`, flags included.
    #[inline(always)]
    fn neg(&mut self, width: Width, dst: Reg) {
        let old = &self.regs[dst.index()];
        let (value, flags) = match width {
            Width::W64 => alu(AluOp::Sub, &A::W64::lit(0), old),
            Width::W32 => {
                let (value, flags) = alu(AluOp::Sub, &A::W32::lit(0), &A::low(old));
                (A::zext(&value), flags)
            }
        };
        self.flags = Some(flags);
        self.set(dst, value);
    }
}

impl<A: Algebra, M: Outside<A>> Cpu<A, M> {
    /// The helper stub keeps what the ABI says a callee keeps; everything else is open afterwards.
    fn call_helper(&mut self) -> Result<(), Fault<M::Fault>> {
        let args = [Reg::Rdi, Reg::Rsi, Reg::Rdx, Reg::Rcx, Reg::R8].map(|reg| &self.regs[reg.index()]);
        let id = A::low(&self.regs[Reg::R9.index()]);
        let result = self.outside.call_helper(&id, args).map_err(Fault::Outside)?;
        for reg in Reg::CALLER_SAVED {
            let value = self.outside.clobbered(reg);
            self.set(reg, value);
        }
        self.set(Reg::Rax, result);
        self.flags = None;
        Ok(())
    }
}

/// Result and flags of a two-operand operation at one width.
#[inline(always)]
fn alu<W: Word>(op: AluOp, dst: &W, src: &W) -> (W, Flags<W::Flag>) {
    let value = match op {
        AluOp::Add => dst.add(src),
        AluOp::Sub | AluOp::Cmp => dst.sub(src),
        AluOp::And | AluOp::Test => dst.and(src),
        AluOp::Or => dst.or(src),
        AluOp::Xor => dst.xor(src),
    };
    let (carry, overflow) = match op {
        AluOp::Add => (value.ult(dst), dst.xor(src).not().and(&dst.xor(&value)).is_negative()),
        AluOp::Sub | AluOp::Cmp => (dst.ult(src), dst.xor(src).and(&dst.xor(&value)).is_negative()),
        _ => (W::Flag::lit(false), W::Flag::lit(false)),
    };
    let flags = Flags { carry, zero: value.is_zero(), sign: value.is_negative(), overflow };
    (value, flags)
}
