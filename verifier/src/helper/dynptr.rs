//! Dynptrs: 16 bytes of the stack that only helpers read and write (kernel: `mark_stack_slots_dynptr`,
//! `is_dynptr_reg_valid_init`).
//!
//! A slot of one has [`Byte::Dynptr`] in all its bytes; its register says which half it is, what the dynptr is of, and the
//! reference that it holds.

use super::prototype::Demand;
use super::{Given, reference};
use crate::access;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::refusal::{CallRefusal, Stop};
use crate::stack::Stored;
use crate::state::{Byte, Flags, Kind, RegState, Slot, State, slot_of};
use semantics::helper::Arg;
use semantics::insn::{Reg, Size, Version};

/// In [`RegState::what`] of a slot's register: the half with the lower address.
const FIRST: u32 = 1;

/// The slots of a dynptr at this address: that with its lower address and that with its higher one. None where they are not
/// both in the part of the stack that is in use.
fn slots(state: &State, held: &RegState) -> Option<(usize, usize)> {
    let low = if held.off > 0 { return None } else { slot_of(i64::from(held.off)) };
    (low >= 1 && low < state.stack_of(held.frame).len()).then(|| (low, low - 1))
}

fn slot(state: &State, held: &RegState, at: usize) -> Slot {
    state.stack_of(held.frame)[at]
}

/// What lies there, if it is a whole dynptr.
fn whole(state: &State, held: &RegState) -> Option<RegState> {
    let (low, high) = slots(state, held)?;
    let (low, high) = (slot(state, held, low), slot(state, held, high));
    let all = |slot: &Slot| slot.bytes.iter().all(|byte| *byte == Byte::Dynptr);
    (all(&low) && all(&high) && low.spill.what == FIRST).then_some(low.spill)
}

/// A dynptr that a helper makes, reads or gives back.
pub(super) fn check(
    dialect: &Dialect,
    state: &State,
    reg: Reg,
    held: &RegState,
    demand: Demand,
    given: &mut Given,
) -> Result<(), CallRefusal> {
    // What the kernel handed to a callback.
    if held.kind == Kind::Dynptr {
        return Ok(());
    }
    if demand.is(Arg::UNINIT) {
        let touches = |at| slot(state, held, at).bytes.contains(&Byte::Dynptr);
        if slots(state, held).is_some_and(|(low, high)| touches(low) || touches(high)) {
            return Err(CallRefusal::DynptrTaken { reg });
        }
        given.new_dynptr = Some((reg, demand));
        return Ok(());
    }
    // Counted from 0 since 6.12.
    let number = reg.number() - u8::from(dialect.version >= Version(6, 12));
    let shown = (!dialect.registers_named).then_some(number);
    let found = whole(state, held).ok_or(CallRefusal::DynptrMissing { reg, number: shown })?;
    let is_local = found.flags.any(Flags::LOCAL);
    if demand.is(Arg::LOCAL) && !is_local {
        return Err(CallRefusal::DynptrType { reg, number, expected: "local" });
    }
    if demand.is(Arg::RINGBUF) && is_local {
        return Err(CallRefusal::DynptrType { reg, number, expected: "ringbuf" });
    }
    Ok(())
}

/// Whether the slot there holds a reference.
pub(super) fn holds_reference(state: &State, held: &RegState) -> bool {
    slots(state, held).is_some_and(|(low, _)| id(state, held, low) != 0)
}

fn id(state: &State, held: &RegState, at: usize) -> u32 {
    let slot = slot(state, held, at);
    if slot.spill.kind == Kind::Dynptr { slot.spill.id } else { 0 }
}

/// The reference that a dynptr holds; 0 for none.
pub(super) fn reference_of(state: &State, held: &RegState) -> u32 {
    if held.kind == Kind::Dynptr { 0 } else { slots(state, held).map_or(0, |(low, _)| id(state, held, low)) }
}

/// A helper makes a dynptr at the address in `reg` (`mark_stack_slots_dynptr`).
pub(super) fn make(env: &mut Env<'_>, state: &mut State, reg: Reg, is_ringbuf: bool, pc: usize) -> Result<(), Stop> {
    for off in [0, 8] {
        access::store(env, state, reg, off, Size::Dw, &Stored::Unknown, reg)?;
    }
    let held = *state.reg(reg);
    let Some((low, high)) = slots(state, &held) else { return Ok(()) };
    let mut half = RegState::pointer(Kind::Dynptr);
    if !env.dialect.early_prototypes {
        // Dynptrs have ids of their own, by which what is made of them is told apart.
        env.new_id();
    }
    if is_ringbuf {
        half.id = env.new_id();
        state.acquire(half.id, pc);
    } else {
        half.flags = Flags::LOCAL;
    }
    let stack = state.stack_of_mut(held.frame);
    stack[low] = Slot { bytes: [Byte::Dynptr; 8], spill: RegState { what: FIRST, ..half } };
    stack[high] = Slot { bytes: [Byte::Dynptr; 8], spill: half };
    Ok(())
}

/// The dynptr is gone, and all that was made of it (`unmark_stack_slots_dynptr`). Whether its reference was held.
pub(super) fn unmake(state: &mut State, held: &RegState) -> bool {
    let Some((low, high)) = slots(state, held) else { return false };
    let held_by = id(state, held, low);
    for at in [low, high] {
        state.stack_of_mut(held.frame)[at] = Slot::INVALID;
    }
    held_by == 0 || reference::release(state, held_by)
}
