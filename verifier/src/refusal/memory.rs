//! Refusals of accesses to memory, of what is loaded and returned: beside those of [`Refusal`](super::Refusal).

use super::{Bits, Edge, plus, upper};
use crate::state::Type;
use semantics::insn::Reg;

/// The reason, whose text is the line that Linux logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum MemoryRefusal {
    #[error("misaligned packet access off 2+{var_off}{}+{off} size {size}", plus(*fixed))]
    MisalignedPacket { reg: Reg, var_off: Bits, fixed: Option<i32>, off: i32, size: u32 },
    #[error("misaligned {what}access off {var_off}{}+{off} size {size}", plus(*fixed))]
    Misaligned { reg: Reg, what: &'static str, var_off: Bits, fixed: Option<i32>, off: i32, size: u32 },
    #[error("write to change key {} not allowed", upper(*reg))]
    KeyWrite { reg: Reg },
    #[error("{} cannot write into {kind}", upper(*reg))]
    NotWritable { reg: Reg, kind: Type },
    #[error(
        "invalid access to map key, key_size={key_size} off={off} size={size}\n{} {edge} value is outside of the allowed memory range",
        upper(*reg)
    )]
    KeyBounds { reg: Reg, key_size: u32, off: i32, size: i64, edge: Edge },
    #[error(
        "invalid access to memory, mem_size={mem_size} off={off} size={size}\n{} {edge} value is outside of the allowed memory range",
        upper(*reg)
    )]
    MemBounds { reg: Reg, mem_size: u32, off: i32, size: i64, edge: Edge },
    #[error("invalid access to flow keys off={off} size={size}")]
    FlowKeys { reg: Reg, off: i32, size: u32 },
    #[error("{} invalid {kind} access off={off} size={size}", upper(*reg))]
    Socket { reg: Reg, kind: Type, off: i32, size: u32 },
    #[error("{} invalid {what} buffer access: off={off}, size={size}", upper(*reg))]
    Buffer { reg: Reg, what: &'static str, off: i32, size: i64 },
    #[error("{} invalid variable buffer offset: off={off}, var_off={var_off}", upper(*reg))]
    BufferOffset { reg: Reg, off: i32, var_off: Bits },
    #[error("{} is ptr_{object} invalid variable offset: off={off}, var_off={var_off}", upper(*reg))]
    ObjectOffset { reg: Reg, object: &'static str, off: i32, var_off: Bits },
    #[error("{} is ptr_{object} invalid negative access: off={off}", upper(*reg))]
    ObjectNegative { reg: Reg, object: &'static str, off: i32 },
    #[error("{} is ptr_{object} access {memory} memory: off={off}", upper(*reg))]
    ObjectMemory { reg: Reg, object: &'static str, memory: &'static str, off: i32 },
    #[error("only read is supported")]
    ObjectWrite { reg: Reg },
    #[error("cannot access ptr member {member} with moff {start} in struct {object} with off {off} size {size}")]
    PointerMember { reg: Reg, member: &'static str, start: u32, object: &'static str, off: u32, size: u32 },
    #[error("access beyond struct {object} at off {off} size {size}")]
    BeyondObject { reg: Reg, object: &'static str, off: u32, size: u32 },
    #[error("access beyond the end of member {member} (mend:{end}) in struct {object} with off {off} size {size}")]
    BeyondMember { reg: Reg, member: &'static str, end: u32, object: &'static str, off: u32, size: u32 },
    #[error("{field} cannot be accessed directly by load/store")]
    ManagedField { reg: Reg, field: &'static str },
    #[error("kptr cannot be accessed indirectly by helper")]
    KptrByHelper { reg: Reg },
    #[error("kptr access cannot have variable offset")]
    KptrOffset { reg: Reg },
    #[error("kptr access misaligned expected={expected} off={off}")]
    KptrMisaligned { reg: Reg, expected: u32, off: i64 },
    #[error("kptr access size must be BPF_DW")]
    KptrSize { reg: Reg },
    #[error("kptr in map can only be accessed using BPF_MEM instruction mode")]
    KptrMode { reg: Reg },
    #[error("store to referenced kptr disallowed")]
    KptrStore { reg: Reg },
    #[error("BPF_ST imm must be 0 when storing to kptr at off={off}")]
    KptrImmediate { reg: Reg, off: u32 },
    #[error("invalid kptr access, {} type={kind}{name} expected=ptr_{expected}{}", upper(*reg), or_untrusted(*referenced, expected))]
    KptrType { reg: Reg, kind: Type, name: &'static str, expected: &'static str, referenced: bool },
    #[error("cannot spill pointers to stack into stack frame of the caller")]
    CallersStack { reg: Reg },
    #[error("invalid read from stack off {off}+{at} size {size}")]
    StackRead { reg: Reg, off: i64, at: i64, size: u32 },
    #[error("invalid{indirect} read from stack {} off {off}+{at} size {size}", upper(*reg))]
    StackBytes { reg: Reg, indirect: &'static str, off: i64, at: i64, size: i64 },
    #[error("invalid{indirect} read from stack {} var_off {var_off}+{at} size {size}", upper(*reg))]
    StackBytesSomewhere { reg: Reg, indirect: &'static str, var_off: Bits, at: i64, size: i64 },
    #[error(
        "variable offset stack pointer cannot be passed into helper function; var_off={var_off} off={off} size={size}"
    )]
    StackSomewhere { reg: Reg, var_off: Bits, off: i32, size: u32 },
    #[error("invalid zero-sized read")]
    ZeroSized { reg: Reg },
    #[error("loading from a read-only map that has several elements is not supported")]
    ConstantOfMany { reg: Reg },
    #[error("BPF_LD_[ABS|IND] instructions not allowed for this program type")]
    PacketLoad,
    #[error("BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region")]
    PacketLoadLocked,
    #[error("BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region")]
    ExitLocked,
    #[error("at the time of BPF_LD_ABS|IND R6 != pointer to skb")]
    PacketLoadContext,
    #[error("Unreleased reference id={id} alloc_insn={insn}{}", Then(then))]
    Leak { id: u32, insn: usize, then: &'static str },
    #[error("At {place} the register R0 is not a {expected} value ({kind})")]
    Returned { place: &'static str, expected: &'static str, kind: Type },
    #[error("In async callback the register R0 is not a known value ({kind})")]
    ReturnedLater { kind: Type },
    #[error("callback function cannot be the main program")]
    MainAsCallback,
    #[error("func '{function}' size {size} must be 8\ninvalid bpf_context access off={off} size={size}")]
    PartOfPointer { reg: Reg, function: &'static str, off: i64, size: u32 },
}

/// A second line, if there is one.
struct Then(&'static str);

impl std::fmt::Display for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "\n{}", self.0) }
    }
}

/// What else such a field takes.
fn or_untrusted(referenced: bool, expected: &str) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| if referenced { Ok(()) } else { write!(f, " or untrusted_ptr_{expected}") })
}

impl MemoryRefusal {
    /// The register that it is about.
    pub fn register(&self) -> Option<Reg> {
        use MemoryRefusal as M;
        match *self {
            M::MisalignedPacket { reg, .. }
            | M::Misaligned { reg, .. }
            | M::KeyWrite { reg }
            | M::NotWritable { reg, .. }
            | M::KeyBounds { reg, .. }
            | M::MemBounds { reg, .. }
            | M::FlowKeys { reg, .. }
            | M::Socket { reg, .. }
            | M::Buffer { reg, .. }
            | M::BufferOffset { reg, .. }
            | M::ObjectOffset { reg, .. }
            | M::ObjectNegative { reg, .. }
            | M::ObjectMemory { reg, .. }
            | M::ObjectWrite { reg }
            | M::PointerMember { reg, .. }
            | M::BeyondObject { reg, .. }
            | M::BeyondMember { reg, .. }
            | M::ManagedField { reg, .. }
            | M::KptrByHelper { reg }
            | M::KptrOffset { reg }
            | M::KptrMisaligned { reg, .. }
            | M::KptrSize { reg }
            | M::KptrMode { reg }
            | M::KptrStore { reg }
            | M::KptrImmediate { reg, .. }
            | M::KptrType { reg, .. }
            | M::CallersStack { reg }
            | M::StackRead { reg, .. }
            | M::StackBytes { reg, .. }
            | M::StackBytesSomewhere { reg, .. }
            | M::StackSomewhere { reg, .. }
            | M::ZeroSized { reg }
            | M::ConstantOfMany { reg }
            | M::PartOfPointer { reg, .. } => Some(reg),
            M::Returned { .. } | M::ReturnedLater { .. } => Some(Reg::R0),
            M::PacketLoadContext => Some(Reg::R6),
            M::PacketLoad | M::PacketLoadLocked | M::ExitLocked | M::Leak { .. } | M::MainAsCallback => None,
        }
    }

    /// What it means and what to do, in a sentence or two.
    #[allow(clippy::too_many_lines)] // a table, a line per refusal
    pub fn explanation(&self) -> String {
        use MemoryRefusal as M;
        match *self {
            M::MisalignedPacket { size, .. } => format!(
                "The program is to run where accesses must be aligned, and packets begin 2 bytes behind a multiple of 4: {size} bytes there are not aligned."
            ),
            M::Misaligned { size, .. } => {
                format!("This access of {size} bytes needs an address that is a multiple of {size}.")
            }
            M::KeyWrite { .. } => "A key says where its element lies, so it never changes.".to_owned(),
            M::NotWritable { reg, kind } => format!("{reg} is a {kind}, which programs only read."),
            M::KeyBounds { key_size: len, off, size, .. } | M::MemBounds { mem_size: len, off, size, .. } => {
                format!("{size} bytes at offset {off} do not lie inside the {len} bytes that there are.")
            }
            M::FlowKeys { off, size, .. } => format!("{size} bytes at offset {off} do not lie inside the flow keys."),
            M::Socket { kind, off, size, .. } => {
                format!("A {kind} has no field at byte {off} that may be read {size} bytes at a time.")
            }
            M::Buffer { off, .. } => format!("Byte {off} lies before the buffer."),
            M::BufferOffset { .. } | M::ObjectOffset { .. } | M::KptrOffset { .. } => {
                "Only constant offsets are possible here.".to_owned()
            }
            M::ObjectNegative { off, .. } => format!("Byte {off} lies before the object."),
            M::ObjectMemory { memory, .. } => {
                format!("The pointer leads into {memory} memory, which only helpers read.")
            }
            M::ObjectWrite { .. } => "Objects of the kernel are only read.".to_owned(),
            M::PointerMember { member, .. } => format!("{member} is a pointer: load it whole, from its first byte."),
            M::BeyondObject { object, off, size, .. } => {
                format!("{size} bytes at offset {off} do not lie inside a struct {object}.")
            }
            M::BeyondMember { member, .. } => format!("The access begins in {member} and ends behind it."),
            M::ManagedField { field, .. } => format!("{field} belongs to the kernel: only its helpers touch it."),
            M::KptrByHelper { .. } => "The helper would see a pointer of the kernel as bytes.".to_owned(),
            M::KptrMisaligned { .. } | M::KptrSize { .. } => {
                "A pointer in a map is accessed whole: 8 bytes at its own offset.".to_owned()
            }
            M::KptrMode { .. } => "A pointer in a map has no atomic operations; use bpf_kptr_xchg.".to_owned(),
            M::KptrStore { .. } => "A pointer that holds a reference changes by bpf_kptr_xchg only.".to_owned(),
            M::KptrImmediate { .. } => "Only 0 may be stored as an immediate.".to_owned(),
            M::KptrType { expected, .. } => format!("The map's value takes a pointer to a {expected} there."),
            M::CallersStack { .. } => {
                "The address would lead into a frame that is gone when the function has returned.".to_owned()
            }
            M::StackRead { .. } | M::StackBytes { .. } | M::StackBytesSomewhere { .. } => {
                "Some of these bytes of the stack hold nothing that may be read.".to_owned()
            }
            M::StackSomewhere { .. } => "The place in the stack must be a constant here.".to_owned(),
            M::ZeroSized { .. } => "Nothing would be read.".to_owned(),
            M::ConstantOfMany { .. } => {
                "A frozen map that programs only read has constants for values, but only where it has one element."
                    .to_owned()
            }
            M::PacketLoad => "Only socket filters, classifiers and actions have legacy packet loads.".to_owned(),
            M::PacketLoadLocked => {
                "The load may end the program, and the lock would stay. Release it before.".to_owned()
            }
            M::ExitLocked => "On this path the spin lock is still held at the end.".to_owned(),
            M::PartOfPointer { .. } => "A part of an address is none: load all 8 bytes.".to_owned(),
            M::PacketLoadContext => "Legacy packet loads take the context from r6.".to_owned(),
            M::Leak { insn, .. } => {
                format!("On this path what instruction {insn} acquired is not released before the end.")
            }
            M::Returned { kind, .. } | M::ReturnedLater { kind } => {
                format!("The result must be a number, but r0 is a {kind}.")
            }
            M::MainAsCallback => "Only functions behind the program's own code can be called back.".to_owned(),
        }
    }
}
