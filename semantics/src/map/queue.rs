//! `BPF_MAP_TYPE_QUEUE`: values without keys, the oldest comes out first (`kernel/bpf/queue_stack_maps.c`).

pub(super) use super::ring::{Ring, check};
