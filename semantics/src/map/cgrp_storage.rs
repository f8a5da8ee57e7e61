//! `BPF_MAP_TYPE_CGRP_STORAGE`: a value that lives with a cgroup (`kernel/bpf/bpf_cgrp_storage.c`).

pub(super) use super::storage::{Storage, check};
