/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Maps that hold programs and maps from the start. */
#include "bpf.h"

int pass(struct xdp_md *ctx);
int drop(struct xdp_md *ctx);

struct counters {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
};

struct counters quiet SEC(".maps");
struct counters busy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(u32));
	__array(values, int(struct xdp_md *));
} verdicts SEC(".maps") = {
	.values = { [2] = (void *)&pass, [5] = (void *)&drop },
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, u32);
	__array(values, struct counters);
} by_load SEC(".maps") = {
	.values = { [0] = &quiet, [2] = &busy },
};

SEC("xdp/pass") int pass(struct xdp_md *ctx)
{
	return XDP_PASS + (ctx->data & 0);
}

SEC("xdp/drop") int drop(struct xdp_md *ctx)
{
	return XDP_DROP + (ctx->data & 0);
}

SEC("xdp/tables") int tables(struct xdp_md *ctx)
{
	u32 load = 2, slot = 1;
	void *counters = bpf_map_lookup_elem(&by_load, &load);

	if (counters) {
		u64 *count = bpf_map_lookup_elem(counters, &slot);
		if (count)
			++*count;
	}
	bpf_tail_call(ctx, &verdicts, 5);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual MIT/GPL";
