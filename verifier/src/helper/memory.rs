//! Memory that a helper is given: of a size that follows from the prototype, or that the next argument says (kernel:
//! `check_mem_size_reg`, `may_access_direct_pkt_data`).

use super::Given;
use super::prototype::{Demand, Prototype};
use crate::access::{self, Use};
use crate::env::Env;
use crate::refusal::{CallRefusal, Stop};
use crate::state::State;
use semantics::helper::{Arg, ArgKind};
use semantics::insn::Reg;
use semantics::program_type::ProgramType;

/// The largest size that a helper takes (`BPF_MAX_VAR_SIZ`).
const SIZE_MAX: u64 = 1 << 29;

/// Whether the helper takes packet pointers from programs of this type (`may_access_direct_pkt_data`).
pub(super) fn takes_packets(env: &Env<'_>, prototype: &Prototype) -> bool {
    use ProgramType as P;
    match env.program.program_type() {
        P::CgroupSockopt => true,
        P::LwtIn
        | P::LwtOut
        | P::LwtSeg6local
        | P::SkReuseport
        | P::FlowDissector
        | P::CgroupSkb
        | P::SchedCls
        | P::SchedAct
        | P::Xdp
        | P::LwtXmit
        | P::SkSkb
        | P::SkMsg => prototype.packet_access,
        _ => false,
    }
}

/// Memory of `size` bytes.
pub(super) fn check_fixed(
    env: &mut Env<'_>,
    state: &mut State,
    reg: Reg,
    size: u32,
    demand: Demand,
) -> Result<(), Stop> {
    let raw = demand.is(Arg::UNINIT);
    let way = Use { write: demand.write, none_allowed: false, raw };
    access::for_helper(env, state, reg, i64::from(size), way)?;
    let is_number = matches!(demand.kind, ArgKind::PtrToInt | ArgKind::PtrToLong);
    if demand.aligned || is_number {
        access::check_number(env, state, reg, demand.size)?;
    }
    Ok(())
}

/// Memory before `reg`, which holds its size (`check_mem_size_reg`). Where that is no constant, all of the memory has to be
/// initialised: the helper may write only a part of it.
pub(super) fn check_sized(
    env: &mut Env<'_>,
    state: &mut State,
    reg: Reg,
    memory: Demand,
    none_allowed: bool,
    given: &mut Given,
) -> Result<(), Stop> {
    let size = state.reg(reg).var;
    let at = Reg::ARGS[usize::from(reg.number()) - 2];
    given.size_max = size.umax;
    let is_constant = size.var_off.mask == 0;
    let raw = memory.is(Arg::UNINIT) && is_constant;
    let write = memory.write && (is_constant || env.dialect.writes_declared);
    let way = Use { write, none_allowed, raw };
    if (size.smin as i64) < 0 {
        return Err(CallRefusal::NegativeSize { reg }.into());
    }
    if size.umin == 0 {
        if !none_allowed && env.dialect.zero_sizes_named {
            return Err(CallRefusal::ZeroSize { reg, umin: size.umin as i64, umax: size.umax as i64 }.into());
        }
        access::for_helper(env, state, at, 0, way)?;
    }
    if size.umax >= SIZE_MAX {
        return Err(CallRefusal::UnboundedSize { reg }.into());
    }
    access::for_helper(env, state, at, size.umax as i64, way)
}
