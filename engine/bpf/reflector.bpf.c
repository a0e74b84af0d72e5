// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The fast path: what wire::decide does, for plain IPv4 and IPv6 UDP, before the kernel's stack.
 *
 *     own MAC, IP, UDP, listening address -> lengths, checksums, clock, source -> decide -> next hop -> budget -> XDP_TX
 *           | no: not ours, not counted           | no: passed                   | drop     | no: passed   | drop
 *
 * - A frame that is passed up is unmodified, and has spent no budget.
 * - Counted is what is ours: plain UDP to the listening address. received == relayed + observed + drops + passed.
 * - What starts like STUN is passed up where STUN is on.
 * - A SEND to the other family is passed up after the checks before its destination; what those refuse is dropped here.
 * - No state but counters and budgets; no helper calls but map look-ups, which the verifier inlines, and jiffies.
 *
 * Instructions of a relay, about: look-ups 40, frame 60, policy and next hop 30, tag 590, rewriting 40, counters 15. At
 * four a cycle and 3 GHz the tag takes 50 ns and all the rest 15 ns.
 */
#include "frame.bpf.h"
#include "hop.bpf.h"
#include "rates.bpf.h"
#include "source.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct clock);
} clocks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct counters);
} counts SEC(".maps");

#define MAX_LIFETIME_S 600
#define MAX_PROBE 64
#define IPV6_EXTRA 20
/* RFC 8489, section 5: the cookie stands at offset 4, 0x2112a442 in network order; a message's first two bits are 0. */
#define STUN_COOKIE 0x42a41221
#define STUN_LAST 3

/* What is known of a datagram once its frame has been read. */
struct arrival {
    struct xdp_md *context;
    const struct config *config;
    struct counters *counters;
    unsigned char *udp; /* the UDP header; the datagram's header follows */
    __u64 now_s;
    __u64 now_ns;
    __u32 length; /* of the datagram: UDP payload */
    __u32 ports;  /* as loaded: source low, destination high */
};

static __always_inline int finish(struct counters *counters, __u32 outcome, __u32 length)
{
    struct count *count = &counters->outcomes[outcome & (OUTCOMES - 1)];

    count->datagrams++;
    count->bytes += length;
    if (outcome <= OBSERVED)
        return XDP_TX;
    return outcome == PASSED ? XDP_PASS : XDP_DROP;
}

/* The time; 0 if the daemon has given no sign of life for too long. */
static __always_inline int read_clock(struct arrival *it)
{
    __u32 zero = 0;
    const struct clock *clock = bpf_map_lookup_elem(&clocks, &zero);
    __u64 jiffies, since;

    if (!clock)
        return 0;
    jiffies = bpf_jiffies64();
    since = jiffies - clock->since_jiffies;
    it->now_s = (clock->base + since * clock->step) >> 32;
    it->now_ns = clock->base_ns + since * clock->step_ns;
    return jiffies - clock->alive_jiffies <= clock->orphan_jiffies;
}

/* Rows 1 to 3 of the decision, and 5 to 7 for a SEND; the outcome of the first that fails, else RELAYED or OBSERVED. */
static __always_inline __u32 open_header(struct arrival *it, unsigned char *end)
{
    const struct config *config = it->config;
    unsigned char *header = it->udp + UDP;
    __u32 kind, key;
    __s64 left;

    if (it->length < HEADER || header + HEADER > end)
        return DROP_SHORT;
    if (it->length > config->max_datagram)
        return DROP_OVERSIZE;
    kind = header[0];
    if (kind != KIND_SEND) {
        if (kind != KIND_PROBE)
            return DROP_KIND;
        return it->length > MAX_PROBE ? DROP_OVERSIZE : OBSERVED;
    }
    key = header[1] & (KEYS - 1);
    if (!(config->key_mask >> key & 1))
        return DROP_KEY;
    left = (__s64)bpf_ntohl(AT32(header, 4)) - (__s64)it->now_s;
    if (left < 0)
        return DROP_EXPIRED;
    if (left > MAX_LIFETIME_S)
        return DROP_LIFETIME;
    return RELAYED;
}

