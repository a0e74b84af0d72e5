//! What the generator sends, frame by frame: bytes, times, faults, all by a clock that stands still.
//!
//! * Frames are compared with ones that are built and checksummed here, by nothing that the generator uses.

use crate::frame::{self, expected};
use crate::load::{self, RUN, S, START_NS, address, checked, head, open, plan, stamp};
use engine::load::{Faults, Load, MAX_FLOWS, Pace, Plan, Sample, Times};
use engine::xdp::{Answer, XdpError};

const RELAYS: [&str; 2] = ["192.0.2.9:3478", "[2001:db8::9]:3478"];

pub(crate) fn exact() {
    for relay in RELAYS {
        for (head_len, payload_len) in
            [(32, 24), (32, 25), (32, 168), (32, 171), (0, 24), (0, 1_401), (4, 167), (12, 56), (28, 29)]
        {
            let plan = plan(relay, 3, head_len, payload_len);
            let load = open("lo", &plan);
            for number in 0..7 {
                load.fix_time(START_NS + number * 1_000);
                let (slot, sequence) = ((number % 3) as u32, (number / 3) as u32);
                let sent = load.run_transmit(0).unwrap();
                assert_eq!(sent.answer, Answer::Transmit, "{number}");
                assert_eq!(
                    hex::encode(&sent.frame),
                    hex::encode(valid(&plan, slot, sequence, START_NS + number * 1_000)),
                    "datagram {number} of {head_len} + {payload_len} bytes to {relay}"
                );
                assert_eq!(load.run_transmit(0).unwrap().answer, Answer::Drop, "nothing else is due");
            }
            assert_eq!((checked(&load).due, checked(&load).sent), (7, 7));
        }
    }
}

/// The frame of a valid datagram.
fn valid(plan: &Plan, slot: u32, sequence: u32, intended_ns: u64) -> Vec<u8> {
    let mut datagram = head(plan, slot, 0);
    datagram.extend(stamp(1, RUN, intended_ns, slot, sequence));
    datagram.resize(plan.head_len + plan.payload_len, 0xa5);
    expected([0; 6], address(plan, slot), plan.relay, &datagram)
}

/// The flow, the sequence and the intended time of a frame.
fn read(plan: &Plan, frame: &[u8]) -> (u32, u32, u64) {
    let stamp = &frame[frame::payload_at(frame) + plan.head_len..][..24];
    let long = |at: usize| u64::from_le_bytes(stamp[at..at + 8].try_into().unwrap());
    (long(16) as u32, (long(16) >> 32) as u32, long(8))
}

