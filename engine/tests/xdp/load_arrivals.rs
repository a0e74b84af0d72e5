//! What the generator makes of frames that arrive: whose they are, whether they are new, how long they took.
//!
//! * Frames come from no wire, and the clock stands where a test puts it.

use crate::frame;
use crate::load::{RUN, S, STAMP_LEN, START_NS, address, checked, open, plan, stamp};
use engine::load::{Arriving, Flow, Load, Plan};
use engine::xdp::Answer;
use hdrhistogram::Histogram;
use std::collections::BTreeSet;
use std::net::SocketAddr;

const MAC: [u8; 6] = [0; 6];

/// A plan whose relay is a reflector, so that DATA arrives.
fn data_plan(relay: &str) -> Plan {
    Plan { arriving: Arriving::Data, ..plan(relay, 4, 32, 30) }
}

/// The 32 bytes of a DATA header.
fn data_header(kind: u8, contact: SocketAddr) -> Vec<u8> {
    let mut header = vec![kind, 0x13];
    header.extend(contact.port().to_be_bytes());
    header.extend([9; 4]);
    header.extend(match contact.ip() {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(ip) => ip.octets(),
    });
    header.extend([7; 8]);
    header
}

/// One arrival at a flow, and what may be wrong with it.
struct Arrival {
    via: SocketAddr,
    to: SocketAddr,
    before: Vec<u8>,
    class: u8,
    run: u64,
    intended_ns: u64,
    slot: u32,
    sequence: u32,
    filler: usize,
}

impl Arrival {
    fn new(plan: &Plan, slot: u32) -> Self {
        let before = match plan.arriving {
            Arriving::Data => data_header(0x0b, address(plan, slot)),
            Arriving::Bare => Vec::new(),
            Arriving::Untouched => vec![0x77; plan.head_len],
        };
        Self {
            via: plan.relay,
            to: address(plan, slot + 1),
            before,
            class: 1,
            run: RUN,
            intended_ns: START_NS + S,
            slot,
            sequence: 0,
            filler: plan.payload_len - STAMP_LEN,
        }
    }

    fn frame(&self) -> Vec<u8> {
        let mut datagram = self.before.clone();
        datagram.extend(stamp(self.class, self.run, self.intended_ns, self.slot, self.sequence));
        datagram.extend(vec![0xa5; self.filler]);
        frame::build(MAC, self.via, self.to, &datagram)
    }
}

fn answer(load: &Load, frame: &[u8]) -> Answer {
    let run = load.run_receive(frame, 1).unwrap();
    assert_eq!(run.frame, frame, "no frame is changed");
    run.answer
}

pub(crate) fn expected_and_foreign() {
    for relay in ["192.0.2.9:3478", "[2001:db8::9]:3478"] {
        for arriving in [Arriving::Data, Arriving::Bare, Arriving::Untouched] {
            let plan = Plan { arriving, ..data_plan(relay) };
            let load = open("lo", &plan);
            load.fix_time(START_NS + S + 12_345);
            let give = |change: &dyn Fn(&mut Arrival)| {
                let mut arrival = Arrival::new(&plan, 2);
                change(&mut arrival);
                answer(&load, &arrival.frame())
            };
            assert_eq!(give(&|_| ()), Answer::Drop);
            let counts = checked(&load);
            assert_eq!((counts.arrived, counts.foreign, counts.cells[2].1), (1, 0, 1));
            assert_eq!(counts.slices[0].arrived, 1);
            assert_eq!(counts.latency.len(), 1);
            let mut wrong: Vec<&dyn Fn(&mut Arrival)> = vec![
                &|it| it.via.set_port(3_479),
                &|it| it.to.set_port(it.to.port() ^ 1),
                &|it| it.to = SocketAddr::new(it.via.ip(), it.to.port()),
                &|it| it.slot = 3,
                &|it| it.slot = 4,
                &|it| it.filler += 1,
                &|it| it.filler -= 1,
            ];
            if arriving == Arriving::Data {
                wrong.extend::<[&dyn Fn(&mut Arrival); 6]>([
                    &|it| it.before[0] = 0x0a,
                    &|it| it.before[2] ^= 1,
                    &|it| it.before[3] ^= 1,
                    &|it| it.before[8] ^= 1,
                    &|it| it.before[18] ^= 1,
                    &|it| it.before[23] ^= 0x80,
                ]);
            }
            for (number, change) in (1..).zip(&wrong) {
                assert_eq!(give(*change), Answer::Drop);
                assert_eq!((checked(&load).arrived, checked(&load).foreign), (1, number), "change {number}");
            }
            assert_eq!(give(&|it| it.class = 2), Answer::Drop);
            let counts = checked(&load);
            assert_eq!((counts.invalid_arrived, counts.arrived, counts.duplicates), (1, 1, 0));
            pass_up(&plan, &load);
            assert_eq!(checked(&load), counts, "what passes is not counted");
        }
    }
}

