/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Budgets: token buckets in fixed memory, one set per core; mirrors reflector/src/rates.rs.
 *
 * - A bucket is the time at which it will be full again; what is spent moves that time on.
 * - It holds one second's worth, but a full one lets one datagram pass, however slow its rate.
 * - Keys are hashed under a key drawn at start; colliding keys share, so a collision never raises output.
 */
#ifndef RATES_BPF_H
#define RATES_BPF_H

#include "tag.bpf.h"

#define NS_PER_S 1000000000ULL
#define CLASS_DOMAIN (1ULL << 32)
#define SOURCE_DOMAIN (2ULL << 32)
/* PROBEs per second from one transport address that shows its last ticket. */
#define SOURCE_COST_NS (NS_PER_S / 8)

/* One element per core; the daemon sets their number when it loads the program. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct buckets);
} budgets SEC(".maps");

static __always_inline int spend(__u64 *full_at_ns, __u64 cost_ns, __u64 now_ns)
{
    __u64 spent_ns = *full_at_ns > now_ns ? *full_at_ns - now_ns : 0;
    __u64 wanted_ns = spent_ns + cost_ns;

    if (spent_ns > 0 && wanted_ns > NS_PER_S)
        return 0;
    *full_at_ns = now_ns + wanted_ns;
    return 1;
}

/* Who spends: an address as in the header, host order, and what it is charged for. */
struct spender {
    __u64 high;
    __u64 low;
    __u64 class; /* or port */
    __u64 bytes;
};

/* Whether so many bytes in this class from this source are within the class's rate. */
static __noinline int spend_class(const struct config *config, const struct spender *source, __u64 now_ns)
{
    __u32 core = bpf_get_smp_processor_id();
    struct buckets *buckets = bpf_map_lookup_elem(&budgets, &core);
    __u64 rate = config->class_rate_bytes_s[source->class & (CLASSES - 1)];
    SIP_START(&config->hash_key);

    if (!buckets || !rate)
        return !rate;
    SIP_ABSORB(CLASS_DOMAIN | source->class);
    SIP_ABSORB(source->high);
    SIP_ABSORB(source->low);
    return spend(&buckets->classes[SIP_FINISH(SIP_LENGTH(24)) & (CLASS_BUCKETS - 1)],
                 source->bytes * NS_PER_S / rate, now_ns);
}

/* Whether one more PROBE from a transport address that has shown its last ticket is within its own budget. */
static __noinline int spend_source(const struct config *config, const struct spender *source, __u64 now_ns)
{
    __u32 core = bpf_get_smp_processor_id();
    struct buckets *buckets = bpf_map_lookup_elem(&budgets, &core);
    SIP_START(&config->hash_key);

    if (!buckets)
        return 0;
    SIP_ABSORB(SOURCE_DOMAIN | source->class);
    SIP_ABSORB(source->high);
    SIP_ABSORB(source->low);
    return spend(&buckets->sources[SIP_FINISH(SIP_LENGTH(24)) & (SOURCE_BUCKETS - 1)], SOURCE_COST_NS, now_ns);
}

/* Whether one more PROBE from this prefix (a /24 or /48 as a number) is within the budget. */
static __noinline int spend_probe(const struct config *config, __u64 prefix, __u64 now_ns)
{
    __u32 core = bpf_get_smp_processor_id();
    struct buckets *buckets = bpf_map_lookup_elem(&budgets, &core);
    SIP_START(&config->hash_key);

    if (!buckets)
        return 0;
    SIP_ABSORB(prefix);
    return spend(&buckets->prefixes[SIP_FINISH(SIP_LENGTH(8)) & (PREFIX_BUCKETS - 1)], config->probe_cost_ns, now_ns);
}

#endif
