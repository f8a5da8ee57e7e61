//! Packets and their metadata: bytes that a comparison proved to be there (kernel: `check_packet_access`).

use super::{Access, check_region, parts, size_fits};
use crate::dialect::Dialect;
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
    check_range(env.dialect, reg, base, off, size.bytes().into(), false)
}

/// `size` bytes `off` bytes behind the address: the bytes that are known to be there lie behind the variable part.
pub(super) fn check_range(
    dialect: Dialect,
    reg: Reg,
    base: &RegState,
    off: i32,
    size: i64,
    none_allowed: bool,
) -> Result<(), Refusal> {
    if dialect.one_offset {
        if base.range < 0 {
            return Err(Refusal::PacketEnd { reg });
        }
        let id = base.id;
        // Ranges are counted from the start of what varies here, from the largest place of it there.
        let range = if base.range == 0 { 0 } else { i64::from(base.range) + base.var.umax as i64 };
        let outside = |off: i32, edge: Edge| Refusal::PacketRegion { reg, off: off.into(), size, id, range, edge };
        return check_region(&parts(dialect, base, off), reg, size, range, none_allowed, outside);
    }
    let off = i64::from(base.off.wrapping_add(off));
    if (base.var.smin as i64) < 0 {
        return Err(Refusal::NegativeIndex { reg });
    }
    if base.range < 0 {
        return Err(Refusal::PacketEnd { reg });
    }
    if off < 0 || !size_fits(off, size, base.range.into(), none_allowed) {
        return Err(Refusal::PacketBounds { reg, off, size, id: base.id, range: base.range });
    }
    Ok(())
}
