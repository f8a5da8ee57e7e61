//! Packets and their metadata: bytes that a comparison proved to be there (kernel: `check_packet_access`).

use super::{Access, check_region, extent, parts};
use crate::bounds;
use crate::env::Env;
use crate::refusal::{Edge, Refusal};
use crate::state::RegState;
use semantics::insn::Reg;

/// A load or store.
pub(super) fn check(env: &Env<'_>, access: &Access) -> Result<(), Refusal> {
    let Access { reg, ref base, off, size, write, .. } = *access;
    if write && !env.declaration.packet_write {
        return Err(Refusal::PacketWrite { reg });
    }
    check_range(env, reg, base, off, size.bytes().into(), false)
}

/// `size` bytes `off` bytes behind the address: the bytes that are known to be there lie behind the variable part.
pub(super) fn check_range(
    env: &Env<'_>,
    reg: Reg,
    base: &RegState,
    off: i32,
    size: i64,
    none_allowed: bool,
) -> Result<(), Refusal> {
    if env.dialect.one_offset {
        if base.range < 0 {
            return Err(Refusal::PacketEnd { reg });
        }
        let id = base.id;
        // Ranges are counted from the start of what varies here, from the largest place of it there.
        let range = if base.range == 0 { 0 } else { i64::from(base.range) + base.var.umax as i64 };
        let outside = |off: i32, edge: Edge| Refusal::PacketRegion { reg, off: off.into(), size, id, range, edge };
        return check_region(env, &parts(env.dialect, base, off), reg, (size, range, none_allowed), outside);
    }
    let off = base.off.wrapping_add(off);
    let fit = bounds::packet(&base.var, &(off as u32), &extent(size, base.range.into(), none_allowed));
    if fit.negative {
        return Err(Refusal::NegativeIndex { reg });
    }
    if base.range < 0 {
        return Err(Refusal::PacketEnd { reg });
    }
    if fit.below {
        return Err(Refusal::PacketBounds { reg, off: off.into(), size, id: base.id, range: base.range });
    }
    Ok(())
}
