//! What BPF itself shows: maps, programs, iterators, timers, dynamic pointers.

use super::{Decl, Of, field, pointer, record};

#[rustfmt::skip]
pub(super) const DECLARATIONS: &[Decl] = &[
    record("bpf_map", &[field("ops", pointer!("bpf_map_ops")), field("inner_map_meta", pointer!("bpf_map")), field("map_type", Of::U32), field("key_size", Of::Type("u32")), field("value_size", Of::Type("u32")), field("max_entries", Of::Type("u32")), field("map_extra", Of::Type("u64")), field("map_flags", Of::Type("u32")), field("id", Of::Type("u32")), field("name", NAME), field("refcnt", Of::Type("atomic64_t")), field("usercnt", Of::Type("atomic64_t"))]),
    record("bpf_prog_aux", &[field("refcnt", Of::Type("atomic64_t")), field("used_map_cnt", Of::Type("u32")), field("id", Of::Type("u32")), field("func_cnt", Of::Type("u32")), field("attach_btf_id", Of::Type("u32")), field("stack_depth", Of::Type("u32")), field("name", NAME), field("load_time", Of::Type("u64")), field("verified_insns", Of::Type("u32")), field("attach_func_name", Of::Pointer(&Of::CHAR)), field("dst_prog", pointer!("bpf_prog"))]),
    record("bpf_prog", &[field("pages", Of::Type("u16")), field("type", Of::U32), field("expected_attach_type", Of::U32), field("len", Of::Type("u32")), field("jited_len", Of::Type("u32")), field("tag", Of::Array(&Of::Type("u8"), 8)), field("aux", pointer!("bpf_prog_aux"))]),
    record("bpf_link", &[field("refcnt", Of::Type("atomic64_t")), field("id", Of::Type("u32")), field("type", Of::U32), field("prog", pointer!("bpf_prog"))]),
    record("bpf_iter_meta", &[field("seq", pointer!("seq_file")), field("session_id", Of::Type("u64")), field("seq_num", Of::Type("u64"))]),
    record("bpf_iter__task", &[field("meta", pointer!("bpf_iter_meta")), field("task", pointer!("task_struct"))]),
    record("bpf_iter__task_file", &[field("meta", pointer!("bpf_iter_meta")), field("task", pointer!("task_struct")), field("fd", Of::Type("u32")), field("file", pointer!("file"))]),
    record("bpf_iter__bpf_map", &[field("meta", pointer!("bpf_iter_meta")), field("map", pointer!("bpf_map"))]),
    record("bpf_iter__bpf_prog", &[field("meta", pointer!("bpf_iter_meta")), field("prog", pointer!("bpf_prog"))]),
    record("bpf_iter__tcp", &[field("meta", pointer!("bpf_iter_meta")), field("sk_common", pointer!("sock_common")), field("uid", Of::Type("uid_t"))]),
    record("bpf_iter__bpf_map_elem", &[field("meta", pointer!("bpf_iter_meta")), field("map", pointer!("bpf_map")), field("key", ANY), field("value", ANY)]),
    record("bpf_timer", &[field("__opaque", Of::Array(&Of::Type("__u64"), 2))]),
    record("bpf_spin_lock", &[field("val", Of::Type("__u32"))]),
    record("bpf_dynptr", &[field("__opaque", Of::Array(&Of::Type("__u64"), 2))]),
    record("bpf_perf_event_value", &[field("counter", Of::Type("__u64")), field("enabled", Of::Type("__u64")), field("running", Of::Type("__u64"))]),
];

const ANY: Of = Of::Pointer(&Of::Void);
/// `BPF_OBJ_NAME_LEN`.
const NAME: Of = Of::Array(&Of::CHAR, 16);
