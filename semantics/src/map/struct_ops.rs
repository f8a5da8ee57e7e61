//! `BPF_MAP_TYPE_STRUCT_OPS`: functions of a structure of the kernel's (`kernel/bpf/bpf_struct_ops.c`).
//!
//! No program uses such a map. Loading one puts its functions in the place of the kernel's, which has no meaning here.

use super::{Errno, LINK, MapDef, MapError, check_flags, refuse};

/// `bpf_struct_ops_map_alloc_check`, but for the type of the value, which is taken for given.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.key_size != 4 || def.max_entries != 1 {
        return refuse(def, Errno::Einval, "it has 4-byte keys and 1 entry");
    }
    check_flags(def, LINK)
}
