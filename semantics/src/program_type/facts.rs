//! Facts about all program types of Linux 6.8, made from the kernel's own tables: one row each.
//!
//! A row holds name, context, attach types, results that the verifier permits, the function behind `BPF_PROG_TEST_RUN`, and
//! whether a program may be loaded as sleepable.

#[allow(clippy::enum_glob_use)] // rows of a table
use super::attach_type::AttachType::{self, *};
use super::attach_type::AttachTypes;

/// `enum bpf_prog_type` of Linux 6.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ProgramType {
    /// `BPF_PROG_TYPE_SOCKET_FILTER`.
    SocketFilter = 1,
    /// `BPF_PROG_TYPE_KPROBE`.
    Kprobe = 2,
    /// `BPF_PROG_TYPE_SCHED_CLS`.
    SchedCls = 3,
    /// `BPF_PROG_TYPE_SCHED_ACT`.
    SchedAct = 4,
    /// `BPF_PROG_TYPE_TRACEPOINT`.
    Tracepoint = 5,
    /// `BPF_PROG_TYPE_XDP`.
    Xdp = 6,
    /// `BPF_PROG_TYPE_PERF_EVENT`.
    PerfEvent = 7,
    /// `BPF_PROG_TYPE_CGROUP_SKB`.
    CgroupSkb = 8,
    /// `BPF_PROG_TYPE_CGROUP_SOCK`.
    CgroupSock = 9,
    /// `BPF_PROG_TYPE_LWT_IN`.
    LwtIn = 10,
    /// `BPF_PROG_TYPE_LWT_OUT`.
    LwtOut = 11,
    /// `BPF_PROG_TYPE_LWT_XMIT`.
    LwtXmit = 12,
    /// `BPF_PROG_TYPE_SOCK_OPS`.
    SockOps = 13,
    /// `BPF_PROG_TYPE_SK_SKB`.
    SkSkb = 14,
    /// `BPF_PROG_TYPE_CGROUP_DEVICE`.
    CgroupDevice = 15,
    /// `BPF_PROG_TYPE_SK_MSG`.
    SkMsg = 16,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`.
    RawTracepoint = 17,
    /// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
    CgroupSockAddr = 18,
    /// `BPF_PROG_TYPE_LWT_SEG6LOCAL`.
    LwtSeg6local = 19,
    /// `BPF_PROG_TYPE_LIRC_MODE2`.
    LircMode2 = 20,
    /// `BPF_PROG_TYPE_SK_REUSEPORT`.
    SkReuseport = 21,
    /// `BPF_PROG_TYPE_FLOW_DISSECTOR`.
    FlowDissector = 22,
    /// `BPF_PROG_TYPE_CGROUP_SYSCTL`.
    CgroupSysctl = 23,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE`.
    RawTracepointWritable = 24,
    /// `BPF_PROG_TYPE_CGROUP_SOCKOPT`.
    CgroupSockopt = 25,
    /// `BPF_PROG_TYPE_TRACING`.
    Tracing = 26,
    /// `BPF_PROG_TYPE_STRUCT_OPS`.
    StructOps = 27,
    /// `BPF_PROG_TYPE_EXT`.
    Ext = 28,
    /// `BPF_PROG_TYPE_LSM`.
    Lsm = 29,
    /// `BPF_PROG_TYPE_SK_LOOKUP`.
    SkLookup = 30,
    /// `BPF_PROG_TYPE_SYSCALL`.
    Syscall = 31,
    /// `BPF_PROG_TYPE_NETFILTER`.
    Netfilter = 32,
}

