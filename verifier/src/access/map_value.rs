//! Values of maps: rights, constants, and what the kernel manages in them (kernel: `check_map_access`,
//! `check_map_kptr_access`).

use super::{Access, RDONLY_PROG, Use, check_region, object, parts};
use crate::env::Env;
use crate::refusal::{Edge, MemoryRefusal, Refusal, Stop, Unsupported};
use crate::stack::Stored;
use crate::state::{Flags, Kind, Number, RegState};
use semantics::insn::{Reg, Size};
use semantics::map::{Contents, MapDef, MapType, ValueField, ValueFieldKind, WRONLY_PROG};

/// What a load yields.
pub(super) fn read(env: &mut Env<'_>, access: &Access) -> Result<RegState, Stop> {
    let map = env.map(access.base.map);
    check(env, map, access)?;
    if let Some(field) = kptr_at(map, access) {
        check_mode(access)?;
        let what = pointee(field)?;
        let flags = Flags::MAYBE_NULL.with(Flags::UNTRUSTED);
        return Ok(RegState { what, flags, id: env.new_id(), ..RegState::pointer(Kind::BtfId) });
    }
    Ok(match constant(map, access)? {
        Some(value) => RegState::constant(value),
        None => RegState::unknown(),
    })
}

/// A store.
pub(super) fn write(env: &Env<'_>, access: &Access, value: &Stored, value_reg: Reg) -> Result<(), Stop> {
    let map = env.map(access.base.map);
    check(env, map, access)?;
    let Some(field) = kptr_at(map, access) else { return Ok(()) };
    check_mode(access)?;
    let reg = access.reg;
    match value {
        _ if field.kind == ValueFieldKind::Kptr => Err(MemoryRefusal::KptrStore { reg }.into()),
        Stored::Imm(0) => Ok(()),
        Stored::Imm(_) => Err(MemoryRefusal::KptrImmediate { reg, off: field.offset }.into()),
        Stored::Reg(held) if held.as_constant() == Some(0) => Ok(()),
        Stored::Reg(held) => check_pointer(field, held, value_reg),
        Stored::Unknown => Err(MemoryRefusal::KptrMode { reg }.into()),
    }
}

/// Memory of `size` bytes that a helper is given.
pub(super) fn for_helper(env: &Env<'_>, reg: Reg, base: &RegState, size: i64, way: Use) -> Result<(), Stop> {
    let (map, parts) = (env.map(base.map), parts(env.dialect, base, 0));
    check_rights(map, reg, &parts, size, way.write)?;
    check_bounds(env, map, reg, &parts, (size, way.none_allowed)).map_err(|refusal| match refusal {
        // A value that may not be there is memory like any other in the message (`__check_mem_access`).
        Refusal::MapBounds { reg, value_size: mem_size, off, size, edge } if base.maybe_null() => {
            MemoryRefusal::MemBounds { reg, mem_size, off: off as i32, size, edge }.into()
        }
        other => other,
    })?;
    check_managed(map, reg, base, base.off, size)?;
    match touched(map, base, base.off, size) {
        Some(_) => Err(MemoryRefusal::KptrByHelper { reg }.into()),
        None => Ok(()),
    }
}

fn check(env: &Env<'_>, map: &MapDef, access: &Access) -> Result<(), Refusal> {
    let Access { reg, ref base, at, size, write, .. } = *access;
    let (bytes, parts) = (size.bytes().into(), parts(env.dialect, base, access.off));
    check_rights(map, reg, &parts, bytes, write)?;
    check_bounds(env, map, reg, &parts, (bytes, false))?;
    check_managed(map, reg, base, at, bytes)?;
    let Some(field) = touched(map, base, at, bytes) else { return Ok(()) };
    let off = i64::from(at).wrapping_add(base.var.var_off.value as i64);
    if base.var.var_off.mask != 0 {
        return Err(MemoryRefusal::KptrOffset { reg }.into());
    }
    if off != i64::from(field.offset) {
        return Err(MemoryRefusal::KptrMisaligned { reg, expected: field.offset, off }.into());
    }
    if size != Size::Dw {
        return Err(MemoryRefusal::KptrSize { reg }.into());
    }
    Ok(())
}

/// `check_map_access_type`.
fn check_rights(map: &MapDef, reg: Reg, parts: &(Number, i32), size: i64, write: bool) -> Result<(), Refusal> {
    if !if write { map.is_read_only() } else { map.flags & WRONLY_PROG != 0 } {
        return Ok(());
    }
    let off = i64::from(parts.1).wrapping_add(parts.0.smin as i64);
    Err(Refusal::MapRights { reg, write, value_size: map.value_size, off, size })
}

