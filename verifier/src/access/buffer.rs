//! Memory whose length is known, and buffers whose length the kernel checks when it is (kernel: `check_mem_region_access`,
//! `check_buffer_access`, `check_flow_keys_access`).

use super::{Access, check_region, parts};
use crate::dialect::Dialect;
use crate::env::Env;
use crate::refusal::{Edge, MemoryRefusal, Refusal};
use crate::state::{Flags, Kind, RegState};
use semantics::insn::Reg;
use semantics::program_type::context::layout::FLOW_KEYS_LEN;

/// Keys of maps, and memory of [`RegState::what`] bytes.
pub(super) fn check_sized(
    env: &Env<'_>,
    reg: Reg,
    base: &RegState,
    off: i32,
    size: i64,
    none_allowed: bool,
) -> Result<(), Refusal> {
    let parts = parts(env.dialect, base, off);
    if base.kind == Kind::MapKey {
        let key_size = env.map(base.map).key_size;
        let outside = |off, edge: Edge| MemoryRefusal::KeyBounds { reg, key_size, off, size, edge }.into();
        return check_region(env, &parts, reg, (size, key_size.into(), none_allowed), outside);
    }
    let mem_size = base.what;
    let outside = |off, edge: Edge| MemoryRefusal::MemBounds { reg, mem_size, off, size, edge }.into();
    check_region(env, &parts, reg, (size, mem_size.into(), none_allowed), outside)
}

/// Constant offsets from the start: where the buffer ends is checked when a program is attached or run.
pub(super) fn check(dialect: Dialect, reg: Reg, base: &RegState, at: i32, size: i64) -> Result<(), MemoryRefusal> {
    if at < 0 {
        let what = match base.kind {
            Kind::TpBuffer => "tracepoint",
            _ if base.flags.any(Flags::RDONLY) => "rdonly",
            _ => "rdwr",
        };
        return Err(MemoryRefusal::Buffer { reg, what, off: at, size });
    }
    let var_off = base.var.var_off;
    if var_off.mask != 0 || var_off.value != 0 {
        return Err(MemoryRefusal::BufferOffset { reg, off: at, var_off: dialect.bits(var_off) });
    }
    Ok(())
}

/// The keys that a flow dissector fills in.
pub(super) fn check_flow_keys(access: &Access) -> Result<(), MemoryRefusal> {
    let (off, size) = (access.at, access.size.bytes());
    if off < 0 || i64::from(off) + i64::from(size) > i64::from(FLOW_KEYS_LEN) {
        return Err(MemoryRefusal::FlowKeys { reg: access.reg, off, size });
    }
    Ok(())
}
