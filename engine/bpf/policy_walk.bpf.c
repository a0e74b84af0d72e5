// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Walks IPv4 addresses through the policy in bulk, so that a test can compare all 2^32 of them with wire::Policy.
 *
 * - The very header that the fast path includes, under the configuration that the test sets.
 * - Each run judges 64 addresses in a row, a bit each, the lowest bit first, and moves on; a repeated test run thus
 *   fills the whole map.
 */
#include "reflector.bpf.c"

/* Many to a call: to enter and leave a repeated test run takes the kernel 40 ms. */
#define WORDS (1 << 20)

struct walk {
    __u32 first; /* the first address, host order; at the start of a map full */
    __u32 port;  /* as loaded from a frame */
    __u64 runs;
    __u64 verdicts[WORDS];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct walk);
} walks SEC(".maps");

/* Not static: so the verifier judges it once, and not once for each address of a run. */
__noinline int judge(__u32 address, __u32 port)
{
    const struct config *config = config_in_force();

    return config && permits_v4(config, bpf_htonl(address), port);
}

SEC("xdp")
int walk_policy(struct xdp_md *context)
{
    __u32 zero = 0, word;
    struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
    __u64 bits = 0;

    (void)context;
    if (!walk)
        return XDP_ABORTED;
    word = walk->runs++ & (WORDS - 1);
    for (__u32 bit = 0; bit < 64; bit++)
        if (judge(walk->first + word * 64 + bit, walk->port))
            bits |= 1ULL << bit;
    walk->verdicts[word] = bits;
    return XDP_DROP;
}