/* What was refused for REASON, unless it starts like STUN and that is switched on: never asked for what is accepted. */
static __always_inline __u32 refused(const struct arrival *it, unsigned char *end, __u32 reason)
{
    unsigned char *header = it->udp + UDP;

    if (!it->config->stun || it->length < 8 || header + 8 > end)
        return reason;
    return header[0] <= STUN_LAST && AT32(header, 4) == STUN_COOKIE ? PASSED : reason;
}

static __always_inline __u64 lasting_to(__u64 now_s, __u32 lifetime_s)
{
    __u64 expires = now_s + lifetime_s;

    return bpf_htonl(expires > 0xffffffff ? 0xffffffff : (__u32)expires);
}

/* Whether a SEND in this class from this source is within its class's rate. */
static __always_inline int within_rate(struct arrival *it, __u64 high, __u64 low)
{
    __u64 class = it->udp[UDP + 1] >> 4;
    struct tag_words source = {{class, high, low, it->length}};

    if (!it->config->class_rate_bytes_s[class])
        return 1;
    return spend_class(it->config, &source, it->now_ns);
}

/*
 * Makes a SEND a DATA: the UDP header and the first half of its header; WORDS are those of its tag. The swap permutes
 * what the checksum covers, so it changes by the kind and, when less than half of the life is left, by what is renewed.
 */
static __always_inline void turn_send(struct arrival *it, const struct sip_key *key, struct tag_words *words)
{
    const struct config *config = it->config;
    unsigned char *udp = it->udp, *header = udp + UDP;
    __u64 head = AT64(header, 0), added = KIND_DATA - KIND_SEND;
    __u64 left = bpf_ntohl(head >> 32) - it->now_s;
    __u16 checksum = AT16(udp, 6);

    if (2 * left < config->answer_lifetime_s) {
        __u64 expires = lasting_to(it->now_s, config->answer_lifetime_s), old = AT64(header, 24), tag;

        words->w[0] = (__u32)words->w[0] | expires << 32;
        tag = tag_apart(key, words);
        added += halves(expires) + halves((__u32)~(head >> 32)) + halves(tag) + halves(~old);
        head = (__u32)head | expires << 32;
        AT64(header, 24) = tag;
    }
    AT32(udp, 0) = it->ports >> 16 | ((__u32)head & 0xffff0000);
    AT64(header, 0) = (head & ~0xffff0000ULL) + (KIND_DATA - KIND_SEND) | (__u64)(it->ports & 0xffff) << 16;
    if (checksum)
        AT16(udp, 6) = moved_checksum(checksum, added);
    it->counters->keys[head >> 8 & (KEYS - 1)]++;
}

/* Makes a PROBE an OBSERVED for the source (a0, a1 as in a header). */
static __always_inline void turn_probe(struct arrival *it, __u64 a0, __u64 a1)
{
    const struct config *config = it->config;
    unsigned char *udp = it->udp, *header = udp + UDP;
    __u64 minting = config->minting & (KEYS - 1), port = it->ports & 0xffff;
    __u64 mark = KIND_OBSERVED | minting << 8 | lasting_to(it->now_s, config->ticket_lifetime_s) << 32;
    struct tag_words words = {{mark, a0, a1, 0, 0, port}};
    __u64 head = mark | port << 16, tag = tag_apart(&config->keys[minting], &words);
    __u16 checksum = AT16(udp, 6);

    if (checksum) {
        __u64 added = halves(~AT64(header, 0)) + halves(~AT64(header, 8)) + halves(~AT64(header, 16));

        added += halves(~AT64(header, 24)) + halves(head) + halves(a0) + halves(a1) + halves(tag);
        AT16(udp, 6) = moved_checksum(checksum, added);
    }
    AT32(udp, 0) = it->ports >> 16 | it->ports << 16;
    AT64(header, 0) = head;
    AT64(header, 8) = a0;
    AT64(header, 16) = a1;
    AT64(header, 24) = tag;
}

