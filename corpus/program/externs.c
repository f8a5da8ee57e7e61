/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What only the kernel defines, by its name: weak where the program does without it, strong where it cannot. */
#include "bpf.h"

#define __ksym __attribute__((section(".ksyms")))

extern const void no_such_variable __ksym __weak;
extern void no_such_function(u32 value) __ksym __weak;
extern const void jiffies __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern u64 CONFIG_NO_SUCH_OPTION __kconfig;

SEC("xdp/weak") int weak(struct xdp_md *ctx)
{
	if (no_such_function)
		no_such_function(ctx->data);
	return &no_such_variable ? XDP_DROP : XDP_PASS;
}

SEC("xdp/variable") int variable(struct xdp_md *ctx)
{
	return *(const volatile u32 *)&jiffies + (ctx->data & 0);
}

SEC("xdp/function") int function(struct xdp_md *ctx)
{
	bpf_rcu_read_lock();
	return XDP_PASS + (ctx->data & 0);
}

SEC("xdp/option") int option(struct xdp_md *ctx)
{
	return CONFIG_NO_SUCH_OPTION + (ctx->data & 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
