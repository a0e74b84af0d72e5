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
 * - A SEND or SEALED_SEND to the other family is passed up after the checks before its destination; what those refuse is dropped here.
 * - No state but counters and budgets; no helper calls but map look-ups, which the verifier inlines, and jiffies.
 *
 * Instructions of a relay, about: look-ups 40, frame 60, policy and next hop 30, tag 330, rewriting 40, counters 15. At
 * four a cycle and 3 GHz the tag takes 28 ns and all the rest 15 ns.
 */
#include "frame.bpf.h"
#include "hop.bpf.h"
#include "rates.bpf.h"
#include "revoked.bpf.h"
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
#define MAX_TICKET_S 120
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
    __u64 revoked; /* entries of that table */
    __u32 length;  /* of the datagram: UDP payload */
    __u32 ports;   /* as loaded: source low, destination high */
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
    it->revoked = clock->revoked;
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
    if (kind != KIND_SEND && kind != KIND_SEALED_SEND) {
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
    struct spender source = {high, low, it->udp[UDP + 1] >> 4, it->length};

    if (!it->config->class_rate_bytes_s[source.class & (CLASSES - 1)])
        return 1;
    return spend_class(it->config, &source, it->now_ns);
}

/* Whether a capability with this first word is to be renewed: less than half of an answer's life is left. */
static __always_inline int is_old(const struct arrival *it, __u64 head)
{
    return 2 * (bpf_ntohl(head >> 32) - it->now_s) < it->config->answer_lifetime_s;
}

/*
 * Makes a SEND a DATA, or a SEALED_SEND a SEALED_DATA: the UDP header, and the header but for its address. HEAD has what
 * is to be its expiry and its port, TAG its tag; the datagram goes to PORT. ADDED is what the checksum gains by the
 * address and the port: nothing, if they only change places.
 */
static __always_inline void turn_send(struct arrival *it, __u64 head, __u64 tag, __u64 port, __u64 added)
{
    unsigned char *udp = it->udp, *header = udp + UDP;
    __u32 expires = AT32(header, 4);
    __u16 checksum = AT16(udp, 6);

    added += KIND_DATA - KIND_SEND;
    if (head >> 32 != expires) {
        added += halves(head >> 32) + halves(~expires) + halves(tag) + halves(~AT64(header, 24));
        AT64(header, 24) = tag;
    }
    AT32(udp, 0) = it->ports >> 16 | port << 16;
    AT64(header, 0) = head + (KIND_DATA - KIND_SEND);
    if (checksum)
        AT16(udp, 6) = moved_checksum(checksum, added);
    it->counters->keys[head >> 8 & (KEYS - 1)]++;
}

/* The first word of a header that is hashed for a ticket. */
static __always_inline __u64 ticket_head(__u64 class_key, __u64 port, __u64 expires)
{
    return PURPOSE_TICKET | class_key << 8 | port << 16 | expires << 32;
}