/* Version 4, no options, TOS 0, DF set, ID 0, TTL 64: everything but length and addresses is ours to say. */
static __always_inline void turn_ipv4(unsigned char *ip, __u32 from, __u32 to)
{
    __u32 first = AT32(ip, 0) & 0xffff00ff;

    AT32(ip, 0) = first;
    AT32(ip, 4) = 0x00400000;
    AT32(ip, 12) = from;
    AT32(ip, 16) = to;
    AT32(ip, 8) = 0x1140 | (~fold((__u64)first + 0x00400000 + 0x1140 + from + to) & 0xffff) << 16;
}

static __always_inline __u32 relay_v4(struct arrival *it, unsigned char *frame, __u32 source, __u32 local)
{
    const struct config *config = it->config;
    unsigned char *header = it->udp + UDP;
    __u64 head = AT64(header, 0), source_port = it->ports & 0xffff, port = head >> 16 & 0xffff;
    __u64 low = AT64(header, 16), own = 0xffff0000ULL | (__u64)source << 32, mine, theirs, swap;
    __u32 to = low >> 32;
    const struct sip_key *key = &config->keys[head >> 8 & (KEYS - 1)];
    struct tag_words words;
    __u64 neighbour;

    if (AT64(header, 8) || (__u32)low != 0xffff0000)
        return PASSED;
    if (!permits_v4(config, to, port))
        return DROP_DESTINATION;
    /* Both are below 2^48, so the sign of the difference orders them; a branch would be mispredicted half the time. */
    mine = (__u64)bpf_ntohl(source) << 16 | bpf_ntohs(source_port);
    theirs = (__u64)bpf_ntohl(to) << 16 | bpf_ntohs(port);
    swap = (__u64)((__s64)(theirs - mine) >> 63);
    words.w[0] = head & ~0xffff0000ULL;
    words.w[1] = 0;
    words.w[2] = own ^ ((own ^ low) & swap);
    words.w[3] = 0;
    words.w[4] = low ^ ((own ^ low) & swap);
    words.w[5] = source_port | port << 16;
    if (swap)
        words.w[5] = port | source_port << 16;
    if (tag_of(key, words.w[0], 0, words.w[2], 0, words.w[4], words.w[5]) != AT64(header, 24))
        return DROP_TAG;
    neighbour = hop_v4(it->context, config, local, to, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!within_rate(it, 0xffff, bpf_ntohl(source)))
        return DROP_RATE;
    turn_send(it, key, &words);
    AT32(header, 20) = source;
    turn_ipv4(frame + ETHERNET, local, to);
    turn_ethernet(frame, config->mac, neighbour);
    return RELAYED;
}

static __always_inline __u32 observe_v4(struct arrival *it, unsigned char *frame, __u32 source, __u32 local)
{
    const struct config *config = it->config;
    __u64 neighbour;

    if (!permits_v4(config, source, it->ports & 0xffff))
        return DROP_SOURCE;
    neighbour = hop_v4(it->context, config, local, source, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!spend_probe(config, 1ULL << 48 | bpf_ntohl(source) >> 8, it->now_ns))
        return DROP_RATE;
    turn_probe(it, 0, 0xffff0000ULL | (__u64)source << 32);
    turn_ipv4(frame + ETHERNET, local, source);
    turn_ethernet(frame, config->mac, neighbour);
    return OBSERVED;
}

/* A wildcard listener takes what is sent to any address of this host; loopback ones do not come over a wire. */
static __always_inline int listens_v4(const struct config *config, __u32 address)
{
    return config->any_v4 ? local_v4(config, address) : address == config->listen_v4;
}

