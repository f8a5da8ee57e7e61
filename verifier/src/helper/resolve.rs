//! Which helper a call means, and whether the program may call it (kernel: `get_func_proto`, the first part of
//! `check_helper_call`).

use super::open::{attach_type, is_open};
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
    let is_asleep = || fact.might_sleep() && env.dialect.early_prototypes && !env.program.load().sleepable;
    if !is_open(env, fact) || is_asleep() {
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
        return Err(if env.dialect.version < Version(7, 0) {
            Refusal::Sleeps { name: fact.name }.into()
        } else {
            CallRefusal::Sleeps { name: fact.name, id: number }.into()
        });
    }
    Ok(prototype)
}

/// What a helper says itself of the program (`allowed`).
fn is_allowed(env: &Env<'_>, number: u32) -> bool {
    use ProgramType as P;
    let target = env.program.load().attach_to.as_deref();
    match env.program.program_type() {
        P::Tracing if number == id!("d_path") => {
            attach_type(env) == Some(AttachType::TraceIter) || target.is_some_and(|target| WITH_PATHS.contains(&target))
        }
        // They trace nothing that would permit it.
        P::Syscall => ![id!("d_path"), id!("sk_storage_get"), id!("sk_storage_delete")].contains(&number),
        // Its own functions must not be entered again.
        P::Tracing if number == id!("sk_storage_get") || number == id!("sk_storage_delete") => {
            target.is_none_or(|target| !target.starts_with("bpf_sk_storage"))
        }
        _ => true,
    }
}