impl ProgramType {
    /// All of them, by number.
    pub const ALL: [ProgramType; 32] = [
        ProgramType::SocketFilter,
        ProgramType::Kprobe,
        ProgramType::SchedCls,
        ProgramType::SchedAct,
        ProgramType::Tracepoint,
        ProgramType::Xdp,
        ProgramType::PerfEvent,
        ProgramType::CgroupSkb,
        ProgramType::CgroupSock,
        ProgramType::LwtIn,
        ProgramType::LwtOut,
        ProgramType::LwtXmit,
        ProgramType::SockOps,
        ProgramType::SkSkb,
        ProgramType::CgroupDevice,
        ProgramType::SkMsg,
        ProgramType::RawTracepoint,
        ProgramType::CgroupSockAddr,
        ProgramType::LwtSeg6local,
        ProgramType::LircMode2,
        ProgramType::SkReuseport,
        ProgramType::FlowDissector,
        ProgramType::CgroupSysctl,
        ProgramType::RawTracepointWritable,
        ProgramType::CgroupSockopt,
        ProgramType::Tracing,
        ProgramType::StructOps,
        ProgramType::Ext,
        ProgramType::Lsm,
        ProgramType::SkLookup,
        ProgramType::Syscall,
        ProgramType::Netfilter,
    ];
}

/// The results that the verifier permits to programs with one of these attach types (`check_return_code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Results {
    /// Whose.
    pub attach: AttachTypes,
    /// The least, a signed number of 32 bits.
    pub least: i32,
    /// The greatest.
    pub greatest: i32,
}

/// What the kernel's tables say of a program type.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// The kernel's name in lower case without `BPF_PROG_TYPE_`.
    pub name: &'static str,
    /// The structure of its context.
    pub context: &'static str,
    /// What it can be attached to, where that is said at load.
    pub attach_types: &'static [AttachType],
    /// Permitted results: the first row that fits counts, and where none does all are permitted.
    pub results: &'static [Results],
    /// The kernel's function that `BPF_PROG_TEST_RUN` calls.
    pub test_run: Option<&'static str>,
    /// Whether programs of this type, or some of its attach types, may sleep.
    pub sleepable: bool,
}

const fn results(attach: &[AttachType], least: i32, greatest: i32) -> Results {
    Results { attach: AttachTypes::of(attach), least, greatest }
}

const fn otherwise(least: i32, greatest: i32) -> Results {
    Results { attach: AttachTypes::ANY, least, greatest }
}

const fn fact(
    name: &'static str,
    context: &'static str,
    attach_types: &'static [AttachType],
    results: &'static [Results],
    test_run: Option<&'static str>,
    sleepable: bool,
) -> Fact {
    Fact { name, context, attach_types, results, test_run, sleepable }
}

