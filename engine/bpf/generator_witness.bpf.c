// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The generator's far end in tests: looks closely at every frame of UDP that arrives, and sends it back.
 *
 * - Checksums are computed over all that they cover, byte pair by byte pair, and by nothing that the generator uses.
 * - A head is whole if its four words are equal, as the tests' heads are.
 * - Addresses and ports are swapped, so that the generator receives what it sent.
 */
#include "reflector.bpf.c"

/* Byte pairs of the longest frame. */
#define MOST_PAIRS 800

struct witness {
    __u64 frames;
    __u64 wrong_ip;
    __u64 wrong_udp;
    __u64 torn;
    __u64 longest; /* frame, bytes */
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct witness);
} witnesses SEC(".maps");

/*
 * The sum of LENGTH bytes of a frame from FIRST on, in the byte order of the wire. Not static: so the verifier judges it
 * once, and not once for each call.
 */
__noinline __u32 sum_of(struct xdp_md *context, __u32 first, __u32 length)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end, *at;
    __u32 sum = 0;

    if (first > 64)
        return 0;
    at = frame + first;
    for (__u32 pair = 0; pair < MOST_PAIRS && 2 * pair < length; pair++, at += 2) {
        if (at + 1 > end)
            break;
        sum += at[0] << 8;
        if (2 * pair + 1 < length && at + 2 <= end)
            sum += at[1];
    }
    return sum;
}

static __always_inline int is_sound(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

static __always_inline void swap_ports(unsigned char *udp)
{
    AT32(udp, 0) = AT32(udp, 0) >> 16 | AT32(udp, 0) << 16;
}

static __always_inline void look(struct witness *witness, struct xdp_md *context, __u32 addresses, __u32 udp, __u32 length)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end, *head = frame + udp + UDP;

    __sync_fetch_and_add(&witness->frames, 1);
    if (!is_sound(sum_of(context, addresses, udp - addresses) + PROTOCOL_UDP + length + sum_of(context, udp, length)))
        __sync_fetch_and_add(&witness->wrong_udp, 1);
    if (head + HEADER <= end && (AT64(head, 0) != AT64(head, 8) || AT64(head, 0) != AT64(head, 16) ||
                                 AT64(head, 0) != AT64(head, 24)))
        __sync_fetch_and_add(&witness->torn, 1);
    if ((__u64)(end - frame) > witness->longest)
        witness->longest = end - frame;
}

SEC("xdp")
int witness(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    __u32 zero = 0, address;
    struct witness *witness = bpf_map_lookup_elem(&witnesses, &zero);
    __u64 high, low, to, from;

    if (!witness || frame + ETHERNET + IPV6 + UDP > end)
        return XDP_PASS;
    to = DESTINATION_MAC(frame);
    from = SOURCE_MAC(frame);
    if (AT16(frame, 12) == TYPE_IPV4 && frame[23] == PROTOCOL_UDP) {
        if (!is_sound(sum_of(context, ETHERNET, IPV4)))
            __sync_fetch_and_add(&witness->wrong_ip, 1);
        look(witness, context, 26, 34, bpf_ntohs(AT16(frame, 38)));
        address = AT32(frame, 26);
        AT32(frame, 26) = AT32(frame, 30);
        AT32(frame, 30) = address;
        swap_ports(frame + 34);
    } else if (AT16(frame, 12) == TYPE_IPV6 && frame[20] == PROTOCOL_UDP) {
        look(witness, context, 22, 54, bpf_ntohs(AT16(frame, 58)));
        high = AT64(frame, 22);
        low = AT64(frame, 30);
        AT64(frame, 22) = AT64(frame, 38);
        AT64(frame, 30) = AT64(frame, 46);
        AT64(frame, 38) = high;
        AT64(frame, 46) = low;
        swap_ports(frame + 54);
    } else {
        return XDP_PASS;
    }
    turn_ethernet(frame, to, from);
    return XDP_TX;
}