fn check_bounds(
    env: &Env<'_>,
    map: &MapDef,
    reg: Reg,
    parts: &(Number, i32),
    (size, none_allowed): (i64, bool),
) -> Result<(), Refusal> {
    let value_size = map.value_size;
    let outside = |off: i32, edge: Edge| Refusal::MapBounds { reg, value_size, off: off.into(), size, edge };
    check_region(env, parts, reg, (size, value_size.into(), none_allowed), outside)
}

/// Whether the access may touch bytes from `start` on, `len` of them.
fn overlaps(base: &RegState, at: i32, size: i64, start: u32, len: u32) -> bool {
    let (least, most) = (base.var.smin as i64, base.var.umax as i64);
    let (start, at) = (i64::from(start), i64::from(at));
    least.wrapping_add(at) < start + i64::from(len) && start < most.wrapping_add(at).wrapping_add(size)
}

/// What only helpers may touch: locks first, as they came first.
fn check_managed(map: &MapDef, reg: Reg, base: &RegState, at: i32, size: i64) -> Result<(), MemoryRefusal> {
    let managed = [
        (ValueFieldKind::SpinLock, "bpf_spin_lock"),
        (ValueFieldKind::ResSpinLock, "bpf_res_spin_lock"),
        (ValueFieldKind::Timer, "bpf_timer"),
        (ValueFieldKind::Workqueue, "bpf_wq"),
        (ValueFieldKind::Refcount, "bpf_refcount"),
        (ValueFieldKind::TaskWork, "bpf_task_work"),
    ];
    for (kind, name) in managed {
        let len = kind.layout().0;
        let is_touched = |field: &ValueField| field.kind == kind && overlaps(base, at, size, field.offset, len);
        if map.fields.iter().any(is_touched) {
            return Err(MemoryRefusal::ManagedField { reg, field: name });
        }
    }
    Ok(())
}

/// The pointer of the kernel that the access may touch.
fn touched<'m>(map: &'m MapDef, base: &RegState, at: i32, size: i64) -> Option<&'m ValueField> {
    map.fields.iter().find(|field| field.kind.is_pointer() && overlaps(base, at, size, field.offset, 8))
}

/// The pointer of the kernel that is accessed.
fn kptr_at<'m>(map: &'m MapDef, access: &Access) -> Option<&'m ValueField> {
    touched(map, &access.base, access.at, access.size.bytes().into())
}

fn check_mode(access: &Access) -> Result<(), MemoryRefusal> {
    if access.atomic { Err(MemoryRefusal::KptrMode { reg: access.reg }) } else { Ok(()) }
}

/// The type that such a field points to.
fn pointee(field: &ValueField) -> Result<u32, Unsupported> {
    field.of.as_deref().and_then(object::number).ok_or(Unsupported::Kptr)
}

/// `map_kptr_match_type`.
fn check_pointer(field: &ValueField, held: &RegState, value_reg: Reg) -> Result<(), Stop> {
    let expected = pointee(field)?;
    let permitted = Flags::MAYBE_NULL.with(Flags::UNTRUSTED).with(Flags::TRUSTED).with(Flags::RCU);
    let is_object = held.kind == Kind::BtfId && held.flags.without(permitted) == Flags::NONE;
    if is_object && held.off < 0 {
        return Err(Refusal::NegativeOffset { reg: value_reg, kind: held.ty(), off: held.off }.into());
    }
    if is_object && held.off == 0 && object::begins_with(held.what, expected) {
        return Ok(());
    }
    if is_object && held.off != 0 {
        return Err(Unsupported::Kptr.into());
    }
    let name = if is_object { object::name(held.what) } else { "" };
    let expected = object::name(expected);
    Err(MemoryRefusal::KptrType { reg: value_reg, kind: held.ty(), name, expected, referenced: false }.into())
}

/// The value at a constant place of a map that never changes (`bpf_map_is_rdonly`, `bpf_map_direct_read`).
fn constant(map: &MapDef, access: &Access) -> Result<Option<u64>, MemoryRefusal> {
    let is_constant = map.frozen && map.flags & RDONLY_PROG != 0 && map.map_type == MapType::ARRAY;
    if !is_constant || access.var_off().mask != 0 {
        return Ok(None);
    }
    if map.max_entries != 1 {
        return Err(MemoryRefusal::ConstantOfMany { reg: access.reg });
    }
    let value: &[u8] = match &map.contents {
        Contents::Bytes(bytes) => bytes,
        Contents::Elements(elements) => {
            elements.iter().rfind(|(key, _)| key.iter().all(|byte| *byte == 0)).map_or(&[], |(_, value)| value)
        }
        Contents::Empty | Contents::Maps(_) | Contents::Programs(_) => &[],
    };
    let start = i64::from(access.at).wrapping_add(access.var_off().value as i64) as usize;
    let byte = |at: usize| u64::from(value.get(start + at).copied().unwrap_or(0));
    Ok(Some((0..access.size.bytes() as usize).fold(0, |all, at| all | byte(at) << (8 * at))))
}
