//! `BPF_MAP_TYPE_INODE_STORAGE`: a value that lives with an inode (`kernel/bpf/bpf_inode_storage.c`).

pub(super) use super::storage::{Storage, check};