/// What is none of the run's passes up to the stack.
fn pass_up(plan: &Plan, load: &Load) {
    let passed = |frame: &[u8]| assert_eq!(answer(load, frame), Answer::Pass);
    let with = |change: &dyn Fn(&mut Arrival)| {
        let mut arrival = Arrival::new(plan, 2);
        change(&mut arrival);
        arrival.frame()
    };
    let other: SocketAddr =
        if plan.relay.is_ipv4() { "192.0.2.8:3478" } else { "[2001:db8::8]:3478" }.parse().unwrap();
    passed(&with(&|it| it.via = other));
    passed(&with(&|it| it.run ^= 1));
    passed(&with(&|it| it.run ^= 1 << 55));
    passed(&with(&|it| it.class = 3));
    let good = with(&|_| ());
    let changed = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    passed(&changed(12, 0x81));
    passed(&changed(13, 0x06));
    if plan.relay.is_ipv4() {
        passed(&changed(14, 0x46));
        passed(&changed(20, 0x20));
        passed(&changed(21, 0x01));
        passed(&changed(23, 6));
    } else {
        passed(&changed(14, 0x45));
        passed(&changed(20, 44));
    }
    let least = frame::payload_at(&good) + Arrival::new(plan, 2).before.len() + STAMP_LEN;
    passed(&good[..least - 1]);
    passed(&good[..20]);
}

pub(crate) fn sequences() {
    let plan = data_plan("192.0.2.9:3478");
    let load = open("lo", &plan);
    load.fix_time(START_NS + 2 * S);
    let (mut naive, mut random) = ([BTreeSet::<u32>::new(), BTreeSet::new()], 12_345_u64);
    let (mut new, mut reordered, mut duplicates, mut stale) = (0, 0, 0, 0);
    let mut base = [0_u32; 2];
    for _ in 0..3_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (flow, step) = ((random >> 40) as usize & 1, (random >> 33) as u32 % 90);
        let forwards = random >> 60 < 9;
        base[flow] += if forwards { 1 + step / 80 * step } else { 0 };
        let sequence = if forwards { base[flow] } else { base[flow].saturating_sub(step) };
        let seen = &mut naive[flow];
        match seen.last().copied() {
            Some(highest) if sequence + 64 <= highest => stale += 1,
            Some(_) if seen.contains(&sequence) => duplicates += 1,
            Some(highest) if sequence < highest => reordered += 1,
            _ => new += 1,
        }
        if seen.last().is_none_or(|highest| sequence + 64 > *highest) {
            seen.insert(sequence);
        }
        let arrival = Arrival { sequence, ..Arrival::new(&plan, flow as u32) };
        assert_eq!(answer(&load, &arrival.frame()), Answer::Drop);
    }
    let counts = checked(&load);
    assert!(new > 500 && reordered > 100 && duplicates > 100 && stale > 100);
    assert_eq!(
        (counts.arrived, counts.reordered, counts.duplicates, counts.stale),
        (new + reordered, reordered, duplicates, stale)
    );
    for (sequence, arrived) in [(u32::MAX, 1), (u32::MAX, 1), (u32::MAX - 63, 2), (u32::MAX - 64, 2)] {
        let arrival = Arrival { sequence, ..Arrival::new(&plan, 3) };
        answer(&load, &arrival.frame());
        assert_eq!(checked(&load).cells[3].1, arrived, "{sequence}");
    }
}

/// Values at, below and above every edge of every bucket size, and some between.
fn edges() -> Vec<u64> {
    let mut values: Vec<u64> = (0..40).flat_map(|bit| [1 << bit, (1 << bit) + 1, (1 << bit) - 1]).collect();
    for octave in 6..36 {
        for part in [65, 77, 100, 127] {
            let edge = part << (octave - 6);
            values.extend([edge - 1, edge, edge + 1]);
        }
        for part in [1_025, 1_500, 1_999, 2_047] {
            let edge = (part << octave) >> 10;
            values.extend([edge - 1, edge, edge + 1]);
        }
    }
    values.extend([60 * S - 1, 60 * S, 60 * S + 1, 61 * S, 90 * S]);
    values.retain(|value| *value <= 200 * S);
    values
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, digits).unwrap()
}

