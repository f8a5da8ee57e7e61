//! Names, offsets, lengths and elements of the context structures' fields in bytes, made from Linux 6.8's uapi headers.

/// Name, offset, length, and length of an element: less than the length for arrays.
pub type Row = (&'static str, u32, u32, u32);

/// `struct __sk_buff`.
pub const SK_BUFF: [Row; 34] = [
    ("len", 0, 4, 4),
    ("pkt_type", 4, 4, 4),
    ("mark", 8, 4, 4),
    ("queue_mapping", 12, 4, 4),
    ("protocol", 16, 4, 4),
    ("vlan_present", 20, 4, 4),
    ("vlan_tci", 24, 4, 4),
    ("vlan_proto", 28, 4, 4),
    ("priority", 32, 4, 4),
    ("ingress_ifindex", 36, 4, 4),
    ("ifindex", 40, 4, 4),
    ("tc_index", 44, 4, 4),
    ("cb", 48, 20, 4),
    ("hash", 68, 4, 4),
    ("tc_classid", 72, 4, 4),
    ("data", 76, 4, 4),
    ("data_end", 80, 4, 4),
    ("napi_id", 84, 4, 4),
    ("family", 88, 4, 4),
    ("remote_ip4", 92, 4, 4),
    ("local_ip4", 96, 4, 4),
    ("remote_ip6", 100, 16, 4),
    ("local_ip6", 116, 16, 4),
    ("remote_port", 132, 4, 4),
    ("local_port", 136, 4, 4),
    ("data_meta", 140, 4, 4),
    ("flow_keys", 144, 8, 8),
    ("tstamp", 152, 8, 8),
    ("wire_len", 160, 4, 4),
    ("gso_segs", 164, 4, 4),
    ("sk", 168, 8, 8),
    ("gso_size", 176, 4, 4),
    ("tstamp_type", 180, 1, 1),
    ("hwtstamp", 184, 8, 8),
];
/// Its length.
pub const SK_BUFF_LEN: u32 = 192;

/// `struct xdp_md`.
pub const XDP_MD: [Row; 6] = [
    ("data", 0, 4, 4),
    ("data_end", 4, 4, 4),
    ("data_meta", 8, 4, 4),
    ("ingress_ifindex", 12, 4, 4),
    ("rx_queue_index", 16, 4, 4),
    ("egress_ifindex", 20, 4, 4),
];
/// Its length.
pub const XDP_MD_LEN: u32 = 24;

/// `struct bpf_sock_ops`.
pub const SOCK_OPS: [Row; 43] = [
    ("op", 0, 4, 4),
    ("args", 4, 16, 4),
    ("replylong", 4, 16, 4),
    ("reply", 4, 4, 4),
    ("family", 20, 4, 4),
    ("remote_ip4", 24, 4, 4),
    ("local_ip4", 28, 4, 4),
    ("remote_ip6", 32, 16, 4),
    ("local_ip6", 48, 16, 4),
    ("remote_port", 64, 4, 4),
    ("local_port", 68, 4, 4),
    ("is_fullsock", 72, 4, 4),
    ("snd_cwnd", 76, 4, 4),
    ("srtt_us", 80, 4, 4),
    ("bpf_sock_ops_cb_flags", 84, 4, 4),
    ("state", 88, 4, 4),
    ("rtt_min", 92, 4, 4),
    ("snd_ssthresh", 96, 4, 4),
    ("rcv_nxt", 100, 4, 4),
    ("snd_nxt", 104, 4, 4),
    ("snd_una", 108, 4, 4),
    ("mss_cache", 112, 4, 4),
    ("ecn_flags", 116, 4, 4),
    ("rate_delivered", 120, 4, 4),
    ("rate_interval_us", 124, 4, 4),
    ("packets_out", 128, 4, 4),
    ("retrans_out", 132, 4, 4),
    ("total_retrans", 136, 4, 4),
    ("segs_in", 140, 4, 4),
    ("data_segs_in", 144, 4, 4),
    ("segs_out", 148, 4, 4),
    ("data_segs_out", 152, 4, 4),
    ("lost_out", 156, 4, 4),
    ("sacked_out", 160, 4, 4),
    ("sk_txhash", 164, 4, 4),
    ("bytes_received", 168, 8, 8),
    ("bytes_acked", 176, 8, 8),
    ("sk", 184, 8, 8),
    ("skb_data", 192, 8, 8),
    ("skb_data_end", 200, 8, 8),
    ("skb_len", 208, 4, 4),
    ("skb_tcp_flags", 212, 4, 4),
    ("skb_hwtstamp", 216, 8, 8),
];
/// Its length.
pub const SOCK_OPS_LEN: u32 = 224;

/// `struct sk_msg_md`.
pub const SK_MSG_MD: [Row; 11] = [
    ("data", 0, 8, 8),
    ("data_end", 8, 8, 8),
    ("family", 16, 4, 4),
    ("remote_ip4", 20, 4, 4),
    ("local_ip4", 24, 4, 4),
    ("remote_ip6", 28, 16, 4),
    ("local_ip6", 44, 16, 4),
    ("remote_port", 60, 4, 4),
    ("local_port", 64, 4, 4),
    ("size", 68, 4, 4),
    ("sk", 72, 8, 8),
];
/// Its length.
pub const SK_MSG_MD_LEN: u32 = 80;

/// `struct bpf_sock_addr`.
pub const SOCK_ADDR: [Row; 10] = [
    ("user_family", 0, 4, 4),
    ("user_ip4", 4, 4, 4),
    ("user_ip6", 8, 16, 4),
    ("user_port", 24, 4, 4),
    ("family", 28, 4, 4),
    ("type", 32, 4, 4),
    ("protocol", 36, 4, 4),
    ("msg_src_ip4", 40, 4, 4),
    ("msg_src_ip6", 44, 16, 4),
    ("sk", 64, 8, 8),
];
/// Its length.
pub const SOCK_ADDR_LEN: u32 = 72;

/// `struct bpf_sock`.
pub const SOCK: [Row; 14] = [
    ("bound_dev_if", 0, 4, 4),
    ("family", 4, 4, 4),
    ("type", 8, 4, 4),
    ("protocol", 12, 4, 4),
    ("mark", 16, 4, 4),
    ("priority", 20, 4, 4),
    ("src_ip4", 24, 4, 4),
    ("src_ip6", 28, 16, 4),
    ("src_port", 44, 4, 4),
    ("dst_port", 48, 2, 2),
    ("dst_ip4", 52, 4, 4),
    ("dst_ip6", 56, 16, 4),
    ("state", 72, 4, 4),
    ("rx_queue_mapping", 76, 4, 4),
];
/// Its length.
pub const SOCK_LEN: u32 = 80;

/// `struct sk_reuseport_md`.
pub const SK_REUSEPORT_MD: [Row; 9] = [
    ("data", 0, 8, 8),
    ("data_end", 8, 8, 8),
    ("len", 16, 4, 4),
    ("eth_protocol", 20, 4, 4),
    ("ip_protocol", 24, 4, 4),
    ("bind_inany", 28, 4, 4),
    ("hash", 32, 4, 4),
    ("sk", 40, 8, 8),
    ("migrating_sk", 48, 8, 8),
];
/// Its length.
pub const SK_REUSEPORT_MD_LEN: u32 = 56;

/// `struct bpf_sk_lookup`.
pub const SK_LOOKUP: [Row; 11] = [
    ("cookie", 0, 8, 8),
    ("sk", 0, 8, 8),
    ("family", 8, 4, 4),
    ("protocol", 12, 4, 4),
    ("remote_ip4", 16, 4, 4),
    ("remote_ip6", 20, 16, 4),
    ("remote_port", 36, 2, 2),
    ("local_ip4", 40, 4, 4),
    ("local_ip6", 44, 16, 4),
    ("local_port", 60, 4, 4),
    ("ingress_ifindex", 64, 4, 4),
];
/// Its length.
pub const SK_LOOKUP_LEN: u32 = 72;

/// `struct bpf_sysctl`.
pub const SYSCTL: [Row; 2] = [("write", 0, 4, 4), ("file_pos", 4, 4, 4)];
/// Its length.
pub const SYSCTL_LEN: u32 = 8;

/// `struct bpf_sockopt`.
pub const SOCKOPT: [Row; 7] = [
    ("sk", 0, 8, 8),
    ("optval", 8, 8, 8),
    ("optval_end", 16, 8, 8),
    ("level", 24, 4, 4),
    ("optname", 28, 4, 4),
    ("optlen", 32, 4, 4),
    ("retval", 36, 4, 4),
];
/// Its length.
pub const SOCKOPT_LEN: u32 = 40;

/// `struct bpf_cgroup_dev_ctx`.
pub const CGROUP_DEV_CTX: [Row; 3] = [("access_type", 0, 4, 4), ("major", 4, 4, 4), ("minor", 8, 4, 4)];
/// Its length.
pub const CGROUP_DEV_CTX_LEN: u32 = 12;

/// `struct bpf_perf_event_data`.
pub const PERF_EVENT_DATA: [Row; 23] = [
    ("regs.r15", 0, 8, 8),
    ("regs.r14", 8, 8, 8),
    ("regs.r13", 16, 8, 8),
    ("regs.r12", 24, 8, 8),
    ("regs.bp", 32, 8, 8),
    ("regs.bx", 40, 8, 8),
    ("regs.r11", 48, 8, 8),
    ("regs.r10", 56, 8, 8),
    ("regs.r9", 64, 8, 8),
    ("regs.r8", 72, 8, 8),
    ("regs.ax", 80, 8, 8),
    ("regs.cx", 88, 8, 8),
    ("regs.dx", 96, 8, 8),
    ("regs.si", 104, 8, 8),
    ("regs.di", 112, 8, 8),
    ("regs.orig_ax", 120, 8, 8),
    ("regs.ip", 128, 8, 8),
    ("regs.cs", 136, 8, 8),
    ("regs.flags", 144, 8, 8),
    ("regs.sp", 152, 8, 8),
    ("regs.ss", 160, 8, 8),
    ("sample_period", 168, 8, 8),
    ("addr", 176, 8, 8),
];
/// Its length.
pub const PERF_EVENT_DATA_LEN: u32 = 184;

/// `struct bpf_nf_ctx`.
pub const NF_CTX: [Row; 2] = [("state", 0, 8, 8), ("skb", 8, 8, 8)];
/// Its length.
pub const NF_CTX_LEN: u32 = 16;

/// `struct bpf_raw_tracepoint_args`.
pub const RAW_TRACEPOINT_ARGS: [Row; 1] = [("args", 0, 96, 8)];
/// Its length.
pub const RAW_TRACEPOINT_ARGS_LEN: u32 = 96;

/// `struct pt_regs`.
pub const PT_REGS: [Row; 21] = [
    ("r15", 0, 8, 8),
    ("r14", 8, 8, 8),
    ("r13", 16, 8, 8),
    ("r12", 24, 8, 8),
    ("bp", 32, 8, 8),
    ("bx", 40, 8, 8),
    ("r11", 48, 8, 8),
    ("r10", 56, 8, 8),
    ("r9", 64, 8, 8),
    ("r8", 72, 8, 8),
    ("ax", 80, 8, 8),
    ("cx", 88, 8, 8),
    ("dx", 96, 8, 8),
    ("si", 104, 8, 8),
    ("di", 112, 8, 8),
    ("orig_ax", 120, 8, 8),
    ("ip", 128, 8, 8),
    ("cs", 136, 8, 8),
    ("flags", 144, 8, 8),
    ("sp", 152, 8, 8),
    ("ss", 160, 8, 8),
];
/// Its length.
pub const PT_REGS_LEN: u32 = 168;

/// the `__u32` of an infrared receiver.
pub const LIRC: [Row; 1] = [("sample", 0, 4, 4)];
/// Its length.
pub const LIRC_LEN: u32 = 4;

/// `struct bpf_flow_keys`.
pub const FLOW_KEYS: [Row; 16] = [
    ("nhoff", 0, 2, 2),
    ("thoff", 2, 2, 2),
    ("addr_proto", 4, 2, 2),
    ("is_frag", 6, 1, 1),
    ("is_first_frag", 7, 1, 1),
    ("is_encap", 8, 1, 1),
    ("ip_proto", 9, 1, 1),
    ("n_proto", 10, 2, 2),
    ("sport", 12, 2, 2),
    ("dport", 14, 2, 2),
    ("ipv6_src", 16, 16, 4),
    ("ipv4_src", 16, 4, 4),
    ("ipv4_dst", 20, 4, 4),
    ("ipv6_dst", 32, 16, 4),
    ("flags", 48, 4, 4),
    ("flow_label", 52, 4, 4),
];
/// Its length.
pub const FLOW_KEYS_LEN: u32 = 56;
