/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * SipHash-2-4 over 64-bit words and up to seven bytes behind them, unrolled.
 *
 * - Equal to wire/src/siphash.rs; source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 * - A BPF rotation is four instructions, so a round is 32 and the 10 rounds of the tag of two IPv4 addresses are 320: at
 *   four a cycle and 3 GHz some 27 ns, most of what relaying costs. Nothing else in the program comes near.
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

/* LAST: up to seven bytes behind the words, and the length of all in the highest byte. */
#define SIP_FINISH(last)   \
    ({                     \
        SIP_ABSORB(last);  \
        v2 ^= 0xff;        \
        SIP_ROUND;         \
        SIP_ROUND;         \
        SIP_ROUND;         \
        SIP_ROUND;         \
        v0 ^ v1 ^ v2 ^ v3; \
    })

#define SIP_LENGTH(bytes) ((__u64)(bytes) << 56)

#endif
