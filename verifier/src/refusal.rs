//! Why a program is rejected: in the kernel's words for searching, in plain ones for reading.

use crate::returns::{shown_bits, shown_bounds};
use crate::state::Type;
use crate::tnum::Tnum;
use semantics::insn::{Field, Op, Opcode, Reg, Size};
use semantics::map::MapType;

mod call;
mod explanation;
mod load;
mod memory;

pub use call::{CallRefusal, Expected, Member, Name};
pub use load::LoadRefusal;
pub use memory::MemoryRefusal;

/// Reading or writing, as messages say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// ` read from`
    Read,
    /// ` write to`
    Write,
    /// ` indirect access to`: by a helper.
    Helper,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Way::Read => " read from",
            Way::Write => " write to",
            Way::Helper => " indirect access to",
        })
    }
}

/// The reason, whose text is the line that Linux logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error("unreachable insn {insn}")]
    Unreachable { insn: usize },
    #[error("{}", unknown_to_older(*opcode))]
    TooNew { insn: usize, opcode: Opcode },
    #[error("back-edge from insn {from} to {to}")]
    BackEdge { from: usize, to: usize },
    #[error("infinite loop detected at insn {insn}")]
    InfiniteLoop { insn: usize },
    #[error("BPF program is too large. Processed {processed} insn")]
    TooLarge { processed: u32 },
    #[error("The sequence of {jumps} jumps is too complex.")]
    TooManyJumps { jumps: usize },
    #[error("the call stack of {frames} frames is too deep")]
    TooManyFrames { frames: usize },
    #[error("the call stack of {frames} frames is too deep !")]
    CallStack { frames: usize },
    #[error("combined stack size of {frames} calls is {depth}. Too large")]
    CombinedStack { frames: usize, depth: u32 },
    #[error("tail_calls are not allowed when call stack of previous frames is {depth} bytes. Too large")]
    TailCallDepth { depth: u32 },
    #[error("cannot return stack pointer to the caller")]
    ReturnsStack,
    #[error("At {place} the register R0 has {} should have been in {}", shown_bits(var_off), bits(range))]
    ResultBits { place: &'static str, var_off: Tnum<u64>, range: Tnum<u64> },
    #[error("At {place} the register R0 has{} should have been in [{min}, {max}]", shown_bounds(*smin, *smax))]
    ResultBounds { place: &'static str, smin: i64, smax: i64, min: i32, max: i32 },
    #[error("R0 not a scalar value")]
    CallbackResult,
    #[error("function calls are not allowed while holding a lock")]
    CallUnderLock,
    #[error("bpf_spin_unlock is missing")]
    UnlockMissing,
    #[error("{} !read_ok", upper(*reg))]
    NotReadable { reg: Reg },
    #[error("frame pointer is read only")]
    FramePointer,
    #[error("{} invalid mem access '{kind}'", upper(*reg))]
    NoMemory { reg: Reg, kind: Type },
    #[error("invalid bpf_context access off={off} size={size}")]
    Context { reg: Reg, off: i64, size: u32 },
    #[error("negative offset {kind} ptr {} off={off} disallowed", upper(*reg))]
    NegativeOffset { reg: Reg, kind: Type, off: i32 },
    #[error("variable {kind} access var_off={var_off} disallowed")]
    VariableOffset { reg: Reg, kind: Type, var_off: Bits },
    #[error("dereference of modified {kind} ptr {} off={off} disallowed", upper(*reg))]
    ModifiedPointer { reg: Reg, kind: Type, off: i32 },
    #[error("BPF_ST stores into {} {kind} is not allowed", upper(*reg))]
    ImmediateToContext { reg: Reg, kind: Type },
    #[error("only read from {object} is supported")]
    OnlyRead { reg: Reg, object: &'static str },
    #[error("{} is {object} invalid negative access: off={off}", upper(*reg))]
    NegativeAccess { reg: Reg, object: &'static str, off: i32 },
    #[error("misaligned stack access off {var_off}{}+{off} size {size}", plus(*fixed))]
    MisalignedStack { reg: Reg, var_off: Bits, fixed: Option<i32>, off: i32, size: u32 },
    #[error("invalid{way} stack {} off={off} size={size}", upper(*reg))]
    StackBounds { reg: Reg, way: Way, off: i64, size: i64 },
    #[error("invalid variable-offset{way} stack {} var_off={var_off}{} size={size}", upper(*reg), with_off(*off))]
    VariableStackBounds { reg: Reg, way: Way, var_off: Bits, off: Option<i32>, size: i64 },
    #[error("invalid unbounded variable-offset{way} stack {}", upper(*reg))]
    UnboundedStack { reg: Reg, way: Way },
    #[error("invalid size of register spill")]
    SpillSize { reg: Reg },
    #[error("invalid size of register fill")]
    FillSize { reg: Reg },
    #[error("cannot write into packet")]
    PacketWrite { reg: Reg },
    #[error(
        "invalid access to packet, off={off} size={size}, {}(id={id},off={off},r={range})\n{0} offset is outside of the packet",
        upper(*reg)
    )]
    PacketBounds { reg: Reg, off: i64, size: i64, id: u32, range: i32 },
    #[error(
        "invalid access to packet, off={off} size={size}, {}(id={id},off={off},r={range})\n{0} {edge} value is outside of the allowed memory range",
        upper(*reg)
    )]
    PacketRegion { reg: Reg, off: i64, size: i64, id: u32, range: i64, edge: Edge },
    #[error("{} offset is outside of the packet", upper(*reg))]
    PacketEnd { reg: Reg },
    #[error("invalid access to map value, value_size={value_size} off={off} size={size}\n{} {edge} value is outside of the allowed memory range", upper(*reg))]
    MapBounds { reg: Reg, value_size: u32, off: i64, size: i64, edge: Edge },
    #[error(
        "{} min value is negative, either use unsigned index or do a if (index >=0) check.",
        upper(*reg)
    )]
    NegativeIndex { reg: Reg },
    #[error("{} unbounded memory access, make sure to bounds check any such access", upper(*reg))]
    Unbounded { reg: Reg },
    #[error("{} map forbidden, value_size={value_size} off={off} size={size}", if *write { "write into" } else { "read from" })]
    MapRights { reg: Reg, write: bool, value_size: u32, off: i64, size: i64 },
    #[error("same insn cannot be used with different pointers")]
    DifferentPointers { reg: Reg },
    #[error("write into map forbidden")]
    HelperMapWrite { reg: Reg },
    #[error("{words}")]
    NoProgArray { reg: Reg, map_type: MapType, words: &'static str },
    #[error("cannot pass map_type {} into func bpf_{name}#{id}", map_type.id())]
    HelperMapType { reg: Reg, map_type: MapType, name: &'static str, id: u32 },
    #[error("{} 32-bit pointer arithmetic prohibited", upper(*reg))]
    Pointer32 { reg: Reg },
    #[error("{} pointer arithmetic on {kind} prohibited, null-check it first", upper(*reg))]
    NullCheckFirst { reg: Reg, kind: Type },
    #[error("{} pointer arithmetic on {kind} prohibited", upper(*reg))]
    PointerArithmetic { reg: Reg, kind: Type },
    #[error("{} tried to subtract pointer from scalar", upper(*reg))]
    SubtractPointer { reg: Reg },
    #[error("{} subtraction from stack pointer prohibited", upper(*reg))]
    SubtractFromStack { reg: Reg },
    #[error("{} bitwise operator {operator} on pointer prohibited", upper(*reg))]
    Bitwise { reg: Reg, operator: &'static str },
    #[error("{} pointer arithmetic with {operator} operator prohibited", upper(*reg))]
    PointerOperator { reg: Reg, operator: &'static str },
    #[error("invalid shift {amount}")]
    Shift { amount: i32 },
    #[error("div by zero")]
    DivisionByZero,
    #[error("BPF_ATOMIC {way} {} {kind} is not allowed", upper(*reg))]
    AtomicMemory { reg: Reg, kind: Type, way: &'static str },
    #[error("{} pointer {operator} pointer prohibited", upper(*reg))]
    TwoPointers { reg: Reg, operator: &'static str },
    #[error("math between {kind} pointer and {value} is not allowed")]
    OffsetConstant { reg: Reg, kind: Type, value: i64 },
    #[error("{kind} pointer offset {off} is not allowed")]
    OffsetFixed { reg: Reg, kind: Type, off: i64 },
    #[error("math between {kind} pointer and register with unbounded min value is not allowed")]
    OffsetUnbounded { reg: Reg, kind: Type },
    #[error("value {value} makes {kind} pointer be out of bounds")]
    OffsetRange { reg: Reg, kind: Type, value: i64 },
    #[error("invalid func unknown#{id}")]
    InvalidHelper { id: i32 },
    #[error("{words} bpf_{name}#{id}")]
    ClosedHelper { words: &'static str, name: &'static str, id: u32 },
    #[error("cannot call GPL-restricted function from non-GPL compatible program")]
    GplOnly { name: &'static str },
    #[error("helper call might sleep in a non-sleepable prog")]
    Sleeps { name: &'static str },
    #[error("helper access to the packet is not allowed")]
    HelperPacket { reg: Reg },
    #[error("{} type={kind} expected={expected}", upper(*reg))]
    ArgumentType { reg: Reg, kind: Type, expected: &'static str },
    #[error(transparent)]
    Memory(#[from] MemoryRefusal),
    #[error(transparent)]
    Load(#[from] LoadRefusal),
    /// A call's.
    #[error(transparent)]
    Call(#[from] CallRefusal),
}

/// Which end of an index's range is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Edge {
    Min,
    Max,
}

impl std::fmt::Display for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Edge::Min => "min",
            Edge::Max => "max",
        })
    }
}

fn upper(reg: Reg) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| write!(f, "R{}", reg.number()))
}

/// Known bits as a message shows them (`tnum_strn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// The bits.
    pub tnum: Tnum<u64>,
    /// What is known whole is shown so.
    pub constant: Constant,
}

/// How messages show bits that are all known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Constant {
    /// Like others.
    Bits,
    /// As a number, which has no sign.
    Unsigned,
    /// As a number with a sign.
    Signed,
}

impl std::fmt::Display for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tnum { value, mask } = self.tnum;
        let is_small = i16::try_from(value as i64).is_ok();
        if mask != 0 || self.constant == Constant::Bits {
            bits(&self.tnum).fmt(f)
        } else if u16::try_from(value).is_ok() {
            write!(f, "{value}")
        } else if self.constant == Constant::Signed && is_small {
            write!(f, "{}", value as i64)
        } else {
            write!(f, "{value:#x}")
        }
    }
}

