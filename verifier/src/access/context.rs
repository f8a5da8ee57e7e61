//! Contexts: the fields that a program type declares, and what they hold (kernel: `check_ctx_access`, `btf_ctx_access`).

use super::target::{self, Argument};
use super::{Access, Use, check_unmodified, object};
use crate::env::Env;
use crate::refusal::{MemoryRefusal, Refusal, Stop, Unsupported};
use crate::state::{Flags, Kind, RegState, State};
use semantics::insn::{Reg, Size};
use semantics::program_type::{ContextField, FieldKind, ProgramType};

/// The field that is accessed.
pub(super) fn field(env: &Env<'_>, access: &Access) -> Result<&'static ContextField, Refusal> {
    let Access { reg, ref base, at, size, write, .. } = *access;
    check_unmodified(env.dialect, reg, base)?;
    let field = env.declaration.access(env.program.attach_type(), i64::from(at), size, write);
    field.ok_or(Refusal::Context { reg, off: i64::from(at), size: size.bytes() })
}

/// What a field holds.
pub(super) fn read(env: &mut Env<'_>, access: &Access) -> Result<RegState, Stop> {
    let field = field(env, access)?;
    if has_typed_arguments(env) {
        return argument(env, access, field);
    }
    let mut or_null = |kind| RegState { flags: Flags::MAYBE_NULL, id: env.new_id(), ..RegState::pointer(kind) };
    Ok(match field.kind {
        FieldKind::Scalar => RegState::unknown(),
        FieldKind::Packet => RegState::pointer(Kind::Packet),
        FieldKind::PacketMeta => RegState::pointer(Kind::PacketMeta),
        FieldKind::PacketEnd => RegState::pointer(Kind::PacketEnd),
        FieldKind::SockCommonOrNull => or_null(Kind::SockCommon),
        FieldKind::SockOrNull => or_null(Kind::Socket),
        FieldKind::Sock => RegState::pointer(Kind::Socket),
        FieldKind::FlowKeys => RegState::pointer(Kind::FlowKeys),
        FieldKind::TracepointBuffer => RegState::pointer(Kind::TpBuffer),
        FieldKind::Object(name) => RegState {
            what: object::number(name).ok_or_else(|| not_modelled(env, field))?,
            flags: Flags::TRUSTED,
            ..RegState::pointer(Kind::BtfId)
        },
        FieldKind::Target => return Err(not_modelled(env, field).into()),
    })
}

fn not_modelled(env: &Env<'_>, field: &ContextField) -> Unsupported {
    Unsupported::ContextField { context: env.declaration.context, field: field.name }
}

/// Whether the context holds the arguments of what the program is attached to, whose types tell what they are.
fn has_typed_arguments(env: &Env<'_>) -> bool {
    matches!(env.declaration.program_type, ProgramType::Tracing | ProgramType::Lsm | ProgramType::StructOps)
}

/// An argument of the function that the program is attached to. For Linux part of an address is an address, too.
fn argument(env: &Env<'_>, access: &Access, field: &'static ContextField) -> Result<RegState, Stop> {
    let attached = env.program.load().attach_to.as_deref();
    let function = attached.and_then(target::find).ok_or_else(|| not_modelled(env, field))?;
    let refused = || Refusal::Context { reg: access.reg, off: access.at.into(), size: access.size.bytes() };
    let number = (access.at / 8) as usize;
    let argument = function.argument(number, env.program.attach_type()).ok_or_else(refused)?;
    match argument {
        Argument::Number => Ok(RegState::unknown()),
        Argument::Object(_) | Argument::Pointer if env.dialect.whole_pointers && access.size != Size::Dw => {
            let (reg, off, size) = (access.reg, access.at.into(), access.size.bytes());
            Err(MemoryRefusal::PartOfPointer { reg, function: function.name, off, size }.into())
        }
        Argument::Object(name) => {
            let what = object::number(name).ok_or_else(|| not_modelled(env, field))?;
            Ok(RegState { what, ..RegState::pointer(Kind::BtfId) })
        }
        Argument::Pointer => Err(refused().into()),
    }
}

/// Whether accesses to the context are translated into others (`convert_ctx_access`): where they are not, the context is
/// the kernel's own memory.
pub(super) fn is_converted(env: &Env<'_>) -> bool {
    use ProgramType as P;
    !matches!(
        env.declaration.program_type,
        P::Kprobe
            | P::Tracepoint
            | P::RawTracepoint
            | P::RawTracepointWritable
            | P::Tracing
            | P::StructOps
            | P::Lsm
            | P::Syscall
            | P::CgroupDevice
            | P::LircMode2
            | P::Netfilter
    )
}

/// A context that a helper is given as memory: its last byte must be there.
pub(super) fn for_helper(env: &mut Env<'_>, state: &State, reg: Reg, size: i64, way: Use) -> Result<(), Stop> {
    let access = |off: i32| {
        let whole = Access { write: way.write, ..Access::new(state, reg, 0, Size::B) };
        Access { off, at: whole.base.off.wrapping_add(off), ..whole }
    };
    if size == 0 && way.none_allowed {
        return Ok(());
    }
    let last = i32::try_from(size).map_or(i32::MAX, |size| size - 1);
    field(env, &access(last))?;
    Ok(())
}
