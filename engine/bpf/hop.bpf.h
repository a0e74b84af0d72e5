/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The next hop: where a frame may go, out of the interface that it came in by.
 *
 * - XDP_TX sends out of the interface that received. By the daemon's table, the route's neighbour must be the frame's
 *   sender; by the kernel's (HOP_FIB), any neighbour on this interface will do. Everything else is the stack's to route.
 * - The first route that holds the destination counts; the daemon orders them, the longest prefix first.
 * - A hop is the Ethernet address to send to, as loaded from a frame; 0 passes.
 */
#ifndef HOP_BPF_H
#define HOP_BPF_H

#include "frame.bpf.h"
#include "policy.bpf.h"

#define FAMILY_V4 2
#define FAMILY_V6 10

/* Neighbours on this link: address as in a header (IPv4 as ::ffff:a.b.c.d) to MAC address, low 48 bits. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, MAX_NEIGHBOURS);
    __type(key, struct address);
    __type(value, __u64);
} neighbours SEC(".maps");

APART __u64 route_flagged_v4(const struct config *config, __u32 address)
{
    if (!config)
        return HOP_PASS;
    for (__u32 at = 0; at < MAX_ROUTES && at < config->routes_v4_count; at++)
        if ((address & config->routes_v4[at].mask) == config->routes_v4[at].network)
            return config->routes_v4[at].hop;
    return HOP_PASS;
}

APART __u64 route_flagged_v6(const struct config *config, __u64 a0, __u64 a1)
{
    if (!config)
        return HOP_PASS;
    for (__u32 at = 0; at < MAX_ROUTES && at < config->routes_v6_count; at++)
        if ((a0 & config->routes_v6[at].mask[0]) == config->routes_v6[at].network[0] &&
            (a1 & config->routes_v6[at].mask[1]) == config->routes_v6[at].network[1])
            return config->routes_v6[at].hop;
    return HOP_PASS;
}

static __noinline int is_neighbour(__u64 a0, __u64 a1, __u64 mac)
{
    struct address key = {{a0, a1}};
    __u64 *known = bpf_map_lookup_elem(&neighbours, &key);

    return known && *known == mac;
}

/* What the kernel's own tables say; it answers only where the interface forwards. */
static __always_inline __u64 ask_kernel(struct xdp_md *context, struct bpf_fib_lookup *fib)
{
    fib->l4_protocol = PROTOCOL_UDP;
    fib->ifindex = context->ingress_ifindex;
    if (bpf_fib_lookup(context, fib, sizeof(*fib), 0) != BPF_FIB_LKUP_RET_SUCCESS ||
        fib->ifindex != context->ingress_ifindex)
        return 0;
    return *(__u16 *)fib->dmac | (__u64)*(__u16 *)(fib->dmac + 2) << 16 | (__u64)*(__u16 *)(fib->dmac + 4) << 32;
}

static __noinline __u64 kernels_hop_v4(struct xdp_md *context, __u32 from, __u32 to)
{
    struct bpf_fib_lookup fib = {.family = FAMILY_V4, .ipv4_src = from, .ipv4_dst = to};

    return ask_kernel(context, &fib);
}

static __noinline __u64 kernels_hop_v6(struct xdp_md *context, const struct address *from, const struct address *to)
{
    struct bpf_fib_lookup fib = {.family = FAMILY_V6};

    __builtin_memcpy(fib.ipv6_src, from, sizeof(*from));
    __builtin_memcpy(fib.ipv6_dst, to, sizeof(*to));
    return ask_kernel(context, &fib);
}

static __always_inline __u64 if_sender(__u64 hop, __u64 a0, __u64 a1, __u64 sender)
{
    if (hop == (HOP_GATEWAY | sender))
        return sender;
    return hop == HOP_ON_LINK && is_neighbour(a0, a1, sender) ? sender : 0;
}

static __always_inline __u64 hop_v4(struct xdp_md *context, const struct config *config, __u32 from, __u32 to,
                                    __u64 sender)
{
    __u64 hop = config->default_hop_v4;

    if (config->look_v4[to & 0xff] & LOOK_ROUTE)
        hop = route_flagged_v4(config, to);
    if (hop == HOP_FIB)
        return kernels_hop_v4(context, from, to);
    return if_sender(hop, 0, 0xffff0000ULL | (__u64)to << 32, sender);
}

static __always_inline __u64 hop_v6(struct xdp_md *context, const struct config *config, __u64 from_0, __u64 from_1,
                                    __u64 to_0, __u64 to_1, __u64 sender)
{
    __u64 hop = config->default_hop_v6;

    if (config->look_v6[to_0 & 0xff] & LOOK_ROUTE)
        hop = route_flagged_v6(config, to_0, to_1);
    if (hop == HOP_FIB) {
        struct address from = {{from_0, from_1}}, to = {{to_0, to_1}};

        return kernels_hop_v6(context, &from, &to);
    }
    return if_sender(hop, to_0, to_1, sender);
}

#endif