/// An offset behind others, in versions that have it.
fn plus(off: Option<i32>) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| off.map_or(Ok(()), |off| write!(f, "+{off}")))
}

fn with_off(off: Option<i32>) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| off.map_or(Ok(()), |off| write!(f, " off={off}")))
}

/// Known bits as the kernel prints them.
pub(crate) fn bits(tnum: &Tnum<u64>) -> impl std::fmt::Display {
    let Tnum { value, mask } = *tnum;
    std::fmt::from_fn(move |f| write!(f, "({value:#x}; {mask:#x})"))
}

/// What a Linux before an instruction's time says to it: to some of them the code is none, to others a field is in use.
fn unknown_to_older(opcode: Opcode) -> impl std::fmt::Display {
    let row = opcode.row();
    std::fmt::from_fn(move |f| match (row.op, row.fields.imm) {
        (Op::LoadSx { .. }, _) => f.write_str("BPF_LDX uses reserved fields"),
        (Op::MovSx { .. }, _) => f.write_str("BPF_MOV uses reserved fields"),
        (Op::MulDiv { .. }, _) => f.write_str("BPF_ALU uses reserved fields"),
        (
            Op::LoadAcquire { size: Size::W | Size::Dw } | Op::StoreRelease { size: Size::W | Size::Dw },
            Field::Only(imm),
        ) => {
            write!(f, "BPF_ATOMIC uses invalid atomic opcode {imm:02x}")
        }
        _ => write!(f, "unknown opcode {:02x}", row.code),
    })
}

