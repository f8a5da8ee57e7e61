//! Refusals in plain words: what they mean, and what to do.

use super::Refusal;
use crate::state::{Flags, Kind};
use semantics::insn::Reg;

impl Refusal {
    /// What it means and what to do, in a sentence or two.
    #[allow(clippy::too_many_lines)] // a table, a line per refusal
    pub fn explanation(&self) -> String {
        use Refusal as R;
        match *self {
            R::BackEdge { from, to } => format!(
                "Instruction {from} leads back to {to} without a jump: Linux before 6.8 takes loops only where a jump goes back."
            ),
            R::Unreachable { insn } => format!("No path leads to instruction {insn}; dead code has to be removed."),
            R::TooNew { insn, opcode } => format!(
                "Instruction {insn}, {}, came with Linux {}; compile for an older `-mcpu`, or choose a newer dialect.",
                opcode.row().name,
                opcode.op().since()
            ),
            R::InfiniteLoop { insn } => format!(
                "Instruction {insn} is reached again with nothing changed, so the loop would never end. Make something that ends it change in every round."
            ),
            R::TooLarge { processed } => format!(
                "Following all paths took {processed} steps, the most that is allowed. Shorten loops or join paths earlier."
            ),
            R::TooManyJumps { jumps } => {
                format!("After {jumps} undecided jumps in a row no path has come to its end. Shorten loops.")
            }
            R::TooManyFrames { .. } | R::CallStack { .. } => {
                "Calls may be nested 8 frames deep, the program itself included.".to_owned()
            }
            R::CombinedStack { depth, .. } => format!(
                "The frames of a chain of calls take {depth} bytes together; all of them have 512 bytes."
            ),
            R::TailCallDepth { .. } => {
                "A function that makes tail calls may only be called while its callers use less than 256 bytes of stack.".to_owned()
            }
            R::ReturnsStack => "The address would lead into a frame that is gone.".to_owned(),
            R::ResultBits { .. } | R::ResultBounds { .. } => {
                "The result may be one that has no meaning here. Return a constant, or bound what is returned.".to_owned()
            }
            R::CallbackResult => "A callback has to return a number.".to_owned(),
            R::CallUnderLock => "Release the spin lock before calling a function.".to_owned(),
            R::UnlockMissing => "On this path the spin lock is still held at the end.".to_owned(),
            R::NotReadable { reg } => {
                format!("{reg} is read, but on this path nothing was ever written to it (a call clears r1 to r5).")
            }
            R::FramePointer => {
                "r10 is the frame pointer and never changes; copy it to another register and change that.".to_owned()
            }
            R::NoMemory { reg, kind } if kind.kind == Kind::Scalar => format!("{reg} is used as an address but holds a number."),
            R::NoMemory { reg, kind } if kind.flags.any(Flags::MAYBE_NULL) => {
                format!("{reg} may be null. Compare it with 0 first.")
            }
            R::NoMemory { reg, kind } => format!("{reg} is a {kind}, which does not give access to memory."),
            R::Context { off, size, .. } => format!(
                "The context has no field at byte {off} that programs of this type may access {size} bytes at a time in this way."
            ),
            R::NegativeOffset { reg, off, .. } => {
                format!("{reg} points {} bytes before its object.", off.unsigned_abs())
            }
            R::VariableOffset { reg, kind, .. } => {
                format!("{reg} is a {kind} plus a number that is not known; only constant offsets are possible here.")
            }
            R::ModifiedPointer { reg, off, .. } => {
                format!(
                    "{reg} has been moved by {off} bytes. Use the pointer as it was given, with the offset in the instruction."
                )
            }
            R::ImmediateToContext { reg, .. } => {
                format!("{reg} is the context: store through a register instead of an immediate.")
            }
            R::OnlyRead { .. } | R::NegativeAccess { .. } => {
                "The map itself belongs to the kernel; its values are reached through map_lookup_elem.".to_owned()
            }
            R::MisalignedStack { size, .. } => {
                format!("Stack accesses of {size} bytes need an address that is a multiple of {size}.")
            }
            R::StackBounds { off, size, .. } => {
                format!("{size} bytes at r10{off:+} are not all inside the frame, which is from r10-512 up to r10.")
            }
            R::VariableStackBounds { reg, .. } | R::UnboundedStack { reg, .. } => {
                format!(
                    "{reg} may point outside of the frame, which is from r10-512 up to r10. Bound the number that was added to it."
                )
            }
            R::SpillSize { .. } => "A pointer can only be stored to the stack whole, in 8 bytes.".to_owned(),
            R::FillSize { .. } => "A pointer can only be loaded from the stack whole, in 8 bytes.".to_owned(),
            R::PacketWrite { .. } => "Programs of this type may read the packet, not write it.".to_owned(),
            R::PacketBounds { reg, off, size, range, .. } => short_packet(reg, off, size, range.into()),
            R::PacketRegion { reg, off, size, range, .. } => short_packet(reg, off, size, range),
            R::PacketEnd { reg } => format!("{reg} was found to lie at or beyond the packet's end on this path."),
            R::MapBounds { value_size, off, size, .. } => {
                format!("{size} bytes at offset {off} do not lie inside the map's value of {value_size} bytes.")
            }
            R::NegativeIndex { reg } => format!("{reg} may be negative as an offset. Compare it unsigned, or mask it."),
            R::Unbounded { reg } => {
                format!("Nothing limits the offset in {reg}. Compare it with the size, or mask it.")
            }
            R::MapRights { write, .. } => {
                format!("The map's flags forbid programs to {} it.", if write { "write to" } else { "read" })
            }
            R::DifferentPointers { reg } => format!(
                "{reg} is the context on one path and something else on another, but accesses to the context are translated."
            ),
            R::NoProgArray { map_type, .. } => format!("tail_call does not take a map of type {map_type}."),
            R::HelperMapType { map_type, name, .. } => format!("{name} does not take a map of type {map_type}."),
            R::HelperMapWrite { .. } => "The map's flags forbid programs to write to it.".to_owned(),
            R::Pointer32 { reg } => format!("A 32-bit operation would cut the pointer in {reg} in half."),
            R::NullCheckFirst { reg, .. } => format!("{reg} may be null. Compare it with 0 before adding to it."),
            R::PointerArithmetic { reg, kind } => {
                format!("{reg} is a {kind}, which can only be compared or passed on.")
            }
            R::SubtractPointer { .. } => "A number minus a pointer is no pointer.".to_owned(),
            R::SubtractFromStack { .. } => {
                "Add a negative number to the stack pointer instead of subtracting.".to_owned()
            }
            R::Bitwise { operator, .. } | R::PointerOperator { operator, .. } => {
                format!("The operator {operator} on a pointer gives no pointer.")
            }
            R::Shift { amount } => {
                format!("A shift by {amount} is not one: amounts are at least 0 and below the width of the operation.")
            }
            R::DivisionByZero => "A division by the constant 0 is certainly a mistake.".to_owned(),
            R::AtomicMemory { kind, .. } => format!("A {kind} points to memory without atomic operations."),
            R::TwoPointers { operator, .. } => format!("The operator {operator} on two pointers means nothing."),
            R::OffsetConstant { .. } | R::OffsetFixed { .. } | R::OffsetRange { .. } => {
                "The offset is so large that it might wrap around; it has to stay below 2^29.".to_owned()
            }
            R::OffsetUnbounded { .. } => {
                "Nothing limits the number that is added. Compare it first, or mask it.".to_owned()
            }
            R::InvalidHelper { id } => format!("There is no helper with number {id}."),
            R::ClosedHelper { name, .. } => format!("Programs of this type may not call bpf_{name}."),
            R::GplOnly { name } => format!("bpf_{name} may only be called by programs with a GPL-compatible license."),
            R::Sleeps { name } => format!("bpf_{name} may sleep, which programs of this type must not."),
            R::HelperPacket { reg } => {
                format!("The helper does not take packet memory; copy what {reg} points to onto the stack.")
            }
            R::Memory(ref refusal) => refusal.explanation(),
            R::Call(ref refusal) => refusal.explanation(),
            R::Load(ref refusal) => refusal.explanation().to_owned(),
            R::ArgumentType { reg, kind, expected } => {
                format!("The helper takes {expected} in {reg}, which here is {kind}.")
            }
        }
    }
}

fn short_packet(reg: Reg, off: i64, size: i64, range: i64) -> String {
    let known = range.max(0);
    format!(
        "{size} bytes at {reg} (packet offset {off}) are read or written, but on this path only {known} bytes of the packet are known to be there. Compare the pointer with data_end first, and leave where the packet is too short."
    )
}
