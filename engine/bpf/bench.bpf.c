// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs to measure with: an empty one, the bare swap, and the fast path run again and again on one frame.
 *
 * - A repeated test run does not restore the frame, and what was relayed once is no SEND any more. So `again` writes
 *   the frame's words anew before each run, in the very sizes in which they are then read (a load that spans two
 *   stores would wait for both); `restored` does that alone, to be taken off.
 */
#include "reflector.bpf.c"

/* The Ethernet frame, as it is to be before each run. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, unsigned char[128]);
} originals SEC(".maps");

#define RESTORE(at, type) *(type *)(frame + (at)) = *(type *)(original + (at))

static __always_inline int restore(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end, *original;
    __u32 zero = 0;

    original = bpf_map_lookup_elem(&originals, &zero);
    if (!original || frame + ETHERNET + IPV6 + UDP + HEADER > end)
        return 0;
    RESTORE(0, __u64);
    RESTORE(8, __u32);
    RESTORE(12, __u16);
    if (AT16(original, 12) == TYPE_IPV4) {
        RESTORE(14, __u32);
        RESTORE(18, __u32);
        RESTORE(22, __u32);
        RESTORE(26, __u32);
        RESTORE(30, __u32);
        RESTORE(34, __u32);
        RESTORE(38, __u16);
        RESTORE(40, __u16);
        RESTORE(42, __u64);
        RESTORE(50, __u64);
        RESTORE(58, __u64);
        RESTORE(66, __u64);
    } else {
        RESTORE(14, __u32);
        RESTORE(18, __u16);
        RESTORE(20, __u8);
        RESTORE(21, __u8);
        RESTORE(22, __u64);
        RESTORE(30, __u64);
        RESTORE(38, __u64);
        RESTORE(46, __u64);
        RESTORE(54, __u32);
        RESTORE(58, __u16);
        RESTORE(60, __u16);
        RESTORE(62, __u64);
        RESTORE(70, __u64);
        RESTORE(78, __u64);
        RESTORE(86, __u64);
    }
    return 1;
}

SEC("xdp")
int again(struct xdp_md *context)
{
    return restore(context) ? reflect(context) : XDP_ABORTED;
}

SEC("xdp")
int restored(struct xdp_md *context)
{
    return restore(context) ? XDP_TX : XDP_ABORTED;
}

SEC("xdp")
int empty(struct xdp_md *context)
{
    (void)context;
    return XDP_TX;
}

#define STAMP (ETHERNET + IPV4 + UDP + HEADER)

/* The start of a chain as a load generator is one: each datagram says when it was sent. */
SEC("xdp")
int stamped(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;

    if (!restore(context) || frame + STAMP + 8 > end)
        return XDP_ABORTED;
    AT64(frame, STAMP) = bpf_ktime_get_ns();
    return XDP_TX;
}

/* The end of a chain: counts what arrives. */
SEC("xdp")
int sink(struct xdp_md *context)
{
    __u32 zero = 0;
    struct counters *counters = bpf_map_lookup_elem(&counts, &zero);

    if (counters) {
        counters->received.datagrams++;
        counters->received.bytes += context->data_end - context->data;
    }
    return XDP_DROP;
}

/* The same, with a histogram of how long each was under way, in units of 4 us, modulo 16. */
SEC("xdp")
int sink_timed(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    __u32 zero = 0;
    struct counters *counters = bpf_map_lookup_elem(&counts, &zero);

    if (counters && frame + STAMP + 8 <= end) {
        __u64 under_way = (bpf_ktime_get_ns() - AT64(frame, STAMP)) >> 12;

        counters->received.datagrams++;
        counters->received.bytes += end - frame;
        counters->keys[under_way & (KEYS - 1)]++;
    }
    return XDP_DROP;
}

/* What no reflector can do without: addresses and ports swapped, nothing asked. */
SEC("xdp")
int bare_swap(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    __u64 to, from;
    __u32 address, ports;

    if (frame + ETHERNET + IPV4 + UDP > end || AT16(frame, 12) != TYPE_IPV4)
        return XDP_PASS;
    to = DESTINATION_MAC(frame);
    from = SOURCE_MAC(frame);
    turn_ethernet(frame, to, from);
    address = AT32(frame, 26);
    AT32(frame, 26) = AT32(frame, 30);
    AT32(frame, 30) = address;
    ports = AT32(frame, 34);
    AT32(frame, 34) = ports >> 16 | ports << 16;
    return XDP_TX;
}
