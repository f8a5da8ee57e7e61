//! The x86-64 subset that the JIT emits, as typed instructions (Intel SDM volume 2): their encoding and their meaning.
//!
//! [`Inst`] holds only the forms that lowering, prologue, epilogue and the stubs need. Registers are concrete,
//! immediates and displacements are words of the [`Algebra`], so that one value runs, is encoded and is proven.
//! Code that lowering makes is straight: a [`Branch`] leaves it and comes last, except for the call of a helper.

use semantics::insn::{Size, Width};
use semantics::word::{Algebra, Concrete};

pub mod decode;
pub mod encode;
pub mod meaning;

/// A general-purpose register, numbered as the encoding numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Reg {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl Reg {
    /// All sixteen, in the order of their numbers.
    pub const ALL: [Reg; 16] = [
        Reg::Rax,
        Reg::Rcx,
        Reg::Rdx,
        Reg::Rbx,
        Reg::Rsp,
        Reg::Rbp,
        Reg::Rsi,
        Reg::Rdi,
        Reg::R8,
        Reg::R9,
        Reg::R10,
        Reg::R11,
        Reg::R12,
        Reg::R13,
        Reg::R14,
        Reg::R15,
    ];
    /// What a call may change (System V ABI, section 3.2.1).
    pub const CALLER_SAVED: [Reg; 9] =
        [Reg::Rax, Reg::Rcx, Reg::Rdx, Reg::Rsi, Reg::Rdi, Reg::R8, Reg::R9, Reg::R10, Reg::R11];

    /// 0 to 15.
    #[inline(always)]
    pub const fn number(self) -> u8 {
        self as u8
    }
    /// 0 to 15, to index with.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The three bits of `ModRM`, `SIB` or the opcode.
    #[inline(always)]
    pub(crate) const fn low(self) -> u8 {
        self as u8 & 7
    }
    /// The fourth bit, which a REX prefix carries.
    #[inline(always)]
    pub(crate) const fn high(self) -> u8 {
        self as u8 >> 3
    }
}

/// A condition of `jcc`, numbered as the encoding numbers it; those that the flags PF and AF decide are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cc {
    O = 0x0,
    No = 0x1,
    B = 0x2,
    Ae = 0x3,
    E = 0x4,
    Ne = 0x5,
    Be = 0x6,
    A = 0x7,
    S = 0x8,
    Ns = 0x9,
    L = 0xc,
    Ge = 0xd,
    Le = 0xe,
    G = 0xf,
}

impl Cc {
    /// All of them, ascending.
    pub const ALL: [Cc; 14] =
        [Cc::O, Cc::No, Cc::B, Cc::Ae, Cc::E, Cc::Ne, Cc::Be, Cc::A, Cc::S, Cc::Ns, Cc::L, Cc::Ge, Cc::Le, Cc::G];
}

/// A two-operand operation; the number is the opcode extension and, shifted by 3, the opcode, except for `test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum AluOp {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
    Test = 8,
}

impl AluOp {
    /// All of them.
    pub const ALL: [AluOp; 7] = [AluOp::Add, AluOp::Or, AluOp::And, AluOp::Sub, AluOp::Xor, AluOp::Cmp, AluOp::Test];

    /// Whether the result is written; `cmp` and `test` only set flags.
    #[inline(always)]
    pub const fn writes(self) -> bool {
        !matches!(self, AluOp::Cmp | AluOp::Test)
    }
}

/// A shift; the number is the opcode extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ShiftOp {
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

impl ShiftOp {
    /// All of them.
    pub const ALL: [ShiftOp; 3] = [ShiftOp::Shl, ShiftOp::Shr, ShiftOp::Sar];
}

/// An operation on memory that nothing interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// `lock op [memory], src` for `add`, `or`, `and` and `xor`: flags are set, no register.
    Alu(AluOp),
    /// `lock xadd [memory], src`: the sum is stored, the register becomes what was there.
    Xadd,
    /// `xchg [memory], src`.
    Xchg,
    /// `lock cmpxchg [memory], src`: the register is stored if `rax` is what was there; else `rax` becomes that.
    Cmpxchg,
}

impl LockOp {
    /// All of them.
    pub const ALL: [LockOp; 7] = [
        LockOp::Alu(AluOp::Add),
        LockOp::Alu(AluOp::Or),
        LockOp::Alu(AluOp::And),
        LockOp::Alu(AluOp::Xor),
        LockOp::Xadd,
        LockOp::Xchg,
        LockOp::Cmpxchg,
    ];
}

/// A transfer out of straight code. Its displacement is known only when everything has its place, so it is not part of
/// the instruction: see [`encode::branch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Branch {
    /// `jcc` to the target of the BPF jump.
    Jcc(Cc),
    /// `jmp` to the target of the BPF jump.
    Jmp,
    /// `call` of the subprogram that the BPF call names, which returns.
    Local,
    /// `call` of a stub, which returns.
    Stub(Stub),
}