/// The next frames of a worker, whose clock is far ahead.
fn frames(load: &Load, plan: &Plan, count: usize) -> Vec<(u32, u32, u64)> {
    load.fix_time(plan.times.end_ns - 1);
    let next = || {
        let run = load.run_transmit(0).unwrap();
        assert_eq!(run.answer, Answer::Transmit);
        read(plan, &run.frame)
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub(crate) fn even_gaps() {
    for (gap_ns, phase_ns) in [(1e9 / 3.0, 5), (1_000.0 / 7.0, 0), (10_001.9, 77)] {
        let mut plan = plan(RELAYS[0], 5, 32, 24);
        plan.workers[0] = Pace { gap_ns, phase_ns, ..plan.workers[0] };
        let load = open("lo", &plan);
        for (number, (slot, sequence, intended_ns)) in frames(&load, &plan, 2_500).into_iter().enumerate() {
            assert_eq!((slot, sequence), (number as u32 % 5, number as u32 / 5), "flows take turns");
            let exact = number as f64 * gap_ns;
            let at = (intended_ns - START_NS - phase_ns) as f64;
            assert!((at - exact).abs() <= 1.0, "datagram {number}: {at}, not {exact}");
        }
    }
}

pub(crate) fn bursts() {
    let mut plan = plan(RELAYS[1], 3, 32, 40);
    plan.workers[0] = Pace { gap_ns: 10_000.0, burst: 4, first_flow: 1, flows: 2, ..plan.workers[0] };
    let load = open("lo", &plan);
    for (number, (slot, sequence, intended_ns)) in frames(&load, &plan, 200).into_iter().enumerate() {
        let number = number as u32;
        assert_eq!(slot, 1 + number / 4 % 2, "a burst is of one flow, and the worker's flows take turns");
        assert_eq!(sequence, number / 8 * 4 + number % 4);
        assert_eq!(intended_ns, START_NS + u64::from(number / 4) * 10_000, "a burst has one time");
    }
}

pub(crate) fn poisson() {
    const COUNT: usize = 20_000;
    let mut plan = plan(RELAYS[0], 10, 32, 24);
    plan.workers[0] = Pace { gap_ns: 40_000.0, poisson: true, ..plan.workers[0] };
    let load = open("lo", &plan);
    let sent = frames(&load, &plan, COUNT);
    let gaps: Vec<f64> = sent.windows(2).map(|pair| (pair[1].2 - pair[0].2) as f64).collect();
    let count = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / count;
    assert!((mean - 40_000.0).abs() < 5.0 * 40_000.0 / count.sqrt(), "{mean}");
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
    assert!((variance.sqrt() / mean - 1.0).abs() < 0.06, "{}", variance.sqrt() / mean);
    for (multiple, above) in [(0.5, 0.606_53), (1.0, 0.367_88), (3.0, 0.049_79)] {
        let share = gaps.iter().filter(|gap| **gap > multiple * 40_000.0).count() as f64 / count;
        assert!((share - above).abs() < 0.018, "above {multiple} means: {share}");
    }
    for flow in 0..10 {
        let of_flow: Vec<u32> = sent.iter().filter(|(slot, ..)| *slot == flow).map(|it| it.1).collect();
        // Five standard deviations of a binomial of a tenth.
        assert!(of_flow.len().abs_diff(COUNT / 10) < 212, "flow {flow}: {}", of_flow.len());
        assert!(of_flow.iter().copied().eq(0..of_flow.len() as u32), "numbered without gaps");
    }
    let pairs = sent.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
    assert!(pairs.abs_diff(COUNT / 10) < 212, "a flow does not depend on the one before: {pairs}");
}

pub(crate) fn faults() {
    const COUNT: usize = 12_000;
    for relay in RELAYS {
        let mut plan = plan(relay, 4, 32, 169);
        let sample = |flow: u32, len: usize| Sample { flow, head: vec![flow as u8 ^ 0x5a; 32], len };
        let lens = [0, 1, 31, 32, 33, 39, 40, 41, 44, 47, 48, 49, 55, 56, 57, 200, 201, 202, 233];
        plan.faults = vec![
            Faults { share: 0.25, samples: vec![sample(2, 201)] },
            Faults { share: 0.0, samples: Vec::new() },
            Faults { share: 0.35, samples: lens.iter().map(|len| sample(3, *len)).collect() },
        ];
        let load = open("lo", &plan);
        load.fix_time(plan.times.end_ns - 1);
        let (mut seen, mut kinds) = ([0_u64; 256], [0_u64; 3]);
        for number in 0..COUNT as u64 {
            let run = load.run_transmit(0).unwrap();
            let at = frame::payload_at(&run.frame);
            let udp_len = u16::from_be_bytes([run.frame[at - 4], run.frame[at - 3]]);
            let (slot, _, intended_ns) = read(&plan, &run.frame);
            assert_eq!(intended_ns, START_NS + number * 1_000, "a fault moves no time");
            let invalid = run.frame[at + 32] == 2;
            if invalid {
                let Sample { flow, head, len } = sample(slot, usize::from(udp_len) - 8);
                assert_invalid(&plan, &run.frame, (flow, &head, len), intended_ns);
            }
            kinds[if !invalid {
                1
            } else if slot == 2 {
                0
            } else {
                2
            }] += 1;
            seen[usize::from(udp_len) - 8] += u64::from(invalid && slot == 3);
        }
        let counts = checked(&load);
        assert_eq!(counts.invalid_sent, [kinds[0], 0, kinds[2]]);
        assert_eq!((counts.due, counts.sent), (COUNT as u64, kinds[1]));
        // Five standard deviations of the binomials.
        assert!(kinds[0].abs_diff(3_000) < 238 && kinds[2].abs_diff(4_200) < 262, "{kinds:?}");
        for len in lens {
            assert!(seen[len].abs_diff(kinds[2] / 19) < 75, "{len} bytes: {} of {kinds:?}", seen[len]);
        }
    }
}

/// Whether a frame is that of an invalid datagram, and behind a shorter one still what the kernel's page had.
fn assert_invalid(plan: &Plan, frame: &[u8], (flow, head, len): (u32, &[u8], usize), intended_ns: u64) {
    let mut datagram = head.to_vec();
    datagram.extend(stamp(2, RUN, intended_ns, flow, 0));
    datagram.resize(len.max(plan.head_len + plan.payload_len), 0xa5);
    let wanted = expected([0; 6], address(plan, flow), plan.relay, &datagram[..len]);
    assert_eq!(hex::encode(&frame[..wanted.len()]), hex::encode(&wanted), "{len} bytes");
    assert_eq!(frame[wanted.len()..], datagram[len..], "{len} bytes: the rest");
}

pub(crate) fn heads_in_force() {
    let plan = plan(RELAYS[0], 2, 32, 24);
    let mut load = open("lo", &plan);
    load.fix_time(plan.times.end_ns - 1);
    let shown = |load: &Load| {
        let frame = load.run_transmit(0).unwrap().frame;
        frame[42..74].to_vec()
    };
    for generation in 1..6 {
        for flow in 0..2 {
            load.set_head(flow, &head(&plan, flow, generation)).unwrap();
            assert_eq!(shown(&load), head(&plan, flow, generation - 1), "not before it is adopted");
        }
        load.adopt_heads();
        for flow in 0..2 {
            assert_eq!(shown(&load), head(&plan, flow, generation));
        }
    }
    assert!(load.set_head(0, &[0; 31]).is_err() && load.set_head(2, &[0; 32]).is_err());
}

pub(crate) fn phases() {
    let mut plan = plan(RELAYS[0], 4, 32, 24);
    plan.times = Times {
        start_ns: START_NS,
        measured_ns: START_NS + 10_000,
        end_ns: START_NS + 110_000,
        slice_ns: 30_000,
    };
    let load = open("lo", &plan);
    let turn = |now_ns: u64| {
        load.fix_time(START_NS + now_ns);
        load.run_transmit(0).unwrap().answer
    };
    assert_eq!(turn(0), Answer::Transmit);
    for number in 1..10 {
        assert_eq!(turn(number * 1_000), Answer::Transmit);
    }
    assert_eq!(checked(&load).due, 0, "the warm-up does not count");
    for number in 10..100 {
        assert_eq!(turn(number * 1_000 - 1), Answer::Drop, "not before its time");
        assert_eq!(turn(number * 1_000 + number), Answer::Transmit);
    }
    let counts = checked(&load);
    assert_eq!((counts.due, counts.sent), (90, 90));
    assert_eq!(counts.slices.iter().map(|it| it.sent).collect::<Vec<_>>(), [30, 30, 30, 0]);
    let quarters = counts.lag.map(|lag| lag.iter().map(|(_, count)| count).sum::<u64>());
    assert_eq!(quarters, [25, 25, 25, 15]);
    load.cut(START_NS + 108_000);
    load.cut(START_NS + 109_000);
    assert_eq!(turn(110_000 + 40_000_000), Answer::Transmit, "late, but within what is still sent");
    assert_eq!(turn(108_000 + 50_000_000), Answer::Drop);
    for _ in 0..10 {
        turn(200_000_000);
    }
    let counts = checked(&load);
    assert_eq!((counts.due, counts.sent), (98, 91), "what is given up was due, up to the moved end");
}

pub(crate) fn refusals() {
    let good = plan(RELAYS[0], 4, 32, 168);
    let said = |change: fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        Load::open("lo", &plan).unwrap_err().to_string()
    };
    assert!(said(|plan| plan.flows = 0).contains("1048576 flows"));
    assert!(said(|plan| plan.flows = MAX_FLOWS + 1).contains("1048576 flows"));
    assert!(said(|plan| plan.head_len = 33).contains("multiple of 4"));
    assert!(said(|plan| plan.head_len = 36).contains("at most 32"));
    assert!(said(|plan| plan.payload_len = 23).contains("24 bytes"));
    assert!(said(|plan| plan.payload_len = 5_000).contains("shorter payload"));
    assert!(said(|plan| plan.times.slice_ns = 0).contains("slices longer"));
    assert!(said(|plan| plan.times.slice_ns = S).contains("slices longer"));
    assert!(said(|plan| plan.workers[0].gap_ns = f64::INFINITY).contains("60 s"));
    assert!(said(|plan| plan.workers[0].first_flow = 1).contains("does not have"));
    let fault = |share, flow, head_len| {
        let sample = Sample { flow, head: vec![0; head_len], len: 200 };
        Faults { share, samples: vec![sample] }
    };
    let with = |faults: Vec<Faults>| {
        let plan = Plan { faults, ..good.clone() };
        Load::open("lo", &plan).unwrap_err().to_string()
    };
    assert!(with(vec![fault(0.1, 4, 32)]).contains("does not have"));
    assert!(with(vec![fault(0.1, 3, 31)]).contains("as long as"));
    assert!(with(vec![fault(0.6, 3, 32), fault(0.6, 3, 32)]).contains("at most 1"));
    assert!(with(vec![Faults { share: 0.1, samples: Vec::new() }]).contains("samples"));
    assert!(with(vec![fault(0.01, 3, 32); 17]).contains("17 kinds"));
    let mut load = Load::open("lo", &good).unwrap();
    let flow = load::flow(&good, 1);
    let other = "[2001:db8::1]:5".parse().unwrap();
    let wrong = [
        engine::load::Flow { to: other, ..flow },
        engine::load::Flow { via: "192.0.2.10:3478".parse().unwrap(), ..flow },
    ];
    assert!(wrong.iter().all(|flow| load.set_flow(1, flow).is_err()));
    assert!(load.set_flow(4, &flow).is_err() && load.transmitter(1).is_err());
    assert!(matches!(Load::open("no-such-if", &good), Err(XdpError::NoInterface(_))));
}

pub(crate) fn a_million_flows() {
    let mut plan = plan(RELAYS[1], MAX_FLOWS, 32, 24);
    plan.workers[0] = Pace { first_flow: MAX_FLOWS - 2, flows: 2, ..plan.workers[0] };
    let load = open("lo", &plan);
    let sent = frames(&load, &plan, 3);
    let slots: Vec<u32> = sent.iter().map(|(slot, ..)| *slot).collect();
    assert_eq!(slots, [MAX_FLOWS - 2, MAX_FLOWS - 1, MAX_FLOWS - 2]);
}
