//! What instructions mean: one room per family, each generic over the [`Algebra`] (RFC 9669 sections 2 to 5).
//!
//! An [`Insn`] is decoded once; its [`Opcode`] names a row of the [`table`], whose [`Op`] says what it does apart from its
//! operands. [`exec`] gives that meaning over any [`Machine`]: the interpreter, the solver's state in a proof.
//!
//! ```
//! use semantics::insn::{Insn, Opcode, Reg};
//! let add = Insn::new(Opcode::Add64K).dst(Reg::R1).imm(-7);
//! assert_eq!(add.to_string(), "r1 += -0x7");
//! ```

use crate::word::{Algebra, Concrete, Convert, Word};

pub mod alu;
pub mod atomic;
pub mod call;
pub mod describe;
pub mod endian;
pub mod formula;
pub mod jump;
pub mod load_store;
pub mod mov;
pub mod muldiv;
pub mod packet;
pub mod shift;
pub mod table;
pub mod wide;

pub use alu::AluOp;
pub use atomic::AtomicOp;
pub use endian::Order;
pub use jump::Cond;
pub use muldiv::MulDivOp;
pub use packet::Mode;
pub use shift::ShiftOp;
pub use table::{Field, Fields, Group, Opcode, Row, Version};
pub use wide::Wide;

/// A BPF register. R0 holds results, R1 to R5 arguments, R6 to R9 survive calls, R10 is the read-only frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

impl Reg {
    /// All eleven, in order.
    pub const ALL: [Reg; 11] =
        [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R6, Reg::R7, Reg::R8, Reg::R9, Reg::R10];
    /// The argument registers of a call, in order.
    pub const ARGS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
    /// The frame pointer.
    pub const FP: Reg = Reg::R10;

    /// The register with this number; `None` above 10.
    pub fn from_number(number: u8) -> Option<Reg> {
        Reg::ALL.get(usize::from(number)).copied()
    }
    /// 0 to 10.
    #[inline(always)]
    pub fn number(self) -> u8 {
        self as u8
    }
    /// 0 to 10, to index with.
    #[inline(always)]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Reg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r{}", self.number())
    }
}

/// How many bits an arithmetic or jump instruction operates on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low half; results are zero-extended.
    W32,
    /// The whole register.
    W64,
}

/// Where the second operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `BPF_K`: the immediate, sign-extended for 64-bit operations.
    K,
    /// `BPF_X`: the source register.
    X,
}

/// The size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// 1 byte.
    B,
    /// 2 bytes.
    H,
    /// 4 bytes.
    W,
    /// 8 bytes.
    Dw,
}

impl Size {
    /// All four, ascending.
    pub const ALL: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];
    /// 1, 2, 4 or 8.
    #[inline(always)]
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::Dw => 8,
        }
    }
    /// 8, 16, 32 or 64.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.bytes() * 8
    }
}

/// What an instruction does, apart from the values of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `dst = dst op source` ([`alu`]).
    Alu {
        /// The operation.
        op: AluOp,
        /// Operand width.
        width: Width,
        /// The second operand.
        source: Source,
    },
    /// `dst = -dst` ([`alu`]).
    Neg {
        /// Operand width.
        width: Width,
    },
    /// `dst = dst shifted by source` ([`shift`]).
    Shift {
        /// The operation.
        op: ShiftOp,
        /// Operand width.
        width: Width,
        /// The amount.
        source: Source,
    },
    /// `dst = dst op source` ([`muldiv`]).
    MulDiv {
        /// The operation.
        op: MulDivOp,
        /// Operand width.
        width: Width,
        /// The second operand.
        source: Source,
    },
    /// `dst = source` ([`mov`]).
    Mov {
        /// Operand width.
        width: Width,
        /// The value moved.
        source: Source,
    },
    /// `dst = (signed)src` ([`mov`]).
    MovSx {
        /// What is moved: bytes from the low end.
        from: Size,
        /// Width of the result.
        width: Width,
    },
    /// `dst = bytes of dst in this order` ([`endian`]).
    Endian {
        /// The order.
        order: Order,
        /// Bytes from the low end; the rest becomes 0.
        size: Size,
    },
    /// `dst = constant of 64 bits`, two slots long ([`wide`]).
    Wide(Wide),
    /// The second slot of a wide instruction: never executed, never a jump target ([`wide`]).
    WideTail,
    /// `dst = *(size *)(src + off)` ([`load_store`]).
    Load {
        /// Bytes read; the value is zero-extended.
        size: Size,
    },
    /// `dst = *(signed size *)(src + off)` ([`load_store`]).
    LoadSx {
        /// Bytes read; the value is sign-extended.
        size: Size,
    },
    /// `*(size *)(dst + off) = source` ([`load_store`]).
    Store {
        /// Bytes written.
        size: Size,
        /// The value written.
        source: Source,
    },
    /// `*(size *)(dst + off) op= src` ([`atomic`]).
    Atomic {
        /// The operation.
        op: AtomicOp,
        /// Whether a register gets the old value.
        fetch: bool,
        /// Bytes: a word or a double word.
        size: Size,
    },
    /// `dst = load_acquire((size *)(src + off))` ([`atomic`]).
    LoadAcquire {
        /// Bytes read; the value is zero-extended.
        size: Size,
    },
    /// `store_release((size *)(dst + off), src)` ([`atomic`]).
    StoreRelease {
        /// Bytes written.
        size: Size,
    },
    /// `r0 = ntoh(*(size *)(packet + offset))` ([`packet`]).
    Packet {
        /// Where the offset comes from.
        mode: Mode,
        /// Bytes read; at most a word.
        size: Size,
    },
    /// `if dst cond source goto off` ([`jump`]).
    Jump {
        /// The condition.
        cond: Cond,
        /// Operand width.
        width: Width,
        /// The second operand.
        source: Source,
    },
    /// `goto off` ([`jump`]).
    Ja,
    /// `gotol imm`: a jump of 32 bits ([`jump`]).
    Gotol,
    /// `r0 = helper(r1, ..., r5)` ([`call`]).
    CallHelper,
    /// `r0 = subprogram(r1, ..., r5)`, the one at `imm` ([`call`]).
    CallLocal,
    /// `r0 = kernel_function(r1, ..., r5)` ([`call`]).
    CallKfunc,
    /// Leaves the function with the result in R0, the outermost one the program ([`call`]).
    Exit,
}

