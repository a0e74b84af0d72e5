/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the program and the daemon share: the configuration, the clock, the counters, the maps.
 *
 * - engine/src/xdp_config.rs writes struct config and struct clock, byte for byte as they stand here.
 * - Addresses, ports and masks are kept as the processor loads them from the frame, so that nothing is swapped per
 *   datagram.
 * - A reload puts a new struct config in place of the old one, whole; a running program sees one or the other.
 * - All memory is made when the program is loaded; nothing grows with the number of endpoints.
 */
#ifndef LAYOUT_BPF_H
#define LAYOUT_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/*
 * A function that the verifier judges once and by itself, whoever calls it; what its pointers lead to must be asked for
 * null. Everything with a loop or many branches is one: in line, its paths would multiply with those of its callers.
 */
#define APART __attribute__((noinline))

#define KEYS 16
#define CLASSES 16
#define MAX_ALLOWED 32
#define MAX_DENIED 64
#define MAX_OWN 64
#define MAX_HOST 128
#define MAX_ROUTES 16
#define MAX_NEIGHBOURS 4096
/* Powers of two, as in the daemon's own buckets. */
#define CLASS_BUCKETS 65536
#define PREFIX_BUCKETS 16384
#define SOURCE_BUCKETS 16384

/* The four words that SipHash starts from under one key: the key is already mixed in. */
struct sip_key {
    __u64 v[4];
};

struct block_v4 {
    __u32 network;
    __u32 mask;
};

struct block_v6 {
    __u64 network[2];
    __u64 mask[2];
};

/* Port 0: every port, unless a block opens the address. */
struct own_v4 {
    __u32 address;
    __u16 port;
    __u16 unused;
};

struct own_v6 {
    __u64 address[2];
    __u64 port;
};

/* The low 48 bits of a hop are the gateway's MAC address; above them stands what kind of hop it is. */
#define HOP_PASS 0ULL
#define HOP_GATEWAY (1ULL << 48)
#define HOP_ON_LINK (2ULL << 48)
#define HOP_FIB (3ULL << 48)

struct route_v4 {
    __u32 network;
    __u32 mask;
    __u64 hop;
};

struct route_v6 {
    __u64 network[2];
    __u64 mask[2];
    __u64 hop;
};

/*
 * Flags of the first byte of an address. Most of the Internet has none: one load then answers every question about an
 * address, and only the others are looked at in full.
 */
#define LOOK_DESTINATION 1
#define LOOK_SOURCE 2
#define LOOK_ROUTE 4

struct config {
    struct sip_key keys[KEYS];
    struct sip_key hash_key;
    __u64 mac;
    __u64 class_rate_bytes_s[CLASSES]; /* 0: not limited */
    __u64 probe_cost_ns;
    __u64 default_hop_v4;
    __u64 default_hop_v6;
    __u64 listen_v6[2];
    __u64 stun; /* not 0: what starts like STUN is the daemon's */
    __u32 listen_v4;
    __u32 listen_port_v4; /* without a listener, what no port is */
    __u32 listen_port_v6;
    __u32 any_v4; /* a wildcard listener: every local address */
    __u32 any_v6;
    __u32 key_mask;
    __u32 minting;
    __u32 max_datagram;
    __u32 answer_lifetime_s;
    __u32 ticket_lifetime_s;
    __u32 wildcard_port_v4; /* a wildcard among the own addresses holds its port on every address of this host */
    __u32 wildcard_port_v6;
    __u32 own_v4_count;
    __u32 own_v6_count;
    __u32 host_v4_count;
    __u32 host_v6_count;
    __u32 broadcasts_count;
    __u32 allow_v4_count;
    __u32 allow_v6_count;
    __u32 deny_v4_count;
    __u32 deny_v6_count;
    __u32 deny_source_v4_count;
    __u32 deny_source_v6_count;
    __u32 routes_v4_count;
    __u32 routes_v6_count;
    __u8 look_v4[256];
    __u8 look_v6[256];
    struct route_v4 routes_v4[MAX_ROUTES];
    struct route_v6 routes_v6[MAX_ROUTES];
    struct own_v4 own_v4[MAX_OWN];
    struct own_v6 own_v6[MAX_OWN];
    __u32 broadcasts[MAX_OWN];
    struct block_v4 host_v4[MAX_HOST];
    struct block_v6 host_v6[MAX_HOST];
    struct block_v4 allow_v4[MAX_ALLOWED];
    struct block_v6 allow_v6[MAX_ALLOWED];
    struct block_v4 deny_v4[MAX_DENIED];
    struct block_v6 deny_v6[MAX_DENIED];
    struct block_v4 deny_source_v4[MAX_DENIED];
    struct block_v6 deny_source_v6[MAX_DENIED];
};

/*
 * Unix seconds are base + (jiffies - since) * step, in 2^-32 s. The daemon writes single words with single stores, each
 * of which is right by itself; a fixed time for tests is a step of 0.
 */
struct clock {
    __u64 since_jiffies;
    __u64 base;
    __u64 step;
    __u64 base_ns;
    __u64 step_ns;
    __u64 alive_jiffies;  /* the daemon's last sign of life */
    __u64 orphan_jiffies; /* so long after it the program passes everything up */
    __u64 revoked;        /* how many entries the table of revocations holds */
};

struct count {
    __u64 datagrams;
    __u64 bytes;
};

/* The outcomes; a drop is DROPPED plus the reason's place in wire::Reason::ALL. */
enum outcome {
    RELAYED = 0,
    OBSERVED = 1,
    PASSED = 2,
    DROPPED = 3,
    DROP_DENIED = DROPPED + 1,
    DROP_SHORT = DROPPED + 2,
    DROP_OVERSIZE = DROPPED + 3,
    DROP_KIND = DROPPED + 4,
    DROP_SOURCE = DROPPED + 5,
    DROP_KEY = DROPPED + 6,
    DROP_EXPIRED = DROPPED + 7,
    DROP_LIFETIME = DROPPED + 8,
    DROP_DESTINATION = DROPPED + 9,
    DROP_TAG = DROPPED + 10,
    DROP_REVOKED = DROPPED + 11,
    DROP_RATE = DROPPED + 12,
    OUTCOMES = 16,
};

struct counters {
    struct count received;
    struct count outcomes[OUTCOMES];
    __u64 keys[KEYS];
};

/* Buckets of one core: the time at which each is full again, ns. */
struct buckets {
    __u64 classes[CLASS_BUCKETS];
    __u64 prefixes[PREFIX_BUCKETS];
    __u64 sources[SOURCE_BUCKETS];
};

struct address {
    __u64 words[2];
};

struct config_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct config);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct config_map);
} configs SEC(".maps");

static __always_inline const struct config *config_in_force(void)
{
    __u32 zero = 0;
    void *inner = bpf_map_lookup_elem(&configs, &zero);

    return inner ? bpf_map_lookup_elem(inner, &zero) : 0;
}

#endif
