/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * SipHash-2-4 over whole 64-bit words, unrolled.
 *
 * - Equal to wire/src/siphash.rs; source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 * - A BPF rotation is four instructions, so a round is 32 and the 18 rounds of a tag are 576: at four a cycle and
 *   3 GHz some 48 ns, most of what relaying costs. Nothing else in the program comes near.
 */
#ifndef SIPHASH_BPF_H
#define SIPHASH_BPF_H

#include "layout.bpf.h"

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

#define SIP_ROUND                  \
    do {                           \
        v0 += v1;                  \
        v2 += v3;                  \
        v1 = ROTATE(v1, 13) ^ v0;  \
        v3 = ROTATE(v3, 16) ^ v2;  \
        v0 = ROTATE(v0, 32);       \
        v2 += v1;                  \
        v0 += v3;                  \
        v1 = ROTATE(v1, 17) ^ v2;  \
        v3 = ROTATE(v3, 21) ^ v0;  \
        v2 = ROTATE(v2, 32);       \
    } while (0)

#define SIP_ABSORB(word) \
    do {                 \
        v3 ^= (word);    \
        SIP_ROUND;       \
        SIP_ROUND;       \
        v0 ^= (word);    \
    } while (0)

#define SIP_START(key) __u64 v0 = (key)->v[0], v1 = (key)->v[1], v2 = (key)->v[2], v3 = (key)->v[3]

/* LENGTH: the bytes absorbed, below 256. */
#define SIP_FINISH(length)               \
    ({                                   \
        SIP_ABSORB((__u64)(length) << 56); \
        v2 ^= 0xff;                      \
        SIP_ROUND;                       \
        SIP_ROUND;                       \
        SIP_ROUND;                       \
        SIP_ROUND;                       \
        v0 ^ v1 ^ v2 ^ v3;               \
    })

/* A tag's 48 bytes: see wire/src/tag.rs. */
static __always_inline __u64 tag_of(const struct sip_key *key, __u64 head, __u64 low_0, __u64 low_1, __u64 high_0,
                                    __u64 high_1, __u64 ports)
{
    SIP_START(key);

    SIP_ABSORB(head);
    SIP_ABSORB(low_0);
    SIP_ABSORB(low_1);
    SIP_ABSORB(high_0);
    SIP_ABSORB(high_1);
    SIP_ABSORB(ports);
    return SIP_FINISH(48);
}

struct tag_words {
    __u64 w[6];
};

/* The same, once in the program, for what is seldom asked: renewals and tickets. */
static __noinline __u64 tag_apart(const struct sip_key *key, const struct tag_words *words)
{
    return tag_of(key, words->w[0], words->w[1], words->w[2], words->w[3], words->w[4], words->w[5]);
}

#endif
