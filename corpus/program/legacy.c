/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Maps as they were declared before BTF, in iproute2's form: maps in a map, and programs that section names put into one. */
#include "bpf.h"

struct bpf_elf_map {
	u32 type;
	u32 size_key;
	u32 size_value;
	u32 max_elem;
	u32 flags;
	u32 id;
	u32 pinning;
	u32 inner_id;
	int inner_idx;
};

enum { TAIL_CALLS = 2, COUNTERS = 7 };

SEC("maps") struct bpf_elf_map tail_calls = {
	.type = BPF_MAP_TYPE_PROG_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 4, .id = TAIL_CALLS, .inner_idx = -1,
};
SEC("maps") struct bpf_elf_map counters = {
	.type = BPF_MAP_TYPE_ARRAY, .size_key = 4, .size_value = 8, .max_elem = 16, .id = COUNTERS, .inner_idx = 3,
};
SEC("maps") struct bpf_elf_map by_cpu = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .size_key = 4, .size_value = 4, .max_elem = 8, .inner_id = COUNTERS, .inner_idx = -1,
};

/* Under index 3 of the map with identifier 2. */
SEC("2/3") int tail(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("from-netdev") int entry(struct __sk_buff *skb)
{
	u32 cpu = 3;

	if (!bpf_map_lookup_elem(&by_cpu, &cpu))
		return -1;
	bpf_tail_call(skb, &tail_calls, 3);
	return 0;
}

SEC("license") char _license[] = "Dual MIT/GPL";
