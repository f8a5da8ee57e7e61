//! Arithmetic on pointers (kernel: `adjust_ptr_min_max_vals`).

use crate::access;
use crate::env::Env;
use crate::insn::alu::{self, Operation};
use crate::refusal::{Refusal, Stop};
use crate::stack::MAX_VAR_OFF;
use crate::state::{Kind, RegState, Type};
use semantics::insn::{AluOp, Reg, Width};

/// What `dst = pointer op offset` leaves; `reversed` where the destination held the number.
pub(crate) fn arithmetic(
    env: &mut Env<'_>,
    op: Operation,
    width: Width,
    dst: Reg,
    pointer: &RegState,
    offset: &RegState,
    reversed: bool,
) -> Result<RegState, Stop> {
    let number = &offset.var;
    let known = number.var_off.mask == 0;
    if known && (number.smin != number.smax || number.umin != number.umax) || !number.well_formed() {
        // Only a path that cannot arise has such an offset.
        return Ok(RegState::unknown());
    }
    if width == Width::W32 {
        // What is left is no pointer.
        return if op == Operation::Alu(AluOp::Sub) {
            Ok(RegState::unknown())
        } else {
            Err(Refusal::Pointer32 { reg: dst }.into())
        };
    }
    let kind = pointer.ty();
    match pointer.kind {
        _ if pointer.maybe_null() => return Err(Refusal::NullCheckFirst { reg: dst, kind }.into()),
        Kind::MapPtr if known && number.smin == 0 && op == Operation::Alu(AluOp::Add) => {}
        Kind::FlowKeys if known => {}
        Kind::MapPtr
        | Kind::FlowKeys
        | Kind::PacketEnd
        | Kind::Socket
        | Kind::SockCommon
        | Kind::TcpSock
        | Kind::XdpSock => return Err(Refusal::PointerArithmetic { reg: dst, kind }.into()),
        _ => {}
    }
    check_sane(env, dst, kind, offset)?;
    check_sane(env, dst, kind, pointer)?;
    let result = match op {
        Operation::Alu(AluOp::Add) => add(env, pointer, offset),
        Operation::Alu(AluOp::Sub) if reversed => return Err(Refusal::SubtractPointer { reg: dst }.into()),
        Operation::Alu(AluOp::Sub) if pointer.kind == Kind::Fp => {
            return Err(Refusal::SubtractFromStack { reg: dst }.into());
        }
        Operation::Alu(AluOp::Sub) => sub(env, pointer, offset),
        Operation::Alu(_) => return Err(Refusal::Bitwise { reg: dst, operator: op.name() }.into()),
        Operation::Shift(_) | Operation::MulDiv(_) => {
            return Err(Refusal::PointerOperator { reg: dst, operator: op.name() }.into());
        }
    };
    check_sane(env, dst, kind, &result)?;
    Ok(RegState { var: result.var.sync_in(&env.dialect.domain), ..result })
}

/// A known number goes to the constant part as long as that holds it; another to the variable part.
fn add(env: &mut Env<'_>, pointer: &RegState, offset: &RegState) -> RegState {
    if let Some(off) = offset.as_constant().and_then(|n| fixed(i64::from(pointer.off).checked_add(n as i64))) {
        return moved_by(env, pointer, off);
    }
    let var = alu::unsynced(AluOp::Add, Width::W64, &env.dialect.domain, &pointer.var, &offset.var);
    let moved = RegState { var, ..*pointer };
    if pointer.kind.is_packet() { RegState { id: env.new_id(), range: 0, ..moved } } else { moved }
}

fn sub(env: &mut Env<'_>, pointer: &RegState, offset: &RegState) -> RegState {
    if let Some(off) = offset.as_constant().and_then(|n| fixed(i64::from(pointer.off).checked_sub(n as i64))) {
        return moved_by(env, pointer, off);
    }
    let var = alu::unsynced(AluOp::Sub, Width::W64, &env.dialect.domain, &pointer.var, &offset.var);
    let mut moved = RegState { var, ..*pointer };
    if pointer.kind.is_packet() {
        moved.id = env.new_id();
        // As many bytes are there from an earlier place on, but a later place proves nothing.
        moved.range = if (offset.var.smin as i64) < 0 { 0 } else { pointer.range.max(0) };
    }
    moved
}

/// The pointer with another constant part. Further down it may lie below the packet's end again;
/// since 7.2 nothing is known of that wherever it is moved.
fn moved_by(env: &Env<'_>, pointer: &RegState, off: i32) -> RegState {
    let range = if off < pointer.off || env.dialect.one_offset { pointer.range.max(0) } else { pointer.range };
    RegState { off, range, ..*pointer }
}

fn fixed(off: Option<i64>) -> Option<i32> {
    off.and_then(|off| i32::try_from(off).ok())
}

/// Offsets stay so small that sums of them cannot wrap (`check_reg_sane_offset`).
fn check_sane(env: &Env<'_>, reg: Reg, kind: Type, of: &RegState) -> Result<(), Refusal> {
    let large = |value: i64| value >= MAX_VAR_OFF || value <= -MAX_VAR_OFF;
    let (number, off) = access::parts(env.dialect, of, 0);
    let (value, smin) = (number.var_off.value as i64, number.smin as i64);
    if env.dialect.one_offset && of.kind.is_pointer() {
        return match (number.var_off.mask == 0 && large(value), large(smin)) {
            (true, _) => Err(Refusal::OffsetFixed { reg, kind, off: value }),
            (_, true) => Err(Refusal::OffsetFixed { reg, kind, off: smin }),
            _ => Ok(()),
        };
    }
    if number.var_off.mask == 0 && large(value) {
        return Err(Refusal::OffsetConstant { reg, kind, value });
    }
    if large(i64::from(off)) {
        return Err(Refusal::OffsetFixed { reg, kind, off: off.into() });
    }
    if smin == i64::MIN {
        return Err(Refusal::OffsetUnbounded { reg, kind });
    }
    if large(smin) {
        return Err(Refusal::OffsetRange { reg, kind, value: smin });
    }
    Ok(())
}
