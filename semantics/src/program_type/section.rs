//! What the name of an ELF section says of the program in it: the conventions of libbpf 1.x, and older ones.

#[allow(clippy::enum_glob_use)] // rows of a table
use super::attach_type::AttachType::{self, *};
#[allow(clippy::enum_glob_use)]
use super::facts::ProgramType::{self, *};

/// What a section name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionType {
    /// The program type.
    pub program_type: ProgramType,
    /// What the program says at its load that it will be attached to.
    pub attach_type: Option<AttachType>,
    /// Where it is attached: what follows the type and a slash, for example the name of a function.
    pub attach_to: Option<String>,
    /// Whether it is loaded as a program that may sleep.
    pub sleepable: bool,
    /// Whether it is loaded as a program that knows packets of several fragments.
    pub frags: bool,
    /// Whether it is loaded unless one asks for it: a `?` before the name says no.
    pub autoload: bool,
}

/// How a name is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    /// The whole name.
    Exact,
    /// The whole name, or the name with a slash and what the program is attached to.
    Extras,
}

type Row = (&'static str, Match, ProgramType, Option<AttachType>, u8);

const SLEEPABLE: u8 = 1;
const FRAGS: u8 = 2;

/// Names of libbpf 1.4, which came with Linux 6.8.
#[rustfmt::skip]
const SECTIONS: [Row; 100] = [
    ("socket", Match::Exact, SocketFilter, None, 0),
    ("sk_reuseport/migrate", Match::Exact, SkReuseport, Some(SkReuseportSelectOrMigrate), 0),
    ("sk_reuseport", Match::Exact, SkReuseport, Some(SkReuseportSelect), 0),
    ("kprobe", Match::Extras, Kprobe, None, 0),
    ("uprobe", Match::Extras, Kprobe, None, 0),
    ("uprobe.s", Match::Extras, Kprobe, None, SLEEPABLE),
    ("kretprobe", Match::Extras, Kprobe, None, 0),
    ("uretprobe", Match::Extras, Kprobe, None, 0),
    ("uretprobe.s", Match::Extras, Kprobe, None, SLEEPABLE),
    ("kprobe.multi", Match::Extras, Kprobe, Some(TraceKprobeMulti), 0),
    ("kretprobe.multi", Match::Extras, Kprobe, Some(TraceKprobeMulti), 0),
    ("uprobe.multi", Match::Extras, Kprobe, Some(TraceUprobeMulti), 0),
    ("uretprobe.multi", Match::Extras, Kprobe, Some(TraceUprobeMulti), 0),
    ("uprobe.multi.s", Match::Extras, Kprobe, Some(TraceUprobeMulti), SLEEPABLE),
    ("uretprobe.multi.s", Match::Extras, Kprobe, Some(TraceUprobeMulti), SLEEPABLE),
    ("ksyscall", Match::Extras, Kprobe, None, 0),
    ("kretsyscall", Match::Extras, Kprobe, None, 0),
    ("usdt", Match::Extras, Kprobe, None, 0),
    ("usdt.s", Match::Extras, Kprobe, None, SLEEPABLE),
    ("tc/ingress", Match::Exact, SchedCls, Some(TcxIngress), 0),
    ("tc/egress", Match::Exact, SchedCls, Some(TcxEgress), 0),
    ("tcx/ingress", Match::Exact, SchedCls, Some(TcxIngress), 0),
    ("tcx/egress", Match::Exact, SchedCls, Some(TcxEgress), 0),
    ("tc", Match::Exact, SchedCls, None, 0),
    ("classifier", Match::Exact, SchedCls, None, 0),
    ("action", Match::Exact, SchedAct, None, 0),
    ("netkit/primary", Match::Exact, SchedCls, Some(NetkitPrimary), 0),
    ("netkit/peer", Match::Exact, SchedCls, Some(NetkitPeer), 0),
    ("tracepoint", Match::Extras, Tracepoint, None, 0),
    ("tp", Match::Extras, Tracepoint, None, 0),
    ("raw_tracepoint", Match::Extras, RawTracepoint, None, 0),
    ("raw_tp", Match::Extras, RawTracepoint, None, 0),
    ("raw_tracepoint.w", Match::Extras, RawTracepointWritable, None, 0),
    ("raw_tp.w", Match::Extras, RawTracepointWritable, None, 0),
    ("tp_btf", Match::Extras, Tracing, Some(TraceRawTp), 0),
    ("fentry", Match::Extras, Tracing, Some(TraceFentry), 0),
    ("fmod_ret", Match::Extras, Tracing, Some(ModifyReturn), 0),
    ("fexit", Match::Extras, Tracing, Some(TraceFexit), 0),
    ("fentry.s", Match::Extras, Tracing, Some(TraceFentry), SLEEPABLE),
    ("fmod_ret.s", Match::Extras, Tracing, Some(ModifyReturn), SLEEPABLE),
    ("fexit.s", Match::Extras, Tracing, Some(TraceFexit), SLEEPABLE),
    ("freplace", Match::Extras, Ext, None, 0),
    ("lsm", Match::Extras, Lsm, Some(LsmMac), 0),
    ("lsm.s", Match::Extras, Lsm, Some(LsmMac), SLEEPABLE),
    ("lsm_cgroup", Match::Extras, Lsm, Some(LsmCgroup), 0),
    ("iter", Match::Extras, Tracing, Some(TraceIter), 0),
    ("iter.s", Match::Extras, Tracing, Some(TraceIter), SLEEPABLE),
    ("syscall", Match::Exact, Syscall, None, SLEEPABLE),
    ("xdp.frags/devmap", Match::Exact, ProgramType::Xdp, Some(XdpDevmap), FRAGS),
    ("xdp/devmap", Match::Exact, ProgramType::Xdp, Some(XdpDevmap), 0),
    ("xdp.frags/cpumap", Match::Exact, ProgramType::Xdp, Some(XdpCpumap), FRAGS),
    ("xdp/cpumap", Match::Exact, ProgramType::Xdp, Some(XdpCpumap), 0),
    ("xdp.frags", Match::Exact, ProgramType::Xdp, Some(AttachType::Xdp), FRAGS),
    ("xdp", Match::Exact, ProgramType::Xdp, Some(AttachType::Xdp), 0),
    ("perf_event", Match::Exact, ProgramType::PerfEvent, None, 0),
    ("lwt_in", Match::Exact, LwtIn, None, 0),
    ("lwt_out", Match::Exact, LwtOut, None, 0),
    ("lwt_xmit", Match::Exact, LwtXmit, None, 0),
    ("lwt_seg6local", Match::Exact, LwtSeg6local, None, 0),
    ("sockops", Match::Exact, SockOps, Some(CgroupSockOps), 0),
    ("sk_skb/stream_parser", Match::Exact, SkSkb, Some(SkSkbStreamParser), 0),
    ("sk_skb/stream_verdict", Match::Exact, SkSkb, Some(SkSkbStreamVerdict), 0),
    ("sk_skb/verdict", Match::Exact, SkSkb, Some(SkSkbVerdict), 0),
    ("sk_skb", Match::Exact, SkSkb, None, 0),
    ("sk_msg", Match::Exact, SkMsg, Some(SkMsgVerdict), 0),
    ("lirc_mode2", Match::Exact, ProgramType::LircMode2, Some(AttachType::LircMode2), 0),
    ("flow_dissector", Match::Exact, ProgramType::FlowDissector, Some(AttachType::FlowDissector), 0),
    ("cgroup_skb/ingress", Match::Exact, CgroupSkb, Some(CgroupInetIngress), 0),
    ("cgroup_skb/egress", Match::Exact, CgroupSkb, Some(CgroupInetEgress), 0),
    ("cgroup/skb", Match::Exact, CgroupSkb, None, 0),
    ("cgroup/sock_create", Match::Exact, CgroupSock, Some(CgroupInetSockCreate), 0),
    ("cgroup/sock_release", Match::Exact, CgroupSock, Some(CgroupInetSockRelease), 0),
    ("cgroup/sock", Match::Exact, CgroupSock, Some(CgroupInetSockCreate), 0),
    ("cgroup/post_bind4", Match::Exact, CgroupSock, Some(CgroupInet4PostBind), 0),
    ("cgroup/post_bind6", Match::Exact, CgroupSock, Some(CgroupInet6PostBind), 0),
    ("cgroup/bind4", Match::Exact, CgroupSockAddr, Some(CgroupInet4Bind), 0),
    ("cgroup/bind6", Match::Exact, CgroupSockAddr, Some(CgroupInet6Bind), 0),
    ("cgroup/connect4", Match::Exact, CgroupSockAddr, Some(CgroupInet4Connect), 0),
    ("cgroup/connect6", Match::Exact, CgroupSockAddr, Some(CgroupInet6Connect), 0),
    ("cgroup/connect_unix", Match::Exact, CgroupSockAddr, Some(CgroupUnixConnect), 0),
    ("cgroup/sendmsg4", Match::Exact, CgroupSockAddr, Some(CgroupUdp4Sendmsg), 0),
    ("cgroup/sendmsg6", Match::Exact, CgroupSockAddr, Some(CgroupUdp6Sendmsg), 0),
    ("cgroup/sendmsg_unix", Match::Exact, CgroupSockAddr, Some(CgroupUnixSendmsg), 0),
    ("cgroup/recvmsg4", Match::Exact, CgroupSockAddr, Some(CgroupUdp4Recvmsg), 0),
    ("cgroup/recvmsg6", Match::Exact, CgroupSockAddr, Some(CgroupUdp6Recvmsg), 0),
    ("cgroup/recvmsg_unix", Match::Exact, CgroupSockAddr, Some(CgroupUnixRecvmsg), 0),
    ("cgroup/getpeername4", Match::Exact, CgroupSockAddr, Some(CgroupInet4Getpeername), 0),
    ("cgroup/getpeername6", Match::Exact, CgroupSockAddr, Some(CgroupInet6Getpeername), 0),
    ("cgroup/getpeername_unix", Match::Exact, CgroupSockAddr, Some(CgroupUnixGetpeername), 0),
    ("cgroup/getsockname4", Match::Exact, CgroupSockAddr, Some(CgroupInet4Getsockname), 0),
    ("cgroup/getsockname6", Match::Exact, CgroupSockAddr, Some(CgroupInet6Getsockname), 0),
    ("cgroup/getsockname_unix", Match::Exact, CgroupSockAddr, Some(CgroupUnixGetsockname), 0),
    ("cgroup/sysctl", Match::Exact, ProgramType::CgroupSysctl, Some(AttachType::CgroupSysctl), 0),
    ("cgroup/getsockopt", Match::Exact, CgroupSockopt, Some(CgroupGetsockopt), 0),
    ("cgroup/setsockopt", Match::Exact, CgroupSockopt, Some(CgroupSetsockopt), 0),
    ("cgroup/dev", Match::Exact, ProgramType::CgroupDevice, Some(AttachType::CgroupDevice), 0),
    ("struct_ops", Match::Extras, ProgramType::StructOps, None, 0),
    ("struct_ops.s", Match::Extras, ProgramType::StructOps, None, SLEEPABLE),
    ("sk_lookup", Match::Exact, ProgramType::SkLookup, Some(AttachType::SkLookup), 0),
    ("netfilter", Match::Exact, ProgramType::Netfilter, Some(AttachType::Netfilter), 0),
];

/// Names whose continuations mean the same in older objects: libbpf before 1.0 compared prefixes only.
#[rustfmt::skip]
const LEGACY: [(&str, ProgramType, Option<AttachType>); 47] = [
    ("socket", SocketFilter, None),
    ("sk_reuseport/migrate", SkReuseport, Some(SkReuseportSelectOrMigrate)),
    ("sk_reuseport", SkReuseport, Some(SkReuseportSelect)),
    ("tc", SchedCls, None),
    ("classifier", SchedCls, None),
    ("action", SchedAct, None),
    ("xdp_devmap", ProgramType::Xdp, Some(XdpDevmap)),
    ("xdp_cpumap", ProgramType::Xdp, Some(XdpCpumap)),
    ("xdp", ProgramType::Xdp, Some(AttachType::Xdp)),
    ("perf_event", ProgramType::PerfEvent, None),
    ("lwt_in", LwtIn, None),
    ("lwt_out", LwtOut, None),
    ("lwt_xmit", LwtXmit, None),
    ("lwt_seg6local", LwtSeg6local, None),
    ("cgroup_skb/ingress", CgroupSkb, Some(CgroupInetIngress)),
    ("cgroup_skb/egress", CgroupSkb, Some(CgroupInetEgress)),
    ("cgroup/skb", CgroupSkb, None),
    ("cgroup/sock_create", CgroupSock, Some(CgroupInetSockCreate)),
    ("cgroup/sock_release", CgroupSock, Some(CgroupInetSockRelease)),
    ("cgroup/sock", CgroupSock, Some(CgroupInetSockCreate)),
    ("cgroup/post_bind4", CgroupSock, Some(CgroupInet4PostBind)),
    ("cgroup/post_bind6", CgroupSock, Some(CgroupInet6PostBind)),
    ("cgroup/dev", ProgramType::CgroupDevice, Some(AttachType::CgroupDevice)),
    ("sockops", SockOps, Some(CgroupSockOps)),
    ("sk_skb/stream_parser", SkSkb, Some(SkSkbStreamParser)),
    ("sk_skb/stream_verdict", SkSkb, Some(SkSkbStreamVerdict)),
    ("sk_skb", SkSkb, None),
    ("sk_msg", SkMsg, Some(SkMsgVerdict)),
    ("lirc_mode2", ProgramType::LircMode2, Some(AttachType::LircMode2)),
    ("flow_dissector", ProgramType::FlowDissector, Some(AttachType::FlowDissector)),
    ("cgroup/bind4", CgroupSockAddr, Some(CgroupInet4Bind)),
    ("cgroup/bind6", CgroupSockAddr, Some(CgroupInet6Bind)),
    ("cgroup/connect4", CgroupSockAddr, Some(CgroupInet4Connect)),
    ("cgroup/connect6", CgroupSockAddr, Some(CgroupInet6Connect)),
    ("cgroup/sendmsg4", CgroupSockAddr, Some(CgroupUdp4Sendmsg)),
    ("cgroup/sendmsg6", CgroupSockAddr, Some(CgroupUdp6Sendmsg)),
    ("cgroup/recvmsg4", CgroupSockAddr, Some(CgroupUdp4Recvmsg)),
    ("cgroup/recvmsg6", CgroupSockAddr, Some(CgroupUdp6Recvmsg)),
    ("cgroup/getpeername4", CgroupSockAddr, Some(CgroupInet4Getpeername)),
    ("cgroup/getpeername6", CgroupSockAddr, Some(CgroupInet6Getpeername)),
    ("cgroup/getsockname4", CgroupSockAddr, Some(CgroupInet4Getsockname)),
    ("cgroup/getsockname6", CgroupSockAddr, Some(CgroupInet6Getsockname)),
    ("cgroup/sysctl", ProgramType::CgroupSysctl, Some(AttachType::CgroupSysctl)),
    ("cgroup/getsockopt", CgroupSockopt, Some(CgroupGetsockopt)),
    ("cgroup/setsockopt", CgroupSockopt, Some(CgroupSetsockopt)),
    ("sk_lookup", ProgramType::SkLookup, Some(AttachType::SkLookup)),
    ("filter", SocketFilter, None),
];

/// What a section of this name holds; `None` if the name alone does not say it.
///
/// A `?` in front means that the program is not loaded by default. Names of libbpf's table come first. Then names that
/// begin with one of the table of old and go on with `/`, `_`, `.` or digits only, such as `xdp_prog0` or `socket/3`, and
/// `filter`, the section of classic socket filters.
///
/// ```
/// use semantics::program_type::{AttachType, ProgramType, from_section};
/// let section = from_section("?fentry.s/do_unlinkat").unwrap();
/// assert_eq!((section.program_type, section.attach_type), (ProgramType::Tracing, Some(AttachType::TraceFentry)));
/// assert_eq!(section.attach_to.as_deref(), Some("do_unlinkat"));
/// assert!(section.sleepable && !section.autoload);
/// assert_eq!(from_section("from-netdev"), None);
/// ```
pub fn from_section(name: &str) -> Option<SectionType> {
    let (name, autoload) = name.strip_prefix('?').map_or((name, true), |name| (name, false));
    let of_table = SECTIONS.iter().find_map(|row| {
        let extras = row.1.extras(row.0, name)?;
        Some(SectionType {
            program_type: row.2,
            attach_type: row.3,
            attach_to: Some(extras).filter(|extras| !extras.is_empty()).map(str::to_owned),
            sleepable: row.4 & SLEEPABLE != 0,
            frags: row.4 & FRAGS != 0,
            autoload,
        })
    });
    of_table.or_else(|| legacy(name).map(|found| SectionType { autoload, ..found }))
}

fn legacy(name: &str) -> Option<SectionType> {
    let (_, program_type, attach_type) = LEGACY.into_iter().find(|(prefix, ..)| {
        let goes_on = |rest: &str| rest.starts_with(['/', '.', '_']) || rest.bytes().all(|b| b.is_ascii_digit());
        name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || (*prefix != FILTER && goes_on(rest)))
    })?;
    Some(SectionType { program_type, attach_type, attach_to: None, sleepable: false, frags: false, autoload: true })
}

