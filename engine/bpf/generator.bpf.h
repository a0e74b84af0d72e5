/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the generator's programs and the process that loads them share.
 *
 * - engine/src/xdp_load_layout.rs knows these structs by their offsets.
 * - The plan is constant: the verifier knows its values and drops the branches of other plans.
 * - All other maps are mapped by the process, which writes and reads single words of them.
 * - Addresses, ports and lengths are kept as the processor loads them from the frame; an IPv4 address as in the
 *   header of a datagram, ::ffff:a.b.c.d, where it is compared with one, and else in the low half of the first word.
 * - What one worker or one processor writes lies in cache lines of its own.
 */
#ifndef GENERATOR_BPF_H
#define GENERATOR_BPF_H

#include "frame.bpf.h"

#define MAX_CPUS 1024
#define MAX_SLICES 300
#define MAX_FAULTS 16
#define CELLS 128
#define STAMP 24
/* Quantiles of the exponential distribution. */
#define GAP_BITS 11
/*
 * An HdrHistogram of 2 digits has 2^7 buckets an octave, one of 3 digits 2^10. One that goes to 60 s has buckets up
 * to 2^36 ns, and counts what is longer as 60 s.
 */
#define LAG_BITS 7
#define LAG_BUCKETS (30 << LAG_BITS)
#define LATENCY_BITS 10
#define LATENCY_BUCKETS (27 << LATENCY_BITS)
#define COARSE_BITS 6
#define COARSE_BUCKETS (32 << COARSE_BITS)
#define LONGEST_NS 60000000000ULL
#define BEYOND_NS (1ULL << 36)

enum arriving {
    ARRIVING_DATA,
    ARRIVING_BARE,
    ARRIVING_UNTOUCHED,
};

struct fault {
    __u64 limit; /* the sum of shares up to and including it, in 2^-32 */
    __u32 first; /* its samples */
    __u32 count;
};

struct plan {
    __u64 ethernet; /* bytes 0 to 7 of a frame, then 8 to 11 */
    __u64 ethernet_rest;
    __u64 relay[2];
    __u64 run; /* 56 bits */
    __u64 measured_ns;
    __u64 slice_ns;
    __u64 quarter_ns;
    __u32 is_v6;
    __u32 relay_port;
    __u32 udp_len; /* as in the frame, of what is sent */
    __u32 ip_len;
    __u32 arriving_udp_len;
    __u32 arriving;
    __u32 head_len; /* a multiple of 4 */
    __u32 slices;
    __u32 frame_len;
    __u32 clock_every; /* sends from one reading of the clock, at most */
    __u32 faults_count;
    __u32 batch; /* turns from one flush of the kernel to the next: a power of two */
    struct fault faults[MAX_FAULTS];
};

struct control {
    __u64 end_ns;
    __u64 generation; /* of the heads in force: 0 or 1 */
    __u64 fixed_ns;   /* not 0: what the clocks say, for tests */
    __u64 unused;
    __u64 worker_of[MAX_CPUS]; /* a worker's number plus one */
};

/* A flow as it is sent, with its heads: those in force, and those that are written meanwhile. */
struct sender {
    __u64 address[2];
    __u32 sum; /* of what the UDP checksum covers, without head and stamp */
    __u32 sequence;
    __u16 port;
    __u16 ip_check;
    __u8 cell;
    __u8 unused[3];
    __u64 heads[2][HEADER / 8];
};

/* A flow as it arrives. */
struct receiver {
    __u64 to[2];
    __u64 contact[2];
    __u16 to_port;
    __u16 via_port;
    __u16 contact_port;
    __u8 cell;
    __u8 unused;
    __u64 seen; /* one bit each for the 64 numbers below the next */
    __u64 next; /* one above the highest number seen */
    __u64 unused_too;
};

/* A datagram that is wrong on purpose. */
struct sample {
    __u64 address[2];
    __u64 head[HEADER / 8];
    __u64 intended_mask; /* what of the intended time its UDP length covers */
    __u32 sum;           /* of everything that its UDP checksum covers but the intended time */
    __u32 slot;
    __u16 port;
    __u16 ip_check;
    __u16 udp_len;
    __u16 ip_len;
    __u32 longer; /* than the frame of a valid one, bytes */
    __u32 unused;
};

struct worker {
    /* The schedule. */
    __u64 next_ns;
    __u64 fraction; /* of it, in units of the gaps' fractions */
    __u64 now_ns;
    __u64 random;
    __u32 cursor;
    __u32 left; /* of the burst */
    __u32 sends; /* since the clock was read */
    __u32 pending; /* whether something was sent since the kernel last flushed */
    __u64 turning_ns; /* the end of the slice or of the quarter, whichever is first */
    __u32 slice;
    __u32 quarter;
    /* The pace. */
    __u64 gap_ns;
    __u64 gap_fraction; /* 2^-32 ns */
    __u32 first_flow;
    __u32 flows;
    __u32 burst;
    __u32 poisson;
    __u64 quick_ns; /* with the next intended time further away, what is pending is flushed first */
    __u64 patience; /* readings of the clock in an idle turn */
    /* Counts. */
    __u64 turns;
    __u64 done;
    __u64 idle_ns; /* when it was last found that nothing is due; 0: something was */
    __u64 spin_ns;
    __u64 due;
    __u64 sent;
    __u64 unused[4];
    __u64 invalid_sent[MAX_FAULTS];
    __u64 cells[CELLS];
    __u64 slices[MAX_SLICES + 4];
    __u64 lag[4][LAG_BUCKETS];
    __u64 gaps[1 << GAP_BITS]; /* 2^-24 ns */
};

struct received {
    __u64 arrived;
    __u64 duplicates;
    __u64 reordered;
    __u64 stale;
    __u64 late;
    __u64 foreign;
    __u64 invalid;
    __u64 slice_ns; /* where the slice begins that was last counted in */
    __u64 slice;
    __u64 unused[7];
    __u64 cells[CELLS];
    __u64 latency[LATENCY_BUCKETS];
};

/* A slice of the measured phase, as one processor saw it arrive. */
struct slice {
    __u64 arrived;
    __u64 unused[7];
    __u32 latency[COARSE_BUCKETS];
};

/* The process sets the number of elements of those that have more than one when it loads the programs. */
#define MAPPED(name, type_of_value)             \
    struct {                                    \
        __uint(type, BPF_MAP_TYPE_ARRAY);       \
        __uint(map_flags, BPF_F_MMAPABLE);      \
        __uint(max_entries, 1);                 \
        __type(key, __u32);                     \
        __type(value, type_of_value);           \
    } name SEC(".maps")

MAPPED(controls, struct control);
MAPPED(workers, struct worker);
MAPPED(senders, struct sender);
MAPPED(receivers, struct receiver);
MAPPED(samples, struct sample);
MAPPED(receipts, struct received);
MAPPED(slices, struct slice);
MAPPED(filler, unsigned char[4096]);

const volatile struct plan plan SEC(".rodata") = {};

#endif