impl Refusal {
    /// The register that it is about.
    pub fn register(&self) -> Option<Reg> {
        use Refusal as R;
        match *self {
            R::Call(ref refusal) => refusal.register(),
            R::Unreachable { .. }
            | R::BackEdge { .. }
            | R::TooNew { .. }
            | R::InfiniteLoop { .. }
            | R::TooLarge { .. }
            | R::TooManyJumps { .. }
            | R::TooManyFrames { .. }
            | R::CallStack { .. }
            | R::CombinedStack { .. }
            | R::TailCallDepth { .. }
            | R::ReturnsStack
            | R::CallUnderLock
            | R::ResultBits { .. }
            | R::ResultBounds { .. }
            | R::CallbackResult
            | R::UnlockMissing
            | R::InvalidHelper { .. }
            | R::ClosedHelper { .. }
            | R::GplOnly { .. }
            | R::Sleeps { .. }
            | R::Shift { .. }
            | R::DivisionByZero
            | R::Load(_) => None,
            R::FramePointer => Some(Reg::FP),
            R::Memory(ref refusal) => refusal.register(),
            R::NotReadable { reg }
            | R::NoMemory { reg, .. }
            | R::Context { reg, .. }
            | R::NegativeOffset { reg, .. }
            | R::VariableOffset { reg, .. }
            | R::ModifiedPointer { reg, .. }
            | R::ImmediateToContext { reg, .. }
            | R::OnlyRead { reg, .. }
            | R::NegativeAccess { reg, .. }
            | R::MisalignedStack { reg, .. }
            | R::StackBounds { reg, .. }
            | R::VariableStackBounds { reg, .. }
            | R::UnboundedStack { reg, .. }
            | R::SpillSize { reg }
            | R::FillSize { reg }
            | R::PacketWrite { reg }
            | R::PacketBounds { reg, .. }
            | R::PacketRegion { reg, .. }
            | R::PacketEnd { reg }
            | R::MapBounds { reg, .. }
            | R::NegativeIndex { reg }
            | R::Unbounded { reg }
            | R::MapRights { reg, .. }
            | R::HelperMapWrite { reg }
            | R::NoProgArray { reg, .. }
            | R::HelperMapType { reg, .. }
            | R::DifferentPointers { reg }
            | R::Pointer32 { reg }
            | R::NullCheckFirst { reg, .. }
            | R::PointerArithmetic { reg, .. }
            | R::SubtractPointer { reg }
            | R::SubtractFromStack { reg }
            | R::Bitwise { reg, .. }
            | R::PointerOperator { reg, .. }
            | R::AtomicMemory { reg, .. }
            | R::TwoPointers { reg, .. }
            | R::OffsetConstant { reg, .. }
            | R::OffsetFixed { reg, .. }
            | R::OffsetUnbounded { reg, .. }
            | R::OffsetRange { reg, .. }
            | R::HelperPacket { reg }
            | R::ArgumentType { reg, .. } => Some(reg),
        }
    }
}

