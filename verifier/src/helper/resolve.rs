//! Which helper a call means, and whether the program may call it (kernel: `get_func_proto`, the first part of
//! `check_helper_call`).

use super::prototype::Prototype;
use crate::env::Env;
use crate::refusal::{CallRefusal, Refusal, Stop};
use semantics::helper::{self, Fact};
use semantics::insn::Version;
use semantics::program_type::{AttachType, ProgramType};

/// The last helper of Linux 6.1.
const LAST_OF_6_1: u32 = id!("user_ringbuf_drain");

/// Functions of the kernel whose paths may be asked for (`btf_allowlist_d_path`).
const WITH_PATHS: [&str; 9] = [
    "security_file_permission",
    "security_inode_getattr",
    "security_file_open",
    "security_path_truncate",
    "vfs_truncate",
    "vfs_fallocate",
    "dentry_open",
    "vfs_getattr",
    "filp_close",
];

/// The helper with this number.
pub(super) fn resolve(env: &Env<'_>, imm: i32) -> Result<Prototype, Stop> {
    let words = env.dialect.closed_helper;
    let number = u32::try_from(imm).map_err(|_| Refusal::InvalidHelper { id: imm })?;
    if number == 0 {
        return Err(Refusal::ClosedHelper { words, name: "unspec", id: 0 }.into());
    }
    let fact: &'static Fact = helper::fact(number).ok_or(Refusal::InvalidHelper { id: imm })?;
    if number > LAST_OF_6_1 && env.dialect.version < Version(6, 2) {
        return Err(Refusal::InvalidHelper { id: imm }.into());
    }
    let program_type = env.program.program_type();
    if !fact.is_open_to(program_type) || !is_open_where_attached(env, number) {
        return Err(Refusal::ClosedHelper { words, name: fact.name, id: number }.into());
    }
    let prototype = Prototype::new(fact, program_type, &env.dialect);
    if prototype.gpl_only && !env.program.is_gpl_compatible() {
        return Err(Refusal::GplOnly { name: fact.name }.into());
    }
    if !is_allowed(env, number) {
        return Err(Refusal::Call(CallRefusal::NotInProbe { name: fact.name }).into());
    }
    if fact.might_sleep() && !env.program.load().sleepable {
        return Err(Refusal::Sleeps { name: fact.name }.into());
    }
    Ok(prototype)
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

/// What a helper says itself of the program (`allowed`).
fn is_allowed(env: &Env<'_>, number: u32) -> bool {
    use ProgramType as P;
    let target = env.program.load().attach_to.as_deref();
    match env.program.program_type() {
        P::Tracing if number == id!("d_path") => {
            attach_type(env) == Some(AttachType::TraceIter) || target.is_some_and(|target| WITH_PATHS.contains(&target))
        }
        // Its own functions must not be entered again.
        P::Tracing if number == id!("sk_storage_get") || number == id!("sk_storage_delete") => {
            target.is_none_or(|target| !target.starts_with("bpf_sk_storage"))
        }
        _ => true,
    }
}
