//! `BPF_MAP_TYPE_REUSEPORT_SOCKARRAY`: sockets that share a port, one of which a program chooses
//! (`kernel/bpf/reuseport_array.c`).

pub(super) use super::sockets::Sockets;
use super::{Errno, MapDef, MapError, array, refuse};

/// `reuseport_array_alloc_check`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if !matches!(def.value_size, 4 | 8) {
        return refuse(def, Errno::Einval, "sockets are named by values of 4 or 8 bytes");
    }
    array::check(def)
}
