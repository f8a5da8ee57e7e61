//! `BPF_MAP_TYPE_HASH`: at most `max_entries` elements under keys of any bytes (`kernel/bpf/hashtab.c`).
//!
//! Its elements exist from the start, unless `BPF_F_NO_PREALLOC` says otherwise. As in the kernel, replacing an element swaps in
//! a spare slot of the CPU, so a pointer taken before the update keeps showing the old value; and the slot of an element that was
//! deleted is the next to be used, so a pointer to it may show a new element.

pub(super) use super::htab::{HashTable, check};
