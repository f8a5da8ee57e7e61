//! `BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE`: a [`cgroup_storage`](super::cgroup_storage) with a value for each CPU
//! (`kernel/bpf/local_storage.c`).

pub(super) use super::cgroup_storage::{CgroupStorage, check};
