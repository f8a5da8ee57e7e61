//! Objects of the kernel, by their types, and the structures behind maps (kernel: `check_ptr_to_btf_access`,
//! `check_ptr_to_map_access`, `btf_struct_walk`). The types are those of the world.

use super::Access;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::refusal::{MemoryRefusal, Refusal, Stop, Unsupported};
use crate::state::{Flags, Kind, RegState};
use semantics::loader::Btf;
use semantics::loader::btf::{Kind as Of, Member};
use semantics::map::MapType;
use semantics::world::btf::btf;
use std::borrow::Cow;

/// Types that programs are given, and the world does not have: nothing of them can be read.
const UNKNOWN: [&str; 13] = [
    "bpf_fentry_test_t",
    "filename",
    "linux_binprm",
    "kstat",
    "vm_area_struct",
    "tcp6_sock",
    "udp6_sock",
    "tcp_timewait_sock",
    "tcp_request_sock",
    "mptcp_sock",
    "unix_sock",
    "pt_regs",
    "socket",
];
/// Set in the numbers of those.
const IS_UNKNOWN: u32 = 1 << 31;
/// How deep structures lie in each other, at most.
const DEPTH_MAX: usize = 32;

/// The number of the structure of this name.
pub(crate) fn number(name: &str) -> Option<u32> {
    let world = btf();
    let is_it = |of: &semantics::loader::btf::Type| {
        matches!(of.kind, Of::Struct { union: false, .. }) && world.string(of.name) == name
    };
    let known = world.types().iter().position(is_it).map(|at| at as u32 + 1);
    known.or_else(|| UNKNOWN.iter().position(|unknown| *unknown == name).map(|at| at as u32 | IS_UNKNOWN))
}

/// The name of a structure, by number.
pub(crate) fn name(what: u32) -> &'static str {
    if what & IS_UNKNOWN != 0 {
        return UNKNOWN.get((what & !IS_UNKNOWN) as usize).copied().unwrap_or("");
    }
    btf().get(what).map_or("void", |of| text(of.name))
}

/// A name of the world's types.
fn text(offset: u32) -> &'static str {
    match btf().string(offset) {
        Cow::Borrowed(name) => name,
        // No name of the world is anything but text.
        Cow::Owned(_) => "",
    }
}

/// Whether the structure is of this type, or begins with one (`btf_struct_ids_match`).
pub(crate) fn begins_with(what: u32, expected: u32) -> bool {
    let mut what = what;
    for _ in 0..DEPTH_MAX {
        if what == expected {
            return true;
        }
        let Some(Of::Struct { members, .. }) = btf().get(what).map(|of| &of.kind) else { return false };
        let Some(first) = members.first() else { return false };
        what = resolved(btf(), first.of);
    }
    false
}

/// What a load yields.
pub(super) fn read(env: &mut Env<'_>, access: &Access) -> Result<RegState, Stop> {
    let what = if access.base.kind == Kind::MapPtr {
        check_map(env, access)?;
        number("bpf_map").ok_or(Unsupported::MapStructure("bpf_map"))?
    } else {
        check_object(env.dialect, access)?;
        access.base.what
    };
    match member(access, what)? {
        None => Ok(RegState::unknown()),
        Some(what) => {
            let flags = if access.base.flags.any(Flags::UNTRUSTED) { Flags::UNTRUSTED } else { Flags::NONE };
            Ok(RegState { flags, what, ..RegState::pointer(Kind::BtfId) })
        }
    }
}

/// Objects of the kernel are only read.
pub(super) fn write(env: &Env<'_>, access: &Access) -> Result<(), Stop> {
    let reg = access.reg;
    if access.base.kind == Kind::MapPtr {
        check_map(env, access)?;
        return Err(Refusal::OnlyRead { reg, object: map_structure(env.map(access.base.map).map_type) }.into());
    }
    check_object(env.dialect, access)?;
    Err(MemoryRefusal::ObjectWrite { reg }.into())
}

fn check_object(dialect: Dialect, access: &Access) -> Result<(), MemoryRefusal> {
    let Access { reg, ref base, at: off, .. } = *access;
    let (object, var_off) = (name(base.what), dialect.bits(base.var.var_off));
    if off < 0 {
        return Err(MemoryRefusal::ObjectNegative { reg, object, off });
    }
    if access.has_variable_part() {
        return Err(MemoryRefusal::ObjectOffset { reg, object, off, var_off });
    }
    for (flag, memory) in [(Flags::USER, "user"), (Flags::PERCPU, "percpu")] {
        if base.flags.any(flag) {
            return Err(MemoryRefusal::ObjectMemory { reg, object, memory, off });
        }
    }
    Ok(())
}

