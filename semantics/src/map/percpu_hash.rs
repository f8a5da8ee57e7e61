//! `BPF_MAP_TYPE_PERCPU_HASH`: a hash table with a value for each CPU (`kernel/bpf/hashtab.c`).
//!
//! An update replaces the value where it is. A program makes or replaces the value of the CPU that it runs on; those of a new
//! element are zero on the others. User space reads and writes the values of all CPUs at once.

pub(super) use super::htab::{HashTable, check};