/// The families of instructions: a room has the same name on every floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Room {
    Alu,
    Shift,
    Muldiv,
    Mov,
    Endian,
    Wide,
    LoadStore,
    Atomic,
    Packet,
    Jump,
    Call,
}

impl Room {
    /// Every room of the table.
    pub const ALL: [Room; 11] = [
        Room::Alu,
        Room::Shift,
        Room::Muldiv,
        Room::Mov,
        Room::Endian,
        Room::Wide,
        Room::LoadStore,
        Room::Atomic,
        Room::Packet,
        Room::Jump,
        Room::Call,
    ];
    /// The name of the module and of the case file.
    pub const fn name(self) -> &'static str {
        match self {
            Room::Alu => "alu",
            Room::Shift => "shift",
            Room::Muldiv => "muldiv",
            Room::Mov => "mov",
            Room::Endian => "endian",
            Room::Wide => "wide",
            Room::LoadStore => "load_store",
            Room::Atomic => "atomic",
            Room::Packet => "packet",
            Room::Jump => "jump",
            Room::Call => "call",
        }
    }
}

impl Op {
    /// The family that it belongs to.
    pub const fn room(self) -> Room {
        match self {
            Op::Alu { .. } | Op::Neg { .. } => Room::Alu,
            Op::Shift { .. } => Room::Shift,
            Op::MulDiv { .. } => Room::Muldiv,
            Op::Mov { .. } | Op::MovSx { .. } => Room::Mov,
            Op::Endian { .. } => Room::Endian,
            Op::Wide(_) | Op::WideTail => Room::Wide,
            Op::Load { .. } | Op::LoadSx { .. } | Op::Store { .. } => Room::LoadStore,
            Op::Atomic { .. } | Op::LoadAcquire { .. } | Op::StoreRelease { .. } => Room::Atomic,
            Op::Packet { .. } => Room::Packet,
            Op::Jump { .. } | Op::Ja | Op::Gotol => Room::Jump,
            Op::CallHelper | Op::CallLocal | Op::CallKfunc | Op::Exit => Room::Call,
        }
    }
    /// Whether the source register is read.
    pub const fn reads_src(self) -> bool {
        match self {
            Op::Alu { source, .. }
            | Op::Shift { source, .. }
            | Op::MulDiv { source, .. }
            | Op::Mov { source, .. }
            | Op::Store { source, .. }
            | Op::Jump { source, .. } => matches!(source, Source::X),
            Op::Packet { mode, .. } => matches!(mode, Mode::Ind),
            Op::MovSx { .. }
            | Op::Load { .. }
            | Op::LoadSx { .. }
            | Op::Atomic { .. }
            | Op::LoadAcquire { .. }
            | Op::StoreRelease { .. } => true,
            Op::Neg { .. }
            | Op::Endian { .. }
            | Op::Wide(_)
            | Op::WideTail
            | Op::Ja
            | Op::Gotol
            | Op::CallHelper
            | Op::CallLocal
            | Op::CallKfunc
            | Op::Exit => false,
        }
    }
    /// Whether the source register is written.
    pub const fn writes_src(self) -> bool {
        matches!(self, Op::Atomic { op, fetch: true, .. } if !matches!(op, AtomicOp::Cmpxchg))
    }
    /// Whether the destination register is read.
    pub const fn reads_dst(self) -> bool {
        matches!(
            self,
            Op::Alu { .. }
                | Op::Neg { .. }
                | Op::Shift { .. }
                | Op::MulDiv { .. }
                | Op::Endian { .. }
                | Op::Store { .. }
                | Op::Atomic { .. }
                | Op::StoreRelease { .. }
                | Op::Jump { .. }
        )
    }
    /// Whether the destination register is written.
    pub const fn writes_dst(self) -> bool {
        matches!(
            self,
            Op::Alu { .. }
                | Op::Neg { .. }
                | Op::Shift { .. }
                | Op::MulDiv { .. }
                | Op::Mov { .. }
                | Op::MovSx { .. }
                | Op::Endian { .. }
                | Op::Wide(_)
                | Op::Load { .. }
                | Op::LoadSx { .. }
                | Op::LoadAcquire { .. }
        )
    }
    /// Whether it may lead to another place of the same function.
    pub const fn is_jump(self) -> bool {
        matches!(self, Op::Jump { .. } | Op::Ja | Op::Gotol)
    }
    /// Whether it names another subprogram by its distance.
    pub const fn names_subprogram(self) -> bool {
        matches!(self, Op::CallLocal | Op::Wide(Wide::Code))
    }
}