/// Never with a continuation.
const FILTER: &str = "filter";

impl Match {
    /// What follows the type, if `name` is of the type `sec`.
    fn extras<'a>(self, sec: &str, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(sec)?;
        match self {
            Match::Exact => rest.is_empty().then_some(rest),
            Match::Extras if rest.is_empty() => Some(rest),
            Match::Extras => rest.strip_prefix('/'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(name: &str) -> Option<(ProgramType, Option<AttachType>, Option<String>)> {
        from_section(name).map(|section| (section.program_type, section.attach_type, section.attach_to))
    }

    #[test]
    #[rustfmt::skip]
    fn names_say_type_attach_type_and_target() {
        let cases: &[(&str, ProgramType, Option<AttachType>, Option<&str>)] = &[
            ("socket", SocketFilter, None, None),
            ("sk_reuseport", SkReuseport, Some(SkReuseportSelect), None),
            ("sk_reuseport/migrate", SkReuseport, Some(SkReuseportSelectOrMigrate), None),
            ("kprobe", Kprobe, None, None),
            ("kprobe/sys_write", Kprobe, None, Some("sys_write")),
            ("kprobe/sys_write+0x10", Kprobe, None, Some("sys_write+0x10")),
            ("kretprobe/kfree_skb", Kprobe, None, Some("kfree_skb")),
            ("uprobe//bin/bash:readline", Kprobe, None, Some("/bin/bash:readline")),
            ("uretprobe/libc.so.6:malloc", Kprobe, None, Some("libc.so.6:malloc")),
            ("kprobe.multi/vfs_*", Kprobe, Some(TraceKprobeMulti), Some("vfs_*")),
            ("kretprobe.multi/vfs_*", Kprobe, Some(TraceKprobeMulti), Some("vfs_*")),
            ("uprobe.multi/libc.so.6:mal*", Kprobe, Some(TraceUprobeMulti), Some("libc.so.6:mal*")),
            ("usdt/libc.so.6:libc:setjmp", Kprobe, None, Some("libc.so.6:libc:setjmp")),
            ("ksyscall/unlinkat", Kprobe, None, Some("unlinkat")),
            ("kretsyscall/unlinkat", Kprobe, None, Some("unlinkat")),
            ("tc", SchedCls, None, None),
            ("tc/ingress", SchedCls, Some(TcxIngress), None),
            ("tcx/egress", SchedCls, Some(TcxEgress), None),
            ("netkit/primary", SchedCls, Some(NetkitPrimary), None),
            ("netkit/peer", SchedCls, Some(NetkitPeer), None),
            ("classifier", SchedCls, None, None),
            ("action", SchedAct, None, None),
            ("tracepoint/sched/sched_switch", Tracepoint, None, Some("sched/sched_switch")),
            ("tp/xdp/xdp_redirect", Tracepoint, None, Some("xdp/xdp_redirect")),
            ("raw_tracepoint/task_rename", RawTracepoint, None, Some("task_rename")),
            ("raw_tp/task_rename", RawTracepoint, None, Some("task_rename")),
            ("raw_tracepoint.w/nbd_send_request", RawTracepointWritable, None, Some("nbd_send_request")),
            ("raw_tp.w/nbd_send_request", RawTracepointWritable, None, Some("nbd_send_request")),
            ("tp_btf/task_newtask", Tracing, Some(TraceRawTp), Some("task_newtask")),
            ("fentry/tcp_connect", Tracing, Some(TraceFentry), Some("tcp_connect")),
            ("fexit/tcp_connect", Tracing, Some(TraceFexit), Some("tcp_connect")),
            ("fmod_ret/security_file_open", Tracing, Some(ModifyReturn), Some("security_file_open")),
            ("freplace/handler", Ext, None, Some("handler")),
            ("lsm/file_open", Lsm, Some(LsmMac), Some("file_open")),
            ("lsm_cgroup/socket_bind", Lsm, Some(LsmCgroup), Some("socket_bind")),
            ("iter/task", Tracing, Some(TraceIter), Some("task")),
            ("syscall", Syscall, None, None),
            ("xdp", ProgramType::Xdp, Some(AttachType::Xdp), None),
            ("xdp.frags", ProgramType::Xdp, Some(AttachType::Xdp), None),
            ("xdp/devmap", ProgramType::Xdp, Some(XdpDevmap), None),
            ("xdp.frags/cpumap", ProgramType::Xdp, Some(XdpCpumap), None),
            ("perf_event", ProgramType::PerfEvent, None, None),
            ("lwt_in", LwtIn, None, None),
            ("lwt_out", LwtOut, None, None),
            ("lwt_xmit", LwtXmit, None, None),
            ("lwt_seg6local", LwtSeg6local, None, None),
            ("sockops", SockOps, Some(CgroupSockOps), None),
            ("sk_skb/stream_parser", SkSkb, Some(SkSkbStreamParser), None),
            ("sk_skb/stream_verdict", SkSkb, Some(SkSkbStreamVerdict), None),
            ("sk_skb/verdict", SkSkb, Some(SkSkbVerdict), None),
            ("sk_skb", SkSkb, None, None),
            ("sk_msg", SkMsg, Some(SkMsgVerdict), None),
            ("lirc_mode2", ProgramType::LircMode2, Some(AttachType::LircMode2), None),
            ("flow_dissector", ProgramType::FlowDissector, Some(AttachType::FlowDissector), None),
            ("cgroup_skb/ingress", CgroupSkb, Some(CgroupInetIngress), None),
            ("cgroup_skb/egress", CgroupSkb, Some(CgroupInetEgress), None),
            ("cgroup/skb", CgroupSkb, None, None),
            ("cgroup/dev", ProgramType::CgroupDevice, Some(AttachType::CgroupDevice), None),
            ("cgroup/sock", CgroupSock, Some(CgroupInetSockCreate), None),
            ("cgroup/sock_release", CgroupSock, Some(CgroupInetSockRelease), None),
            ("cgroup/post_bind6", CgroupSock, Some(CgroupInet6PostBind), None),
            ("cgroup/bind4", CgroupSockAddr, Some(CgroupInet4Bind), None),
            ("cgroup/connect_unix", CgroupSockAddr, Some(CgroupUnixConnect), None),
            ("cgroup/sendmsg6", CgroupSockAddr, Some(CgroupUdp6Sendmsg), None),
            ("cgroup/recvmsg4", CgroupSockAddr, Some(CgroupUdp4Recvmsg), None),
            ("cgroup/getpeername6", CgroupSockAddr, Some(CgroupInet6Getpeername), None),
            ("cgroup/getsockname_unix", CgroupSockAddr, Some(CgroupUnixGetsockname), None),
            ("cgroup/sysctl", ProgramType::CgroupSysctl, Some(AttachType::CgroupSysctl), None),
            ("cgroup/getsockopt", CgroupSockopt, Some(CgroupGetsockopt), None),
            ("cgroup/setsockopt", CgroupSockopt, Some(CgroupSetsockopt), None),
            ("struct_ops/init", ProgramType::StructOps, None, Some("init")),
            ("sk_lookup", ProgramType::SkLookup, Some(AttachType::SkLookup), None),
            ("netfilter", ProgramType::Netfilter, Some(AttachType::Netfilter), None),
            // Older objects.
            ("xdp_prog0", ProgramType::Xdp, Some(AttachType::Xdp), None),
            ("xdp_mark", ProgramType::Xdp, Some(AttachType::Xdp), None),
            ("xdp_prog/0", ProgramType::Xdp, Some(AttachType::Xdp), None),
            ("xdp1", ProgramType::Xdp, Some(AttachType::Xdp), None),
            ("xdp_devmap/map_prog", ProgramType::Xdp, Some(XdpDevmap), None),
            ("socket/0", SocketFilter, None, None),
            ("socket1", SocketFilter, None, None),
            ("socket_filter", SocketFilter, None, None),
            ("filter", SocketFilter, None, None),
            ("tc/tail", SchedCls, None, None),
            ("tc_mark", SchedCls, None, None),
            ("classifier/ingress", SchedCls, None, None),
            ("sk_skb1", SkSkb, None, None),
            ("cgroup/connect4_host", CgroupSockAddr, Some(CgroupInet4Connect), None),
        ];
        for &(name, program_type, attach_type, attach_to) in cases {
            assert_eq!(short(name), Some((program_type, attach_type, attach_to.map(str::to_owned))), "{name}");
        }
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        for name in [
            "",
            "?",
            ".text",
            "license",
            "maps",
            "from-netdev",
            "2/1",
            "test",
            "test_md",
            "len_hist",
            "redirect_xmit",
            "kprobes/f",
            "kprobe_f",
            "kprobe.session/f",
            "fentry1",
            "iterators",
            "lsm.x/f",
            "tp_btf.s/f",
            "xdpx",
            "XDP",
            " xdp",
            "filters",
            "filter/0",
            "tcpdump",
            "socketpair",
            "syscall/f",
            "netfilter/f",
            "cgroup/",
            "cgroup",
            "??xdp",
        ] {
            assert_eq!(from_section(name), None, "{name}");
        }
    }

    #[test]
    fn flags_come_from_the_name() {
        let flags = |name: &str| {
            let section = from_section(name).unwrap();
            (section.sleepable, section.frags, section.autoload)
        };
        assert_eq!(flags("fentry/f"), (false, false, true));
        for name in [
            "fentry.s/f",
            "fexit.s/f",
            "fmod_ret.s/f",
            "lsm.s/f",
            "iter.s/task",
            "uprobe.s/p:f",
            "usdt.s/p:a:b",
            "syscall",
        ] {
            assert_eq!(flags(name), (true, false, true), "{name}");
        }
        assert_eq!(flags("xdp.frags/devmap"), (false, true, true));
        assert_eq!(flags("?xdp"), (false, false, false));
        assert_eq!(flags("?socket/0"), (false, false, false));
    }

    /// Every row finds itself: none is hidden by one before it.
    #[test]
    fn no_row_hides_another() {
        for (name, how, program_type, attach_type, _) in SECTIONS {
            assert_eq!(short(name), Some((program_type, attach_type, None)), "{name}");
            if how == Match::Extras {
                let found = Some((program_type, attach_type, Some("a/b".to_owned())));
                assert_eq!(short(&format!("{name}/a/b")), found, "{name}");
            }
        }
        for (prefix, program_type, attach_type) in LEGACY.into_iter().filter(|(prefix, ..)| *prefix != FILTER) {
            assert_eq!(short(&format!("{prefix}_x")), Some((program_type, attach_type, None)), "{prefix}");
        }
    }

    /// A row's attach type is one of its program type's.
    #[test]
    fn attach_types_belong_to_their_program_types() {
        for (name, _, program_type, attach_type, _) in SECTIONS {
            let known = program_type.fact().attach_types;
            assert!(attach_type.is_none_or(|attach| known.contains(&attach)), "{name}");
        }
    }
}
