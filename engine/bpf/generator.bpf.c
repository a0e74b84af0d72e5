// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The load generator below the sockets: `transmit` sends what is due, `receive` counts what comes back.
 *
 *     transmit   run by BPF_PROG_TEST_RUN on live frames: nothing due -> XDP_DROP, which is the pacing's idle turn;
 *                due -> the frame is written and leaves by XDP_TX, which such a run makes a redirect
 *     receive    native on the same interface: none of the run's -> XDP_PASS; counted -> XDP_DROP
 *
 * - Frames are recycled, and whoever had them may have written to them: all headers and the stamp are written each time.
 *   What stands behind the stamp nobody on the way changes.
 * - A flow is received by one processor at a time, because one queue serves it; so its window needs no lock.
 */
#include "generator_pace.bpf.h"
#include "source.bpf.h"

#define VALID 1
#define INVALID 2

#define FRONT (ETHERNET + (plan.is_v6 ? IPV6 : IPV4) + UDP)

struct datagram {
    const __u64 *address;
    const __u64 *head;
    __u64 stamp[3];
    __u64 sum; /* of all that the UDP checksum covers */
    __u32 port;
    __u32 ip_check;
    __u32 udp_len;
    __u32 ip_len;
};

static __always_inline __u64 words(__u64 word)
{
    return (word & 0xffffffff) + (word >> 32);
}

/* Writes all that a frame says before its filler; the frame is as long as the plan says, or longer. */
static __always_inline int write_frame(struct xdp_md *context, const struct datagram *it)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    unsigned char *udp = frame + FRONT - UDP, *payload = frame + FRONT, *stamp = payload + plan.head_len;
    __u32 check = ~fold(it->sum) & 0xffff;

    if (stamp + STAMP > end)
        return 0;
    AT64(frame, 0) = plan.ethernet;
    AT32(frame, 8) = plan.ethernet_rest;
    if (plan.is_v6) {
        AT16(frame, 12) = TYPE_IPV6;
        AT32(frame, 14) = 0x60;
        AT16(frame, 18) = it->ip_len;
        AT16(frame, 20) = PROTOCOL_UDP | 64 << 8;
        AT64(frame, 22) = it->address[0];
        AT64(frame, 30) = it->address[1];
        AT64(frame, 38) = plan.relay[0];
        AT64(frame, 46) = plan.relay[1];
    } else {
        AT16(frame, 12) = TYPE_IPV4;
        AT32(frame, 14) = 0x45 | it->ip_len << 16;
        AT32(frame, 18) = 0x00400000;
        AT32(frame, 22) = 64 | PROTOCOL_UDP << 8 | it->ip_check << 16;
        AT32(frame, 26) = it->address[0];
        AT32(frame, 30) = plan.relay[0];
    }
    AT32(udp, 0) = it->port | plan.relay_port << 16;
    AT32(udp, 4) = it->udp_len | (check ? check : 0xffff) << 16;
    for (__u32 at = 0; at < HEADER / 8; at++) {
        if (plan.head_len >= 8 * at + 8)
            AT64(payload, 8 * at) = it->head[at];
        else if (plan.head_len >= 8 * at + 4)
            AT32(payload, 8 * at) = it->head[at];
    }
    AT64(stamp, 0) = it->stamp[0];
    AT64(stamp, 8) = it->stamp[1];
    AT64(stamp, 16) = it->stamp[2];
    return 1;
}

/* Sends a valid datagram of the present flow. */
static __always_inline int send_valid(struct xdp_md *context, const struct control *control, struct worker *worker,
                                      int is_measured)
{
    __u32 flow = worker->first_flow + worker->cursor, cell;
    struct sender *sender = bpf_map_lookup_elem(&senders, &flow);
    struct datagram it;

    if (!sender)
        return XDP_ABORTED;
    it.address = sender->address;
    it.head = sender->heads[control->generation & 1];
    it.stamp[0] = plan.run << 8 | VALID;
    it.stamp[1] = worker->next_ns;
    it.stamp[2] = flow | (__u64)sender->sequence << 32;
    it.sum = sender->sum + words(it.head[0]) + words(it.head[1]) + words(it.head[2]) + words(it.head[3]) +
             words(it.stamp[0]) + words(it.stamp[1]) + words(it.stamp[2]);
    it.port = sender->port;
    it.ip_check = sender->ip_check;
    it.udp_len = plan.udp_len;
    it.ip_len = plan.ip_len;
    if (!write_frame(context, &it))
        return XDP_ABORTED;
    sender->sequence++;
    if (is_measured) {
        cell = sender->cell & (CELLS - 1);
        worker->sent++;
        worker->cells[cell]++;
        worker->slices[worker->slice < MAX_SLICES ? worker->slice : MAX_SLICES]++;
    }
    return XDP_TX;
}

