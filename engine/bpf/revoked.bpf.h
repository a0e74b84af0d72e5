/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What has been taken back: transport addresses, and pairs of them; mirrors wire/src/revoked.rs, whose words these are.
 *
 * - Not called while nothing is revoked: struct clock says so.
 * - A filter answers for nearly everybody, with two bits in one word for each address; what hits is looked up in full.
 */
#ifndef REVOKED_BPF_H
#define REVOKED_BPF_H

#include "tag.bpf.h"

#define FILTER_BITS 15
#define BUCKETS 16384
#define BUCKET_SLOTS 8

struct revoked {
    __u64 entries;
    __u64 multipliers[2];
    __u64 secret[2];
    __u64 unused[3];
    __u64 filter[1 << FILTER_BITS];
    __u64 slots[BUCKETS][BUCKET_SLOTS];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct revoked);
} revocations SEC(".maps");

/* The two ends of a pair as the header writes them, the lower one first. */
struct ends {
    __u64 low[2];
    __u64 high[2];
    __u64 low_port;
    __u64 high_port;
};

static __always_inline __u64 spread_v4(const struct revoked *table, __u64 address, __u64 port)
{
    return (address | port << 32) * table->multipliers[0];
}

static __always_inline __u64 spread_v6(const struct revoked *table, const __u64 *address, __u64 port)
{
    return (address[0] ^ port) * table->multipliers[0] + address[1] * table->multipliers[1];
}

/* Whether the filter knows the address of this product. */
static __always_inline int may_hold(const struct revoked *table, __u64 product)
{
    __u64 word = table->filter[product >> (64 - FILTER_BITS)];

    return word >> (product >> (64 - FILTER_BITS - 6) & 63) & word >> (product >> (64 - FILTER_BITS - 12) & 63) & 1;
}

static __always_inline int in_bucket(const struct revoked *table, __u32 bucket, __u64 mark)
{
    int found = 0;

    for (__u32 slot = 0; slot < BUCKET_SLOTS; slot++)
        found |= table->slots[bucket & (BUCKETS - 1)][slot] == mark;
    return found;
}

static __always_inline int listed(const struct revoked *table, __u64 mark)
{
    if (!mark)
        mark = 1;
    return in_bucket(table, mark, mark) || in_bucket(table, mark >> 32, mark);
}

#define SIP_START_SECRET(secret)                                                               \
    __u64 v0 = (secret)[0] ^ 0x736f6d6570736575ULL, v1 = (secret)[1] ^ 0x646f72616e646f6dULL, \
          v2 = (secret)[0] ^ 0x6c7967656e657261ULL, v3 = (secret)[1] ^ 0x7465646279746573ULL

static __noinline int holds_address(const struct revoked *table, __u64 a0, __u64 a1, __u64 port)
{
    SIP_START_SECRET(table->secret);

    SIP_ABSORB(a0);
    SIP_ABSORB(a1);
    return listed(table, SIP_FINISH(port | SIP_LENGTH(18)));
}

static __noinline int holds_pair(const struct revoked *table, const struct ends *ends)
{
    SIP_START_SECRET(table->secret);

    SIP_ABSORB(ends->low[0]);
    SIP_ABSORB(ends->low[1]);
    SIP_ABSORB(ends->high[0]);
    SIP_ABSORB(ends->high[1]);
    return listed(table, SIP_FINISH(ends->low_port | ends->high_port << 16 | SIP_LENGTH(36)));
}

static __always_inline int holds_any(const struct revoked *table, const struct ends *ends)
{
    return holds_address(table, ends->low[0], ends->low[1], ends->low_port) ||
           holds_address(table, ends->high[0], ends->high[1], ends->high_port) || holds_pair(table, ends);
}

static __always_inline const struct revoked *revoked_table(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&revocations, &zero);
}

/* The look-up in full. Both addresses, the lower one first, and their ports likewise. */
APART int listed_v4(__u64 addresses, __u64 low_port, __u64 high_port)
{
    const struct revoked *table = revoked_table();
    struct ends ends = {
        .low = {0, 0xffff0000ULL | addresses << 32},
        .high = {0, 0xffff0000ULL | (addresses & 0xffffffff00000000ULL)},
        .low_port = low_port,
        .high_port = high_port,
    };

    return table && holds_any(table, &ends);
}

APART int listed_v6(const struct pair_v6 *pair)
{
    const struct revoked *table = revoked_table();
    struct ends ends;

    if (!table || !pair)
        return 0;
    ends = (struct ends){
        .low = {pair->low[0], pair->low[1]},
        .high = {pair->high[0], pair->high[1]},
        .low_port = pair->first >> 16 & 0xffff,
        .high_port = pair->port,
    };
    return holds_any(table, &ends);
}

static __always_inline int revoked_v4(__u64 addresses, __u64 low_port, __u64 high_port)
{
    const struct revoked *table = revoked_table();

    return table &&
           (may_hold(table, spread_v4(table, addresses & 0xffffffff, low_port)) |
            may_hold(table, spread_v4(table, addresses >> 32, high_port))) &&
           listed_v4(addresses, low_port, high_port);
}

static __always_inline int revoked_v6(const struct pair_v6 *pair)
{
    const struct revoked *table = revoked_table();

    return table &&
           (may_hold(table, spread_v6(table, pair->low, pair->first >> 16 & 0xffff)) |
            may_hold(table, spread_v6(table, pair->high, pair->port))) &&
           listed_v6(pair);
}

#endif
