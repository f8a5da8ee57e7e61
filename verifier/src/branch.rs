//! Conditional jumps on whatever registers hold: numbers, packet pointers against the packet's end, pointers that may be
//! null (kernel: `check_cond_jmp_op`).

use crate::env::Env;
use crate::insn::jump::{Ways, flipped};
use crate::insn::readable;
use crate::refusal::Stop;
use crate::state::{AT_PACKET_END, BEYOND_PACKET_END, Flags, Kind, Number, RegState, State};
use semantics::insn::{Cond, Insn, Reg, Source, Width};

/// The largest offset into a packet (`MAX_PACKET_OFF`).
const MAX_PACKET_OFF: i64 = 0xffff;

/// `if dst cond source goto`. Where both ways are open, `state` learns that the condition fails, and `taken` becomes what
/// is known where it holds.
pub(crate) fn check(
    env: &mut Env<'_>,
    state: &mut State,
    taken: &mut State,
    (cond, width, source): (Cond, Width, Source),
    insn: &Insn,
) -> Result<Ways, Stop> {
    let dst = *readable(state, insn.dst)?;
    let src = match source {
        Source::X => *readable(state, insn.src)?,
        Source::K => RegState::scalar((env.rules.at(width).operand)(&insn.imm)),
    };
    let src_reg = (source == Source::X).then_some(insn.src);
    match decided(env, (cond, width), (insn.dst, &dst), (src_reg, &src)) {
        Some(true) => return Ok(Ways::Take),
        Some(false) => return Ok(Ways::Fall),
        None => taken.clone_from(state),
    }
    if dst.kind == Kind::Scalar && src.kind == Kind::Scalar {
        learn_numbers(env, state, taken, (cond, width), (insn.dst, dst), (src_reg, src));
    } else if width == Width::W64 {
        // Addresses are compared whole or not at all.
        let constant_null = source == Source::K && insn.imm == 0;
        if constant_null && matches!(cond, Cond::Eq | Cond::Ne) && dst.maybe_null() {
            mark_null_or_not(state, dst.id, cond == Cond::Ne);
            mark_null_or_not(taken, dst.id, cond == Cond::Eq);
        } else if let Some(src_reg) = src_reg {
            learn_not_null(state, taken, cond, (insn.dst, &dst), (src_reg, &src));
            learn_packet(env, state, taken, cond, (insn.dst, &dst), (src_reg, &src));
        }
    }
    Ok(Ways::Both)
}

/// Which way the jump must go, if that is known (`is_branch_taken`).
fn decided(
    env: &Env<'_>,
    (cond, width): (Cond, Width),
    (dst_reg, dst): (Reg, &RegState),
    (src_reg, src): (Option<Reg>, &RegState),
) -> Option<bool> {
    if dst.kind == Kind::Scalar && src.kind == Kind::Scalar {
        let (domain, row) = (&env.dialect.domain, env.rules.at(width).branch(cond));
        let taken = match src_reg {
            Some(src_reg) if src_reg == dst_reg => (row.taken_itself)(domain, &dst.var),
            _ => (row.taken)(domain, &dst.var, &src.var),
        };
        // Both hold only on a path that cannot arise: either way will do.
        return if taken.always {
            Some(true)
        } else if taken.never {
            Some(false)
        } else {
            None
        };
    }
    if width == Width::W32 {
        return None;
    }
    match (dst.kind, src.kind) {
        (Kind::Packet | Kind::PacketMeta, Kind::PacketEnd) => packet_decided(cond, dst.range),
        (Kind::PacketEnd, Kind::Packet | Kind::PacketMeta) => packet_decided(flipped(cond), src.range),
        // Addresses of values are not null.
        (Kind::MapValue, Kind::Scalar) if !dst.maybe_null() && src.as_constant() == Some(0) => null_decided(cond),
        (Kind::Scalar, Kind::MapValue) if !src.maybe_null() && dst.as_constant() == Some(0) => null_decided(cond),
        _ => None,
    }
}

fn null_decided(cond: Cond) -> Option<bool> {
    match cond {
        Cond::Eq => Some(false),
        Cond::Ne => Some(true),
        _ => None,
    }
}

/// `pointer cond packet end` where an earlier comparison said how they lie (`is_pkt_ptr_branch_taken`).
fn packet_decided(cond: Cond, range: i32) -> Option<bool> {
    match cond {
        Cond::Le | Cond::Gt if range == BEYOND_PACKET_END => Some(cond == Cond::Gt),
        Cond::Lt | Cond::Ge if range == BEYOND_PACKET_END || range == AT_PACKET_END => Some(cond == Cond::Ge),
        _ => None,
    }
}