/* Makes the frame so much longer, with filler at its end. */
static __always_inline int lengthen(struct xdp_md *context, __u32 longer)
{
    __u32 zero = 0;
    unsigned char *bytes = bpf_map_lookup_elem(&filler, &zero);

    if (!bytes || longer > 4095 || bpf_xdp_adjust_tail(context, longer))
        return 0;
    return !bpf_xdp_store_bytes(context, plan.frame_len, bytes, longer);
}

/* Sends a datagram that is wrong in the way of this fault. */
static __noinline int send_invalid(struct xdp_md *context, struct worker *worker, __u32 fault)
{
    const struct sample *sample;
    struct datagram it;
    __u32 place;

    if (!worker || fault >= MAX_FAULTS)
        return XDP_ABORTED;
    place = plan.faults[fault].first + below(draw(worker), plan.faults[fault].count);
    sample = bpf_map_lookup_elem(&samples, &place);
    if (!sample || (sample->longer && !lengthen(context, sample->longer)))
        return XDP_ABORTED;
    it.address = sample->address;
    it.head = sample->head;
    it.stamp[0] = plan.run << 8 | INVALID;
    it.stamp[1] = worker->next_ns;
    it.stamp[2] = sample->slot;
    it.sum = sample->sum + words(worker->next_ns & sample->intended_mask);
    it.port = sample->port;
    it.ip_check = sample->ip_check;
    it.udp_len = sample->udp_len;
    it.ip_len = sample->ip_len;
    if (!write_frame(context, &it))
        return XDP_ABORTED;
    if (worker->next_ns >= plan.measured_ns)
        worker->invalid_sent[fault]++;
    return XDP_TX;
}

static __always_inline int send(struct xdp_md *context, const struct control *control, struct worker *worker)
{
    int is_measured = worker->next_ns >= plan.measured_ns;
    __u32 drawn;

    if (is_measured)
        note_due(worker);
    if (plan.faults_count) {
        drawn = draw(worker) >> 32;
        for (__u32 fault = 0; fault < MAX_FAULTS && fault < plan.faults_count; fault++)
            if (drawn < plan.faults[fault].limit)
                return send_invalid(context, worker, fault);
    }
    return send_valid(context, control, worker, is_measured);
}

SEC("xdp")
int transmit(struct xdp_md *context)
{
    __u32 zero = 0, number, cpu = bpf_get_smp_processor_id() & (MAX_CPUS - 1);
    const struct control *control = bpf_map_lookup_elem(&controls, &zero);
    struct worker *worker;
    int answer;

    if (!control)
        return XDP_ABORTED;
    number = control->worker_of[cpu] - 1;
    worker = bpf_map_lookup_elem(&workers, &number);
    if (!worker)
        return XDP_DROP;
    if (!(worker->turns & (plan.batch - 1)))
        worker->pending = 0;
    worker->turns++;
    if (worker->next_ns >= control->end_ns) {
        worker->done = 1;
        return XDP_DROP;
    }
    if (!is_due(control, worker))
        return XDP_DROP;
    if (worker->now_ns >= control->end_ns + BACKLOG_NS) {
        give_up(worker, control->end_ns);
        worker->sends = plan.clock_every;
        return XDP_DROP;
    }
    answer = send(context, control, worker);
    worker->pending = 1;
    worker->sends++;
    step(worker);
    return answer;
}

/* What a number is to its flow. */
enum sighting {
    SIGHTED_NEW,
    SIGHTED_REORDERED,
    SIGHTED_DUPLICATE,
    SIGHTED_STALE,
};

static __always_inline enum sighting sight(struct receiver *receiver, __u32 sequence)
{
    __u64 above = (__u64)sequence + 1, next = receiver->next, ahead, bit;

    if (above > next) {
        ahead = above - next;
        receiver->seen = (ahead < 64 ? receiver->seen << ahead : 0) | 1;
        receiver->next = above;
        return SIGHTED_NEW;
    }
    if (next - above >= 64)
        return SIGHTED_STALE;
    bit = 1ULL << (next - above);
    if (receiver->seen & bit)
        return SIGHTED_DUPLICATE;
    receiver->seen |= bit;
    return SIGHTED_REORDERED;
}