static __always_inline int serve_v4(struct xdp_md *context, unsigned char *frame, unsigned char *end,
                                    const struct config *config, struct counters *counters)
{
    unsigned char *ip = frame + ETHERNET, *udp = ip + IPV4;
    __u32 first = AT32(ip, 0), second = AT32(ip, 4), third = AT32(ip, 8);
    __u32 source = AT32(ip, 12), local = AT32(ip, 16), outcome;
    struct arrival it = {
        .context = context, .config = config, .counters = counters, .udp = udp, .ports = AT32(udp, 0)};
    __u32 ip_length = bpf_ntohs(first >> 16), length = bpf_ntohs(AT16(udp, 4));
    int from;

    /* Version and header length; more fragments, fragment offset; protocol. */
    if ((first & 0xff) != 0x45 || (second & 0xff3f0000) || (third & 0xff00) != PROTOCOL_UDP << 8)
        return XDP_PASS;
    if (it.ports >> 16 != config->listen_port_v4 || !listens_v4(config, local) ||
        DESTINATION_MAC(frame) != config->mac)
        return XDP_PASS;
    it.length = length - UDP;
    if (length < UDP)
        it.length = 0;
    counters->received.datagrams++;
    counters->received.bytes += it.length;
    if (length < UDP || length + IPV4 != ip_length || ip + ip_length > end ||
        fold((__u64)first + second + third + source + local) != 0xffff || !read_clock(&it))
        return finish(counters, PASSED, it.length);
    from = source_v4(config, source);
    if (from != SOURCE_TAKEN)
        return finish(counters, from == SOURCE_PASSED ? PASSED : DROP_DENIED, it.length);
    outcome = open_header(&it, end);
    if (outcome == RELAYED)
        outcome = relay_v4(&it, frame, source, local);
    else if (outcome == OBSERVED)
        outcome = observe_v4(&it, frame, source, local);
    else
        outcome = refused(&it, end, outcome);
    return finish(counters, outcome, it.length);
}

/* Version 6, traffic class and flow label 0, hop limit 64. */
static __always_inline void turn_ipv6(unsigned char *ip, __u64 from_0, __u64 from_1, __u64 to_0, __u64 to_1)
{
    AT32(ip, 0) = 0x60;
    ip[7] = 64;
    AT64(ip, 8) = from_0;
    AT64(ip, 16) = from_1;
    AT64(ip, 24) = to_0;
    AT64(ip, 32) = to_1;
}

static __always_inline int precedes(__u64 a0, __u64 a1, __u16 a_port, __u64 b0, __u64 b1, __u16 b_port)
{
    if (a0 != b0)
        return bpf_be64_to_cpu(a0) < bpf_be64_to_cpu(b0);
    if (a1 != b1)
        return bpf_be64_to_cpu(a1) < bpf_be64_to_cpu(b1);
    return bpf_ntohs(a_port) <= bpf_ntohs(b_port);
}

static __always_inline __u32 relay_v6(struct arrival *it, unsigned char *frame)
{
    const struct config *config = it->config;
    unsigned char *ip = frame + ETHERNET, *header = it->udp + UDP;
    __u64 head = AT64(header, 0), source_port = it->ports & 0xffff, port = head >> 16 & 0xffff;
    __u64 source_0 = AT64(ip, 8), source_1 = AT64(ip, 16), to_0 = AT64(header, 8), to_1 = AT64(header, 16);
    const struct sip_key *key = &config->keys[head >> 8 & (KEYS - 1)];
    __u64 neighbour;
    struct tag_words words = {{head & ~0xffff0000ULL, to_0, to_1, source_0, source_1, port | source_port << 16}};

    if (to_0 == 0 && (__u32)to_1 == 0xffff0000)
        return PASSED;
    if (!permits_v6(config, to_0, to_1, port))
        return DROP_DESTINATION;
    if (it->length + IPV6_EXTRA > config->max_datagram)
        return DROP_OVERSIZE;
    if (precedes(source_0, source_1, source_port, to_0, to_1, port)) {
        words.w[1] = source_0;
        words.w[2] = source_1;
        words.w[3] = to_0;
        words.w[4] = to_1;
        words.w[5] = source_port | port << 16;
    }
    if (tag_of(key, words.w[0], words.w[1], words.w[2], words.w[3], words.w[4], words.w[5]) != AT64(header, 24))
        return DROP_TAG;
    neighbour = hop_v6(it->context, config, AT64(ip, 24), AT64(ip, 32), to_0, to_1, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!within_rate(it, bpf_be64_to_cpu(source_0), bpf_be64_to_cpu(source_1)))
        return DROP_RATE;
    turn_send(it, key, &words);
    AT64(header, 8) = source_0;
    AT64(header, 16) = source_1;
    turn_ipv6(ip, AT64(ip, 24), AT64(ip, 32), to_0, to_1);
    turn_ethernet(frame, config->mac, neighbour);
    return RELAYED;
}

