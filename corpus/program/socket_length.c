/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Counts packets and bytes per class of length, remembers when a class was last seen, and lets the socket see a random
 * quarter of the large ones. */
#include "bpf.h"

struct length_class {
	u64 packets;
	u64 bytes;
	u64 last_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct length_class);
} length_classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} ethertype_count SEC(".maps");

static __attribute__((always_inline)) u32 class_of(u32 len)
{
	if (len <= 64)
		return 0;
	if (len <= 576)
		return 1;
	return len <= 1514 ? 2 : 3;
}

SEC("socket")
int socket_length(struct __sk_buff *skb)
{
	u32 len = skb->len;
	u32 protocol = skb->protocol;
	u32 class = class_of(len);
	u64 first = 1;
	struct length_class *seen = bpf_map_lookup_elem(&length_classes, &class);
	u64 *count = bpf_map_lookup_elem(&ethertype_count, &protocol);

	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&ethertype_count, &protocol, &first, BPF_ANY);
	if (!seen)
		return 0;
	seen->packets += 1;
	seen->bytes += len;
	seen->last_ns = bpf_ktime_get_ns();
	if (class >= 2 && (bpf_get_prandom_u32() & 3) != 0)
		return 0;
	return len;
}

char _license[] SEC("license") = "Dual MIT/GPL";
