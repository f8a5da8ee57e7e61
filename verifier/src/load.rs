//! What is checked before any path is followed: what programs are attached to, and the maps and functions that they name
//! (kernel: `check_btf_func`, `check_attach_btf_id`, `resolve_pseudo_ldimm64`).

use crate::access::target;
use crate::dialect::Dialect;
use crate::insn::is_unknown_at_once;
use crate::refusal::{LoadRefusal, Refusal, Stop, Unsupported};
use crate::stack::MAX_VAR_OFF;
use semantics::helper::tail_call;
use semantics::insn::{Insn, Op, Wide};
use semantics::map::{MapDef, MapType, ValueFieldKind};
use semantics::program::Program;
use semantics::program_type::{AttachType, ProgramType};

/// Whether the program may be followed; else the instruction that it is about.
pub(crate) fn check(program: &Program, dialect: &Dialect) -> Result<(), (usize, Stop)> {
    check_functions(program).map_err(|(insn, refusal)| (insn, refusal.into()))?;
    check_attachment(program, dialect).map_err(|stop| (0, stop))?;
    let mut storages = Vec::new();
    for (at, insn) in program.instructions() {
        let op = insn.op();
        if !dialect.has(op) && is_unknown_at_once(op) {
            return Err((at, Refusal::TooNew { insn: at, opcode: insn.opcode }.into()));
        }
        if let Op::Wide(kind) = op
            && kind.names_map()
        {
            let map = &program.maps()[insn.imm as usize];
            check_map(program, dialect, map)
                .and_then(|()| check_direct(kind, dialect, map, insn))
                .and_then(|()| check_storage(map, insn.imm, &mut storages))
                .map_err(|refusal| (at, refusal.into()))?;
        }
    }
    Ok(())
}

/// What may end the program from inside of a function changes what it returns, so its type must be known
/// (`check_abnormal_return`). That of callbacks always is.
fn check_functions(program: &Program) -> Result<(), (usize, LoadRefusal)> {
    let takes_address = |(_, insn): (usize, &Insn)| insn.op() == Op::Wide(Wide::Code);
    if !program.debug().functions.is_empty() || program.instructions().any(takes_address) {
        return Ok(());
    }
    let starts = program.subprograms();
    for (at, start) in starts.iter().enumerate().skip(1) {
        let end = starts.get(at + 1).copied().unwrap_or(program.insns().len());
        let own = || (*start..end).map(|slot| (slot, &program.insns()[slot]));
        if let Some((slot, _)) = own().find(|(_, insn)| matches!(insn.op(), Op::Packet { .. })) {
            return Err((slot, LoadRefusal::PacketLoadUntyped));
        }
        if let Some((slot, _)) = own().find(|(_, insn)| insn.op() == Op::CallHelper && insn.imm == tail_call::ID) {
            return Err((slot, LoadRefusal::TailCallUntyped));
        }
    }
    Ok(())
}

fn check_attachment(program: &Program, dialect: &Dialect) -> Result<(), Stop> {
    let (load, attach) = (program.load(), program.attach_type());
    match program.program_type() {
        ProgramType::Syscall if !load.sleepable => return Err(LoadRefusal::Syscall.into()),
        ProgramType::Syscall | ProgramType::Kprobe | ProgramType::StructOps | ProgramType::Ext => {}
        ProgramType::Lsm if load.sleepable && attach == Some(AttachType::LsmCgroup) => {
            return Err(LoadRefusal::SleepableCgroup.into());
        }
        ProgramType::Tracing | ProgramType::Lsm => {
            let Some(name) = &load.attach_to else { return Err(LoadRefusal::NoTarget.into()) };
            // Others have no function whose list of errors could be asked.
            let is_function = !matches!(attach, Some(AttachType::TraceRawTp | AttachType::TraceIter));
            if load.sleepable && attach == Some(AttachType::TraceRawTp) && dialect.results_by_bounds {
                return Err(LoadRefusal::Sleepable { later: true }.into());
            }
            if load.sleepable && is_function {
                let function = target::find(name).ok_or(Unsupported::Load("attach_to"))?;
                if !function.may_sleep {
                    return Err(LoadRefusal::TargetNotSleepable { target: function.name }.into());
                }
            }
        }
        _ if load.sleepable => return Err(LoadRefusal::Sleepable { later: dialect.results_by_bounds }.into()),
        _ => {}
    }
    Ok(())
}

/// `check_map_prog_compatibility`.
fn check_map(program: &Program, dialect: &Dialect, map: &MapDef) -> Result<(), LoadRefusal> {
    use ProgramType as P;
    let (of, sleepable) = (program.program_type(), program.load().sleepable);
    let traces = matches!(of, P::Kprobe | P::Tracepoint | P::PerfEvent | P::RawTracepoint | P::RawTracepointWritable);
    let has = |kind| map.fields.iter().any(|field| field.kind == kind);
    if has(ValueFieldKind::SpinLock) {
        let programs = match of {
            P::SocketFilter => Some("socket filter"),
            _ if traces => Some("tracing"),
            _ if sleepable => Some("sleepable"),
            _ => None,
        };
        if let Some(programs) = programs {
            return Err(LoadRefusal::SpinLock { programs });
        }
    }
    if has(ValueFieldKind::Timer) && traces && !dialect.tracing_timers {
        return Err(LoadRefusal::Timer);
    }
    if map.map_type.name() == "struct_ops" {
        return Err(LoadRefusal::StructOpsMap);
    }
    if sleepable && !is_safe_while_sleeping(map.map_type) {
        return Err(LoadRefusal::SleepableMap { storage: dialect.results_by_bounds });
    }
    Ok(())
}

fn is_safe_while_sleeping(of: MapType) -> bool {
    matches!(
        of.name(),
        "hash"
            | "lru_hash"
            | "array"
            | "percpu_hash"
            | "percpu_array"
            | "lru_percpu_hash"
            | "array_of_maps"
            | "hash_of_maps"
            | "ringbuf"
            | "user_ringbuf"
            | "inode_storage"
            | "sk_storage"
            | "task_storage"
            | "cgrp_storage"
    )
}

/// The address of a value as a constant (`map_direct_value_addr`).
fn check_direct(kind: Wide, dialect: &Dialect, map: &MapDef, insn: &Insn) -> Result<(), LoadRefusal> {
    if !matches!(kind, Wide::MapValue | Wide::MapIndexValue) {
        return Ok(());
    }
    let off = insn.imm_hi;
    if dialect.direct_offsets && i64::from(off) >= MAX_VAR_OFF {
        return Err(LoadRefusal::DirectOffset { off });
    }
    if map.map_type != MapType::ARRAY {
        return Err(LoadRefusal::NoDirectValue);
    }
    if map.max_entries != 1 || off >= map.value_size {
        return Err(LoadRefusal::DirectValue { value_size: map.value_size, off });
    }
    Ok(())
}

/// A program has one storage of each type (`bpf_cgroup_storage_assign`).
fn check_storage(map: &MapDef, number: u32, storages: &mut Vec<(MapType, u32)>) -> Result<(), LoadRefusal> {
    if !matches!(map.map_type.name(), "cgroup_storage" | "percpu_cgroup_storage") {
        return Ok(());
    }
    match storages.iter().find(|(of, _)| *of == map.map_type) {
        Some((_, other)) if *other != number => Err(LoadRefusal::SecondStorage),
        Some(_) => Ok(()),
        None => {
            storages.push((map.map_type, number));
            Ok(())
        }
    }
}
