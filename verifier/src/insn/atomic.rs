//! Atomic operations: a load and a store of one place, and what the old value may be (kernel: `check_atomic`).

use super::{load_store, readable, writable};
use crate::access;
use crate::env::Env;
use crate::refusal::{Refusal, Stop};
use crate::state::{Kind, State};
use semantics::insn::{AtomicOp, Insn, Reg, Size, Source};

/// `*(size *)(dst + off) op= src`, where the old value may go to a register.
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    (op, fetch, size): (AtomicOp, bool, Size),
    insn: &Insn,
) -> Result<(), Stop> {
    readable(state, insn.src)?;
    readable(state, insn.dst)?;
    if op == AtomicOp::Cmpxchg {
        readable(state, Reg::R0)?;
    }
    check_memory(state, insn.dst, "stores into")?;
    let fetched = match op {
        AtomicOp::Cmpxchg => Some(Reg::R0),
        _ => fetch.then_some(insn.src),
    };
    if let Some(reg) = fetched {
        writable(reg)?;
    }
    let old = access::atomic(env, state, insn.dst, insn.off as i16, size, fetched)?;
    if let Some(reg) = fetched {
        state.set(reg, old);
    }
    Ok(())
}

/// `dst = load_acquire((size *)(src + off))`: a load, from memory that has atomic operations.
pub(crate) fn check_load_acquire(env: &mut Env<'_>, state: &mut State, size: Size, insn: &Insn) -> Result<(), Stop> {
    readable(state, insn.src)?;
    check_memory(state, insn.src, "loads from")?;
    load_store::check_load(env, state, size, insn)
}

/// `store_release((size *)(dst + off), src)`: a store, to memory that has atomic operations.
pub(crate) fn check_store_release(env: &mut Env<'_>, state: &mut State, size: Size, insn: &Insn) -> Result<(), Stop> {
    readable(state, insn.src)?;
    readable(state, insn.dst)?;
    load_store::check_store(env, state, size, Source::X, insn)?;
    Ok(check_memory(state, insn.dst, "stores into")?)
}

/// Contexts, packets and sockets have no atomic operations (`atomic_ptr_type_ok`).
fn check_memory(state: &State, reg: Reg, way: &'static str) -> Result<(), Refusal> {
    let held = state.reg(reg);
    if matches!(
        held.kind,
        Kind::Ctx
            | Kind::Packet
            | Kind::PacketMeta
            | Kind::FlowKeys
            | Kind::Socket
            | Kind::SockCommon
            | Kind::TcpSock
            | Kind::XdpSock
    ) {
        let kind = held.ty();
        return Err(Refusal::AtomicMemory { reg, kind, way });
    }
    Ok(())
}