/// A decoded instruction. Registers are concrete in every world; immediates and offsets are words of the algebra.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Insn<A: Algebra = Concrete> {
    /// The row of the table.
    pub opcode: Opcode,
    /// Destination register.
    pub dst: Reg,
    /// Source register.
    pub src: Reg,
    /// Signed offset: bytes for accesses, slots for jumps.
    pub off: A::W16,
    /// Signed immediate; the low half of a wide one.
    pub imm: A::W32,
    /// The high half of a wide immediate, else 0.
    pub imm_hi: A::W32,
}

impl<A: Algebra> Insn<A> {
    /// An instruction with R0 and zeros for operands.
    pub fn new(opcode: Opcode) -> Self {
        Insn { opcode, dst: Reg::R0, src: Reg::R0, off: A::W16::lit(0), imm: A::W32::lit(0), imm_hi: A::W32::lit(0) }
    }
    /// What it does.
    #[inline(always)]
    pub fn op(&self) -> Op {
        self.opcode.op()
    }
    /// The 64-bit constant of a wide instruction.
    #[inline(always)]
    pub fn wide_imm(&self) -> A::W64 {
        A::zext(&self.imm).or(&A::zext(&self.imm_hi).shl(&A::W64::lit(u64::from(A::W32::BITS))))
    }
    /// The offset as a 64-bit distance in bytes.
    #[inline(always)]
    pub fn displacement(&self) -> A::W64 {
        self.off.sx()
    }
}

impl Insn {
    /// The same with this destination register.
    #[must_use]
    pub fn dst(mut self, dst: Reg) -> Self {
        self.dst = dst;
        self
    }
    /// The same with this source register.
    #[must_use]
    pub fn src(mut self, src: Reg) -> Self {
        self.src = src;
        self
    }
    /// The same with this offset.
    #[must_use]
    pub fn off(mut self, off: i16) -> Self {
        self.off = off as u16;
        self
    }
    /// The same with this immediate.
    #[must_use]
    pub fn imm(mut self, imm: i32) -> Self {
        self.imm = imm as u32;
        self
    }
    /// The same with this wide immediate.
    #[must_use]
    pub fn wide(mut self, value: u64) -> Self {
        (self.imm, self.imm_hi) = (value as u32, (value >> 32) as u32);
        self
    }
    /// Slots it takes: 2 for wide instructions, else 1.
    pub fn slots(&self) -> usize {
        if matches!(self.op(), Op::Wide(_)) { 2 } else { 1 }
    }
    /// The slot that the jump at slot `pc` leads to, or where the subprogram begins that an instruction there names.
    pub fn target(&self, pc: usize) -> i64 {
        let distance = match self.op() {
            Op::Gotol | Op::CallLocal | Op::Wide(Wide::Code) => i64::from(self.imm as i32),
            _ => i64::from(self.off as i16),
        };
        pc as i64 + 1 + distance
    }
}

/// Where control goes after an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow<F> {
    /// To the next instruction.
    Next,
    /// To the jump's target where the flag holds, else to the next instruction.
    Branch(F),
    /// Into the subprogram that the instruction names; its exit leads to the next instruction.
    Call,
    /// Into the program that a tail call has found, in the frame of this function, where the flag holds, else to the next
    /// instruction.
    Tail(F),
    /// Out of the function where the flag holds, else to the next instruction.
    Leave(F),
    /// Out of the function.
    Exit,
}

