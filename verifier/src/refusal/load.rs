//! Refusals before any path is followed: what a program names does not go together with what it is.

/// The reason, whose text is the line that Linux logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum LoadRefusal {
    #[error("{programs} progs cannot use bpf_spin_lock yet")]
    SpinLock { programs: &'static str },
    #[error("tracing progs cannot use bpf_timer yet")]
    Timer,
    #[error("bpf_struct_ops map cannot be used in prog")]
    StructOpsMap,
    #[error("Sleepable programs can only use array, hash{} maps", if *storage { ", ringbuf and local storage" } else { ", and ringbuf" })]
    SleepableMap { storage: bool },
    #[error("only one cgroup storage of each type is allowed")]
    SecondStorage,
    #[error("direct value offset of {off} is not allowed")]
    DirectOffset { off: u32 },
    #[error("no direct value access support for this map type")]
    NoDirectValue,
    #[error("invalid access to map value pointer, value_size={value_size} off={off}")]
    DirectValue { value_size: u32, off: u32 },
    #[error("LD_ABS is not allowed in subprogs without BTF")]
    PacketLoadUntyped,
    #[error("tail_call is not allowed in subprogs without BTF")]
    TailCallUntyped,
    #[error("Syscall programs can only be sleepable")]
    Syscall,
    #[error("Only fentry/fexit/fmod_ret, lsm, {} programs can be sleepable", if *later { "iter, uprobe, and struct_ops" } else { "and kprobe/uprobe" })]
    Sleepable { later: bool },
    #[error("BPF_LSM_CGROUP programs cannot be sleepable")]
    SleepableCgroup,
    #[error("Tracing programs must provide btf_id")]
    NoTarget,
    #[error("{target} is not sleepable")]
    TargetNotSleepable { target: &'static str },
}

impl LoadRefusal {
    /// What it means and what to do, in a sentence.
    pub fn explanation(&self) -> &'static str {
        use LoadRefusal as L;
        match self {
            L::SpinLock { .. } => "Programs of this kind must not wait for a lock; use a map without one.",
            L::Timer => "Programs that trace may run anywhere, also where timers are not set up.",
            L::StructOpsMap => "Such a map is for user space, which registers operations with it.",
            L::SleepableMap { .. } => "The elements of the map could go away while the program sleeps.",
            L::SecondStorage => "A program has one shared and one per-CPU storage for its cgroup.",
            L::DirectOffset { .. } => "Offsets stay below 2^29.",
            L::NoDirectValue => "Only the values of arrays have an address that a program can hold as a constant.",
            L::DirectValue { .. } => "The map must be an array of one element, and the offset lie inside its value.",
            L::PacketLoadUntyped | L::TailCallUntyped => {
                "A function that may end the program must say that it returns a number: compile with BTF (-g)."
            }
            L::Syscall => "Load it as sleepable.",
            L::Sleepable { .. } | L::SleepableCgroup | L::TargetNotSleepable { .. } => {
                "What the program is attached to must not sleep; load it as not sleepable."
            }
            L::NoTarget => "Say which function of the kernel the program is attached to.",
        }
    }
}
