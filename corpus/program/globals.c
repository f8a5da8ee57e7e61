/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Global data of every kind: constants, initialised and zeroed variables, sections of their own, the kernel's configuration. */
#include "bpf.h"

/* Settings that a user may change before the program is loaded. */
const volatile u32 long_from = 64;
const volatile struct {
	u16 port;
	u8 protocol;
} watched = { NET16(7777), IPPROTO_UDP };

/* Counted on from here. */
u64 packets = 1000;
SEC(".data.step") u32 step = 3;

/* Zero at first. */
u64 long_packets;
struct {
	u32 version;
	u32 hz;
	u8 has_bpf;
	u8 ipv6;
	char hostname[4];
	u16 missing;
} kernel;

extern u32 LINUX_KERNEL_VERSION __kconfig;
extern u32 CONFIG_HZ __kconfig;
extern _Bool CONFIG_BPF __kconfig;
extern enum libbpf_tristate CONFIG_IPV6 __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig;
extern u16 CONFIG_NO_SUCH_OPTION __kconfig __weak;

SEC("xdp") int globals(struct xdp_md *ctx)
{
	u32 len = ctx->data_end - ctx->data;

	packets += step;
	if (len >= long_from)
		long_packets++;
	kernel.version = LINUX_KERNEL_VERSION;
	kernel.hz = CONFIG_HZ;
	kernel.has_bpf = CONFIG_BPF;
	kernel.ipv6 = CONFIG_IPV6;
	kernel.missing = CONFIG_NO_SUCH_OPTION + 1;
	for (int at = 0; at < 4; at++)
		kernel.hostname[at] = CONFIG_DEFAULT_HOSTNAME[at];
	return len == 0 ? XDP_ABORTED : watched.protocol == IPPROTO_UDP ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
