//! `BPF_MAP_TYPE_STACK`: values without keys, the newest comes out first (`kernel/bpf/queue_stack_maps.c`).

pub(super) use super::ring::{Ring, check};
