/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Functions that call each other: static and global ones in .text, a static one in the program's own section, a callback. */
#include "bpf.h"

#define NOINLINE __attribute__((noinline))

/* In .text, seen by the linker. */
NOINLINE int square(int value)
{
	return value * value;
}

/* In .text, static; calls the global one. */
static NOINLINE int sum_of_squares(int a, int b)
{
	return square(a) + square(b);
}

/* In the section of its program. */
static NOINLINE __attribute__((section("xdp"))) int last_byte(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(u64)ctx->data, *end = (u8 *)(u64)ctx->data_end;

	if (data + 2 > end)
		return -1;
	return data[1];
}

SEC("xdp") int pythagoras(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(u64)ctx->data, *end = (u8 *)(u64)ctx->data_end;
	int b = last_byte(ctx);

	if (b < 0 || data + 1 > end)
		return XDP_ABORTED;
	return sum_of_squares(data[0], b);
}

static NOINLINE long count(u32 index, u64 *sum)
{
	*sum += square(index);
	return 0;
}

SEC("xdp/loop") int callback(struct xdp_md *ctx)
{
	u64 sum = 0;

	bpf_loop(4, count, &sum, 0);
	return sum + (ctx->data & 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
