//! `BPF_MAP_TYPE_USER_RINGBUF`: records from user space for programs, in order (`kernel/bpf/ringbuf.c`).

pub(super) use super::ringbuf::check;
