//! `BPF_MAP_TYPE_PERCPU_ARRAY`: an array with a value for each CPU (`kernel/bpf/arraymap.c`).
//!
//! Programs see the value of the CPU that they run on, and by `map_lookup_percpu_elem` those of others; user space sees all of
//! them, each up to the next multiple of 8 bytes. Going through its elements gives the values of the current CPU.

pub(super) use super::array::{Array, check};
