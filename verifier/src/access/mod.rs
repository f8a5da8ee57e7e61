//! Which accesses to memory are in bounds, and what a read yields (kernel: `check_mem_access`, `check_atomic`,
//! `check_helper_mem_access`): a room per kind of memory.

use crate::bounds::Extent;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::insn::alu;
use crate::refusal::{Edge, MemoryRefusal, Refusal, Stop};
use crate::stack::{self, Stored};
use crate::state::{Flags, Kind, Number, RegState, State};
use crate::tnum::Tnum;
use semantics::insn::{AluOp, Reg, Size, Width};
use semantics::word::Concrete;

mod buffer;
mod context;
mod map_value;
pub(crate) mod object;
mod packet;
mod socket;
pub(crate) use semantics::program_type::target;

pub(crate) use semantics::map::RDONLY_PROG;

/// One access of an instruction: `*(size *)(reg + off)`.
#[derive(Clone, Copy, Debug)]
struct Access {
    /// The register with the address.
    reg: Reg,
    /// What it holds.
    base: RegState,
    /// The instruction's offset.
    off: i32,
    /// The constant part of the address: neither term is larger than 2^29 in magnitude by more than a jump's distance.
    at: i32,
    size: Size,
    write: bool,
    /// Whether it is one half of an atomic operation.
    atomic: bool,
}

impl Access {
    fn new(state: &State, reg: Reg, off: i16, size: Size) -> Access {
        let (base, off) = (*state.reg(reg), i32::from(off));
        Access { reg, base, off, at: base.off.wrapping_add(off), size, write: false, atomic: false }
    }
    fn var_off(&self) -> Tnum<u64> {
        self.base.var.var_off
    }
    /// Whether the address is the object's first byte plus a constant.
    fn has_variable_part(&self) -> bool {
        self.var_off().mask != 0 || self.var_off().value != 0
    }
}

/// What `*(size *)(reg + off)` yields.
pub(crate) fn load(env: &mut Env<'_>, state: &State, reg: Reg, off: i16, size: Size) -> Result<RegState, Stop> {
    read(env, state, &Access::new(state, reg, off, size), true)
}

/// Stores `value`, which came from `value_reg`, as `*(size *)(reg + off)`.
pub(crate) fn store(
    env: &mut Env<'_>,
    state: &mut State,
    reg: Reg,
    off: i16,
    size: Size,
    value: &Stored,
    value_reg: Reg,
) -> Result<(), Stop> {
    let access = Access { write: true, ..Access::new(state, reg, off, size) };
    if access.base.kind == Kind::Ctx && matches!(value, Stored::Imm(_)) && !env.dialect.st_imm_to_ctx {
        return Err(Refusal::ImmediateToContext { reg, kind: access.base.ty() }.into());
    }
    write(env, state, &access, value, value_reg)
}

/// Reads and writes the same place; what was read counts where it goes to a register, `fetched`. That one holds nothing known
/// from the start: not even the address, if it is the one with the address (`check_reg_arg` in `check_atomic`).
pub(crate) fn atomic(
    env: &mut Env<'_>,
    state: &mut State,
    reg: Reg,
    off: i16,
    size: Size,
    fetched: Option<Reg>,
) -> Result<RegState, Stop> {
    let mut access = Access { atomic: true, ..Access::new(state, reg, off, size) };
    if fetched == Some(reg) {
        (access.base, access.at) = (RegState::unknown(), i32::from(off));
    }
    let mut old = read(env, state, &access, false)?;
    if fetched.is_some() {
        old = read(env, state, &access, true)?;
    }
    write(env, state, &Access { write: true, ..access }, &Stored::Unknown, reg)?;
    Ok(old)
}

/// `fills` where what is read goes to a register.
fn read(env: &mut Env<'_>, state: &State, access: &Access, fills: bool) -> Result<RegState, Stop> {
    check_alignment(env, access)?;
    let base = &access.base;
    let loaded = match base.kind {
        _ if base.maybe_null() => return Err(no_memory(access)),
        Kind::Fp => stack::load(env, state, (access.reg, base, access.off), access.size, fills)?,
        Kind::Ctx => context::read(env, access)?,
        Kind::MapValue => map_value::read(env, access)?,
        Kind::BtfId | Kind::MapPtr => object::read(env, access)?,
        _ => {
            check(env, access)?;
            RegState::unknown()
        }
    };
    Ok(if loaded.kind != Kind::Scalar {
        loaded
    } else if base.kind != Kind::Fp && loaded.var == Number::unknown() {
        RegState::scalar((env.rules.load)(access.size.bits()))
    } else {
        loaded.cut_to(access.size, env)
    })
}