/* Makes a PROBE an OBSERVED for the source (a0, a1 as in a header); HEAD and TAG are what it will start and end with. */
static __always_inline void turn_probe(struct arrival *it, __u64 head, __u64 a0, __u64 a1, __u64 tag)
{
    unsigned char *udp = it->udp, *header = udp + UDP;
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

/* The key of the last ticket that a PROBE carries, if its time is not over. */
static __always_inline const struct sip_key *last_ticket_key(const struct arrival *it, __u64 head)
{
    __u64 class_key = head >> 8 & 0xff;
    __s64 left = (__s64)bpf_ntohl(head >> 32) - (__s64)it->now_s;

    if (class_key >= KEYS || !(it->config->key_mask >> class_key & 1) || left < 0 || left > MAX_TICKET_S)
        return 0;
    return &it->config->keys[class_key & (KEYS - 1)];
}

/* Whether a PROBE whose prefix has spent its budget shows its last ticket and is within the budget that this gives it. */
static __noinline int spend_ticket_v4(struct arrival *it, __u32 source)
{
    __u64 head = AT64(it->udp, UDP), port = it->ports & 0xffff;
    const struct sip_key *key = last_ticket_key(it, head);
    struct spender spender = {0xffff, bpf_ntohl(source), bpf_ntohs(port), 0};

    if (!key || ticket_v4(key, ticket_head(head >> 8 & 0xff, port, head >> 32), source) != AT64(it->udp, UDP + 24))
        return 0;
    return spend_source(it->config, &spender, it->now_ns);
}

static __noinline int spend_ticket_v6(struct arrival *it, __u64 a0, __u64 a1)
{
    __u64 head = AT64(it->udp, UDP), port = it->ports & 0xffff;
    const struct sip_key *key = last_ticket_key(it, head);
    struct spender spender = {bpf_be64_to_cpu(a0), bpf_be64_to_cpu(a1), bpf_ntohs(port), 0};

    if (!key || ticket_v6(key, ticket_head(head >> 8 & 0xff, port, head >> 32), a0, a1) != AT64(it->udp, UDP + 24))
        return 0;
    return spend_source(it->config, &spender, it->now_ns);
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
    __u64 head = AT64(header, 0), low = AT64(header, 16), tag = AT64(header, 24), added = 0;
    __u64 source_port = it->ports & 0xffff, port = head >> 16 & 0xffff, mine, theirs, swap;
    __u64 addresses, low_port, high_port, field = source, field_port = source_port;
    __u32 to = low >> 32;
    const struct sip_key *key = &config->keys[head >> 8 & (KEYS - 1)];
    int sealed = (head & 0xff) == KIND_SEALED_SEND;
    __u64 neighbour;

    if (AT64(header, 8) || (__u32)low != 0xffff0000)
        return PASSED;
    if (sealed) {
        __u64 mask = mask_v4(key, tag, source, source_port);

        port ^= mask & 0xffff;
        to ^= (__u32)(mask >> 16);
    } else if (!permits_v4(config, to, port)) {
        return DROP_DESTINATION;
    }
    /* Both are below 2^48, so the sign of the difference orders them; a branch would be mispredicted half the time. */
    mine = (__u64)bpf_ntohl(source) << 16 | bpf_ntohs(source_port);
    theirs = (__u64)bpf_ntohl(to) << 16 | bpf_ntohs(port);
    swap = (__u64)((__s64)(theirs - mine) >> 63);
    addresses = (__u64)(source ^ to) & swap;
    addresses = (source | (__u64)to << 32) ^ (addresses | addresses << 32);
    low_port = source_port ^ ((source_port ^ port) & swap);
    high_port = port ^ ((source_port ^ port) & swap);
    head &= ~0xffff0000ULL;
    if (pair_v4(key, head | low_port << 16, addresses, high_port) != tag)
        return DROP_TAG;
    if (sealed && !permits_v4(config, to, port))
        return DROP_DESTINATION;
    if (it->revoked && revoked_v4(addresses, low_port, high_port))
        return DROP_REVOKED;
    neighbour = hop_v4(it->context, config, local, to, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!within_rate(it, 0xffff, bpf_ntohl(source)))
        return DROP_RATE;
    if (is_old(it, head)) {
        head = (__u32)head | lasting_to(it->now_s, config->answer_lifetime_s) << 32;
        tag = renewed_v4(key, head | low_port << 16, addresses, high_port);
    }
    if (sealed) {
        __u64 mask = mask_v4(key, tag, to, port);

        field ^= mask >> 16 & 0xffffffff;
        field_port ^= mask & 0xffff;
        added = halves(field | field_port << 32 | port << 48) + halves(to);
        added += halves(~((low >> 32) | (AT64(header, 0) >> 16 & 0xffff) << 32 | source_port << 48)) + halves(~source);
    }
    turn_send(it, head | field_port << 16, tag, port, added);
    AT32(header, 20) = field;
    turn_ipv4(frame + ETHERNET, local, to);
    turn_ethernet(frame, config->mac, neighbour);
    return RELAYED;
}

static __always_inline __u32 observe_v4(struct arrival *it, unsigned char *frame, __u32 source, __u32 local)
{
    const struct config *config = it->config;
    __u64 minting = config->minting & (KEYS - 1), neighbour, head;

    if (!permits_v4(config, source, it->ports & 0xffff))
        return DROP_SOURCE;
    neighbour = hop_v4(it->context, config, local, source, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!spend_probe(config, 1ULL << 48 | bpf_ntohl(source) >> 8, it->now_ns) && !spend_ticket_v4(it, source))
        return DROP_RATE;
    head = ticket_head(minting, it->ports & 0xffff, lasting_to(it->now_s, config->ticket_lifetime_s));
    turn_probe(it, head, 0, 0xffff0000ULL | (__u64)source << 32, ticket_v4(&config->keys[minting], head, source));
    turn_ipv4(frame + ETHERNET, local, source);
    turn_ethernet(frame, config->mac, neighbour);
    return OBSERVED;
}

/* A wildcard listener takes what is sent to any address of this host; loopback ones do not come over a wire. */
static __always_inline int listens_v4(const struct config *config, __u32 address)
{
    return config->any_v4 ? of_host_v4(config, address) : address == config->listen_v4;
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

/* An IPv6 address and its port under the masks of TAG and the holder. */
static __always_inline void mask_field_v6(const struct sip_key *key, __u64 tag, const __u64 *holder, __u64 holder_port,
                                          __u64 *field, __u64 *port)
{
    *port ^= mask_v6(key, tag, 0, holder, holder_port) & 0xffff;
    field[0] ^= mask_v6(key, tag, 1, holder, holder_port);
    field[1] ^= mask_v6(key, tag, 2, holder, holder_port);
}

static __always_inline __u32 relay_v6(struct arrival *it, unsigned char *frame)
{
    const struct config *config = it->config;
    unsigned char *ip = frame + ETHERNET, *header = it->udp + UDP;
    __u64 head = AT64(header, 0), tag = AT64(header, 24), added = 0;
    __u64 source_port = it->ports & 0xffff, port = head >> 16 & 0xffff, field_port = source_port;
    __u64 source[2] = {AT64(ip, 8), AT64(ip, 16)}, to[2] = {AT64(header, 8), AT64(header, 16)};
    __u64 field[2] = {source[0], source[1]};
    const struct sip_key *key = &config->keys[head >> 8 & (KEYS - 1)];
    int sealed = (head & 0xff) == KIND_SEALED_SEND;
    struct pair_v6 pair;
    __u64 neighbour;

    if (to[0] == 0 && (__u32)to[1] == 0xffff0000)
        return PASSED;
    if (sealed)
        mask_field_v6(key, tag, source, source_port, to, &port);
    else if (!permits_v6(config, to[0], to[1], port))
        return DROP_DESTINATION;
    else if (it->length + IPV6_EXTRA > config->max_datagram)
        return DROP_OVERSIZE;
    head &= ~0xffff0000ULL;
    if (precedes(source[0], source[1], source_port, to[0], to[1], port))
        pair = (struct pair_v6){head | source_port << 16, {source[0], source[1]}, {to[0], to[1]}, port};
    else
        pair = (struct pair_v6){head | port << 16, {to[0], to[1]}, {source[0], source[1]}, source_port};
    if (pair_v6(key, &pair) != tag)
        return DROP_TAG;
    if (sealed && !permits_v6(config, to[0], to[1], port))
        return DROP_DESTINATION;
    if (sealed && it->length + IPV6_EXTRA > config->max_datagram)
        return DROP_OVERSIZE;
    if (it->revoked && revoked_v6(&pair))
        return DROP_REVOKED;
    neighbour = hop_v6(it->context, config, AT64(ip, 24), AT64(ip, 32), to[0], to[1], SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!within_rate(it, bpf_be64_to_cpu(source[0]), bpf_be64_to_cpu(source[1])))
        return DROP_RATE;
    if (is_old(it, head)) {
        __u64 expires = lasting_to(it->now_s, config->answer_lifetime_s) << 32;

        head = (__u32)head | expires;
        pair.first = (__u32)pair.first | expires;
        tag = renewed_v6(key, &pair);
    }
    if (sealed) {
        mask_field_v6(key, tag, to, port, field, &field_port);
        added = halves(field[0]) + halves(field[1]) + halves(to[0]) + halves(to[1]) + halves(field_port | port << 16);
        added += halves(~AT64(header, 8)) + halves(~AT64(header, 16)) + halves(~source[0]) + halves(~source[1]);
        added += halves((__u32) ~((AT64(header, 0) >> 16 & 0xffff) | source_port << 16));
    }
    turn_send(it, head | field_port << 16, tag, port, added);
    AT64(header, 8) = field[0];
    AT64(header, 16) = field[1];
    turn_ipv6(ip, AT64(ip, 24), AT64(ip, 32), to[0], to[1]);
    turn_ethernet(frame, config->mac, neighbour);
    return RELAYED;
}

static __always_inline __u32 observe_v6(struct arrival *it, unsigned char *frame)
{
    const struct config *config = it->config;
    unsigned char *ip = frame + ETHERNET;
    __u64 source_0 = AT64(ip, 8), source_1 = AT64(ip, 16), minting = config->minting & (KEYS - 1), neighbour, head;

    if (!permits_v6(config, source_0, source_1, it->ports & 0xffff))
        return DROP_SOURCE;
    neighbour = hop_v6(it->context, config, AT64(ip, 24), AT64(ip, 32), source_0, source_1, SOURCE_MAC(frame));
    if (!neighbour)
        return PASSED;
    if (!spend_probe(config, bpf_be64_to_cpu(source_0) >> 16, it->now_ns) &&
        !spend_ticket_v6(it, source_0, source_1))
        return DROP_RATE;
    head = ticket_head(minting, it->ports & 0xffff, lasting_to(it->now_s, config->ticket_lifetime_s));
    turn_probe(it, head, source_0, source_1, ticket_v6(&config->keys[minting], head, source_0, source_1));
    turn_ipv6(ip, AT64(ip, 24), AT64(ip, 32), source_0, source_1);
    turn_ethernet(frame, config->mac, neighbour);
    return OBSERVED;
}

static __always_inline int listens_v6(const struct config *config, __u64 a0, __u64 a1)
{
    if (config->any_v6)
        return of_host_v6(config, a0, a1);
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
