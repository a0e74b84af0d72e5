/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Frames: where fields stand, and the checksums over them.
 *
 *     Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8 | header 32 | payload
 *
 * - Fields are loaded as whole words at their offsets; what is compared with the configuration is never swapped.
 * - Checksums are sums of little-endian halves: one's complement sums do not depend on the byte order (RFC 1071).
 */
#ifndef FRAME_BPF_H
#define FRAME_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define AT16(base, offset) (*(__u16 *)((base) + (offset)))
#define AT32(base, offset) (*(__u32 *)((base) + (offset)))
#define AT64(base, offset) (*(__u64 *)((base) + (offset)))

#define ETHERNET 14
#define IPV4 20
#define IPV6 40
#define UDP 8
#define HEADER 32

#define TYPE_IPV4 0x0008 /* 0x0800 as loaded */
#define TYPE_IPV6 0xdd86
#define PROTOCOL_UDP 17

#define KIND_PROBE 0x08
#define KIND_OBSERVED 0x09
#define KIND_SEND 0x0a
#define KIND_DATA 0x0b
#define KIND_SEALED_SEND 0x0d
#define KIND_SEALED_DATA 0x0e

/* The two addresses of an Ethernet header: 48 bits each. */
#define MAC_BITS ((1ULL << 48) - 1)
#define DESTINATION_MAC(frame) (AT64(frame, 0) & MAC_BITS)
#define SOURCE_MAC(frame) (AT16(frame, 6) | (__u64)AT32(frame, 8) << 16)

/* Back to the neighbour that the frame came from. */
static __always_inline void turn_ethernet(unsigned char *frame, __u64 own, __u64 neighbour)
{
    AT64(frame, 0) = neighbour | own << 48;
    AT32(frame, 8) = own >> 16;
}

static __always_inline __u32 halves(__u64 word)
{
    return (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
}

/* Folds a sum of fewer than 2^15 words of 32 bits to 16. */
static __always_inline __u32 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/* A UDP checksum after words were added to what it covers (and others, inverted, taken away): RFC 1624, equation 3. */
static __always_inline __u16 moved_checksum(__u16 checksum, __u64 added)
{
    __u16 moved = ~fold((__u16)~checksum + added);

    return moved ? moved : 0xffff;
}

#endif
