//! Where a program is attached: `enum bpf_attach_type` of Linux 6.8, made from the header.

/// What a program says at its load that it will be attached to (`expected_attach_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AttachType {
    /// `BPF_CGROUP_INET_INGRESS`.
    CgroupInetIngress = 0,
    /// `BPF_CGROUP_INET_EGRESS`.
    CgroupInetEgress = 1,
    /// `BPF_CGROUP_INET_SOCK_CREATE`.
    CgroupInetSockCreate = 2,
    /// `BPF_CGROUP_SOCK_OPS`.
    CgroupSockOps = 3,
    /// `BPF_SK_SKB_STREAM_PARSER`.
    SkSkbStreamParser = 4,
    /// `BPF_SK_SKB_STREAM_VERDICT`.
    SkSkbStreamVerdict = 5,
    /// `BPF_CGROUP_DEVICE`.
    CgroupDevice = 6,
    /// `BPF_SK_MSG_VERDICT`.
    SkMsgVerdict = 7,
    /// `BPF_CGROUP_INET4_BIND`.
    CgroupInet4Bind = 8,
    /// `BPF_CGROUP_INET6_BIND`.
    CgroupInet6Bind = 9,
    /// `BPF_CGROUP_INET4_CONNECT`.
    CgroupInet4Connect = 10,
    /// `BPF_CGROUP_INET6_CONNECT`.
    CgroupInet6Connect = 11,
    /// `BPF_CGROUP_INET4_POST_BIND`.
    CgroupInet4PostBind = 12,
    /// `BPF_CGROUP_INET6_POST_BIND`.
    CgroupInet6PostBind = 13,
    /// `BPF_CGROUP_UDP4_SENDMSG`.
    CgroupUdp4Sendmsg = 14,
    /// `BPF_CGROUP_UDP6_SENDMSG`.
    CgroupUdp6Sendmsg = 15,
    /// `BPF_LIRC_MODE2`.
    LircMode2 = 16,
    /// `BPF_FLOW_DISSECTOR`.
    FlowDissector = 17,
    /// `BPF_CGROUP_SYSCTL`.
    CgroupSysctl = 18,
    /// `BPF_CGROUP_UDP4_RECVMSG`.
    CgroupUdp4Recvmsg = 19,
    /// `BPF_CGROUP_UDP6_RECVMSG`.
    CgroupUdp6Recvmsg = 20,
    /// `BPF_CGROUP_GETSOCKOPT`.
    CgroupGetsockopt = 21,
    /// `BPF_CGROUP_SETSOCKOPT`.
    CgroupSetsockopt = 22,
    /// `BPF_TRACE_RAW_TP`.
    TraceRawTp = 23,
    /// `BPF_TRACE_FENTRY`.
    TraceFentry = 24,
    /// `BPF_TRACE_FEXIT`.
    TraceFexit = 25,
    /// `BPF_MODIFY_RETURN`.
    ModifyReturn = 26,
    /// `BPF_LSM_MAC`.
    LsmMac = 27,
    /// `BPF_TRACE_ITER`.
    TraceIter = 28,
    /// `BPF_CGROUP_INET4_GETPEERNAME`.
    CgroupInet4Getpeername = 29,
    /// `BPF_CGROUP_INET6_GETPEERNAME`.
    CgroupInet6Getpeername = 30,
    /// `BPF_CGROUP_INET4_GETSOCKNAME`.
    CgroupInet4Getsockname = 31,
    /// `BPF_CGROUP_INET6_GETSOCKNAME`.
    CgroupInet6Getsockname = 32,
    /// `BPF_XDP_DEVMAP`.
    XdpDevmap = 33,
    /// `BPF_CGROUP_INET_SOCK_RELEASE`.
    CgroupInetSockRelease = 34,
    /// `BPF_XDP_CPUMAP`.
    XdpCpumap = 35,
    /// `BPF_SK_LOOKUP`.
    SkLookup = 36,
    /// `BPF_XDP`.
    Xdp = 37,
    /// `BPF_SK_SKB_VERDICT`.
    SkSkbVerdict = 38,
    /// `BPF_SK_REUSEPORT_SELECT`.
    SkReuseportSelect = 39,
    /// `BPF_SK_REUSEPORT_SELECT_OR_MIGRATE`.
    SkReuseportSelectOrMigrate = 40,
    /// `BPF_PERF_EVENT`.
    PerfEvent = 41,
    /// `BPF_TRACE_KPROBE_MULTI`.
    TraceKprobeMulti = 42,
    /// `BPF_LSM_CGROUP`.
    LsmCgroup = 43,
    /// `BPF_STRUCT_OPS`.
    StructOps = 44,
    /// `BPF_NETFILTER`.
    Netfilter = 45,
    /// `BPF_TCX_INGRESS`.
    TcxIngress = 46,
    /// `BPF_TCX_EGRESS`.
    TcxEgress = 47,
    /// `BPF_TRACE_UPROBE_MULTI`.
    TraceUprobeMulti = 48,
    /// `BPF_CGROUP_UNIX_CONNECT`.
    CgroupUnixConnect = 49,
    /// `BPF_CGROUP_UNIX_SENDMSG`.
    CgroupUnixSendmsg = 50,
    /// `BPF_CGROUP_UNIX_RECVMSG`.
    CgroupUnixRecvmsg = 51,
    /// `BPF_CGROUP_UNIX_GETPEERNAME`.
    CgroupUnixGetpeername = 52,
    /// `BPF_CGROUP_UNIX_GETSOCKNAME`.
    CgroupUnixGetsockname = 53,
    /// `BPF_NETKIT_PRIMARY`.
    NetkitPrimary = 54,
    /// `BPF_NETKIT_PEER`.
    NetkitPeer = 55,
}