fn check_map(env: &Env<'_>, access: &Access) -> Result<(), Refusal> {
    let Access { reg, ref base, at: off, .. } = *access;
    let object = map_structure(env.map(base.map).map_type);
    if access.has_variable_part() {
        return Err(Refusal::VariableOffset { reg, kind: base.ty(), var_off: env.dialect.bits(base.var.var_off) });
    }
    if off < 0 {
        return Err(Refusal::NegativeAccess { reg, object, off });
    }
    Ok(())
}

/// The kernel's structure behind a map of this type, as its type information names it; each begins with a `struct bpf_map`.
fn map_structure(map_type: MapType) -> &'static str {
    match map_type.name() {
        "hash" | "percpu_hash" | "lru_hash" | "lru_percpu_hash" | "hash_of_maps" => "bpf_htab",
        "stack_trace" => "bpf_stack_map",
        "queue" | "stack" => "bpf_queue_stack",
        "ringbuf" | "user_ringbuf" => "bpf_ringbuf_map",
        "lpm_trie" => "lpm_trie",
        "sockmap" => "bpf_stab",
        "sockhash" => "bpf_shtab",
        "devmap" | "devmap_hash" => "bpf_dtab",
        "cpumap" => "bpf_cpu_map",
        "xskmap" => "xsk_map",
        "reuseport_sockarray" => "reuseport_array",
        "cgroup_storage" | "percpu_cgroup_storage" => "bpf_cgroup_storage_map",
        "sk_storage" | "inode_storage" | "task_storage" | "cgrp_storage" => "bpf_local_storage_map",
        "bloom_filter" => "bpf_bloom_filter",
        _ => "bpf_array",
    }
}

/// The type that is meant, without typedefs and modifiers.
fn resolved(btf: &Btf, of: u32) -> u32 {
    let mut of = of;
    for _ in 0..DEPTH_MAX {
        match btf.get(of).map(|of| &of.kind) {
            Some(Of::Typedef(to) | Of::Modifier(to)) => of = *to,
            _ => break,
        }
    }
    of
}

/// What lies at an offset of a structure: the structure that a pointer there leads to, or `None` for a number.
fn member(access: &Access, what: u32) -> Result<Option<u32>, Stop> {
    let (reg, size, btf) = (access.reg, access.size.bytes(), btf());
    let (mut what, mut off) = (what, access.at as u32);
    for _ in 0..DEPTH_MAX {
        let object = name(what);
        let Some(Of::Struct { size: len, members, .. }) = btf.get(what).map(|of| &of.kind) else {
            // Nothing is written there, so it does not matter what lies there.
            return if access.atomic { Ok(None) } else { Err(Unsupported::Object(object).into()) };
        };
        if off.saturating_add(size) > *len {
            // The world's structures are shorter than the kernel's.
            return Err(Unsupported::Object(object).into());
        }
        let Some(found) = members.iter().find(|member| covers(btf, member, off)) else {
            return Err(Unsupported::Object(object).into());
        };
        if found.bits != 0 {
            return Ok(None);
        }
        let (start, mut of) = (found.offset / 8, resolved(btf, found.of));
        let mut inside = off - start;
        while let Some(Of::Array { element, .. }) = btf.get(of).map(|of| &of.kind) {
            of = resolved(btf, *element);
            inside %= btf.size(of).unwrap_or(1).max(1);
        }
        match btf.get(of).map(|of| &of.kind) {
            Some(Of::Struct { .. }) => (what, off) = (of, inside),
            Some(Of::Ptr(_)) if inside != 0 || size != 8 => {
                let member = text(found.name);
                return Err(MemoryRefusal::PointerMember { reg, member, start, object, off, size }.into());
            }
            Some(Of::Ptr(to)) => {
                let to = resolved(btf, *to);
                return match btf.get(to).map(|of| &of.kind) {
                    // Of one that is only named, nothing can be read.
                    Some(Of::Struct { .. } | Of::Fwd { .. }) => Ok(Some(to)),
                    _ => Ok(None),
                };
            }
            _ => {
                let end = start + btf.size(found.of).unwrap_or(0);
                if off + size > end {
                    let member = text(found.name);
                    return Err(MemoryRefusal::BeyondMember { reg, member, end, object, off, size }.into());
                }
                return Ok(None);
            }
        }
    }
    Err(Unsupported::Object(name(what)).into())
}

fn covers(btf: &Btf, member: &Member, off: u32) -> bool {
    let start = member.offset / 8;
    let len =
        if member.bits == 0 { btf.size(member.of).unwrap_or(0) } else { (member.offset % 8 + member.bits).div_ceil(8) };
    (start..start + len).contains(&off)
}
