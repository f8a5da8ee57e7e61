//! `BPF_MAP_TYPE_TASK_STORAGE`: a value that lives with a task (`kernel/bpf/bpf_task_storage.c`).

pub(super) use super::storage::{Storage, check};
