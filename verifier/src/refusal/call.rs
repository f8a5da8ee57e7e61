//! Refusals of calls: of helpers, of callbacks, with references and locks.

use super::{Type, upper};
use semantics::insn::Reg;
use semantics::map::MapDef;

/// A map's name as the kernel keeps it: 15 bytes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 15]);

impl From<&MapDef> for Name {
    fn from(map: &MapDef) -> Name {
        let mut name = [0; 15];
        for (to, from) in name.iter_mut().zip(map.name.bytes()) {
            *to = from;
        }
        Name(name)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        f.write_str(&String::from_utf8_lossy(&self.0[..len]))
    }
}

/// Types that an argument may have, as messages list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected(pub &'static [Type]);

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, ty) in self.0.iter().enumerate() {
            write!(f, "{}{ty}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A member of a map's values that a helper takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// `struct bpf_spin_lock`.
    SpinLock,
    /// `struct bpf_timer`.
    Timer,
}

impl Member {
    fn name(self) -> &'static str {
        match self {
            Member::SpinLock => "bpf_spin_lock",
            Member::Timer => "bpf_timer",
        }
    }
}

/// The reason, whose text is the line that Linux logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CallRefusal {
    #[error("helper call is not allowed in probe")]
    NotInProbe { name: &'static str },
    #[error("sleepable helper bpf_{name}#{id} in non-sleepable prog")]
    Sleeps { name: &'static str, id: u32 },
    #[error("{} type={kind} expected={expected}", upper(*reg))]
    Argument { reg: Reg, kind: Type, expected: Expected },
    #[error("{} min value is negative, either use unsigned or 'var &= const'", upper(*reg))]
    NegativeSize { reg: Reg },
    #[error("{} invalid zero-sized read: u64=[{umin},{umax}]", upper(*reg))]
    ZeroSize { reg: Reg, umin: i64, umax: i64 },
    #[error("{} unbounded memory access, use 'var &= const' or 'if (var < const)'", upper(*reg))]
    UnboundedSize { reg: Reg },
    #[error("{} is of type {object} but {expected} is expected", upper(*reg))]
    Object { reg: Reg, object: &'static str, expected: &'static str },
    #[error("{} is not a known constant'", upper(*reg))]
    NotConstant { reg: Reg },
    #[error("{}", not_referenced(*reg, *helper))]
    NotReferenced { reg: Reg, helper: Option<&'static str> },
    #[error("{} must have zero offset when passed to release func", upper(*reg))]
    ReleaseOffset { reg: Reg },
    #[error("arg {} is an unacquired reference", reg.number())]
    NotAcquired { reg: Reg },
    #[error("verifier internal error: more than one arg with ref_obj_id {} {second} {first}", upper(*reg))]
    TwoReferences { reg: Reg, first: u32, second: u32 },
    #[error("func bpf_{name}#{id} reference has not been acquired before")]
    NotHeld { name: &'static str, id: u32 },
    #[error("Unreleased reference id={id} alloc_insn={insn}")]
    Unreleased { id: u32, insn: usize },
    #[error("Unreleased reference id={id} alloc_insn={insn}\ntail_call would lead to reference leak")]
    TailCallLeak { id: u32, insn: usize },
    #[error("get_local_storage() doesn't support non-zero flags")]
    StorageFlags { reg: Reg },
    #[error("cannot update sockmap in this context\ncannot pass map_type {map_type} into func bpf_{name}#{id}")]
    SockmapUpdate { map_type: u32, name: &'static str, id: u32 },
    #[error("invalid arg_type for sockmap/sockhash")]
    SockmapValue { reg: Reg },
    #[error("{} does not point to a readonly map'", upper(*reg))]
    StringWritable { reg: Reg },
    #[error("{} is not a constant address'", upper(*reg))]
    StringVariable { reg: Reg },
    #[error("no direct value access support for this map type")]
    StringMap { reg: Reg },
    #[error("string is not zero-terminated")]
    StringEndless { reg: Reg },
    #[error("Invalid format string")]
    Format { reg: Reg },
    #[error("{0} doesn't have constant offset. {1} has to be at the constant offset", upper(*reg), member.name())]
    MemberVariable { reg: Reg, member: Member },
    #[error("map '{map}' has to have BTF in order to use {}", member.name())]
    MemberUntyped { reg: Reg, map: Name, member: Member },
    #[error("map '{map}' doesn't have 'struct {}'", member.name())]
    MemberMissing { reg: Reg, map: Name, member: Member },
    #[error("off {off} doesn't point to 'struct bpf_spin_lock'{}", LockAt(*at))]
    LockOffset { reg: Reg, off: i64, at: Option<u32> },
    #[error("off {off} doesn't point to 'struct bpf_timer' that is at {at}")]
    TimerOffset { reg: Reg, off: i64, at: u32 },
    #[error("Locking two bpf_spin_locks are not allowed")]
    TwoLocks { reg: Reg },
    #[error("bpf_spin_unlock without taking a lock")]
    NotLocked { reg: Reg },
    #[error("bpf_spin_unlock of different lock")]
    OtherLock { reg: Reg },
    #[error("timer pointer in R1 map_uid={timer} doesn't match map pointer in R2 map_uid={map}")]
    TimerMap { timer: u32, map: u32 },
    #[error("{} doesn't have constant offset. kptr has to be at the constant offset", upper(*reg))]
    KptrVariable { reg: Reg },
    #[error("map '{map}' has to have BTF in order to use bpf_kptr_xchg")]
    KptrUntyped { reg: Reg, map: Name },
    #[error("map '{map}' has no valid kptr")]
    KptrMissing { reg: Reg, map: Name },
    #[error("off={off} doesn't point to kptr")]
    KptrOffset { reg: Reg, off: i64 },
    #[error("off={off} kptr isn't referenced kptr")]
    KptrUnreferenced { reg: Reg, off: i64 },
    #[error("tail_call abusing map_ptr")]
    MapsMixed,
    #[error("callback function not allowed for map")]
    NoForEach,
    #[error("cannot pass in dynptr at an offset")]
    DynptrOffset { reg: Reg },
    #[error("Dynptr has to be an uninitialized dynptr")]
    DynptrTaken { reg: Reg },
    #[error("Expected an initialized dynptr as {}", argument(*reg, *number))]
    DynptrMissing { reg: Reg, number: Option<u8> },
    #[error("Expected a dynptr of type {expected} as arg #{number}")]
    DynptrType { reg: Reg, number: u8, expected: &'static str },
    #[error("Unsupported reg type {kind} for bpf_dynptr_from_mem data")]
    DynptrMemory { reg: Reg, kind: Type },
    #[error("func bpf_get_func_ip#{id} supported only for fentry/fexit/fmod_ret programs")]
    FuncIpTracing { id: u32 },
    #[error("func bpf_get_func_ip#{id} not supported for program type {program_type}")]
    FuncIp { id: u32, program_type: u32 },
}

/// Where the lock is, in versions that say so.
struct LockAt(Option<u32>);

impl std::fmt::Display for LockAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |at| write!(f, " that is at {at}"))
    }
}

/// Since 7.0 with the name of the helper.
fn not_referenced(reg: Reg, helper: Option<&'static str>) -> String {
    let reg = upper(reg);
    match helper {
        Some(name) => format!("release helper bpf_{name} expects referenced PTR_TO_BTF_ID passed to {reg}"),
        None => format!("{reg} must be referenced when passed to release function"),
    }
}

/// An argument by its number, or where it has none by its register.
fn argument(reg: Reg, number: Option<u8>) -> String {
    number.map_or_else(|| upper(reg).to_string(), |number| format!("arg #{number}"))
}

impl CallRefusal {
    /// The register that it is about.
    pub fn register(&self) -> Option<Reg> {
        use CallRefusal as C;
        match *self {
            C::NotInProbe { .. }
            | C::Sleeps { .. }
            | C::NotHeld { .. }
            | C::Unreleased { .. }
            | C::TailCallLeak { .. }
            | C::SockmapUpdate { .. }
            | C::TimerMap { .. }
            | C::MapsMixed
            | C::NoForEach
            | C::FuncIpTracing { .. }
            | C::FuncIp { .. } => None,
            C::Argument { reg, .. }
            | C::Object { reg, .. }
            | C::NegativeSize { reg }
            | C::ZeroSize { reg, .. }
            | C::UnboundedSize { reg }
            | C::NotConstant { reg }
            | C::NotReferenced { reg, .. }
            | C::ReleaseOffset { reg }
            | C::NotAcquired { reg }
            | C::TwoReferences { reg, .. }
            | C::StorageFlags { reg }
            | C::SockmapValue { reg }
            | C::StringWritable { reg }
            | C::StringVariable { reg }
            | C::StringMap { reg }
            | C::StringEndless { reg }
            | C::Format { reg }
            | C::MemberVariable { reg, .. }
            | C::MemberUntyped { reg, .. }
            | C::MemberMissing { reg, .. }
            | C::LockOffset { reg, .. }
            | C::TimerOffset { reg, .. }
            | C::TwoLocks { reg }
            | C::NotLocked { reg }
            | C::OtherLock { reg }
            | C::KptrVariable { reg }
            | C::KptrUntyped { reg, .. }
            | C::KptrMissing { reg, .. }
            | C::KptrOffset { reg, .. }
            | C::KptrUnreferenced { reg, .. }
            | C::DynptrOffset { reg }
            | C::DynptrTaken { reg }
            | C::DynptrMissing { reg, .. }
            | C::DynptrType { reg, .. }
            | C::DynptrMemory { reg, .. } => Some(reg),
        }
    }

    /// What it means and what to do, in a sentence or two.
    pub fn explanation(&self) -> String {
        use CallRefusal as C;
        match *self {
            C::NotInProbe { name } => {
                format!("What the program is attached to is none of the functions that bpf_{name} is for.")
            }
            C::Sleeps { name, .. } => format!("bpf_{name} may sleep, which programs of this type must not."),
            C::Argument { reg, kind, expected } => {
                format!("The helper takes {expected} in {reg}, which here is {kind}.")
            }
            C::Object { reg, object, expected } => {
                format!("{reg} points to a {object}, and the helper takes a {expected}.")
            }
            C::NegativeSize { reg } => format!("{reg} is a size and may be negative. Compare it unsigned, or mask it."),
            C::ZeroSize { reg, .. } => {
                format!("{reg} is a size and may be 0, which the helper does not take. Compare it first.")
            }
            C::UnboundedSize { reg } => {
                format!("Nothing limits the size in {reg}. Compare it with a constant, or mask it.")
            }
            C::NotConstant { reg } => format!("The helper needs a number in {reg} that is the same on every run."),
            C::NotReferenced { reg, .. } | C::NotAcquired { reg } => {
                format!("The helper gives back what {reg} points to, but the program does not hold it.")
            }
            C::ReleaseOffset { reg } => format!("{reg} has been moved; give back the pointer as it was given."),
            C::TwoReferences { .. } => {
                "At most one argument of a call may be something that the program holds.".to_owned()
            }
            C::NotHeld { name, .. } => format!(
                "bpf_{name} gives back something that was not acquired in this function, or was given back before."
            ),
            C::Unreleased { insn, .. } => {
                format!("What instruction {insn} acquired has to be given back on every path before the program ends.")
            }
            C::TailCallLeak { insn, .. } => {
                format!(
                    "What instruction {insn} acquired has to be given back before a tail call, which does not return."
                )
            }
            C::StorageFlags { reg } => format!("{reg} has to be the constant 0."),
            C::SockmapUpdate { .. } => {
                "Programs of this type may run while a socket is locked, and so must not change such a map.".to_owned()
            }
            C::SockmapValue { .. } => "The values of such a map are sockets.".to_owned(),
            C::StringWritable { .. } | C::StringVariable { .. } | C::StringMap { .. } => {
                "The string has to be a constant: at a constant place of a frozen array that programs only read."
                    .to_owned()
            }
            C::StringEndless { .. } => "The string has no end in its map.".to_owned(),
            C::Format { .. } => {
                "The format has a conversion that is not known, or more of them than there are arguments.".to_owned()
            }
            C::MemberVariable { reg, .. } | C::KptrVariable { reg } => {
                format!("What is added to {reg} has to be a constant.")
            }
            C::MemberUntyped { .. } | C::MemberMissing { .. } | C::KptrUntyped { .. } | C::KptrMissing { .. } => {
                "The type of the map's values has no such member.".to_owned()
            }
            C::LockOffset { reg, .. } | C::TimerOffset { reg, .. } | C::KptrOffset { reg, .. } => {
                format!("{reg} points elsewhere in the value.")
            }
            C::KptrUnreferenced { .. } => "Only pointers that hold a reference can be exchanged.".to_owned(),
            C::TwoLocks { .. } => "Release the first lock before taking another.".to_owned(),
            C::NotLocked { .. } => "No lock is held on this path.".to_owned(),
            C::OtherLock { .. } => {
                "The lock that is held lies in another value, or in the same value looked up once more.".to_owned()
            }
            C::TimerMap { .. } => "The map has to be the one that the timer lies in.".to_owned(),
            C::MapsMixed => "The call has one map on one path and another on another.".to_owned(),
            C::NoForEach => "Elements of maps of this type cannot be gone through.".to_owned(),
            C::DynptrOffset { .. } => {
                "A dynptr lies at a multiple of 8 bytes from the frame pointer, and is passed by its first byte."
                    .to_owned()
            }
            C::DynptrTaken { .. } => "A dynptr lies there already.".to_owned(),
            C::DynptrMissing { .. } => {
                "No dynptr was made there on this path, or it was overwritten or given back.".to_owned()
            }
            C::DynptrType { expected, .. } => format!("The helper takes a dynptr of kind {expected}."),
            C::DynptrMemory { .. } => "Only memory in values of maps lasts long enough.".to_owned(),
            C::FuncIpTracing { .. } | C::FuncIp { .. } => {
                "What the program is attached to has no function whose address could be asked for.".to_owned()
            }
        }
    }
}
