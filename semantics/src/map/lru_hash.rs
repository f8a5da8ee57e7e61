//! `BPF_MAP_TYPE_LRU_HASH`: a hash table in which elements that programs did not look at lately make room for new ones
//! (`kernel/bpf/hashtab.c`, `kernel/bpf/bpf_lru_list.c`).
//!
//! It is never full: an update with a new key makes room before it looks at its flag, with up to 128 elements at once (4 with
//! `BPF_F_NO_COMMON_LRU`). Which ones go is the kernel's to choose. Lookups of programs count, those of user space do not.

pub(super) use super::htab::{HashTable, check};