/// Code that reaches the runtime. What a call may change (System V ABI) is open afterwards, unless it is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stub {
    /// Calls a helper: its number in `r9d`, arguments in `rdi rsi rdx rcx r8`, the result in `rax`.
    Helper,
    /// Makes a tail call, with arguments in `rdi rsi rdx`: `r11` is where the program begins that it found, or 0; `rax` is 0,
    /// and `rdi` as it was.
    Tail,
    /// Reads as many bytes of the packet of the context in `rbx` as `r10d` says, at the offset in `r9d`: the value in `rax`; `rdx`
    /// is 0 if they are there, else 1, and then the value is 0.
    Packet,
}

impl Stub {
    /// All of them, in the order of their code.
    pub const ALL: [Stub; 3] = [Stub::Helper, Stub::Tail, Stub::Packet];
}

/// How far a [`Branch`] reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// `rel8`.
    Short,
    /// `rel32`.
    Near,
}

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Inst<A: Algebra = Concrete> {
    /// `op dst, src`.
    AluRr { op: AluOp, width: Width, dst: Reg, src: Reg },
    /// `op dst, imm`; 64-bit operations sign-extend the immediate.
    AluRi { op: AluOp, width: Width, dst: Reg, imm: A::W32 },
    /// `neg dst`.
    Neg { width: Width, dst: Reg },
    /// `mov dst, src`; 32 bits zero-extend.
    MovRr { width: Width, dst: Reg, src: Reg },
    /// `mov dst32, imm32`: zero-extends.
    MovZx { dst: Reg, imm: A::W32 },
    /// `mov dst64, imm32`: sign-extends.
    MovSx { dst: Reg, imm: A::W32 },
    /// `movabs dst, imm64`.
    MovAbs { dst: Reg, imm: A::W64 },
    /// `mov` or `movzx dst, [base + disp]`: zero-extends.
    Load { size: Size, dst: Reg, base: Reg, disp: A::W32 },
    /// `mov [base + disp], src`.
    Store { size: Size, base: Reg, disp: A::W32, src: Reg },
    /// `mov [base + disp], imm`; 8 bytes sign-extend the immediate, fewer truncate it.
    StoreImm { size: Size, base: Reg, disp: A::W32, imm: A::W32 },
    /// `movsx` or `movsxd dst64, [base + disp]`: sign-extends; at most 4 bytes.
    LoadSx { size: Size, dst: Reg, base: Reg, disp: A::W32 },
    /// `shift dst, imm8`; the processor takes the amount modulo the width.
    ShiftImm { op: ShiftOp, width: Width, dst: Reg, amount: A::W8 },
    /// `shift dst, cl`.
    ShiftCl { op: ShiftOp, width: Width, dst: Reg },
    /// `shlx`, `shrx` or `sarx dst, src, amount` (BMI2).
    ShiftX { op: ShiftOp, width: Width, dst: Reg, src: Reg, amount: Reg },
    /// `imul dst, src`.
    Imul { width: Width, dst: Reg, src: Reg },
    /// `imul dst, src, imm`.
    ImulImm { width: Width, dst: Reg, src: Reg, imm: A::W32 },
    /// `div` or `idiv src`: quotient of `rdx:rax` to `rax`, remainder to `rdx`.
    Div { signed: bool, width: Width, src: Reg },
    /// `cdq` or `cqo`: the sign of `rax` in all bits of `rdx`.
    SignRdx { width: Width },
    /// `movzx dst32, src` from 1 or 2 bytes.
    MovZxRr { size: Size, dst: Reg, src: Reg },
    /// `movsx` or `movsxd dst, src` from 1, 2 or 4 bytes.
    MovSxRr { size: Size, width: Width, dst: Reg, src: Reg },
    /// `bswap dst`.
    Bswap { width: Width, dst: Reg },
    /// An operation on `[base + disp]` that nothing interrupts.
    Lock { op: LockOp, width: Width, base: Reg, disp: A::W32, src: Reg },
    /// `jcc` or `jmp` forward over the next `count` instructions of the same sequence, which take `bytes`.
    Skip { cc: Option<Cc>, count: u8, bytes: u8 },
    /// `jne` back over `bytes`, to where a compare-and-exchange is tried again because another processor interfered.
    Retry { bytes: u8 },
    /// `push src`.
    Push { src: Reg },
    /// `pop dst`.
    Pop { dst: Reg },
    /// `call target`: only in trampoline and stubs.
    CallReg { target: Reg },
    /// `jmp target`: into the program that a tail call has found.
    JmpReg { target: Reg },
    /// `ret`: out of the function.
    Ret,
    /// A transfer out of straight code.
    Branch(Branch),
}
