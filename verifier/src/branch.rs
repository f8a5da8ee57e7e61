//! Conditional jumps on whatever registers hold: numbers, packet pointers against the packet's end, pointers that may be
//! null (kernel: `check_cond_jmp_op`).

use crate::env::{Env, INNER};
use crate::insn::jump::{Ways, flipped};
use crate::insn::readable;
use crate::refusal::Stop;
use crate::state::{AT_PACKET_END, BEYOND_PACKET_END, Flags, Kind, Number, RegState, State};
use semantics::insn::{Cond, Insn, Reg, Source, Width};
use semantics::map::{ValueField, ValueFieldKind};

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
            mark_null_or_not(env, state, &dst, cond == Cond::Ne);
            mark_null_or_not(env, taken, &dst, cond == Cond::Eq);
        } else if let Some(src_reg) = src_reg {
            learn_not_null(env, state, taken, cond, (insn.dst, &dst), (src_reg, &src));
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
    match (dst.kind, src.kind) {
        (_, Kind::PacketEnd) if width == Width::W64 && dst.kind.is_packet() => packet_decided(cond, dst.range),
        (Kind::PacketEnd, _) if width == Width::W64 && src.kind.is_packet() => packet_decided(flipped(cond), src.range),
        // Whole addresses and, for Linux, also halves of them are not null.
        (_, Kind::Scalar) if is_not_null(env, dst) && is_zero(width, src) => null_decided(cond),
        (Kind::Scalar, _) if env.dialect.more_not_null && is_not_null(env, src) && is_zero(width, dst) => {
            null_decided(cond)
        }
        _ => None,
    }
}

/// Whether a comparison with null is decided (`reg_not_null`).
fn is_not_null(env: &Env<'_>, held: &RegState) -> bool {
    let more = env.dialect.more_not_null;
    let flags_fit = held.flags == Flags::NONE || more && !held.maybe_null();
    flags_fit
        && match held.kind {
            Kind::Socket | Kind::TcpSock | Kind::SockCommon | Kind::MapValue | Kind::MapKey => true,
            Kind::Mem => more,
            Kind::BtfId => more && (held.flags.any(Flags::TRUSTED) || held.reference != 0),
            _ => false,
        }
}

fn is_zero(width: Width, held: &RegState) -> bool {
    let (value, mask) = (held.var.var_off.value, held.var.var_off.mask);
    match width {
        Width::W64 => value == 0 && mask == 0,
        Width::W32 => value as u32 == 0 && mask as u32 == 0,
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

/// All copies of a pointer that may be null turn into 0, or into a pointer; what is null holds no reference
/// (`mark_ptr_or_null_regs`).
fn mark_null_or_not(env: &Env<'_>, state: &mut State, of: &RegState, null: bool) {
    let id = of.id;
    if null && of.reference != 0 && of.reference == id {
        state.release(id);
    }
    state.for_each(|held| {
        if held.maybe_null() && held.id == id {
            *held = if null { RegState::constant(0) } else { not_null(env, held) };
        }
    });
}

/// The same where it is not null: what a lookup in a map of maps or of sockets yields is no value then
/// (`mark_ptr_not_null_reg`).
pub(crate) fn not_null(env: &Env<'_>, held: &RegState) -> RegState {
    let flags = held.flags.without(Flags::MAYBE_NULL);
    let known = RegState { flags, id: 0, ..*held };
    if held.kind != Kind::MapValue {
        return known;
    }
    let map = env.map(held.map);
    let has = |kind| move |field: &ValueField| field.kind == kind;
    match (&map.inner, map.map_type.name()) {
        // Which of the inner maps it is matters to timers: they stay in the map that they were set up in.
        (Some(inner), _) if held.map & INNER == 0 => {
            let id = if inner.fields.iter().any(has(ValueFieldKind::Timer)) { held.id } else { 0 };
            RegState { kind: Kind::MapPtr, map: held.map | INNER, id, ..known }
        }
        (_, "xskmap") => RegState { kind: Kind::XdpSock, ..known },
        (_, "sockmap" | "sockhash") => RegState { kind: Kind::Socket, ..known },
        // A lock is told from others by the id of its value.
        _ if map.fields.iter().any(has(ValueFieldKind::SpinLock)) => RegState { id: held.id, ..known },
        _ => known,
    }
}

/// A pointer that may be null and equals one that may not be is not null (`mark_ptr_not_null_reg`).
fn learn_not_null(
    env: &Env<'_>,
    state: &mut State,
    taken: &mut State,
    cond: Cond,
    (dst_reg, dst): (Reg, &RegState),
    (src_reg, src): (Reg, &RegState),
) {
    let is_plain = |held: &RegState| held.kind.is_pointer() && held.kind != Kind::BtfId;
    if !(env.dialect.pointers_teach_null && is_plain(dst) && is_plain(src)) {
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
    *known = RegState { id: known.id, ..not_null(env, known) };
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
