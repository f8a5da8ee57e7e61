//! Which programs may call which helper: where versions differ from the facts, which are those of Linux 6.8, and what
//! depends on where a program is attached (kernel: the `*_func_proto` functions, `bpf_base_func_proto`).

use crate::env::Env;
use semantics::helper::Fact;
use semantics::insn::Version;
use semantics::program_type::{AttachType, ProgramType};

use ProgramType as P;

const fn bits<const N: usize>(types: [ProgramType; N]) -> u64 {
    let (mut all, mut at) = (0, 0);
    while at < N {
        all |= 1 << types[at].id();
        at += 1;
    }
    all
}

const ALL: u64 = u64::MAX;
/// Programs that trace.
const TRACING: u64 = bits([
    P::Kprobe,
    P::Tracepoint,
    P::PerfEvent,
    P::RawTracepoint,
    P::RawTracepointWritable,
    P::Tracing,
    P::Lsm,
    P::Syscall,
]);
const CGROUP: u64 = bits([P::CgroupDevice, P::CgroupSock, P::CgroupSockAddr, P::CgroupSockopt, P::CgroupSysctl]);
const RAW: u64 = bits([P::RawTracepoint, P::RawTracepointWritable]);
/// Programs that had to ask a packet's socket for its cgroup (until 6.2).
const NO_CGROUP: u64 = bits([
    P::SocketFilter,
    P::SchedCls,
    P::SchedAct,
    P::Xdp,
    P::CgroupSkb,
    P::LwtIn,
    P::LwtOut,
    P::LwtXmit,
    P::LwtSeg6local,
    P::LircMode2,
    P::SockOps,
    P::SkSkb,
    P::SkReuseport,
    P::SkLookup,
    P::FlowDissector,
]);

/// Helpers that are also open to these types, from a version on.
const OPENED: [(Version, u32, u64); 29] = [
    // Only to be refused for the way the program is attached.
    (Version(0, 0), id!("get_func_ip"), TRACING),
    (Version(0, 0), id!("d_path"), bits([P::Syscall])),
    (Version(0, 0), id!("sk_storage_get"), bits([P::Syscall])),
    (Version(0, 0), id!("sk_storage_delete"), bits([P::Syscall])),
    (Version(6, 12), id!("get_current_pid_tgid"), ALL),
    (Version(6, 12), id!("get_ns_current_pid_tgid"), ALL),
    (Version(6, 12), id!("current_task_under_cgroup"), CGROUP),
    (Version(6, 12), id!("get_attach_cookie"), RAW),
    (Version(7, 2), id!("get_current_uid_gid"), ALL),
    (Version(7, 2), id!("get_current_comm"), ALL),
    (Version(7, 2), id!("get_cgroup_classid"), ALL),
    (Version(7, 2), id!("perf_event_read"), ALL),
    (Version(7, 2), id!("perf_event_read_value"), ALL),
    (Version(7, 2), id!("current_task_under_cgroup"), ALL),
    (Version(7, 2), id!("send_signal"), ALL),
    (Version(7, 2), id!("send_signal_thread"), ALL),
    (Version(7, 2), id!("get_task_stack"), ALL),
    (Version(7, 2), id!("copy_from_user"), ALL),
    (Version(7, 2), id!("copy_from_user_task"), ALL),
    (Version(7, 2), id!("task_storage_get"), ALL),
    (Version(7, 2), id!("task_storage_delete"), ALL),
    (Version(7, 2), id!("get_branch_snapshot"), ALL),
    (Version(7, 2), id!("find_vma"), ALL),
    (Version(7, 2), id!("get_netns_cookie"), bits([P::CgroupSkb, P::SchedCls, P::SchedAct, P::SocketFilter])),
    (Version(7, 2), id!("setsockopt"), bits([P::CgroupSock])),
    (Version(7, 2), id!("getsockopt"), bits([P::CgroupSock])),
    (Version(7, 2), id!("get_attach_cookie"), RAW),
    (Version(7, 2), id!("get_current_pid_tgid"), ALL),
    (Version(7, 2), id!("get_ns_current_pid_tgid"), ALL),
];

