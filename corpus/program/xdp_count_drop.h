/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Counts IPv4 packets per protocol and per source address and drops UDP to one port. CHECK_IPV4 says whether the IPv4
 * header is known to lie in the packet before it is read: without that check the program must not be accepted. */
#include "bpf.h"

#define DROPPED_PORT 7777

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} protocol_count SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} source_count SEC(".maps");

static __attribute__((always_inline)) void count_protocol(u32 protocol)
{
	u64 *count = bpf_map_lookup_elem(&protocol_count, &protocol);

	if (count)
		*count += 1;
}

static __attribute__((always_inline)) void count_source(u32 address)
{
	u64 *count = bpf_map_lookup_elem(&source_count, &address);
	u64 first = 1;

	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&source_count, &address, &first, BPF_NOEXIST);
}

SEC("xdp")
int xdp_count_drop(struct xdp_md *ctx)
{
	void *data = (void *)(u64)ctx->data;
	void *data_end = (void *)(u64)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct udphdr *udp = data + sizeof(*eth) + sizeof(*ip);

	if ((void *)(eth + 1) > data_end || eth->h_proto != NET16(ETH_P_IP))
		return XDP_PASS;
	if (CHECK_IPV4 && (void *)(ip + 1) > data_end)
		return XDP_PASS;
	/* Version 4 and no options: the transport header follows at a fixed place. */
	if (ip->version_ihl != 0x45)
		return XDP_PASS;

	u8 protocol = ip->protocol;

	count_protocol(protocol);
	count_source(ip->saddr);

	/* Only the first fragment has ports. */
	if (protocol != IPPROTO_UDP || (ip->frag_off & NET16(0x1fff)) != 0)
		return XDP_PASS;
	if ((void *)(udp + 1) > data_end)
		return XDP_PASS;
	return udp->dest == NET16(DROPPED_PORT) ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
