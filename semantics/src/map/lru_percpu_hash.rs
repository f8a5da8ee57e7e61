//! `BPF_MAP_TYPE_LRU_PERCPU_HASH`: an [`lru_hash`](super::lru_hash) with a value for each CPU (`kernel/bpf/hashtab.c`).
//!
//! An update replaces the value where it is, and counts as a look at it; one that only replaces makes no room.

pub(super) use super::htab::{HashTable, check};
