//! Helper calls, checked from the helper's declaration (kernel: `check_helper_call`).

use crate::access::{self, Use};
use crate::env::Env;
use crate::insn::readable;
use crate::refusal::{Refusal, Stop, Unsupported};
use crate::stack;
use crate::state::{Flags, Kind, RegState, State};
use semantics::helper::{self, Arg, ArgKind, Change, Fact, Helper, RetKind};
use semantics::insn::{Insn, Reg};
use semantics::map::MapType;

/// `BPF_F_INNER_MAP`.
const INNER_MAP: u32 = 1 << 12;

/// Memory that a helper reads.
const READ: Use = Use { write: false, none_allowed: false, raw: false };

/// `r0 = helper(r1, ..., r5)` at `pc`: where the path goes on.
pub(crate) fn check(env: &mut Env<'_>, state: &mut State, insn: &Insn, pc: usize) -> Result<usize, Stop> {
    let helper = resolve(env, insn.imm as i32)?;
    let fact = helper.fact();
    let mut given = Given::default();
    for (arg, reg) in fact.args.iter().zip(Reg::ARGS) {
        check_argument(env, state, helper, arg, reg, &mut given)?;
    }
    for reg in Reg::ARGS {
        state.set(reg, RegState::NOT_INIT);
    }
    let result = match (fact.ret, given.map) {
        (RetKind::Integer, _) => RegState::unknown(),
        (RetKind::Void, _) => RegState::NOT_INIT,
        (RetKind::MapValueOrNull, Some(map)) if fact.name == "map_lookup_elem" && is_there(env, map, given.key) => {
            RegState { map, ..RegState::pointer(Kind::MapValue) }
        }
        (RetKind::MapValueOrNull, Some(map)) => {
            RegState { map, flags: Flags::MAYBE_NULL, id: env.new_id(), ..RegState::pointer(Kind::MapValue) }
        }
        _ => return Err(Unsupported::Result { name: fact.name }.into()),
    };
    state.set(Reg::R0, result);
    if fact.changes_packet() {
        state.for_each(|held| {
            if held.kind.is_packet() || held.kind == Kind::PacketEnd {
                *held = RegState::unknown();
            }
        });
    }
    Ok(pc + 1)
}

/// The helper, if the program may call it.
fn resolve(env: &Env<'_>, id: i32) -> Result<&'static Helper, Stop> {
    let number = u32::try_from(id).map_err(|_| Refusal::InvalidHelper { id })?;
    let words = env.dialect.closed_helper;
    if number == 0 {
        return Err(Refusal::ClosedHelper { words, name: "unspec", id: 0 }.into());
    }
    let fact: &Fact = helper::fact(number).ok_or(Refusal::InvalidHelper { id })?;
    if !fact.is_open_to(env.program.program_type()) {
        return Err(Refusal::ClosedHelper { words, name: fact.name, id: number }.into());
    }
    if fact.gpl_only() && !env.program.is_gpl_compatible() {
        return Err(Refusal::GplOnly { name: fact.name }.into());
    }
    if fact.might_sleep() {
        return Err(Refusal::Sleeps { name: fact.name }.into());
    }
    helper::by_id(number).ok_or_else(|| Unsupported::Helper { id: number, name: fact.name }.into())
}

/// What arguments say of the result (`struct bpf_call_arg_meta`).
#[derive(Debug, Default)]
struct Given {
    /// The map.
    map: Option<u32>,
    /// The key, if it is known.
    key: Option<u64>,
}

/// Whether the map surely has a value at this key (`can_elide_value_nullness`).
fn is_there(env: &Env<'_>, map: u32, key: Option<u64>) -> bool {
    let map = env.map(map);
    map.map_type == MapType::ARRAY
        && map.flags & INNER_MAP == 0
        && key.is_some_and(|key| key < u64::from(map.max_entries))
}

/// One argument (`check_func_arg`).
fn check_argument(
    env: &mut Env<'_>,
    state: &mut State,
    helper: &Helper,
    arg: &Arg,
    reg: Reg,
    given: &mut Given,
) -> Result<(), Stop> {
    let held = *readable(state, reg)?;
    let fact = helper.fact();
    let kind = held.kind;
    if arg.kind == ArgKind::Anything {
        return Ok(());
    }
    if kind.is_packet() && !fact.packet_access() {
        return Err(Refusal::HelperPacket { reg }.into());
    }
    if arg.is(Arg::OR_NULL) && held.as_constant() == Some(0) {
        return Ok(());
    }
    let expect = |fits: bool, expected| {
        if fits { Ok(()) } else { Err(Refusal::ArgumentType { reg, kind: held.ty(), expected }) }
    };
    let is_memory = !held.maybe_null() && matches!(kind, Kind::Fp | Kind::Packet | Kind::PacketMeta | Kind::MapValue);
    // What is no memory at all is said apart from what is none for a helper (`check_helper_mem_access`).
    let memory_kinds = if kind == Kind::Ctx && env.dialect.context_as_memory { "fp" } else { env.dialect.memory_kinds };
    let unsupported = || Unsupported::Argument { name: fact.name, number: reg.number() };
    let definition =
        |map: Option<u32>| map.and_then(|map| env.program.maps().get(map as usize)).ok_or_else(unsupported);
    match arg.kind {
        ArgKind::ConstMapPtr => {
            expect(kind == Kind::MapPtr, "map_ptr")?;
            given.map = Some(held.map);
            let map_type = definition(given.map)?.map_type;
            // Programs and tail calls go together (`check_map_func_compatibility`).
            let is_tail_call = helper.id == helper::tail_call::ID;
            if is_tail_call && map_type != MapType::PROG_ARRAY {
                return Err(Refusal::NoProgArray { reg, map_type, words: env.dialect.no_prog_array }.into());
            }
            if map_type == MapType::PROG_ARRAY && !is_tail_call {
                return Err(Refusal::HelperMapType { reg, map_type, name: fact.name, id: helper.id }.into());
            }
            let read_only = definition(given.map)?.flags & access::RDONLY_PROG != 0;
            if read_only && helper.changes.contains(&Change::MapValues) {
                return Err(Refusal::HelperMapWrite { reg }.into());
            }
        }
        ArgKind::MapKey => {
            expect(is_memory, memory_kinds)?;
            let size = definition(given.map)?.key_size;
            if env.dialect.constant_keys && kind == Kind::Fp {
                given.key = stack::constant_key(state, &held, size);
            }
            access::for_helper(env, state, reg, size.into(), READ)?;
        }
        ArgKind::MapValue => {
            expect(is_memory, memory_kinds)?;
            let size = definition(given.map)?.value_size;
            let raw = arg.is(Arg::UNINIT);
            access::for_helper(env, state, reg, size.into(), Use { write: raw, raw, ..READ })?;
        }
        ArgKind::Ctx => {
            expect(kind == Kind::Ctx, "ctx")?;
            access::check_unmodified(env.dialect, reg, &held)?;
        }
        _ => return Err(unsupported().into()),
    }
    Ok(())
}