static __always_inline __u32 observe_v6(struct arrival *it, unsigned char *frame)
{
    const struct config *config = it->config;
    unsigned char *ip = frame + ETHERNET;
    __u64 source_0 = AT64(ip, 8), source_1 = AT64(ip, 16), neighbour;

    if (!permits_v6(config, source_0, source_1, it->ports & 0xffff))
        return DROP_SOURCE;
    neighbour = hop_v6(it->context, config, AT64(ip, 24), AT64(ip, 32), source_0, source_1, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!spend_probe(config, bpf_be64_to_cpu(source_0) >> 16, it->now_ns))
        return DROP_RATE;
    turn_probe(it, source_0, source_1);
    turn_ipv6(ip, AT64(ip, 24), AT64(ip, 32), source_0, source_1);
    turn_ethernet(frame, config->mac, neighbour);
    return OBSERVED;
}

static __always_inline int listens_v6(const struct config *config, __u64 a0, __u64 a1)
{
    if (config->any_v6)
        return local_v6(config, a0, a1);
    return a0 == config->listen_v6[0] && a1 == config->listen_v6[1];
}

static __always_inline int serve_v6(struct xdp_md *context, unsigned char *frame, unsigned char *end,
                                    const struct config *config, struct counters *counters)
{
    unsigned char *ip = frame + ETHERNET, *udp = ip + IPV6;
    struct arrival it = {.context = context, .config = config, .counters = counters, .udp = udp};
    __u32 length, ip_length = bpf_ntohs(AT16(ip, 4)), outcome;
    int from;

    if (udp + UDP > end || (ip[0] & 0xf0) != 0x60 || ip[6] != PROTOCOL_UDP)
        return XDP_PASS;
    it.ports = AT32(udp, 0);
    if (it.ports >> 16 != config->listen_port_v6 || !listens_v6(config, AT64(ip, 24), AT64(ip, 32)) ||
        DESTINATION_MAC(frame) != config->mac)
        return XDP_PASS;
    length = bpf_ntohs(AT16(udp, 4));
    it.length = length - UDP;
    if (length < UDP)
        it.length = 0;
    counters->received.datagrams++;
    counters->received.bytes += it.length;
    if (length < UDP || length != ip_length || udp + ip_length > end || !AT16(udp, 6) || !read_clock(&it))
        return finish(counters, PASSED, it.length);
    from = source_v6(config, AT64(ip, 8), AT64(ip, 16));
    if (from != SOURCE_TAKEN)
        return finish(counters, from == SOURCE_PASSED ? PASSED : DROP_DENIED, it.length);
    outcome = open_header(&it, end);
    if (outcome == RELAYED)
        outcome = relay_v6(&it, frame);
    else if (outcome == OBSERVED)
        outcome = observe_v6(&it, frame);
    else
        outcome = refused(&it, end, outcome);
    return finish(counters, outcome, it.length);
}

static __always_inline int reflect(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    const struct config *config;
    struct counters *counters;
    __u32 zero = 0;

    if (frame + ETHERNET + IPV4 + UDP > end)
        return XDP_PASS;
    config = config_in_force();
    counters = bpf_map_lookup_elem(&counts, &zero);
    if (!config || !counters)
        return XDP_PASS;
    if (AT16(frame, 12) == TYPE_IPV4)
        return serve_v4(context, frame, end, config, counters);
    if (AT16(frame, 12) == TYPE_IPV6)
        return serve_v6(context, frame, end, config, counters);
    return XDP_PASS;
}

SEC("xdp")
int reflector(struct xdp_md *context)
{
    return reflect(context);
}

/* Writes jiffies and boot time, read at one moment, over the first 16 bytes of a test frame. */
SEC("xdp")
int read_jiffies(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;

    if (frame + 16 > end)
        return XDP_ABORTED;
    AT64(frame, 0) = bpf_jiffies64();
    AT64(frame, 8) = bpf_ktime_get_boot_ns();
    return XDP_PASS;
}

char licence[] SEC("license") = "Dual BSD/GPL";