/// Something that programs may do and that is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// An argument whose rules are not known: a type of the kernel that is not there.
    #[error("argument {number} of helper {name} is of a kind that is not modelled")]
    Argument {
        /// The helper.
        name: &'static str,
        /// Counted from 1.
        number: u8,
    },
    /// A result of a type of the kernel that is not there.
    #[error("the result of helper {name} is of a kind that is not modelled")]
    Result {
        /// The helper.
        name: &'static str,
    },
    /// An instruction that is not followed.
    #[error("the verifier does not have the instruction {name}")]
    Insn {
        /// Name of the row in the instruction table.
        name: &'static str,
    },
    /// A map of a type, or with a property, without a meaning.
    #[error(transparent)]
    Map(semantics::trap::Unsupported),
    /// Something that the program says at its load and that changes rules which are not known.
    #[error("load property {0} is not modelled")]
    Load(&'static str),
    /// A program of a type whose rules are not known.
    #[error("programs of type {0} are not modelled")]
    ProgramType(semantics::program_type::ProgramType),
    /// A read of a field of the context that yields a pointer to an object of the kernel.
    #[error("what the field {field} of {context} points to is not modelled")]
    ContextField {
        /// The structure.
        context: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A place in an object of the kernel that the world's types do not have.
    #[error("what lies there in struct {0} is not modelled")]
    Object(&'static str),
    /// A pointer in a map to something that the world does not have.
    #[error("what a pointer in the map leads to is not modelled")]
    Kptr,
    /// A read of the kernel's map structure.
    #[error("reading {0} is not modelled")]
    MapStructure(&'static str),
}

/// Why a path cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The kernel would refuse it.
    Refused(Refusal),
    /// Not modelled.
    Unsupported(Unsupported),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}
impl From<MemoryRefusal> for Stop {
    fn from(refusal: MemoryRefusal) -> Stop {
        Stop::Refused(refusal.into())
    }
}
impl From<LoadRefusal> for Stop {
    fn from(refusal: LoadRefusal) -> Stop {
        Stop::Refused(refusal.into())
    }
}
impl From<Unsupported> for Stop {
    fn from(unsupported: Unsupported) -> Stop {
        Stop::Unsupported(unsupported)
    }
}

impl From<CallRefusal> for Stop {
    fn from(refusal: CallRefusal) -> Stop {
        Stop::Refused(refusal.into())
    }
}
