//! Records of tracepoints, as programs of type `tracepoint` receive them.

use super::{Decl, Of, field, record};

#[rustfmt::skip]
pub(super) const DECLARATIONS: &[Decl] = &[
    record("trace_entry", &[field("type", Of::U16), field("flags", Of::U8), field("preempt_count", Of::U8), field("pid", Of::INT)]),
    record("trace_event_raw_sys_enter", &[ENTRY, field("id", Of::LONG), field("args", Of::Array(&Of::ULONG, 6)), DATA]),
    record("trace_event_raw_sys_exit", &[ENTRY, field("id", Of::LONG), field("ret", Of::LONG), DATA]),
    record("trace_event_raw_sched_process_template", &[ENTRY, field("comm", COMM), PID, field("prio", Of::INT), DATA]),
    record("trace_event_raw_sched_process_exec", &[ENTRY, field("__data_loc_filename", Of::Type("u32")), PID, field("old_pid", Of::Type("pid_t")), DATA]),
    record("trace_event_raw_sched_process_fork", &[ENTRY, field("parent_comm", COMM), field("parent_pid", Of::Type("pid_t")), field("child_comm", COMM), field("child_pid", Of::Type("pid_t")), DATA]),
    record("trace_event_raw_sched_switch", &[ENTRY, field("prev_comm", COMM), field("prev_pid", Of::Type("pid_t")), field("prev_prio", Of::INT), field("prev_state", Of::LONG), field("next_comm", COMM), field("next_pid", Of::Type("pid_t")), field("next_prio", Of::INT), DATA]),
    record("trace_event_raw_sched_wakeup_template", &[ENTRY, field("comm", COMM), PID, field("prio", Of::INT), field("target_cpu", Of::INT), DATA]),
    record("trace_event_raw_sched_migrate_task", &[ENTRY, field("comm", COMM), PID, field("prio", Of::INT), field("orig_cpu", Of::INT), field("dest_cpu", Of::INT), DATA]),
    record("trace_event_raw_block_rq", &[ENTRY, field("dev", Of::Type("dev_t")), field("sector", Of::Type("sector_t")), field("nr_sector", Of::U32), field("bytes", Of::U32), field("rwbs", Of::Array(&Of::CHAR, 8)), field("comm", COMM), DATA]),
    record("trace_event_raw_block_rq_completion", &[ENTRY, field("dev", Of::Type("dev_t")), field("sector", Of::Type("sector_t")), field("nr_sector", Of::U32), field("error", Of::INT), field("rwbs", Of::Array(&Of::CHAR, 8)), DATA]),
    record("trace_event_raw_inet_sock_set_state", &[ENTRY, field("skaddr", Of::Pointer(&Of::Void)), field("oldstate", Of::INT), field("newstate", Of::INT), field("sport", Of::Type("__u16")), field("dport", Of::Type("__u16")), field("family", Of::Type("__u16")), field("protocol", Of::Type("__u16")), field("saddr", ADDR4), field("daddr", ADDR4), field("saddr_v6", ADDR6), field("daddr_v6", ADDR6), DATA]),
    record("trace_event_raw_tcp_event_sk_skb", &[ENTRY, field("skbaddr", Of::Pointer(&Of::Void)), field("skaddr", Of::Pointer(&Of::Void)), field("state", Of::INT), field("sport", Of::Type("__u16")), field("dport", Of::Type("__u16")), field("family", Of::Type("__u16")), field("saddr", ADDR4), field("daddr", ADDR4), field("saddr_v6", ADDR6), field("daddr_v6", ADDR6), DATA]),
    record("trace_event_raw_signal_generate", &[ENTRY, field("sig", Of::INT), field("errno", Of::INT), field("code", Of::INT), field("comm", COMM), PID, field("group", Of::INT), field("result", Of::INT), DATA]),
    record("trace_event_raw_kfree_skb", &[ENTRY, field("skbaddr", Of::Pointer(&Of::Void)), field("location", Of::Pointer(&Of::Void)), field("protocol", Of::U16), field("reason", Of::U32), DATA]),
    record("trace_event_raw_xdp_exception", &[ENTRY, field("prog_id", Of::INT), field("act", Of::Type("u32")), field("ifindex", Of::INT), DATA]),
    record("trace_event_raw_softirq", &[ENTRY, field("vec", Of::U32), DATA]),
    record("trace_event_raw_irq_handler_entry", &[ENTRY, field("irq", Of::INT), field("__data_loc_name", Of::Type("u32")), DATA]),
    record("trace_event_raw_task_rename", &[ENTRY, PID, field("oldcomm", COMM), field("newcomm", COMM), field("oom_score_adj", Of::S16), DATA]),
];

const ENTRY: super::Field = field("ent", Of::Struct("trace_entry"));
const PID: super::Field = field("pid", Of::Type("pid_t"));
/// Strings that `__data_loc` fields point to.
const DATA: super::Field = field("__data", Of::Array(&Of::CHAR, 0));
const COMM: Of = Of::Array(&Of::CHAR, 16);
const ADDR4: Of = Of::Array(&Of::Type("__u8"), 4);
const ADDR6: Of = Of::Array(&Of::Type("__u8"), 16);
