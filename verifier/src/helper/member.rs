//! Members of a map's values that only helpers touch: locks, timers, pointers to objects of the kernel (kernel:
//! `process_spin_lock`, `process_timer_func`, `process_kptr_func`).

use super::MapGiven;
use crate::env::Env;
use crate::refusal::{CallRefusal, Member};
use crate::state::{Lock, RegState, State};
use semantics::insn::Reg;
use semantics::map::{MapDef, ValueFieldKind};

/// Bytes from the start of the value, if that is a constant.
fn offset(held: &RegState) -> Option<i64> {
    held.var.is_constant().then(|| (held.var.var_off.value as i64).wrapping_add(i64::from(held.off)))
}

/// Where the map's values have their member of this kind.
fn place(map: &MapDef, reg: Reg, member: Member) -> Result<u32, CallRefusal> {
    // Maps without such members are made without type information.
    if map.fields.is_empty() {
        return Err(CallRefusal::MemberUntyped { reg, map: map.into(), member });
    }
    let kind = match member {
        Member::SpinLock => ValueFieldKind::SpinLock,
        Member::Timer => ValueFieldKind::Timer,
    };
    let field = map.fields.iter().find(|field| field.kind == kind);
    field.map(|field| field.offset).ok_or_else(|| CallRefusal::MemberMissing { reg, map: map.into(), member })
}

/// Takes the lock in a value, or gives it back.
pub(super) fn lock(env: &Env<'_>, state: &mut State, reg: Reg, take: bool) -> Result<(), CallRefusal> {
    let held = *state.reg(reg);
    let off = offset(&held).ok_or(CallRefusal::MemberVariable { reg, member: Member::SpinLock })?;
    let at = place(env.map(held.map), reg, Member::SpinLock)?;
    if off != i64::from(at) {
        return Err(CallRefusal::LockOffset { reg, off, at: (!env.dialect.early_prototypes).then_some(at) });
    }
    let lock = Lock { id: held.id, map: held.map };
    match (take, state.lock) {
        (true, Some(_)) => return Err(CallRefusal::TwoLocks { reg }),
        (true, None) => state.lock = Some(lock),
        (false, None) => return Err(CallRefusal::NotLocked { reg }),
        (false, Some(taken)) if taken != lock => return Err(CallRefusal::OtherLock { reg }),
        (false, Some(_)) => state.lock = None,
    }
    Ok(())
}

/// The map whose value the timer lies in.
pub(super) fn timer(env: &Env<'_>, reg: Reg, held: &RegState) -> Result<MapGiven, CallRefusal> {
    let off = offset(held).ok_or(CallRefusal::MemberVariable { reg, member: Member::Timer })?;
    let at = place(env.map(held.map), reg, Member::Timer)?;
    if off != i64::from(at) {
        return Err(CallRefusal::TimerOffset { reg, off, at });
    }
    Ok(MapGiven { number: held.map, uid: held.what })
}

/// Whether the address is that of a pointer in a value that holds a reference.
pub(super) fn kptr(env: &Env<'_>, reg: Reg, held: &RegState) -> Result<(), CallRefusal> {
    let map = env.map(held.map);
    let off = offset(held).ok_or(CallRefusal::KptrVariable { reg })?;
    if map.fields.is_empty() {
        return Err(CallRefusal::KptrUntyped { reg, map: map.into() });
    }
    if !map.fields.iter().any(|field| field.kind.is_pointer()) {
        return Err(CallRefusal::KptrMissing { reg, map: map.into() });
    }
    let field = map.fields.iter().find(|field| field.kind.is_pointer() && i64::from(field.offset) == off);
    match field.ok_or(CallRefusal::KptrOffset { reg, off })?.kind {
        ValueFieldKind::Kptr => Ok(()),
        _ => Err(CallRefusal::KptrUnreferenced { reg, off }),
    }
}