fn of_pairs(digits: u8, pairs: &[(u64, u64)]) -> Histogram<u64> {
    let mut histogram = histogram(digits);
    pairs.iter().for_each(|(value, count)| histogram.record_n(*value, *count).unwrap());
    histogram
}

pub(crate) fn latencies() {
    let plan = data_plan("192.0.2.9:3478");
    let load = open("lo", &plan);
    let (mut own, mut sequence) = (histogram(3), 0);
    for value in edges().into_iter().flat_map(|value| [value, value]).chain([0]) {
        let arrival = Arrival { sequence, ..Arrival::new(&plan, 1) };
        load.fix_time(arrival.intended_ns + value);
        assert_eq!(answer(&load, &arrival.frame()), Answer::Drop);
        own.saturating_record(value.max(1));
        sequence += 1;
    }
    load.fix_time(START_NS);
    answer(&load, &Arrival { sequence, ..Arrival::new(&plan, 1) }.frame());
    own.saturating_record(1);
    let counts = checked(&load);
    assert_eq!(counts.arrived, u64::from(sequence) + 1);
    assert!(of_pairs(3, &counts.latency) == own, "not as if the histogram itself had recorded them");
    // Each slice knows a value to 1 %, or to a nanosecond.
    let coarse = &counts.slices[0].latency;
    assert!(counts.slices[1..].iter().all(|slice| slice.arrived == 0 && slice.latency.is_empty()));
    let mut exact: Vec<u64> = edges().into_iter().flat_map(|value| [value, value]).chain([0, 0]).collect();
    exact.iter_mut().for_each(|value| *value = if *value >> 36 > 0 { 60 * S } else { (*value).max(1) });
    exact.sort_unstable();
    let known = coarse.iter().flat_map(|(value, count)| vec![*value; *count as usize]);
    for (known, exact) in known.zip(exact) {
        assert!(known.abs_diff(exact) * 100 <= exact, "{exact} became {known}");
    }
}

pub(crate) fn lags() {
    let plan = plan("192.0.2.9:3478", 4, 32, 24);
    let load = open("lo", &plan);
    let mut own = histogram(2);
    for (number, value) in (0..).zip(edges()) {
        load.fix_time(START_NS + number * 1_000 + value);
        assert_eq!(load.run_transmit(0).unwrap().answer, Answer::Transmit);
        own.saturating_record(value.max(1));
    }
    let counts = checked(&load);
    assert!(counts.lag[1..].iter().all(Vec::is_empty), "all in the first quarter");
    assert!(of_pairs(2, &counts.lag[0]) == own, "not as if the histogram itself had recorded them");
}

pub(crate) fn phases() {
    let mut plan = data_plan("192.0.2.9:3478");
    plan.times.measured_ns = START_NS + 100 * S;
    plan.times.end_ns = START_NS + 125 * S;
    let load = open("lo", &plan);
    let give = |intended_s: u64, now_s: u64, slot: u32, sequence: u32| {
        load.fix_time(START_NS + now_s * S);
        let intended_ns = START_NS + intended_s * S;
        let arrival = Arrival { intended_ns, sequence, ..Arrival::new(&plan, slot) };
        assert_eq!(answer(&load, &arrival.frame()), Answer::Drop);
    };
    give(99, 100, 0, 0);
    give(125, 126, 0, 1);
    assert_eq!(checked(&load).arrived, 0, "neither warm-up nor what is behind the end");
    give(100, 100, 0, 0);
    give(124, 124, 0, 2);
    give(109, 126, 1, 0);
    give(110, 125, 1, 1);
    let counts = checked(&load);
    assert_eq!((counts.arrived, counts.late, counts.stale, counts.duplicates), (4, 2, 0, 0));
    assert_eq!(counts.slices.iter().map(|it| it.arrived).collect::<Vec<_>>(), [2, 1, 1]);
    load.cut(START_NS + 115 * S);
    give(116, 116, 2, 0);
    give(114, 114, 2, 1);
    assert_eq!(checked(&load).arrived, 5, "the end was moved");
}

pub(crate) fn contacts_of_another_family() {
    let plan = data_plan("[2001:db8::9]:3478");
    let mut load = open("lo", &plan);
    let contact: SocketAddr = "203.0.113.7:4242".parse().unwrap();
    load.set_flow(0, &Flow { contact, ..crate::load::flow(&plan, 0) }).unwrap();
    load.fix_time(START_NS + S);
    let arrival = Arrival { before: data_header(0x0b, contact), ..Arrival::new(&plan, 0) };
    answer(&load, &arrival.frame());
    assert_eq!((checked(&load).arrived, checked(&load).foreign), (1, 0));
}