fn write(env: &mut Env<'_>, state: &mut State, access: &Access, value: &Stored, value_reg: Reg) -> Result<(), Stop> {
    check_alignment(env, access)?;
    let base = &access.base;
    match base.kind {
        _ if base.maybe_null() => Err(no_memory(access)),
        Kind::Fp => stack::store(env, state, (access.reg, base, access.off), access.size, (value, value_reg)),
        Kind::Ctx => Ok(context::field(env, access).map(|_| ())?),
        Kind::MapValue => map_value::write(env, access, value, value_reg),
        Kind::BtfId | Kind::MapPtr => object::write(env, access),
        _ => check(env, access),
    }
}

/// Accesses that yield some number, in memory where writing changes nothing that is known.
fn check(env: &Env<'_>, access: &Access) -> Result<(), Stop> {
    let base = &access.base;
    let not_writable = || MemoryRefusal::NotWritable { reg: access.reg, kind: base.ty() }.into();
    match base.kind {
        Kind::MapKey if access.write => return Err(MemoryRefusal::KeyWrite { reg: access.reg }.into()),
        Kind::Mem | Kind::Buf if access.write && base.flags.any(Flags::RDONLY) => return Err(not_writable()),
        _ => {}
    }
    match base.kind {
        Kind::MapKey | Kind::Mem => {
            Ok(buffer::check_sized(env, access.reg, base, access.off, access.size.bytes().into(), false)?)
        }
        Kind::Packet | Kind::PacketMeta => Ok(packet::check(env, access)?),
        Kind::FlowKeys => Ok(buffer::check_flow_keys(access)?),
        Kind::Socket | Kind::SockCommon | Kind::TcpSock | Kind::XdpSock => Ok(socket::check(access)?),
        Kind::TpBuffer | Kind::Buf => {
            Ok(buffer::check(env.dialect, access.reg, base, access.at, access.size.bytes().into())?)
        }
        _ => Err(no_memory(access)),
    }
}

fn no_memory(access: &Access) -> Stop {
    Refusal::NoMemory { reg: access.reg, kind: access.base.ty() }.into()
}

/// How a helper uses memory that it is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// Whether it writes there.
    pub write: bool,
    /// Whether there may be nothing (`zero_size_allowed`).
    pub none_allowed: bool,
    /// Whether it writes all of it, so that nothing there has to hold anything before (`raw_mode`).
    pub raw: bool,
}

/// Memory of `size` bytes that a helper is given (`check_helper_mem_access`).
pub(crate) fn for_helper(env: &mut Env<'_>, state: &mut State, reg: Reg, size: i64, way: Use) -> Result<(), Stop> {
    let base = *state.reg(reg);
    let is_memory = |kind| matches!(kind, Kind::Packet | Kind::PacketMeta | Kind::MapKey | Kind::MapValue | Kind::Mem);
    match base.kind {
        Kind::MapKey | Kind::Mem | Kind::Buf
            if way.write && (base.kind == Kind::MapKey || base.flags.any(Flags::RDONLY)) =>
        {
            Err(MemoryRefusal::NotWritable { reg, kind: base.ty() }.into())
        }
        Kind::Packet | Kind::PacketMeta => Ok(packet::check_range(env, reg, &base, 0, size, way.none_allowed)?),
        Kind::MapKey => Ok(buffer::check_sized(env, reg, &base, 0, size, false)?),
        Kind::MapValue => map_value::for_helper(env, reg, &base, size, way),
        Kind::Mem => Ok(buffer::check_sized(env, reg, &base, 0, size, way.none_allowed)?),
        Kind::Buf => Ok(buffer::check(env.dialect, reg, &base, base.off, size)?),
        Kind::Fp => stack::for_helper(env, state, reg, size, way),
        Kind::Ctx if !context::is_converted(env) => context::for_helper(env, state, reg, size, way),
        kind => {
            debug_assert!(!is_memory(kind));
            if way.none_allowed && size == 0 && base.as_constant() == Some(0) {
                return Ok(());
            }
            Err(Refusal::ArgumentType { reg, kind: base.ty(), expected: "fp" }.into())
        }
    }
}

/// The variable part of the address, and the constant part with `off`: as the version keeps them.
pub(crate) fn parts(dialect: Dialect, base: &RegState, off: i32) -> (Number, i32) {
    if !dialect.one_offset {
        return (base.var, base.off.wrapping_add(off));
    }
    let fixed = Number::constant(&(i64::from(base.off) as u64));
    let var = if base.off == 0 {
        base.var
    } else {
        alu::transfer(AluOp::Add, Width::W64, &dialect.domain, &base.var, &fixed)
    };
    (var, off)
}

