//! `BPF_MAP_TYPE_SK_STORAGE`: a value that lives with a socket (`net/core/bpf_sk_storage.c`).

pub(super) use super::storage::{Storage, check};
