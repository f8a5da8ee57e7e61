//! Which accesses to memory are in bounds, and what a read yields (kernel: `check_mem_access`).

use crate::dialect::Dialect;
use crate::env::Env;
use crate::insn::alu;
use crate::refusal::{Edge, Refusal, Stop, Unsupported, Way};
use crate::stack::{self, MAX_VAR_OFF, Stored};
use crate::state::{Kind, Number, RegState, State};
use crate::tnum::Tnum;
use semantics::insn::{AluOp, Reg, Size, Width};
use semantics::map::{MapDef, MapType};
use semantics::program_type::{ContextField, FieldKind};

/// `BPF_F_RDONLY_PROG`.
pub(crate) const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_WRONLY_PROG`.
const WRONLY_PROG: u32 = 1 << 8;

/// What `*(size *)(reg + off)` yields.
pub(crate) fn load(env: &Env<'_>, state: &State, reg: Reg, off: i16, size: Size) -> Result<RegState, Stop> {
    let base = *state.reg(reg);
    let bits = size.bytes() * 8;
    let unknown = || RegState::scalar((env.rules.load)(bits));
    let at = total_offset(&base, off);
    match base.kind {
        _ if base.maybe_null() => Err(Refusal::NoMemory { reg, kind: base.ty() }.into()),
        Kind::Fp => {
            check_stack_alignment(env.dialect, reg, &base, off, size)?;
            let place = stack::place(env, state, reg, &base, off.into(), size.bytes(), Way::Read)?;
            let filled = stack::read(state, place, size)?;
            Ok(if filled.kind == Kind::Scalar { filled.cut_to(size) } else { filled })
        }
        Kind::Ctx => {
            let field = context_field(env, reg, &base, at, size, false)?;
            match field.kind {
                FieldKind::Scalar => Ok(unknown()),
                FieldKind::Packet => Ok(RegState::pointer(Kind::Packet)),
                FieldKind::PacketMeta => Ok(RegState::pointer(Kind::PacketMeta)),
                FieldKind::PacketEnd => Ok(RegState::pointer(Kind::PacketEnd)),
                _ => Err(Unsupported::ContextField { context: env.declaration.context, field: field.name }.into()),
            }
        }
        Kind::Packet | Kind::PacketMeta => {
            check_packet(env.dialect, reg, &base, off.into(), size.bytes())?;
            Ok(unknown())
        }
        Kind::MapValue => {
            check_map_value(env, reg, &base, off.into(), size.bytes(), false)?;
            Ok(unknown())
        }
        Kind::MapPtr => {
            let object = map_structure(env.map(base.map).map_type);
            check_map_structure(env.dialect, reg, &base, at, object)?;
            Err(Unsupported::MapStructure(object).into())
        }
        _ => Err(Refusal::NoMemory { reg, kind: base.ty() }.into()),
    }
}

/// Stores `value`, which came from `value_reg`, as `*(size *)(reg + off)`.
pub(crate) fn store(
    env: &mut Env<'_>,
    state: &mut State,
    reg: Reg,
    off: i16,
    size: Size,
    value: &Stored,
    value_reg: Reg,
) -> Result<(), Stop> {
    let base = *state.reg(reg);
    let at = total_offset(&base, off);
    match base.kind {
        _ if base.maybe_null() => return Err(Refusal::NoMemory { reg, kind: base.ty() }.into()),
        Kind::Fp => {
            check_stack_alignment(env.dialect, reg, &base, off, size)?;
            let place = stack::place(env, state, reg, &base, off.into(), size.bytes(), Way::Write)?;
            stack::write(state, place, size, value, value_reg, &mut env.last_id, env.dialect)?;
        }
        Kind::Ctx => {
            if matches!(value, Stored::Imm(_)) && !env.dialect.st_imm_to_ctx {
                return Err(Refusal::ImmediateToContext { reg, kind: base.ty() }.into());
            }
            context_field(env, reg, &base, at, size, true)?;
        }
        Kind::Packet | Kind::PacketMeta => {
            if !env.declaration.packet_write {
                return Err(Refusal::PacketWrite { reg }.into());
            }
            check_packet(env.dialect, reg, &base, off.into(), size.bytes())?;
        }
        Kind::MapValue => check_map_value(env, reg, &base, off.into(), size.bytes(), true)?,
        Kind::MapPtr => {
            let object = map_structure(env.map(base.map).map_type);
            check_map_structure(env.dialect, reg, &base, at, object)?;
            return Err(Refusal::OnlyRead { reg, object }.into());
        }
        _ => return Err(Refusal::NoMemory { reg, kind: base.ty() }.into()),
    }
    Ok(())
}

/// Memory that a helper reads, or writes where it need not be initialised (`check_helper_mem_access`).
pub(crate) fn helper_memory(env: &Env<'_>, state: &mut State, reg: Reg, size: u32, written: bool) -> Result<(), Stop> {
    let base = *state.reg(reg);
    match base.kind {
        Kind::Fp => {
            let way = match (env.dialect.helper_ways, written) {
                (false, _) => Way::Helper,
                (true, false) => Way::Read,
                (true, true) => Way::Write,
            };
            let place = stack::place(env, state, reg, &base, 0, size, way)?;
            if way != Way::Read {
                stack::give(state, place, size);
            }
        }
        Kind::Packet | Kind::PacketMeta => check_packet(env.dialect, reg, &base, 0, size)?,
        Kind::MapValue => check_map_value(env, reg, &base, 0, size, written)?,
        _ => return Err(Refusal::ArgumentType { reg, kind: base.ty(), expected: "fp" }.into()),
    }
    Ok(())
}

/// The constant part of the address: neither term is larger than 2^29 in magnitude by more than a jump's distance.
fn total_offset(base: &RegState, off: i16) -> i32 {
    base.off.wrapping_add(i32::from(off))
}

/// The variable part of the address, and the constant part with `off`: as the version keeps them.
pub(crate) fn parts(dialect: Dialect, base: &RegState, off: i32) -> (Number, i32) {
    if !dialect.one_offset {
        return (base.var, base.off.wrapping_add(off));
    }
    let fixed = Number::constant(&(i64::from(base.off) as u64));
    let var = if base.off == 0 {
        base.var
    } else {
        alu::transfer(AluOp::Add, Width::W64, &dialect.domain, &base.var, &fixed)
    };
    (var, off)
}

/// The stack is tracked in slots, so accesses to it are always aligned (`check_ptr_alignment`).
fn check_stack_alignment(dialect: Dialect, reg: Reg, base: &RegState, off: i16, size: Size) -> Result<(), Refusal> {
    let (off, size) = (i32::from(off), size.bytes());
    let (var, whole) = parts(dialect, base, off);
    if Tnum::constant(i64::from(whole) as u64).add(&var.var_off).is_aligned(&u64::from(size)) {
        return Ok(());
    }
    let fixed = (!dialect.one_offset).then_some(base.off);
    Err(Refusal::MisalignedStack { reg, var_off: dialect.bits(var.var_off), fixed, off, size })
}

/// The context is accessed and passed on only as it was given (`check_ptr_off_reg`).
pub(crate) fn check_unmodified(dialect: Dialect, reg: Reg, base: &RegState) -> Result<(), Refusal> {
    let (var, off) = parts(dialect, base, 0);
    let (kind, var_off) = (base.ty(), var.var_off);
    let is_variable = || Refusal::VariableOffset { reg, kind, var_off: dialect.bits(var_off) };
    if dialect.one_offset && var_off.mask != 0 {
        return Err(is_variable());
    }
    let off = if dialect.one_offset { var_off.value as i32 } else { off };
    if off < 0 {
        return Err(Refusal::NegativeOffset { reg, kind, off });
    }
    if off != 0 {
        return Err(Refusal::ModifiedPointer { reg, kind, off });
    }
    if var_off.mask != 0 || var_off.value != 0 {
        return Err(is_variable());
    }
    Ok(())
}

fn context_field(
    env: &Env<'_>,
    reg: Reg,
    base: &RegState,
    at: i32,
    size: Size,
    write: bool,
) -> Result<&'static ContextField, Refusal> {
    check_unmodified(env.dialect, reg, base)?;
    let field = env.declaration.access(env.program.attach_type(), i64::from(at), size, write);
    field.ok_or(Refusal::Context { reg, off: i64::from(at), size: size.bytes() })
}

/// `check_packet_access`.
fn check_packet(dialect: Dialect, reg: Reg, base: &RegState, off: i32, size: u32) -> Result<(), Refusal> {
    if dialect.one_offset {
        if base.range < 0 {
            return Err(Refusal::PacketEnd { reg });
        }
        let id = base.id;
        // Ranges are counted from the start of what varies here, from the largest place of it there.
        let range = if base.range == 0 { 0 } else { i64::from(base.range) + base.var.umax as i64 };
        let outside = |off, edge| Refusal::PacketRegion { reg, off, size, id, range, edge };
        return check_region(&parts(dialect, base, off), reg, size, range, outside);
    }
    let off = i64::from(base.off.wrapping_add(off));
    if (base.var.smin as i64) < 0 {
        return Err(Refusal::NegativeIndex { reg });
    }
    if base.range < 0 {
        return Err(Refusal::PacketEnd { reg });
    }
    if off < 0 || off + i64::from(size) > i64::from(base.range) {
        return Err(Refusal::PacketBounds { reg, off, size, id: base.id, range: base.range });
    }
    Ok(())
}

/// `check_map_access`.
fn check_map_value(env: &Env<'_>, reg: Reg, base: &RegState, at: i32, size: u32, write: bool) -> Result<(), Refusal> {
    let map: &MapDef = env.map(base.map);
    let (value_size, parts) = (map.value_size, parts(env.dialect, base, at));
    if map.flags & (if write { RDONLY_PROG } else { WRONLY_PROG }) != 0 {
        let off = i64::from(parts.1).wrapping_add(parts.0.smin as i64);
        return Err(Refusal::MapRights { reg, write, value_size, off, size });
    }
    let outside = |off, edge| Refusal::MapBounds { reg, value_size, off, size, edge };
    check_region(&parts, reg, size, value_size.into(), outside)
}

/// Whether `size` bytes lie inside `bytes`, at the least offset and at the greatest (`check_mem_region_access`).
fn check_region(
    (var, off): &(Number, i32),
    reg: Reg,
    size: u32,
    bytes: i64,
    outside: impl Fn(i64, Edge) -> Refusal,
) -> Result<(), Refusal> {
    let (smin, off) = (var.smin as i64, i64::from(*off));
    let least = off.wrapping_add(smin);
    if smin < 0 && (smin == i64::MIN || least != i64::from(least as i32) || least < 0) {
        return Err(Refusal::NegativeIndex { reg });
    }
    let inside = |off: i64| off >= 0 && off.saturating_add(i64::from(size)) <= bytes;
    if !inside(least) {
        return Err(outside(least, Edge::Min));
    }
    if var.umax >= MAX_VAR_OFF as u64 {
        return Err(Refusal::Unbounded { reg });
    }
    let most = off + var.umax as i64;
    if !inside(most) {
        return Err(outside(most, Edge::Max));
    }
    Ok(())
}

/// The kernel's structure behind a map of this type, as its type information names it.
fn map_structure(map_type: MapType) -> &'static str {
    if map_type == MapType::HASH { "bpf_htab" } else { "bpf_array" }
}

fn check_map_structure(
    dialect: Dialect,
    reg: Reg,
    base: &RegState,
    at: i32,
    object: &'static str,
) -> Result<(), Refusal> {
    if base.var.var_off.mask != 0 || base.var.var_off.value != 0 {
        return Err(Refusal::VariableOffset { reg, kind: base.ty(), var_off: dialect.bits(base.var.var_off) });
    }
    if at < 0 {
        return Err(Refusal::NegativeAccess { reg, object, off: at });
    }
    Ok(())
}
