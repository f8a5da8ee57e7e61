//! `BPF_MAP_TYPE_RINGBUF`: records from programs for user space, in order (`kernel/bpf/ringbuf.c`).

use super::{Errno, MapDef, MapError, NUMA_NODE, check_flags, refuse};

/// `ringbuf_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    check_flags(def, NUMA_NODE)?;
    let is_size = def.max_entries.is_power_of_two() && def.max_entries.is_multiple_of(4096);
    if def.key_size != 0 || def.value_size != 0 || !is_size {
        return refuse(def, Errno::Einval, "a ring buffer has no keys, no values, and a power of two of whole pages");
    }
    Ok(())
}
