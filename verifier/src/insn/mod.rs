//! What each family of instructions does to what is known: a room per family, as in the semantics.
//!
//! The functions over scalars, generic over the algebra, are the rows of [`rules`](crate::rules); what surrounds them (which
//! register may be read, what a pointer may do) is concrete and private.

use crate::refusal::Refusal;
use crate::state::{Kind, RegState, State};
use semantics::insn::{Op, Reg, Size, Wide};

pub mod alu;
pub mod atomic;
pub mod call;
pub mod endian;
pub mod jump;
pub mod load_store;
pub mod mov;
pub mod muldiv;
pub mod packet;
pub mod shift;
pub mod wide;

/// Whether instructions of this operation are followed; a program with another is [`Unsupported`](crate::Unsupported).
pub const fn is_followed(op: Op) -> bool {
    match op {
        Op::Alu { .. }
        | Op::Neg { .. }
        | Op::Shift { .. }
        | Op::MulDiv { .. }
        | Op::MovSx { .. }
        | Op::Endian { .. }
        | Op::Mov { .. }
        | Op::Wide(Wide::Imm64 | Wide::Map | Wide::MapIndex | Wide::MapValue | Wide::MapIndexValue | Wide::Code)
        | Op::WideTail
        | Op::Load { .. }
        | Op::LoadSx { .. }
        | Op::Store { .. }
        | Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Ja
        | Op::Gotol
        | Op::Packet { .. }
        | Op::CallHelper
        | Op::CallLocal
        | Op::Exit => true,
        Op::Wide(_) | Op::CallKfunc => false,
    }
}

/// Whether a version that does not have an instruction says so before it follows any path
/// (`resolve_pseudo_ldimm64`): its code is none, or it is a load with a mode that is none.
pub(crate) const fn is_unknown_at_once(op: Op) -> bool {
    let (Op::LoadAcquire { size } | Op::StoreRelease { size }) = op else {
        return !matches!(op, Op::MovSx { .. } | Op::MulDiv { .. });
    };
    // The code is that of atomic operations, which have these sizes only.
    !matches!(size, Size::W | Size::Dw)
}

/// The register, if something was written to it (`check_reg_arg`, `SRC_OP`).
#[inline]
pub(crate) fn readable(state: &State, reg: Reg) -> Result<&RegState, Refusal> {
    let held = state.reg(reg);
    if held.kind == Kind::NotInit { Err(Refusal::NotReadable { reg }) } else { Ok(held) }
}

/// Whether the register may be written (`check_reg_arg`, `DST_OP`).
#[inline]
pub(crate) fn writable(reg: Reg) -> Result<(), Refusal> {
    if reg == Reg::FP { Err(Refusal::FramePointer) } else { Ok(()) }
}
