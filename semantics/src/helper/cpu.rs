//! The processor that the program runs on (`kernel/bpf/helpers.c`).

use super::{Call, Helper, ResultClass, id};
use crate::trap::Trap;
use crate::world::CpuConfig;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper {
        id: id("get_smp_processor_id"),
        changes: &[],
        results: &[ResultClass::Range(0, CpuConfig::MAX as i64 - 1)],
        meaning: get_smp_processor_id,
    },
    Helper {
        id: id("get_numa_node_id"),
        changes: &[],
        results: &[ResultClass::Range(i32::MIN as i64, i32::MAX as i64)],
        meaning: get_numa_node_id,
    },
];

/// `bpf_get_smp_processor_id()`: the number of the processor, a u32.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn get_smp_processor_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(u64::from(call.world.cpus.current))
}

/// `bpf_get_numa_node_id()`: the memory node of the processor, an int: sign-extended.
#[allow(clippy::unnecessary_wraps)] // the type of a meaning
fn get_numa_node_id(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(i64::from(call.world.cpus.numa_node) as u64)
}