/// What instructions act on: registers, memory, and the outside of a helper call.
pub trait Machine<A: Algebra> {
    /// Why an access or a call could not be carried out.
    type Fault;
    /// The value of a register.
    fn reg(&self, reg: Reg) -> &A::W64;
    /// Replaces the value of a register.
    fn set_reg(&mut self, reg: Reg, value: A::W64);
    /// Reads `size` little-endian bytes, zero-extended.
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Self::Fault>;
    /// Writes the low `size` bytes of `value`, little-endian.
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Self::Fault>;
    /// Calls the helper with this number: arguments in R1 to R5, the result to R0; what R1 to R5 then hold is open. Whether
    /// it was a tail call that has found a program: then R1 keeps its value.
    fn call_helper(&mut self, id: &A::W32) -> Result<A::Flag, Self::Fault>;
    /// Calls the kernel function with this BTF number, in the same manner.
    fn call_kfunc(&mut self, id: &A::W32) -> Result<(), Self::Fault>;
    /// Reads `size` bytes of the packet that the context in R6 stands for, in network order, zero-extended; and whether
    /// they are there. `offset` is signed; Linux gives a meaning to some negative ones.
    fn load_packet(&mut self, size: Size, offset: &A::W32) -> Result<(A::W64, A::Flag), Self::Fault>;
    /// The address of the first value of the map with this index.
    fn map_value(&self, map: &A::W32) -> Result<A::W64, Self::Fault>;
    /// The address of the kernel's variable with this BTF number.
    fn variable(&self, id: &A::W32) -> Result<A::W64, Self::Fault>;
    /// What stands for the subprogram that begins so many slots behind the second slot of this instruction.
    fn code(&self, distance: &A::W32) -> Result<A::W64, Self::Fault>;
}

/// The meaning of one instruction.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(insn: &Insn<A>, machine: &mut M) -> Result<Flow<A::Flag>, M::Fault> {
    exec_op(insn.op(), insn, machine)
}

/// The meaning of `insn`, whose operation is `op`: apart, so that a dispatcher that knows it passes a constant and the match folds away.
#[inline(always)]
pub fn exec_op<A: Algebra, M: Machine<A>>(op: Op, insn: &Insn<A>, machine: &mut M) -> Result<Flow<A::Flag>, M::Fault> {
    match op {
        Op::Alu { op, width, source } => alu::exec(op, width, source, insn, machine),
        Op::Neg { width } => alu::exec_neg(width, insn, machine),
        Op::Shift { op, width, source } => shift::exec(op, width, source, insn, machine),
        Op::MulDiv { op, width, source } => muldiv::exec(op, width, source, insn, machine),
        Op::Mov { width, source } => mov::exec(width, source, insn, machine),
        Op::MovSx { from, width } => mov::exec_sx(from, width, insn, machine),
        Op::Endian { order, size } => endian::exec(order, size, insn, machine),
        Op::Wide(kind) => wide::exec(kind, insn, machine)?,
        Op::Load { size } => return load_store::exec_load(size, insn, machine),
        Op::LoadSx { size } => return load_store::exec_load_sx(size, insn, machine),
        Op::Store { size, source } => return load_store::exec_store(size, source, insn, machine),
        Op::Atomic { op, fetch, size } => return atomic::exec(op, fetch, size, insn, machine),
        Op::LoadAcquire { size } => return atomic::exec_load_acquire(size, insn, machine),
        Op::StoreRelease { size } => return atomic::exec_store_release(size, insn, machine),
        Op::Packet { mode, size } => return packet::exec(mode, size, insn, machine),
        Op::Jump { cond, width, source } => return Ok(jump::exec(cond, width, source, insn, machine)),
        Op::Ja | Op::Gotol => return Ok(jump::exec_always::<A>()),
        Op::CallHelper => return call::exec_helper(insn, machine),
        Op::CallKfunc => return call::exec_kfunc(insn, machine),
        Op::CallLocal => return Ok(call::exec_local::<A>()),
        // A validated program never reaches the tail: `Program::new` refuses jumps to it.
        Op::Exit | Op::WideTail => return Ok(Flow::Exit),
    }
    Ok(Flow::Next)
}

/// The second operand of a 64-bit operation.
#[inline(always)]
fn operand64<A: Algebra, M: Machine<A>>(source: Source, insn: &Insn<A>, machine: &M) -> A::W64 {
    match source {
        Source::K => A::sext(&insn.imm),
        Source::X => machine.reg(insn.src).clone(),
    }
}

/// The second operand of a 32-bit operation.
#[inline(always)]
fn operand32<A: Algebra, M: Machine<A>>(source: Source, insn: &Insn<A>, machine: &M) -> A::W32 {
    match source {
        Source::K => insn.imm.clone(),
        Source::X => A::low(machine.reg(insn.src)),
    }
}
