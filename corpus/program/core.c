/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CO-RE: structures that are declared otherwise than the kernel has them, relocated when the program is loaded. */
#include "bpf.h"

/* The context in another order, with members that no kernel has. */
struct xdp_md___shuffled {
	u64 no_such_member;
	u32 rx_queue_index;
	u32 data_end;
	u32 unused[7];
	u32 data;
} __core;

struct iphdr___core {
	u8 version : 4;
	u8 ihl : 4;
	u16 tot_len;
	u32 daddr;
} __core;

struct pt_regs___core {
	u64 ip;
	u64 di;
} __core;

struct task_struct___core {
	int tgid;
	char comm[32];
	struct task_struct___core *real_parent;
	u64 no_such_member;
} __core;

struct no_such_struct {
	int member;
} __core;

enum pid_type___core { PIDTYPE_TGID___core = 77, NO_SUCH_VALUE = 78 };

/* What the relocations say, in order. */
struct {
	u32 field_offsets[3];
	u32 field_sizes[3];
	u32 exists[7];
	u32 is_signed[2];
	u32 shifts[2];
	u32 type_size;
	u32 enum_value;
} found;

SEC("xdp") int answers(struct xdp_md *ctx)
{
	struct task_struct___core *task = 0;
	struct pt_regs___core *regs = 0;
	struct iphdr___core *ip = 0;

	found.field_offsets[0] = core_field(FIELD_BYTE_OFFSET, regs->di);
	found.field_offsets[1] = core_field(FIELD_BYTE_OFFSET, regs->ip);
	found.field_offsets[2] = core_field(FIELD_BYTE_OFFSET, ip->daddr);
	found.field_sizes[0] = core_field(FIELD_BYTE_SIZE, task->comm);
	found.field_sizes[1] = core_field(FIELD_BYTE_SIZE, task->real_parent);
	found.field_sizes[2] = core_field(FIELD_BYTE_SIZE, ip->tot_len);
	found.exists[0] = core_field(FIELD_EXISTS, task->tgid);
	found.exists[1] = core_field(FIELD_EXISTS, task->no_such_member);
	found.exists[2] = core_field(FIELD_EXISTS, ((struct no_such_struct *)0)->member);
	found.exists[3] = core_type_exists(struct task_struct___core);
	found.exists[4] = core_type_exists(struct no_such_struct);
	found.exists[5] = core_enum_exists(enum pid_type___core, PIDTYPE_TGID___core);
	found.exists[6] = core_enum_exists(enum pid_type___core, NO_SUCH_VALUE);
	found.is_signed[0] = core_field(FIELD_SIGNED, task->tgid);
	found.is_signed[1] = core_field(FIELD_SIGNED, regs->ip);
	/* The version is the high half of the first byte. */
	found.shifts[0] = core_field(FIELD_LSHIFT_U64, ip->version);
	found.shifts[1] = core_field(FIELD_RSHIFT_U64, ip->version);
	found.type_size = core_type_size(struct pt_regs___core);
	found.enum_value = core_enum_value(enum pid_type___core, PIDTYPE_TGID___core);
	return XDP_PASS + (ctx->data & 0);
}

SEC("xdp/shuffled") int shuffled(struct xdp_md___shuffled *ctx)
{
	u8 *data = (u8 *)(u64)ctx->data, *end = (u8 *)(u64)ctx->data_end;

	/* Guarded: the kernel's context has no such member, and control never comes there. */
	if (core_field(FIELD_EXISTS, ctx->no_such_member))
		return ctx->no_such_member;
	if (data + 1 > end)
		return XDP_ABORTED;
	return data[0];
}

/* Guarded by a number that the loader knows. */
extern u32 LINUX_KERNEL_VERSION __kconfig;

SEC("xdp/version") int version(struct xdp_md___shuffled *ctx)
{
	if (LINUX_KERNEL_VERSION >= 7 << 16)
		return ctx->no_such_member;
	return XDP_PASS;
}

/* Not guarded: refused, and the message names what is missing. */
SEC("xdp/unguarded") int unguarded(struct xdp_md___shuffled *ctx)
{
	return ctx->no_such_member;
}

/* Wider than the kernel has it: the load becomes one of four bytes. */
struct xdp_md___wide {
	u64 rx_queue_index;
	long long egress_ifindex;
} __core;

SEC("xdp/resized") int resized(struct xdp_md___wide *ctx)
{
	return ctx->rx_queue_index + 5;
}

/* A signed number cannot become a shorter one. */
SEC("xdp/signed") int sign(struct xdp_md___wide *ctx)
{
	return ctx->egress_ifindex;
}

/* Whole types are compared: the first is as the kernel has it, the second is not. */
struct ethhdr___core {
	u8 h_source[6];
	u8 h_dest[6];
} __core;

struct udphdr___core {
	u32 source;
} __core;

SEC("xdp/matches") int matches(struct xdp_md *ctx)
{
	return core_type_matches(struct ethhdr___core) * 2 + core_type_matches(struct udphdr___core) + (ctx->data & 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
