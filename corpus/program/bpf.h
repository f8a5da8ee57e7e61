/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the programs of this directory use of Linux's BPF interface, so that they compile anywhere. */
#ifndef TOUCHSTONE_BPF_H
#define TOUCHSTONE_BPF_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, of) typeof(of) *name
#define __array(name, of) typeof(of) *name[]

/* Variables of the kernel's configuration. */
#define __kconfig __attribute__((section(".kconfig")))
#define __weak __attribute__((weak))
enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };

/* What a CO-RE relocation may ask of a field or a type. */
#define __core __attribute__((preserve_access_index))
enum { FIELD_BYTE_OFFSET = 0, FIELD_BYTE_SIZE = 1, FIELD_EXISTS = 2, FIELD_SIGNED = 3, FIELD_LSHIFT_U64 = 4, FIELD_RSHIFT_U64 = 5 };
#define core_field(what, expression) __builtin_preserve_field_info(expression, what)
#define core_type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)
#define core_type_size(type) __builtin_preserve_type_info(*(typeof(type) *)0, 1)
#define core_type_matches(type) __builtin_preserve_type_info(*(typeof(type) *)0, 2)
#define core_enum_exists(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 0)
#define core_enum_value(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 1)

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PROG_ARRAY = 3, BPF_MAP_TYPE_ARRAY_OF_MAPS = 12 };
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { XDP_ABORTED = 0, XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3 };

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static long (*const bpf_tail_call)(void *context, void *map, u32 index) = (void *)12;
static long (*const bpf_loop)(u32 count, void *callback, void *context, u64 flags) = (void *)181;

/* The context of an XDP program: data and data_end are addresses. */
struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

/* The context of a socket filter, as far as one may read it. */
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
};

/* Constants in network order on a little-endian machine. */
#define NET16(value) ((u16)(((value) & 0xff) << 8 | ((value) >> 8 & 0xff)))
#define NET32(value) \
	((u32)(((value) & 0xff) << 24 | ((value) >> 8 & 0xff) << 16 | ((value) >> 16 & 0xff) << 8 | ((value) >> 24 & 0xff)))

enum { ETH_P_IP = 0x0800 };
enum { IPPROTO_TCP = 6, IPPROTO_UDP = 17 };

struct ethhdr {
	u8 h_dest[6];
	u8 h_source[6];
	u16 h_proto;
};

struct iphdr {
	u8 version_ihl;
	u8 tos;
	u16 tot_len;
	u16 id;
	u16 frag_off;
	u8 ttl;
	u8 protocol;
	u16 check;
	u32 saddr;
	u32 daddr;
};

struct udphdr {
	u16 source;
	u16 dest;
	u16 len;
	u16 check;
};

#endif