impl AttachType {
    /// All of them, by number.
    pub const ALL: [AttachType; 56] = [
        AttachType::CgroupInetIngress,
        AttachType::CgroupInetEgress,
        AttachType::CgroupInetSockCreate,
        AttachType::CgroupSockOps,
        AttachType::SkSkbStreamParser,
        AttachType::SkSkbStreamVerdict,
        AttachType::CgroupDevice,
        AttachType::SkMsgVerdict,
        AttachType::CgroupInet4Bind,
        AttachType::CgroupInet6Bind,
        AttachType::CgroupInet4Connect,
        AttachType::CgroupInet6Connect,
        AttachType::CgroupInet4PostBind,
        AttachType::CgroupInet6PostBind,
        AttachType::CgroupUdp4Sendmsg,
        AttachType::CgroupUdp6Sendmsg,
        AttachType::LircMode2,
        AttachType::FlowDissector,
        AttachType::CgroupSysctl,
        AttachType::CgroupUdp4Recvmsg,
        AttachType::CgroupUdp6Recvmsg,
        AttachType::CgroupGetsockopt,
        AttachType::CgroupSetsockopt,
        AttachType::TraceRawTp,
        AttachType::TraceFentry,
        AttachType::TraceFexit,
        AttachType::ModifyReturn,
        AttachType::LsmMac,
        AttachType::TraceIter,
        AttachType::CgroupInet4Getpeername,
        AttachType::CgroupInet6Getpeername,
        AttachType::CgroupInet4Getsockname,
        AttachType::CgroupInet6Getsockname,
        AttachType::XdpDevmap,
        AttachType::CgroupInetSockRelease,
        AttachType::XdpCpumap,
        AttachType::SkLookup,
        AttachType::Xdp,
        AttachType::SkSkbVerdict,
        AttachType::SkReuseportSelect,
        AttachType::SkReuseportSelectOrMigrate,
        AttachType::PerfEvent,
        AttachType::TraceKprobeMulti,
        AttachType::LsmCgroup,
        AttachType::StructOps,
        AttachType::Netfilter,
        AttachType::TcxIngress,
        AttachType::TcxEgress,
        AttachType::TraceUprobeMulti,
        AttachType::CgroupUnixConnect,
        AttachType::CgroupUnixSendmsg,
        AttachType::CgroupUnixRecvmsg,
        AttachType::CgroupUnixGetpeername,
        AttachType::CgroupUnixGetsockname,
        AttachType::NetkitPrimary,
        AttachType::NetkitPeer,
    ];