/// Accesses must be aligned where the program says so, to the stack, which is followed in slots, and where they are atomic
/// (`check_ptr_alignment`).
fn check_alignment(env: &Env<'_>, access: &Access) -> Result<(), Refusal> {
    let Access { reg, ref base, off, size, .. } = *access;
    let is_strict = env.program.load().strict_alignment || base.kind == Kind::Fp || access.atomic;
    if !is_strict || size == Size::B {
        return Ok(());
    }
    let (size, (var, whole)) = (size.bytes(), parts(env.dialect, base, off));
    // Where a packet begins, 2 bytes are left out so that the address in it is aligned (`NET_IP_ALIGN`).
    let start = if base.kind.is_packet() { 2 } else { 0 };
    if Tnum::constant(i64::from(whole.wrapping_add(start)) as u64).add(&var.var_off).is_aligned(&u64::from(size)) {
        return Ok(());
    }
    let (var_off, fixed) = (env.dialect.bits(var.var_off), (!env.dialect.one_offset).then_some(base.off));
    let what = match base.kind {
        Kind::Packet | Kind::PacketMeta => {
            return Err(MemoryRefusal::MisalignedPacket { reg, var_off, fixed, off, size }.into());
        }
        Kind::Fp => return Err(Refusal::MisalignedStack { reg, var_off, fixed, off, size }),
        _ if base.flags != Flags::NONE => "",
        Kind::FlowKeys => "flow keys ",
        Kind::MapKey => "key ",
        Kind::MapValue => "value ",
        Kind::Ctx => "context ",
        Kind::Socket => "sock ",
        Kind::SockCommon => "sock_common ",
        Kind::TcpSock => "tcp_sock ",
        Kind::XdpSock => "xdp_sock ",
        _ => "",
    };
    Err(MemoryRefusal::Misaligned { reg, what, var_off, fixed, off, size }.into())
}

/// What a helper writes as one number of `size` bytes has to be aligned.
pub(crate) fn check_number(env: &Env<'_>, state: &State, reg: Reg, size: u32) -> Result<(), Refusal> {
    let size = if size == 8 { Size::Dw } else { Size::W };
    check_alignment(env, &Access { atomic: true, ..Access::new(state, reg, 0, size) })
}

/// The context is accessed and passed on only as it was given (`check_ptr_off_reg`).
pub(crate) fn check_unmodified(dialect: Dialect, reg: Reg, base: &RegState) -> Result<(), Refusal> {
    let (var, off) = parts(dialect, base, 0);
    let (kind, var_off) = (base.ty(), var.var_off);
    let is_variable = || Refusal::VariableOffset { reg, kind, var_off: dialect.bits(var_off) };
    if dialect.one_offset && var_off.mask != 0 {
        return Err(is_variable());
    }
    let off = if dialect.one_offset { var_off.value as i32 } else { off };
    if off < 0 {
        return Err(Refusal::NegativeOffset { reg, kind, off });
    }
    if off != 0 {
        return Err(Refusal::ModifiedPointer { reg, kind, off });
    }
    if var_off.mask != 0 || var_off.value != 0 {
        return Err(is_variable());
    }
    Ok(())
}

/// Whether `size` bytes at the constant part, wherever the variable part leads, lie in `len` bytes; else `outside` says
/// which place and which end of the range do not (`check_mem_region_access`).
fn check_region(
    env: &Env<'_>,
    (var, off): &(Number, i32),
    reg: Reg,
    (size, len, none_allowed): (i64, i64, bool),
    outside: impl Fn(i32, Edge) -> Refusal,
) -> Result<(), Refusal> {
    let fit = (env.rules.region)(var, &(*off as u32), &extent(size, len, none_allowed));
    let place = |var: u64| (i64::from(*off) as u64).wrapping_add(var) as i32;
    if fit.negative {
        return Err(Refusal::NegativeIndex { reg });
    }
    if fit.below {
        return Err(outside(place(var.smin), Edge::Min));
    }
    if fit.unbounded {
        return Err(Refusal::Unbounded { reg });
    }
    if fit.beyond { Err(outside(place(var.umax), Edge::Max)) } else { Ok(()) }
}

fn extent(size: i64, len: i64, none_allowed: bool) -> Extent<Concrete> {
    Extent { size: size as u64, len: len as u64, none_allowed }
}
