//! `BPF_MAP_TYPE_XSKMAP`: sockets of `AF_XDP` that packets are redirected to (`net/xdp/xskmap.c`).
//!
//! User space cannot read them.

pub(super) use super::sockets::Sockets;
use super::{Errno, MapDef, MapError, NUMA_NODE, RDONLY, WRONLY, check_flags, refuse};

/// `xsk_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 4 || def.value_size != 4 {
        return refuse(def, Errno::Einval, "a map of XDP sockets has 4-byte keys, 4-byte values and at least 1 entry");
    }
    check_flags(def, NUMA_NODE | RDONLY | WRONLY)
}
