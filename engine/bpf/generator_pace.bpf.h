/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * When the generator sends: intended times, the wait for them, and the account of both.
 *
 * - A datagram's intended time depends on pace, seed and number alone; lateness moves no later time.
 * - The clock takes some 40 ns a reading: a worker reads it when what it knows does not say that a datagram is due,
 *   and from time to time, so that its lag stays true.
 * - Buckets are those of histograms in the process, place by place.
 */
#ifndef GENERATOR_PACE_BPF_H
#define GENERATOR_PACE_BPF_H

#include "generator.bpf.h"

/* After the end so long for what is due and has not left, ns. */
#define BACKLOG_NS 50000000ULL
/* What is given up is counted so many at a time. */
#define GIVEN_UP 32
/* A worker that is interrupted for longer between two readings of its clock has not waited, ns. */
#define LONGEST_SPIN_NS 2000ULL
/* Readings of the clock in one turn, at most. */
#define MOST_READINGS 32

static __always_inline __u64 clock_ns(const struct control *control)
{
    return control->fixed_ns ? control->fixed_ns : bpf_ktime_get_boot_ns();
}

/* splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static __always_inline __u64 draw(struct worker *worker)
{
    __u64 mixed = worker->random += 0x9e3779b97f4a7c15ULL;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebULL;
    return mixed ^ mixed >> 31;
}

/* A number below COUNT from the upper half of a random one. */
static __always_inline __u32 below(__u64 random, __u32 count)
{
    return (random >> 32) * count >> 32;
}

/* The bucket of a value below 2^(bits + 32): exact below 2^(bits + 1), from there 2^bits an octave. */
static __always_inline __u32 bucket(__u64 value, __u32 bits)
{
    __u64 above = value >> (bits + 1);
    __u32 shift = 0;

    if (!above)
        return value;
    if (above >> 16) {
        shift += 16;
        above >>= 16;
    }
    if (above >> 8) {
        shift += 8;
        above >>= 8;
    }
    if (above >> 4) {
        shift += 4;
        above >>= 4;
    }
    if (above >> 2) {
        shift += 2;
        above >>= 2;
    }
    shift += 1 + (above >> 1);
    return (shift << bits) + (value >> shift);
}

/* A time as a histogram counts it. */
static __always_inline __u64 within(__u64 ns)
{
    if (ns >= BEYOND_NS)
        return LONGEST_NS;
    return ns ? ns : 1;
}

/* Goes on to the next datagram: of the burst, or of the next intended time and flow. */
static __always_inline void step(struct worker *worker)
{
    __u64 random, gap;

    if (worker->left > 1) {
        worker->left--;
        return;
    }
    worker->left = worker->burst;
    if (worker->poisson) {
        random = draw(worker);
        gap = worker->gaps[random & ((1 << GAP_BITS) - 1)] + worker->fraction;
        worker->fraction = gap & 0xffffff;
        worker->next_ns += gap >> 24;
        worker->cursor = below(random, worker->flows);
    } else {
        gap = worker->gap_fraction + worker->fraction;
        worker->fraction = gap & 0xffffffff;
        worker->next_ns += worker->gap_ns + (gap >> 32);
        worker->cursor = worker->cursor + 1 < worker->flows ? worker->cursor + 1 : 0;
    }
}

/* Finds slice and quarter of the present intended time, which has passed the end of one of them. */
static __noinline int turn(struct worker *worker)
{
    __u64 at_ns, slice, quarter, slice_end, quarter_end;

    if (!worker)
        return 0;
    at_ns = worker->next_ns - plan.measured_ns;
    slice = at_ns / plan.slice_ns;
    quarter = at_ns / plan.quarter_ns;
    slice_end = (slice + 1) * plan.slice_ns;
    quarter_end = (quarter + 1) * plan.quarter_ns;
    worker->slice = slice < MAX_SLICES ? slice : MAX_SLICES;
    worker->quarter = quarter < 3 ? quarter : 3;
    worker->turning_ns = plan.measured_ns + (slice_end < quarter_end ? slice_end : quarter_end);
    return 0;
}

/* Notes that a datagram of the measured phase is sent now. */
static __always_inline void note_due(struct worker *worker)
{
    __u64 lag_ns = worker->now_ns - worker->next_ns;
    __u32 quarter, place;

    worker->due++;
    if (worker->next_ns >= worker->turning_ns)
        turn(worker);
    place = bucket(within(lag_ns), LAG_BITS);
    quarter = worker->quarter & 3;
    if (place < LAG_BUCKETS)
        worker->lag[quarter][place]++;
}

/* Counts a part of what was due and is not sent any more. */
static __noinline int give_up(struct worker *worker, __u64 end_ns)
{
    if (!worker)
        return 0;
    for (__u32 count = 0; count < GIVEN_UP && worker->next_ns < end_ns; count++) {
        worker->due += worker->next_ns >= plan.measured_ns;
        step(worker);
    }
    return 0;
}

/* Reads the clock, and accounts the time that was spent waiting. */
static __always_inline void read_clock(const struct control *control, struct worker *worker)
{
    __u64 now_ns = clock_ns(control), waited_ns;

    if (worker->idle_ns && now_ns >= plan.measured_ns && now_ns < control->end_ns) {
        waited_ns = now_ns - worker->idle_ns;
        worker->spin_ns += waited_ns < LONGEST_SPIN_NS ? waited_ns : 0;
    }
    worker->idle_ns = worker->next_ns > now_ns ? now_ns : 0;
    worker->now_ns = now_ns;
    worker->sends = 0;
}

/*
 * Whether a datagram is due. If none is, waits a little for it: the more, the longer the run, because the kernel counts
 * turns in 32 bits. What this batch has sent leaves when the batch is over, so then no time is lost.
 */
static __always_inline int is_due(const struct control *control, struct worker *worker)
{
    if (worker->next_ns <= worker->now_ns && worker->sends < plan.clock_every)
        return 1;
    if (worker->pending && worker->next_ns > worker->now_ns + worker->quick_ns)
        return 0;
    for (__u32 count = 0; count < MOST_READINGS; count++) {
        read_clock(control, worker);
        if (worker->next_ns <= worker->now_ns)
            return 1;
        if (count + 1 >= worker->patience)
            break;
    }
    return 0;
}

#endif
