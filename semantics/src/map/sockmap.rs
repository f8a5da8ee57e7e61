//! `BPF_MAP_TYPE_SOCKMAP`: sockets under indices, to redirect to and to look up (`net/core/sock_map.c`).
//!
//! User space puts in a file descriptor and reads the socket's cookie, into 8 bytes.

pub(super) use super::sockets::Sockets;
use super::{Errno, MapDef, MapError, NUMA_NODE, RDONLY, WRONLY, check_flags, refuse};

/// `sock_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 4 || !matches!(def.value_size, 4 | 8) {
        return refuse(
            def,
            Errno::Einval,
            "a map of sockets has 4-byte keys, values of 4 or 8 bytes and at least 1 entry",
        );
    }
    check_flags(def, NUMA_NODE | RDONLY | WRONLY)
}
