/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The policy: which transport addresses the program sends to, and whose datagrams it takes.
 *
 * - Mirrors wire/src/policy.rs; a test compares both over all of IPv4.
 * - The first byte of an address says whether it must be looked at at all (struct config, look_v4 and look_v6); what
 *   has no flag is a public address that no list names.
 * - Linear lists: they are short, hot in the cache, and only the flagged look.
 */
#ifndef POLICY_BPF_H
#define POLICY_BPF_H

#include "layout.bpf.h"
#include <bpf/bpf_endian.h>

enum source_verdict { SOURCE_TAKEN, SOURCE_PASSED, SOURCE_DENIED };

#define HOLDS_V4(set, most, address)                                              \
    ({                                                                            \
        int found = 0;                                                            \
        for (__u32 at = 0; at < (most) && at < config->set##_count; at++)         \
            if (((address) & config->set[at].mask) == config->set[at].network) {  \
                found = 1;                                                        \
                break;                                                            \
            }                                                                     \
        found;                                                                    \
    })

#define HOLDS_V6(set, most, a0, a1)                                               \
    ({                                                                            \
        int found = 0;                                                            \
        for (__u32 at = 0; at < (most) && at < config->set##_count; at++)         \
            if (((a0) & config->set[at].mask[0]) == config->set[at].network[0] && \
                ((a1) & config->set[at].mask[1]) == config->set[at].network[1]) { \
                found = 1;                                                        \
                break;                                                            \
            }                                                                     \
        found;                                                                    \
    })

#define LISTED_V4(list, address)                                                 \
    ({                                                                           \
        int found = 0;                                                           \
        for (__u32 at = 0; at < MAX_OWN && at < config->list##_count; at++)      \
            if (config->list[at] == (address)) {                                 \
                found = 1;                                                       \
                break;                                                           \
            }                                                                    \
        found;                                                                   \
    })

/* Whether an address is one of this host's, other than loopback and link-local ones. */
APART int of_host_v4(const struct config *config, __u32 address)
{
    return config && HOLDS_V4(host_v4, MAX_HOST, address);
}

APART int of_host_v6(const struct config *config, __u64 a0, __u64 a1)
{
    return config && HOLDS_V6(host_v6, MAX_HOST, a0, a1);
}

/* Privileged ports, SSDP, WS-Discovery, mDNS, CoAP, memcached. Most ports in use lie above all of them. */
static __always_inline int refused_port(__u16 port_be)
{
    __u32 port = bpf_ntohs(port_be);

    if (port > 11211)
        return 0;
    return port < 1024 || port == 1900 || port == 3702 || port == 5353 || port == 5683 || port == 11211;
}

enum reach { REACH_NEVER, REACH_SPECIAL, REACH_GLOBAL };

static __always_inline enum reach reach_v4(__u32 ip)
{
    if (ip >> 28 == 0xe || ip == 0xffffffff || ip == 0xa9fea9fe || ip == 0xa83f8110)
        return REACH_NEVER;
    switch (ip >> 24) {
    case 0:
    case 10:
    case 127:
        return REACH_SPECIAL;
    case 100:
        return ip >> 22 == (100 << 2 | 1) ? REACH_SPECIAL : REACH_GLOBAL;
    case 169:
        return ip >> 16 == 0xa9fe ? REACH_SPECIAL : REACH_GLOBAL;
    case 172:
        return ip >> 20 == 0xac1 ? REACH_SPECIAL : REACH_GLOBAL;
    case 192:
        return ip >> 16 == 0xc0a8 || ip >> 8 == 0xc00000 || ip >> 8 == 0xc00002 || ip >> 8 == 0xc05863
                   ? REACH_SPECIAL
                   : REACH_GLOBAL;
    case 198:
        return ip >> 17 == 0xc612 >> 1 || ip >> 8 == 0xc63364 ? REACH_SPECIAL : REACH_GLOBAL;
    case 203:
        return ip >> 8 == 0xcb0071 ? REACH_SPECIAL : REACH_GLOBAL;
    default:
        return ip >> 28 == 0xf ? REACH_SPECIAL : REACH_GLOBAL;
    }
}

APART int permits_flagged_v4(const struct config *config, __u32 address, __u32 port)
{
    enum reach reach = reach_v4(bpf_ntohl(address));
    int of_host, opened;

    if (!config)
        return 0;
    of_host = of_host_v4(config, address);
    opened = HOLDS_V4(allow_v4, MAX_ALLOWED, address);
    if (reach == REACH_NEVER || ((reach == REACH_SPECIAL || of_host) && !opened))
        return 0;
    if (HOLDS_V4(deny_v4, MAX_DENIED, address) || LISTED_V4(broadcasts, address))
        return 0;
    if (((address & 0xff) == 127 || of_host) && config->wildcard_port_v4 == port && port)
        return 0;
    for (__u32 at = 0; at < MAX_OWN && at < config->own_v4_count; at++)
        if (config->own_v4[at].address == address &&
            (config->own_v4[at].port == port || (!config->own_v4[at].port && !opened)))
            return 0;
    return 1;
}

/* Whether the policy lets the program send there; ADDRESS and PORT as loaded from a frame. */
static __always_inline int permits_v4(const struct config *config, __u32 address, __u16 port)
{
    if (refused_port(port))
        return 0;
    if (config->look_v4[address & 0xff] & LOOK_DESTINATION)
        return permits_flagged_v4(config, address, port);
    return 1;
}

/* The middle of an interface identifier that embeds IPv4 (ISATAP): 0000:5efe or 0200:5efe. */
static __always_inline int isatap(__u64 a1)
{
    return ((__u32)a1 & ~0x02U) == 0xfe5e0000U;
}

static __always_inline enum reach reach_v6(__u64 high, __u64 low)
{
    __u32 s0 = high >> 48, s1 = high >> 32 & 0xffff;

    if (high == 0xfd000ec200000000ULL && low == 0x254)
        return REACH_NEVER;
    if (high == 0 && (low >> 32 == 0 || low >> 32 == 0xffff || low >> 32 == 0xffff0000))
        return low == 1 ? REACH_SPECIAL : REACH_NEVER;
    if ((high == 0x64ff9b00000000ULL && low >> 32 == 0) || high >> 16 == 0x64ff9b0001ULL)
        return REACH_NEVER;
    if (s0 == 0x2002 || (s0 == 0x2001 && s1 == 0) || s0 >= 0xff00)
        return REACH_NEVER;
    if ((s0 == 0x2001 && (s1 < 0x200 || s1 == 0xdb8)) || (s0 == 0x3fff && s1 < 0x1000))
        return REACH_SPECIAL;
    return s0 >> 13 == 1 ? REACH_GLOBAL : REACH_SPECIAL;
}

APART int permits_flagged_v6(const struct config *config, __u64 a0, __u64 a1, __u32 port)
{
    enum reach reach = reach_v6(bpf_be64_to_cpu(a0), bpf_be64_to_cpu(a1));
    int of_host, opened;

    if (!config)
        return 0;
    of_host = of_host_v6(config, a0, a1);
    opened = HOLDS_V6(allow_v6, MAX_ALLOWED, a0, a1);
    if (reach == REACH_NEVER || ((reach == REACH_SPECIAL || of_host) && !opened))
        return 0;
    if (HOLDS_V6(deny_v6, MAX_DENIED, a0, a1))
        return 0;
    if ((of_host || (a0 == 0 && a1 == 1ULL << 56)) && config->wildcard_port_v6 == port && port)
        return 0;
    for (__u32 at = 0; at < MAX_OWN && at < config->own_v6_count; at++)
        if (config->own_v6[at].address[0] == a0 && config->own_v6[at].address[1] == a1 &&
            (config->own_v6[at].port == port || (!config->own_v6[at].port && !opened)))
            return 0;
    return 1;
}

static __always_inline int permits_v6(const struct config *config, __u64 a0, __u64 a1, __u16 port)
{
    if (refused_port(port) || isatap(a1))
        return 0;
    if (config->look_v6[a0 & 0xff] & LOOK_DESTINATION)
        return permits_flagged_v6(config, a0, a1, port);
    return 1;
}

/* Passed: what the stack would refuse (multicast, broadcast, 0/8, loopback, link-local, this host's own). */
APART int source_flagged_v4(const struct config *config, __u32 address)
{
    __u32 first = address & 0xff;

    if (!config)
        return SOURCE_PASSED;
    if (first == 0 || first == 127 || first >= 224 || (address & 0xffff) == 0xfea9)
        return SOURCE_PASSED;
    if (LISTED_V4(broadcasts, address) || of_host_v4(config, address))
        return SOURCE_PASSED;
    return HOLDS_V4(deny_source_v4, MAX_DENIED, address) ? SOURCE_DENIED : SOURCE_TAKEN;
}

static __always_inline int source_v4(const struct config *config, __u32 address)
{
    if (config->look_v4[address & 0xff] & LOOK_SOURCE)
        return source_flagged_v4(config, address);
    return SOURCE_TAKEN;
}

/* The same, and IPv4 written as IPv6; the daemon flags the first bytes 0, 0xfe and 0xff. */
APART int source_flagged_v6(const struct config *config, __u64 a0, __u64 a1)
{
    __u32 first = a0 & 0xff;

    if (!config)
        return SOURCE_PASSED;
    if (first == 0xff || (a0 & 0xc0ff) == 0x80fe)
        return SOURCE_PASSED;
    if (a0 == 0 && ((__u32)a1 == 0xffff0000 || a1 == 0 || a1 == 1ULL << 56))
        return SOURCE_PASSED;
    if (of_host_v6(config, a0, a1))
        return SOURCE_PASSED;
    return HOLDS_V6(deny_source_v6, MAX_DENIED, a0, a1) ? SOURCE_DENIED : SOURCE_TAKEN;
}

static __always_inline int source_v6(const struct config *config, __u64 a0, __u64 a1)
{
    if (config->look_v6[a0 & 0xff] & LOOK_SOURCE)
        return source_flagged_v6(config, a0, a1);
    return SOURCE_TAKEN;
}

#endif
