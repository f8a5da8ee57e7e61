//! The kernel's variables that each CPU has its own of (`kernel/bpf/helpers.c`).
//!
//! The world has no such variable: what lies there is not modelled.

use super::{Call, Helper, ResultClass, id};
use crate::trap::{Trap, Unsupported};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("per_cpu_ptr"), changes: &[], results: &[ResultClass::Null], meaning: per_cpu_ptr },
    Helper { id: id("this_cpu_ptr"), changes: &[], results: &[], meaning: this_cpu_ptr },
];

/// `bpf_per_cpu_ptr(percpu_ptr, cpu)`: the address of the variable of this CPU; NULL if there is no such CPU.
fn per_cpu_ptr(call: &mut Call<'_>) -> Result<u64, Trap> {
    if call.int(2) as u32 >= call.world.cpus.count { Ok(0) } else { this_cpu_ptr(call) }
}

/// `bpf_this_cpu_ptr(percpu_ptr)`: the address of the variable of the CPU that runs.
fn this_cpu_ptr(_: &mut Call<'_>) -> Result<u64, Trap> {
    Err(Unsupported::KernelObject("variable of each CPU").into())
}
