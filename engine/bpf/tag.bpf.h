/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Tags and seals: what is hashed, and in which order; mirrors wire/src/tag.rs and wire/src/seal.rs.
 *
 *     purpose (1) | cls+key (1) | port L (2) | expires (4) | address L (4 or 16) | address H (4 or 16) | port H (2)
 *     tag (8) | 0x0e + 16 i (1) | holder's port (2) | holder's address (4 or 16)
 *
 * - Words are as loaded from a frame. The first one of a pair is the header's own, with the lower port in its place,
 *   because the kinds SEND and SEALED_SEND are the purposes of their capabilities.
 * - Inlined is what every datagram needs; what is asked seldom is there once in the program.
 */
#ifndef TAG_BPF_H
#define TAG_BPF_H

#include "siphash.bpf.h"

#define PURPOSE_TICKET 0x09
#define SEAL(number) (0x0e + 16 * (number))

/* A pair of IPv4 addresses, 18 bytes: FIRST with port L, both addresses, port H. */
static __always_inline __u64 pair_v4(const struct sip_key *key, __u64 first, __u64 addresses, __u64 port)
{
    SIP_START(key);

    SIP_ABSORB(first);
    SIP_ABSORB(addresses);
    return SIP_FINISH(port | SIP_LENGTH(18));
}

/* What the tag of a pair with an IPv6 address hashes, 42 bytes. */
struct pair_v6 {
    __u64 first;
    __u64 low[2];
    __u64 high[2];
    __u64 port;
};

static __always_inline __u64 pair_v6(const struct sip_key *key, const struct pair_v6 *pair)
{
    SIP_START(key);

    SIP_ABSORB(pair->first);
    SIP_ABSORB(pair->low[0]);
    SIP_ABSORB(pair->low[1]);
    SIP_ABSORB(pair->high[0]);
    SIP_ABSORB(pair->high[1]);
    return SIP_FINISH(pair->port | SIP_LENGTH(42));
}

/* The same again, for renewals. */
APART __u64 renewed_v4(const struct sip_key *key, __u64 first, __u64 addresses, __u64 port)
{
    return key ? pair_v4(key, first, addresses, port) : 0;
}

APART __u64 renewed_v6(const struct sip_key *key, const struct pair_v6 *pair)
{
    return key && pair ? pair_v6(key, pair) : 0;
}

APART __u64 hash_1(const struct sip_key *key, __u64 first, __u64 last)
{
    if (key) {
        SIP_START(key);

        SIP_ABSORB(first);
        return SIP_FINISH(last);
    }
    return 0;
}

APART __u64 hash_3(const struct sip_key *key, __u64 first, __u64 second, __u64 third, __u64 last)
{
    if (key) {
        SIP_START(key);

        SIP_ABSORB(first);
        SIP_ABSORB(second);
        SIP_ABSORB(third);
        return SIP_FINISH(last);
    }
    return 0;
}

/* A ticket, 12 or 24 bytes: FIRST with the port. */
static __always_inline __u64 ticket_v4(const struct sip_key *key, __u64 first, __u64 address)
{
    return hash_1(key, first, address | SIP_LENGTH(12));
}

static __always_inline __u64 ticket_v6(const struct sip_key *key, __u64 first, __u64 a0, __u64 a1)
{
    return hash_3(key, first, a0, a1, SIP_LENGTH(24));
}

/* The one mask of an IPv4 field: its lowest two bytes for the port, the next four for the address. 15 bytes. */
static __always_inline __u64 mask_v4(const struct sip_key *key, __u64 tag, __u64 holder, __u64 port)
{
    return hash_1(key, tag, SEAL(0) | port << 8 | holder << 24 | SIP_LENGTH(15));
}

/* One of the three masks of an IPv6 field, 27 bytes. */
static __always_inline __u64 mask_v6(const struct sip_key *key, __u64 tag, __u64 number, const __u64 *holder,
                                     __u64 port)
{
    return hash_3(key, tag, SEAL(number) | port << 8 | holder[0] << 24, holder[0] >> 40 | holder[1] << 24,
                  holder[1] >> 40 | SIP_LENGTH(27));
}

#endif