/// All program types, by number from 1.
#[rustfmt::skip]
pub static FACTS: [Fact; 32] = [
    fact("socket_filter", "__sk_buff", &[], &[], Some("bpf_prog_test_run_skb"), false),
    fact("kprobe", "pt_regs", &[TraceKprobeMulti, TraceUprobeMulti, PerfEvent], &[], None, true),
    fact("sched_cls", "__sk_buff", &[TcxIngress, TcxEgress, NetkitPrimary, NetkitPeer], &[], Some("bpf_prog_test_run_skb"), false),
    fact("sched_act", "__sk_buff", &[], &[], Some("bpf_prog_test_run_skb"), false),
    fact("tracepoint", "tracepoint record", &[], &[], None, false),
    fact("xdp", "xdp_md", &[Xdp, XdpDevmap, XdpCpumap], &[], Some("bpf_prog_test_run_xdp"), false),
    fact("perf_event", "bpf_perf_event_data", &[PerfEvent], &[], None, false),
    fact("cgroup_skb", "__sk_buff", &[CgroupInetIngress, CgroupInetEgress], &[results(&[CgroupInetEgress], 0, 3), otherwise(0, 1)], Some("bpf_prog_test_run_skb"), false),
    fact("cgroup_sock", "bpf_sock", &[CgroupInetSockCreate, CgroupInetSockRelease, CgroupInet4PostBind, CgroupInet6PostBind], &[otherwise(0, 1)], None, false),
    fact("lwt_in", "__sk_buff", &[], &[], Some("bpf_prog_test_run_skb"), false),
    fact("lwt_out", "__sk_buff", &[], &[], Some("bpf_prog_test_run_skb"), false),
    fact("lwt_xmit", "__sk_buff", &[], &[], Some("bpf_prog_test_run_skb"), false),
    fact("sock_ops", "bpf_sock_ops", &[CgroupSockOps], &[otherwise(0, 1)], None, false),
    fact("sk_skb", "__sk_buff", &[SkSkbStreamParser, SkSkbStreamVerdict, SkSkbVerdict], &[], None, false),
    fact("cgroup_device", "bpf_cgroup_dev_ctx", &[CgroupDevice], &[otherwise(0, 1)], None, false),
    fact("sk_msg", "sk_msg_md", &[SkMsgVerdict], &[], None, false),
    fact("raw_tracepoint", "bpf_raw_tracepoint_args", &[], &[], Some("bpf_prog_test_run_raw_tp"), false),
    fact("cgroup_sock_addr", "bpf_sock_addr", &[CgroupInet4Bind, CgroupInet6Bind, CgroupInet4Connect, CgroupInet6Connect, CgroupUnixConnect, CgroupUdp4Sendmsg, CgroupUdp6Sendmsg, CgroupUnixSendmsg, CgroupUdp4Recvmsg, CgroupUdp6Recvmsg, CgroupUnixRecvmsg, CgroupInet4Getpeername, CgroupInet6Getpeername, CgroupUnixGetpeername, CgroupInet4Getsockname, CgroupInet6Getsockname, CgroupUnixGetsockname], &[results(&[CgroupInet4Bind, CgroupInet6Bind], 0, 3), results(&[CgroupUdp4Recvmsg, CgroupUdp6Recvmsg, CgroupUnixRecvmsg, CgroupInet4Getpeername, CgroupInet6Getpeername, CgroupUnixGetpeername, CgroupInet4Getsockname, CgroupInet6Getsockname, CgroupUnixGetsockname], 1, 1), otherwise(0, 1)], None, false),
    fact("lwt_seg6local", "__sk_buff", &[], &[], Some("bpf_prog_test_run_skb"), false),
    fact("lirc_mode2", "__u32", &[LircMode2], &[], None, false),
    fact("sk_reuseport", "sk_reuseport_md", &[SkReuseportSelect, SkReuseportSelectOrMigrate], &[], None, false),
    fact("flow_dissector", "__sk_buff", &[FlowDissector], &[], Some("bpf_prog_test_run_flow_dissector"), false),
    fact("cgroup_sysctl", "bpf_sysctl", &[CgroupSysctl], &[otherwise(0, 1)], None, false),
    fact("raw_tracepoint_writable", "bpf_raw_tracepoint_args", &[], &[], None, false),
    fact("cgroup_sockopt", "bpf_sockopt", &[CgroupGetsockopt, CgroupSetsockopt], &[otherwise(0, 1)], None, false),
    fact("tracing", "arguments", &[TraceRawTp, TraceFentry, TraceFexit, ModifyReturn, TraceIter], &[results(&[TraceFentry, TraceFexit], 0, 0), results(&[TraceIter], 0, 1)], Some("bpf_prog_test_run_tracing"), true),
    fact("struct_ops", "arguments", &[StructOps], &[], Some("bpf_struct_ops_test_run"), true),
    fact("ext", "the target program's context", &[], &[], None, false),
    fact("lsm", "arguments", &[LsmMac, LsmCgroup], &[results(&[LsmCgroup], 0, 1)], None, true),
    fact("sk_lookup", "bpf_sk_lookup", &[SkLookup], &[otherwise(0, 1)], Some("bpf_prog_test_run_sk_lookup"), false),
    fact("syscall", "syscall arguments", &[], &[], Some("bpf_prog_test_run_syscall"), true),
    fact("netfilter", "bpf_nf_ctx", &[Netfilter], &[otherwise(0, 1)], Some("bpf_prog_test_run_nf"), false),
];