/// Both ways of a comparison of numbers (`reg_set_min_max`).
fn learn_numbers(
    env: &Env<'_>,
    state: &mut State,
    taken: &mut State,
    (cond, width): (Cond, Width),
    (dst_reg, dst): (Reg, RegState),
    (src_reg, src): (Option<Reg>, RegState),
) {
    let (domain, row) = (&env.dialect.domain, env.rules.at(width).branch(cond));
    for (state, refine) in [(taken, row.holds), (state, row.fails)] {
        let refined = refine(domain, &dst.var, &src.var);
        if src_reg == Some(dst_reg) {
            learn(state, dst_reg, &dst, refined.aliased(domain));
            continue;
        }
        if let Some(src_reg) = src_reg {
            learn(state, src_reg, &src, refined.src);
        }
        learn(state, dst_reg, &dst, refined.dst);
    }
}

/// Gives the number to the register and to all that are linked to it (`find_equal_scalars`).
fn learn(state: &mut State, reg: Reg, before: &RegState, number: Number) {
    let learnt = RegState { var: number.or_unknown_if_empty(), ..*before };
    state.set(reg, learnt);
    if before.id != 0 {
        state.for_each(|held| {
            if held.kind == Kind::Scalar && held.id == before.id {
                *held = learnt;
            }
        });
    }
}

/// All copies of a pointer that may be null turn into 0, or into a pointer (`mark_ptr_or_null_regs`).
fn mark_null_or_not(state: &mut State, id: u32, null: bool) {
    state.for_each(|held| {
        if held.maybe_null() && held.id == id {
            *held = if null {
                RegState::constant(0)
            } else {
                RegState { flags: held.flags.without(Flags::MAYBE_NULL), id: 0, ..*held }
            };
        }
    });
}

/// A pointer that may be null and equals one that may not be is not null (`mark_ptr_not_null_reg`).
fn learn_not_null(
    state: &mut State,
    taken: &mut State,
    cond: Cond,
    (dst_reg, dst): (Reg, &RegState),
    (src_reg, src): (Reg, &RegState),
) {
    if !(dst.kind.is_pointer() && src.kind.is_pointer()) {
        return;
    }
    let reg = match (dst.maybe_null(), src.maybe_null()) {
        (true, false) => dst_reg,
        (false, true) => src_reg,
        _ => return,
    };
    let equal = match cond {
        Cond::Eq => taken,
        Cond::Ne => state,
        _ => return,
    };
    let known = &mut equal.regs[reg.index()];
    known.flags = known.flags.without(Flags::MAYBE_NULL);
}

/// A packet pointer against the packet's end, or a metadata pointer against the packet's start
/// (`try_match_pkt_pointers`).
fn learn_packet(
    env: &Env<'_>,
    state: &mut State,
    taken: &mut State,
    cond: Cond,
    (dst_reg, dst): (Reg, &RegState),
    (src_reg, src): (Reg, &RegState),
) {
    let is_end = |pointer: &RegState, end: &RegState| match (pointer.kind, end.kind) {
        (Kind::Packet, Kind::PacketEnd) => true,
        (Kind::PacketMeta, Kind::Packet) => is_packet_start(end),
        _ => false,
    };
    // As if the pointer were on the left.
    let (cond, reg, pointer) = if is_end(dst, src) {
        (cond, dst_reg, dst)
    } else if is_end(src, dst) {
        (flipped(cond), src_reg, src)
    } else {
        return;
    };
    // Where the pointer is below the end, and where beyond; and whether it may lie exactly at the end there.
    let (below, beyond, equal_is_below) = match cond {
        Cond::Gt => (state, taken, true),
        Cond::Le => (taken, state, true),
        Cond::Lt => (taken, state, false),
        Cond::Ge => (state, taken, false),
        _ => return,
    };
    mark_packet_range(env, below, pointer, !equal_is_below);
    let at = &mut beyond.regs[reg.index()];
    if at.kind == Kind::Packet {
        at.range = if equal_is_below { BEYOND_PACKET_END } else { AT_PACKET_END };
    }
}

fn is_packet_start(reg: &RegState) -> bool {
    reg.kind == Kind::Packet && reg.id == 0 && reg.off == 0 && reg.var.var_off.mask == 0 && reg.var.var_off.value == 0
}

/// The bytes before the pointer are there, for all pointers with the same variable part (`find_good_pkt_pointers`).
fn mark_packet_range(env: &Env<'_>, state: &mut State, pointer: &RegState, strictly: bool) {
    let off = i64::from(pointer.off);
    let umax = pointer.var.umax;
    let is_start = off == 0 && (umax == 0 || !env.dialect.one_offset);
    if off < 0 || is_start && strictly {
        return;
    }
    if umax > MAX_PACKET_OFF as u64 || umax as i64 + off > MAX_PACKET_OFF {
        return;
    }
    let range = (env.rules.packet_range)(off, strictly) as i32;
    state.for_each(|held| {
        if held.kind == pointer.kind && held.id == pointer.id {
            held.range = held.range.max(range);
        }
    });
}