/* Counts a datagram that arrived for the first time. */
static __always_inline void note_arrival(struct received *received, const struct receiver *receiver, __u64 now_ns,
                                         __u64 intended_ns, __u32 cpu)
{
    __u64 latency_ns = within(now_ns > intended_ns ? now_ns - intended_ns : 0);
    __u64 at_ns = intended_ns - plan.measured_ns;
    __u32 place, row;
    struct slice *slice;

    received->arrived++;
    received->cells[receiver->cell & (CELLS - 1)]++;
    place = bucket(latency_ns, LATENCY_BITS);
    if (place < LATENCY_BUCKETS)
        received->latency[place]++;
    if (at_ns - received->slice_ns >= plan.slice_ns) {
        received->slice = at_ns / plan.slice_ns;
        received->slice_ns = received->slice * plan.slice_ns;
    }
    if (received->slice >= plan.slices)
        return;
    row = cpu * plan.slices + received->slice;
    slice = bpf_map_lookup_elem(&slices, &row);
    if (!slice)
        return;
    slice->arrived++;
    place = bucket(latency_ns, COARSE_BITS);
    if (place < COARSE_BUCKETS)
        slice->latency[place]++;
}

/* Whether a datagram is what the relay has to make of one of this flow; SENDER_PORT as loaded. */
static __always_inline int is_expected(const struct receiver *receiver, const unsigned char *frame,
                                       const unsigned char *udp)
{
    const unsigned char *header = udp + UDP;

    if (AT32(udp, 0) != (receiver->via_port | (__u32)receiver->to_port << 16) ||
        AT16(udp, 4) != plan.arriving_udp_len)
        return 0;
    if (plan.is_v6 ? AT64(frame, 38) != receiver->to[0] || AT64(frame, 46) != receiver->to[1]
                   : AT32(frame, 30) != (__u32)receiver->to[0])
        return 0;
    if (plan.arriving != ARRIVING_DATA)
        return 1;
    return header[0] == KIND_DATA && AT16(header, 2) == receiver->contact_port &&
           AT64(header, 8) == receiver->contact[0] && AT64(header, 16) == receiver->contact[1];
}

/* Whether a frame is plain UDP from the relay; it is long enough for a stamp. */
static __always_inline int is_from_relay(const unsigned char *frame)
{
    if (plan.is_v6)
        return AT16(frame, 12) == TYPE_IPV6 && (frame[14] & 0xf0) == 0x60 && frame[20] == PROTOCOL_UDP &&
               AT64(frame, 22) == plan.relay[0] && AT64(frame, 30) == plan.relay[1];
    return AT16(frame, 12) == TYPE_IPV4 && frame[14] == 0x45 && frame[23] == PROTOCOL_UDP &&
           !(AT16(frame, 20) & 0xff3f) && AT32(frame, 26) == (__u32)plan.relay[0];
}

SEC("xdp")
int receive(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    __u32 before = plan.arriving == ARRIVING_DATA ? HEADER : plan.arriving == ARRIVING_BARE ? 0 : plan.head_len;
    unsigned char *udp = frame + FRONT - UDP, *stamp = frame + FRONT + before;
    __u32 zero = 0, cpu = bpf_get_smp_processor_id(), slot, class;
    __u64 mark, now_ns, intended_ns;
    const struct control *control;
    struct received *received;
    struct receiver *receiver;
    enum sighting sighting;

    if (stamp + STAMP > end || !is_from_relay(frame))
        return XDP_PASS;
    mark = AT64(stamp, 0);
    class = mark & 0xff;
    if (mark >> 8 != plan.run || (class != VALID && class != INVALID))
        return XDP_PASS;
    control = bpf_map_lookup_elem(&controls, &zero);
    received = bpf_map_lookup_elem(&receipts, &cpu);
    if (!control || !received)
        return XDP_PASS;
    if (class == INVALID) {
        received->invalid++;
        return XDP_DROP;
    }
    intended_ns = AT64(stamp, 8);
    slot = AT32(stamp, 16);
    receiver = bpf_map_lookup_elem(&receivers, &slot);
    if (!receiver || !is_expected(receiver, frame, udp)) {
        received->foreign++;
        return XDP_DROP;
    }
    if (intended_ns < plan.measured_ns || intended_ns >= control->end_ns)
        return XDP_DROP;
    sighting = sight(receiver, AT32(stamp, 20));
    if (sighting >= SIGHTED_DUPLICATE) {
        if (sighting == SIGHTED_DUPLICATE)
            received->duplicates++;
        else
            received->stale++;
        return XDP_DROP;
    }
    now_ns = clock_ns(control);
    received->reordered += sighting == SIGHTED_REORDERED;
    received->late += now_ns >= control->end_ns;
    note_arrival(received, receiver, now_ns, intended_ns, cpu);
    return XDP_DROP;
}

char licence[] SEC("license") = "Dual BSD/GPL";