    /// The kernel's name in lower case without `BPF_`.
    pub const fn name(self) -> &'static str {
        match self {
            AttachType::CgroupInetIngress => "cgroup_inet_ingress",
            AttachType::CgroupInetEgress => "cgroup_inet_egress",
            AttachType::CgroupInetSockCreate => "cgroup_inet_sock_create",
            AttachType::CgroupSockOps => "cgroup_sock_ops",
            AttachType::SkSkbStreamParser => "sk_skb_stream_parser",
            AttachType::SkSkbStreamVerdict => "sk_skb_stream_verdict",
            AttachType::CgroupDevice => "cgroup_device",
            AttachType::SkMsgVerdict => "sk_msg_verdict",
            AttachType::CgroupInet4Bind => "cgroup_inet4_bind",
            AttachType::CgroupInet6Bind => "cgroup_inet6_bind",
            AttachType::CgroupInet4Connect => "cgroup_inet4_connect",
            AttachType::CgroupInet6Connect => "cgroup_inet6_connect",
            AttachType::CgroupInet4PostBind => "cgroup_inet4_post_bind",
            AttachType::CgroupInet6PostBind => "cgroup_inet6_post_bind",
            AttachType::CgroupUdp4Sendmsg => "cgroup_udp4_sendmsg",
            AttachType::CgroupUdp6Sendmsg => "cgroup_udp6_sendmsg",
            AttachType::LircMode2 => "lirc_mode2",
            AttachType::FlowDissector => "flow_dissector",
            AttachType::CgroupSysctl => "cgroup_sysctl",
            AttachType::CgroupUdp4Recvmsg => "cgroup_udp4_recvmsg",
            AttachType::CgroupUdp6Recvmsg => "cgroup_udp6_recvmsg",
            AttachType::CgroupGetsockopt => "cgroup_getsockopt",
            AttachType::CgroupSetsockopt => "cgroup_setsockopt",
            AttachType::TraceRawTp => "trace_raw_tp",
            AttachType::TraceFentry => "trace_fentry",
            AttachType::TraceFexit => "trace_fexit",
            AttachType::ModifyReturn => "modify_return",
            AttachType::LsmMac => "lsm_mac",
            AttachType::TraceIter => "trace_iter",
            AttachType::CgroupInet4Getpeername => "cgroup_inet4_getpeername",
            AttachType::CgroupInet6Getpeername => "cgroup_inet6_getpeername",
            AttachType::CgroupInet4Getsockname => "cgroup_inet4_getsockname",
            AttachType::CgroupInet6Getsockname => "cgroup_inet6_getsockname",
            AttachType::XdpDevmap => "xdp_devmap",
            AttachType::CgroupInetSockRelease => "cgroup_inet_sock_release",
            AttachType::XdpCpumap => "xdp_cpumap",
            AttachType::SkLookup => "sk_lookup",
            AttachType::Xdp => "xdp",
            AttachType::SkSkbVerdict => "sk_skb_verdict",
            AttachType::SkReuseportSelect => "sk_reuseport_select",
            AttachType::SkReuseportSelectOrMigrate => "sk_reuseport_select_or_migrate",
            AttachType::PerfEvent => "perf_event",
            AttachType::TraceKprobeMulti => "trace_kprobe_multi",
            AttachType::LsmCgroup => "lsm_cgroup",
            AttachType::StructOps => "struct_ops",
            AttachType::Netfilter => "netfilter",
            AttachType::TcxIngress => "tcx_ingress",
            AttachType::TcxEgress => "tcx_egress",
            AttachType::TraceUprobeMulti => "trace_uprobe_multi",
            AttachType::CgroupUnixConnect => "cgroup_unix_connect",
            AttachType::CgroupUnixSendmsg => "cgroup_unix_sendmsg",
            AttachType::CgroupUnixRecvmsg => "cgroup_unix_recvmsg",
            AttachType::CgroupUnixGetpeername => "cgroup_unix_getpeername",
            AttachType::CgroupUnixGetsockname => "cgroup_unix_getsockname",
            AttachType::NetkitPrimary => "netkit_primary",
            AttachType::NetkitPeer => "netkit_peer",
        }
    }
    /// The kernel's number.
    pub const fn id(self) -> u32 {
        self as u32
    }
    /// The attach type with this number.
    ///
    /// ```
    /// use semantics::program_type::AttachType;
    /// assert_eq!(AttachType::from_id(36), Some(AttachType::SkLookup));
    /// assert_eq!(AttachType::from_id(56), None);
    /// ```
    pub fn from_id(id: u32) -> Option<AttachType> {
        AttachType::ALL.get(id as usize).copied()
    }
    /// The attach type of this name, in lower case without `BPF_`.
    pub fn from_name(name: &str) -> Option<AttachType> {
        AttachType::ALL.into_iter().find(|attach| attach.name() == name)
    }
}

impl std::fmt::Display for AttachType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of attach types.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttachTypes(u64);

impl AttachTypes {
    /// Whatever the program is attached to, also if it does not say so.
    pub const ANY: AttachTypes = AttachTypes(u64::MAX);

    /// These.
    pub const fn of(types: &[AttachType]) -> AttachTypes {
        let (mut set, mut at) = (0, 0);
        while at < types.len() {
            set |= 1 << types[at].id();
            at += 1;
        }
        AttachTypes(set)
    }
    /// Whether a program with this attach type is meant; without one only by [`AttachTypes::ANY`].
    pub const fn contains(self, attach: Option<AttachType>) -> bool {
        match attach {
            Some(attach) => self.0 >> attach.id() & 1 != 0,
            None => self.0 == u64::MAX,
        }
    }
    /// Its members, by number.
    pub fn iter(self) -> impl Iterator<Item = AttachType> {
        AttachType::ALL.into_iter().filter(move |attach| self.contains(Some(*attach)))
    }
}

impl std::fmt::Debug for AttachTypes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == AttachTypes::ANY { f.write_str("any") } else { f.debug_set().entries(self.iter()).finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        for (at, attach) in AttachType::ALL.into_iter().enumerate() {
            assert_eq!(attach.id() as usize, at);
            assert_eq!(AttachType::from_id(at as u32), Some(attach));
            assert_eq!(AttachType::from_name(attach.name()), Some(attach));
        }
        assert_eq!(AttachType::XdpDevmap.name(), "xdp_devmap");
        assert_eq!(AttachType::from_name("xdp_nowhere"), None);
    }

    #[test]
    fn sets_hold_what_they_were_made_of() {
        let set = AttachTypes::of(&[AttachType::CgroupInetIngress, AttachType::NetkitPeer]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [AttachType::CgroupInetIngress, AttachType::NetkitPeer]);
        assert!(!set.contains(None) && !set.contains(Some(AttachType::Xdp)));
        assert!(AttachTypes::ANY.contains(None) && AttachTypes::ANY.contains(Some(AttachType::Xdp)));
    }
}