/// Helpers that are not open to these types, from a version on and before another.
const CLOSED: [(Version, Version, u32, u64); 3] = [
    (Version(0, 0), Version(6, 2), id!("get_current_cgroup_id"), NO_CGROUP),
    (Version(0, 0), Version(6, 2), id!("get_current_ancestor_cgroup_id"), NO_CGROUP),
    (Version(7, 2), Version(u16::MAX, 0), id!("skb_pull_data"), bits([P::LwtSeg6local])),
];

/// Whether the program may call the helper at all.
pub(super) fn is_open(env: &Env<'_>, fact: &Fact) -> bool {
    let (of, version) = (env.program.program_type(), env.dialect.version);
    let has = |types: u64| types >> of.id() & 1 != 0;
    let is_opened = || OPENED.iter().any(|(since, id, types)| *id == fact.id && *since <= version && has(*types));
    let is_closed = || {
        let closed = CLOSED.iter().filter(|(_, _, id, types)| *id == fact.id && has(*types));
        closed.into_iter().any(|(since, before, ..)| *since <= version && version < *before)
    };
    (fact.is_open_to(of) || is_opened()) && !is_closed() && is_open_where_attached(env, fact.id)
}

/// What the program is attached to.
pub(super) fn attach_type(env: &Env<'_>) -> Option<AttachType> {
    env.program.attach_type().or(env.declaration.attach)
}

/// Whether a trampoline leads to the program (`bpf_prog_has_trampoline`).
fn has_trampoline(env: &Env<'_>) -> bool {
    use AttachType as T;
    matches!(attach_type(env), Some(T::TraceFentry | T::TraceFexit | T::ModifyReturn | T::LsmMac))
}

/// Whether programs that are attached there may call a helper that is open to their type.
fn is_open_where_attached(env: &Env<'_>, number: u32) -> bool {
    use AttachType as T;
    use ProgramType as P;
    let (of, attach) = (env.program.program_type(), attach_type(env));
    let is = |names: &[u32]| names.contains(&number);
    if is(&[id!("seq_printf"), id!("seq_write"), id!("seq_printf_btf")]) {
        return attach == Some(T::TraceIter);
    }
    if is(&[id!("get_func_arg"), id!("get_func_ret"), id!("get_func_arg_cnt")]) {
        return has_trampoline(env);
    }
    if is(&[id!("get_attach_cookie")]) && matches!(of, P::Tracing | P::Lsm) {
        return has_trampoline(env);
    }
    if is(&[id!("bind")]) {
        return matches!(attach, Some(T::CgroupInet4Connect | T::CgroupInet6Connect));
    }
    if is(&[id!("setsockopt"), id!("getsockopt")]) {
        return match of {
            P::CgroupSockopt => attach == Some(T::CgroupSetsockopt),
            P::Tracing => attach == Some(T::TraceIter),
            P::Lsm => attach == Some(T::LsmCgroup),
            _ => true,
        };
    }
    if is(&[id!("get_local_storage")]) {
        return of != P::Lsm || attach == Some(T::LsmCgroup);
    }
    if is(&[id!("get_retval"), id!("set_retval")]) {
        return knows_result(of, attach);
    }
    true
}

/// Whether such a program sees the result of those before it (`cgroup_current_func_proto`). A program that does not say what
/// it is attached to counts as attached to ingress.
fn knows_result(of: ProgramType, attach: Option<AttachType>) -> bool {
    use AttachType as T;
    match attach {
        None => !matches!(of, ProgramType::CgroupDevice | ProgramType::CgroupSysctl | ProgramType::Lsm),
        Some(
            T::CgroupInetIngress
            | T::CgroupInetEgress
            | T::CgroupSockOps
            | T::CgroupUdp4Recvmsg
            | T::CgroupUdp6Recvmsg
            | T::CgroupUnixRecvmsg
            | T::CgroupInet4Getpeername
            | T::CgroupInet6Getpeername
            | T::CgroupUnixGetpeername
            | T::CgroupInet4Getsockname
            | T::CgroupInet6Getsockname
            | T::CgroupUnixGetsockname
            | T::LsmMac,
        ) => false,
        Some(_) => true,
    }
}
