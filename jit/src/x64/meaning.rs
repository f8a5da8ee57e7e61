//! What the instructions of the subset do, over any algebra (Intel SDM volumes 1 and 2).
//!
//! Flags are CF, ZF, SF and OF, or undefined: then reading them is a [`Fault`], so that code which leans on them is not
//! proven right by luck. Nothing writes PF and AF here, because nothing reads them.

use semantics::insn::{Flow, Size, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

use super::{AluOp, Branch, Cc, Inst, LockOp, Reg, ShiftOp, Stub};

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

/// What lies outside the processor: memory, and the stubs with all that they reach.
pub trait Outside<A: Algebra> {
    /// Why an access or a call could not be carried out.
    type Fault;
    /// Reads `size` little-endian bytes, zero-extended.
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Self::Fault>;
    /// Writes the low `size` bytes of `value`, little-endian.
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Self::Fault>;
    /// Calls the helper with this number and gives its result.
    fn call_helper(&mut self, id: &A::W32, args: [&A::W64; 5]) -> Result<A::W64, Self::Fault>;
    /// Makes a tail call with these arguments: where the program begins that it found, or 0.
    fn tail_call(&mut self, args: [&A::W64; 3]) -> Result<A::W64, Self::Fault>;
    /// Control goes to this address, into another program.
    fn enter(&mut self, addr: &A::W64);
    /// Reads bytes of the packet of `context`: the value, and whether they are there.
    fn load_packet(&mut self, size: Size, context: &A::W64, offset: &A::W32) -> Result<(A::W64, A::Flag), Self::Fault>;
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
    /// A division by 0, or of what its quotient does not fit.
    Division,
    /// A compare-and-exchange failed although nobody interfered.
    Retried,
    /// An access or a call failed.
    Outside(E),
}

/// Runs straight code to its end or to the branch that ends it.
pub fn run<A: Algebra, M: Outside<A>>(code: &[Inst<A>], cpu: &mut Cpu<A, M>) -> Result<Flow<A::Flag>, Fault<M::Fault>> {
    let mut next = 0;
    while let Some(inst) = code.get(next) {
        next += 1;
        if let Inst::Skip { cc, count, .. } = inst {
            next += if cpu.is_taken(*cc)? { usize::from(*count) } else { 0 };
            continue;
        }
        match step(inst, cpu)? {
            Flow::Next => {}
            // What lies behind a return is reached by jumps over it.
            flow if next == code.len() || matches!(flow, Flow::Exit) => return Ok(flow),
            _ => return Err(Fault::Control),
        }
    }
    if next == code.len() { Ok(Flow::Next) } else { Err(Fault::Control) }
}

/// The meaning of one instruction.
#[inline(always)]
#[allow(clippy::too_many_lines)] // a table, an arm per instruction
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
        Inst::LoadSx { size, dst, base, disp } => {
            let addr = cpu.address(*base, disp);
            let value = cpu.outside.load(*size, &addr).map_err(Fault::Outside)?;
            cpu.set(*dst, sign_extend::<A>(*size, &value));
        }
        Inst::ShiftImm { op, width, dst, amount } => cpu.shift(*op, *width, *dst, *dst, &amount.zx(), true),
        Inst::ShiftCl { op, width, dst } => {
            let amount = cpu.get(Reg::Rcx);
            cpu.shift(*op, *width, *dst, *dst, &amount, true);
        }
        Inst::ShiftX { op, width, dst, src, amount } => {
            let amount = cpu.get(*amount);
            cpu.shift(*op, *width, *dst, *src, &amount, false);
        }
        Inst::Imul { width, dst, src } => {
            let src = cpu.get(*src);
            cpu.imul(*width, *dst, *dst, &src);
        }
        Inst::ImulImm { width, dst, src, imm } => cpu.imul(*width, *dst, *src, &A::sext(imm)),
        Inst::Div { signed, width, src } => cpu.div(*signed, *width, *src)?,
        Inst::SignRdx { width } => {
            let value = cpu.get(Reg::Rax);
            cpu.set(
                Reg::Rdx,
                match width {
                    Width::W64 => sign(&value),
                    Width::W32 => A::zext(&sign(&A::low(&value))),
                },
            );
        }
        Inst::MovZxRr { size, dst, src } => {
            let mask = A::W64::lit((1 << size.bits()) - 1);
            cpu.set(*dst, cpu.get(*src).and(&mask));
        }
        Inst::MovSxRr { size, width, dst, src } => {
            let value = sign_extend::<A>(*size, &cpu.get(*src));
            cpu.set(*dst, if *width == Width::W64 { value } else { A::zext(&A::low(&value)) });
        }
        Inst::Bswap { width, dst } => {
            let value = cpu.get(*dst);
            cpu.set(
                *dst,
                match width {
                    Width::W64 => value.swap_bytes(),
                    Width::W32 => A::zext(&A::low(&value).swap_bytes()),
                },
            );
        }
        Inst::Lock { op, width, base, disp, src } => cpu.lock(*op, *width, *base, disp, *src)?,
        Inst::Retry { .. } => {
            let flags = cpu.flags.as_ref().ok_or(Fault::UndefinedFlags)?;
            if !flags.zero.decide() {
                return Err(Fault::Retried);
            }
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
        // What surrounds it is the meaning of whoever puts both halves together.
        Inst::Branch(Branch::Local) => return Ok(Flow::Call),
        Inst::Branch(Branch::Stub(stub)) => cpu.call_stub(*stub)?,
        Inst::JmpReg { target } => {
            let target = cpu.get(*target);
            cpu.outside.enter(&target);
            return Ok(Flow::Tail(A::Flag::lit(true)));
        }
        Inst::Ret => return Ok(Flow::Exit),
        Inst::CallReg { .. } | Inst::Skip { .. } => return Err(Fault::Control),
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

    /// Whether a jump inside the sequence is taken.
    #[inline(always)]
    fn is_taken<E>(&self, cc: Option<Cc>) -> Result<bool, Fault<E>> {
        let Some(cc) = cc else { return Ok(true) };
        let flags = self.flags.as_ref().ok_or(Fault::UndefinedFlags)?;
        Ok(flags.holds(cc).decide())
    }

    /// The amount is taken modulo the width. Flags are undefined afterwards, those of BMI2 forms as they were.
    fn shift(&mut self, op: ShiftOp, width: Width, dst: Reg, src: Reg, amount: &A::W64, flags: bool) {
        let old = self.get(src);
        let value = match width {
            Width::W64 => shift(op, &old, amount),
            Width::W32 => A::zext(&shift(op, &A::low(&old), &A::low(amount))),
        };
        self.set(dst, value);
        if flags {
            self.flags = None;
        }
    }

    /// The low half of the product; SF and ZF are undefined.
    fn imul(&mut self, width: Width, dst: Reg, left: Reg, right: &A::W64) {
        let left = self.get(left);
        let value = match width {
            Width::W64 => left.mul(right),
            Width::W32 => A::zext(&A::low(&left).mul(&A::low(right))),
        };
        self.set(dst, value);
        self.flags = None;
    }

    /// Only of a dividend that is the zero or sign extension of `rax`: whatever else faults here.
    fn div<E>(&mut self, signed: bool, width: Width, src: Reg) -> Result<(), Fault<E>> {
        let (low, high, divisor) = (self.get(Reg::Rax), self.get(Reg::Rdx), self.get(src));
        let (quotient, remainder) = match width {
            Width::W64 => div(signed, &low, &high, &divisor)?,
            Width::W32 => {
                let (quotient, remainder) = div(signed, &A::low(&low), &A::low(&high), &A::low(&divisor))?;
                (A::zext(&quotient), A::zext(&remainder))
            }
        };
        self.set(Reg::Rax, quotient);
        self.set(Reg::Rdx, remainder);
        self.flags = None;
        Ok(())
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
    /// Load, operation and store.
    fn lock(&mut self, op: LockOp, width: Width, base: Reg, disp: &A::W32, src: Reg) -> Result<(), Fault<M::Fault>> {
        let (size, addr) = (if width == Width::W64 { Size::Dw } else { Size::W }, self.address(base, disp));
        let old = self.outside.load(size, &addr).map_err(Fault::Outside)?;
        let (src_value, rax) = (self.get(src), self.get(Reg::Rax));
        let result = |op, left: &A::W64, right: &A::W64| match width {
            Width::W64 => alu(op, left, right),
            Width::W32 => {
                let (value, flags) = alu(op, &A::low(left), &A::low(right));
                (A::zext(&value), flags)
            }
        };
        let (new, flags) = match op {
            LockOp::Alu(op) => result(op, &old, &src_value),
            LockOp::Xadd => result(AluOp::Add, &old, &src_value),
            LockOp::Xchg => (src_value, result(AluOp::Test, &old, &old).1),
            LockOp::Cmpxchg => {
                let (_, flags) = result(AluOp::Cmp, &rax, &old);
                (A::W64::select(&flags.zero, &src_value, &old), flags)
            }
        };
        self.outside.store(size, &addr, &new).map_err(Fault::Outside)?;
        match op {
            LockOp::Alu(_) => {}
            LockOp::Xadd | LockOp::Xchg => self.set(src, old),
            // All of rax stays where it was what was there.
            LockOp::Cmpxchg => self.set(Reg::Rax, A::W64::select(&flags.zero, &rax, &old)),
        }
        if op != LockOp::Xchg {
            self.flags = Some(flags);
        }
        Ok(())
    }

    /// A stub keeps what the ABI says a callee keeps; everything else is open afterwards.
    fn call_stub(&mut self, stub: Stub) -> Result<(), Fault<M::Fault>> {
        let args = [Reg::Rdi, Reg::Rsi, Reg::Rdx, Reg::Rcx, Reg::R8].map(|reg| &self.regs[reg.index()]);
        let low = |reg: Reg| A::low(&self.regs[reg.index()]);
        let zero = A::W64::lit(0);
        let results = match stub {
            Stub::Helper => {
                let result = self.outside.call_helper(&low(Reg::R9), args).map_err(Fault::Outside)?;
                [Some((Reg::Rax, result)), None, None]
            }
            Stub::Tail => {
                let [context, map, index, ..] = args;
                let target = self.outside.tail_call([context, map, index]).map_err(Fault::Outside)?;
                [Some((Reg::Rax, zero)), Some((Reg::R11, target)), Some((Reg::Rdi, context.clone()))]
            }
            Stub::Packet => {
                let bytes = low(Reg::R10);
                let is = |size: &Size| bytes.same(&A::W32::lit(u64::from(size.bytes()))).decide();
                let size = Size::ALL.into_iter().find(is).ok_or(Fault::Control)?;
                let (context, offset) = (self.get(Reg::Rbx), low(Reg::R9));
                let (value, found) = self.outside.load_packet(size, &context, &offset).map_err(Fault::Outside)?;
                let value = A::W64::select(&found, &value, &zero);
                let missing = A::W64::select(&found, &zero, &A::W64::lit(1));
                [Some((Reg::Rax, value)), Some((Reg::Rdx, missing)), None]
            }
        };
        for reg in Reg::CALLER_SAVED {
            let value = self.outside.clobbered(reg);
            self.set(reg, value);
        }
        results.into_iter().flatten().for_each(|(reg, value)| self.set(reg, value));
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

/// The sign in all bits.
fn sign<W: Word>(value: &W) -> W {
    value.ashr(&W::lit(u64::from(W::BITS) - 1))
}

fn sign_extend<A: Algebra>(size: Size, value: &A::W64) -> A::W64 {
    match size {
        Size::B => Convert::<A::W8>::zx(value).sx(),
        Size::H => Convert::<A::W16>::zx(value).sx(),
        Size::W => A::low(value).sx(),
        Size::Dw => value.clone(),
    }
}

fn shift<W: Word>(op: ShiftOp, value: &W, amount: &W) -> W {
    match op {
        ShiftOp::Shl => value.shl(amount),
        ShiftOp::Shr => value.lshr(amount),
        ShiftOp::Sar => value.ashr(amount),
    }
}

/// Quotient and remainder of a dividend whose high half only extends the low one.
fn div<W: Word, E>(signed: bool, low: &W, high: &W, divisor: &W) -> Result<(W, W), Fault<E>> {
    let extension = if signed { sign(low) } else { W::lit(0) };
    let overflow = low.same(&W::signed_min()).and(&divisor.same(&W::ones())).and(&W::Flag::lit(signed));
    if high.differs(&extension).or(&divisor.is_zero()).or(&overflow).decide() {
        return Err(Fault::Division);
    }
    Ok(if signed { (low.sdiv(divisor), low.srem(divisor)) } else { (low.udiv(divisor), low.urem(divisor)) })
}
