//! What a helper returns (kernel: the last part of `check_helper_call`, `do_refine_retval_range`).

use super::prototype::Prototype;
use super::{Given, object, reference};
use crate::env::Env;
use crate::refusal::{Stop, Unsupported};
use crate::state::{Flags, Kind, Number, RegState, State};
use semantics::helper::RetKind;
use semantics::map::ValueFieldKind;

/// The largest error number (`MAX_ERRNO`).
const ERRNO_MAX: i64 = 4095;

/// R0 after the call at `pc`.
pub(super) fn result(
    env: &mut Env<'_>,
    state: &mut State,
    prototype: &Prototype,
    given: &Given,
    pc: usize,
) -> Result<RegState, Stop> {
    let helper = prototype.fact.id;
    let unsupported = || Unsupported::Result { name: prototype.fact.name };
    let or_null = |kind| RegState { flags: Flags::MAYBE_NULL, ..RegState::pointer(kind) };
    let mut result = match prototype.fact.ret {
        RetKind::Integer => RegState { var: number(helper, given), ..RegState::unknown() },
        RetKind::Void => RegState::NOT_INIT,
        RetKind::MapValue | RetKind::MapValueOrNull => {
            let map = given.map.ok_or_else(unsupported)?;
            let surely = prototype.fact.ret == RetKind::MapValue
                || helper == id!("map_lookup_elem") && super::map::has_value(env, map.number, given.key);
            let value = RegState { map: map.number, what: map.uid, ..or_null(Kind::MapValue) };
            let has_lock = || env.map(map.number).fields.iter().any(|field| field.kind == ValueFieldKind::SpinLock);
            match surely {
                true if has_lock() => RegState { flags: Flags::NONE, id: env.new_id(), ..value },
                true => RegState { flags: Flags::NONE, ..value },
                false => value,
            }
        }
        RetKind::SockOrNull => or_null(Kind::Socket),
        RetKind::SockCommonOrNull => or_null(Kind::SockCommon),
        RetKind::TcpSockOrNull => or_null(Kind::TcpSock),
        RetKind::RingbufMemOrNull => {
            let record = if env.dialect.early_prototypes { Flags::ALLOC } else { Flags::RINGBUF };
            RegState { flags: Flags::MAYBE_NULL.with(record), what: given.mem_size, ..or_null(Kind::Mem) }
        }
        RetKind::DynptrMemOrNull => RegState { what: given.mem_size, ..or_null(Kind::Mem) },
        RetKind::BtfIdTrusted if !env.dialect.early_prototypes => object::result(prototype, Flags::TRUSTED)?,
        RetKind::BtfId | RetKind::BtfIdTrusted => object::result(prototype, Flags::NONE)?,
        RetKind::BtfIdOrNull => object::result(prototype, Flags::MAYBE_NULL)?,
        RetKind::MemOrBtfId | RetKind::MemOrBtfIdOrNull => return Err(unsupported().into()),
    };
    if result.maybe_null() {
        result.id = env.new_id();
    }
    let map_type = given.map.map(|map| env.map(map.number).map_type);
    if reference::casts(helper) || helper == id!("dynptr_data") {
        result.reference = given.reference;
    } else if reference::acquires(helper, map_type) {
        let id = env.new_id();
        state.acquire(id, pc);
        (result.id, result.reference) = (id, id);
    }
    Ok(result)
}

/// The numbers that a helper may return: bytes that it wrote, or an error.
fn number(helper: u32, given: &Given) -> Number {
    let counts = [
        id!("get_stack"),
        id!("get_task_stack"),
        id!("probe_read_str"),
        id!("probe_read_kernel_str"),
        id!("probe_read_user_str"),
    ];
    let unknown = Number::unknown();
    if !counts.contains(&helper) {
        return unknown;
    }
    let (smin, smax) = (-ERRNO_MAX as u64, given.size_max);
    Number { smin, smax, s32_min: smin as u32, s32_max: smax as u32, ..unknown }.sync()
}
