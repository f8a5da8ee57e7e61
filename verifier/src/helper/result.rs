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

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::helper::{ResultClass, modelled};

    /// The ends of a class of numbers; `None` of what is no number.
    fn ends(class: ResultClass) -> Option<[u64; 2]> {
        Some(match class {
            ResultClass::Success | ResultClass::Null => [0, 0],
            ResultClass::U64 => [0, u64::MAX],
            ResultClass::U32 => [0, u64::from(u32::MAX)],
            ResultClass::Error(errno) => [errno.result(); 2],
            ResultClass::Range(first, last) => [first as u64, last as u64],
            // As a number, an address is any number.
            ResultClass::Kernel => [0, u64::MAX],
            ResultClass::Map | ResultClass::MapValue | ResultClass::Record | ResultClass::Memory => return None,
        })
    }

    /// Whether what is assumed of R0 leaves out results of this class.
    fn leaves_out(ret: RetKind, assumed: &Number, class: ResultClass) -> bool {
        let null = matches!(class, ResultClass::Null | ResultClass::Success);
        match ret {
            RetKind::Integer => ends(class).is_none_or(|ends| ends.iter().any(|end| !assumed.contains(end))),
            RetKind::Void => false,
            RetKind::MapValue => class != ResultClass::MapValue,
            RetKind::MapValueOrNull => {
                !null && !matches!(class, ResultClass::MapValue | ResultClass::Map | ResultClass::Kernel)
            }
            RetKind::RingbufMemOrNull => !null && class != ResultClass::Record,
            RetKind::DynptrMemOrNull | RetKind::MemOrBtfIdOrNull => {
                !null && !matches!(class, ResultClass::Memory | ResultClass::Kernel)
            }
            RetKind::MemOrBtfId => !matches!(class, ResultClass::Memory | ResultClass::Kernel),
            RetKind::BtfId | RetKind::BtfIdTrusted => class != ResultClass::Kernel,
            RetKind::BtfIdOrNull | RetKind::SockOrNull | RetKind::SockCommonOrNull | RetKind::TcpSockOrNull => {
                !null && class != ResultClass::Kernel
            }
        }
    }

    #[test]
    fn what_is_assumed_holds_of_every_declared_result() {
        // Counts of bytes go up to the size that was given: of the largest.
        let given = Given { size_max: i32::MAX as u64, ..Given::default() };
        let mut classes = 0;
        for (topic, helper) in modelled() {
            let fact = helper.fact();
            let assumed = number(helper.id, &given);
            for class in helper.results {
                assert!(!leaves_out(fact.ret, &assumed, *class), "{topic}: {}: {class}", fact.name);
                classes += 1;
            }
        }
        assert!(classes > 100, "{classes}");
    }

    #[test]
    fn a_narrower_range_is_found() {
        let counts = number(id!("get_stack"), &Given { size_max: 64, ..Given::default() });
        let class = |first, last| leaves_out(RetKind::Integer, &counts, ResultClass::Range(first, last));
        assert_eq!([class(-4095, 64), class(-4096, 64), class(0, 65)], [false, true, true]);
        assert!(leaves_out(RetKind::Integer, &Number::of_bits(31), ResultClass::U32));
        assert!(leaves_out(RetKind::MapValue, &Number::unknown(), ResultClass::Null));
        assert!(leaves_out(RetKind::Integer, &Number::unknown(), ResultClass::MapValue));
    }
}
