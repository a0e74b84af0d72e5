//! Whole runs of the generator over a veth: everything that is sent comes back from the other end, once.
//!
//! * The far end's program verifies every checksum and head, then sends the frame back.
//! * A busy machine may lose frames in a veth's rings; such losses are counted by the driver, and so by these tests.

use crate::load::{Ends, S, address, checked, flow, plan};
use engine::xdp_load::{Counts, Faults, Load, Pace, Plan, Times};
use engine::{affinity, clock, nic};
use std::thread;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn boot_ns() -> u64 {
    clock::boot_ns().cast_unsigned()
}

/// A run that begins soon, measured from the start.
fn soon(relay: &str, flows: u32, duration_ns: u64, ends: &Ends) -> Plan {
    let start_ns = boot_ns() + 300 * MS;
    let times = Times {
        start_ns,
        measured_ns: start_ns,
        end_ns: start_ns + duration_ns,
        slice_ns: duration_ns.div_ceil(20),
    };
    Plan { times, next_hop: ends.witness.mac(), ..plan(relay, flows, 32, 168) }
}

fn pace(gap_ns: f64, flows: u32) -> Pace {
    Pace { first_flow: 0, flows, phase_ns: 0, gap_ns, poisson: false, burst: 1, seed: 3 }
}

/// Both programs, with heads of four equal words; the far end tells a torn one.
fn open_whole(ends: &Ends, plan: &Plan) -> Load {
    let mut load = Load::open(&ends.near, plan).unwrap();
    for number in 0..plan.flows {
        let back = engine::xdp_load::Flow { to: address(plan, number), ..flow(plan, number) };
        load.set_flow(number, &back).unwrap();
        load.set_head(number, &whole_head(number, 0)).unwrap();
    }
    load.adopt_heads();
    load.attach().unwrap();
    load
}

fn whole_head(number: u32, generation: u64) -> Vec<u8> {
    (u64::from(number) << 32 | generation).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(4)
}

/// Runs all workers, each on a processor of its own.
fn run(load: &Load, workers: usize) {
    let cpus = affinity::allowed().unwrap();
    thread::scope(|scope| {
        for (worker, cpu) in cpus.into_iter().enumerate().take(workers) {
            let transmitter = load.transmitter(worker).unwrap();
            scope.spawn(move || {
                affinity::pin(&[cpu]).unwrap();
                transmitter.run().unwrap();
                assert_eq!(affinity::allowed().unwrap(), [cpu]);
            });
        }
    });
}

/// Waits for what is under way, which is nothing once two looks say the same.
fn settled(load: &Load) -> Counts {
    let mut before = load.glance().unwrap();
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = load.glance().unwrap();
        if now == before {
            return checked(load);
        }
        before = now;
    }
}

/// Everything sent arrived once, or was lost in a ring that says so.
fn assert_complete(ends: &Ends, counts: &Counts) {
    let (lost_there, lost_back) = (counts.transmit_errors, nic::transmit_drops(&ends.far));
    let sent = counts.sent + counts.invalid_sent.iter().sum::<u64>();
    let came = counts.arrived + counts.invalid_arrived;
    assert_eq!(sent, came + lost_there + lost_back, "{lost_there} and {lost_back} lost");
    assert_eq!((counts.duplicates, counts.reordered, counts.stale, counts.foreign), (0, 0, 0, 0));
    let seen = ends.seen();
    assert_eq!(seen.frames, sent - lost_there);
    assert_eq!((seen.wrong_ip, seen.wrong_udp, seen.torn), (0, 0, 0), "{seen:?}");
}

pub(crate) fn end_to_end() {
    for (letter, relay) in [('e', "192.0.2.9:3478"), ('f', "[2001:db8::9]:3478")] {
        let ends = Ends::new(letter);
        let mut plan = soon(relay, 300, S / 2, &ends);
        plan.payload_len = 171;
        plan.workers = vec![pace(20_000.0, 300)];
        let sample = |len: usize| (7, vec![0xee; 32], len);
        plan.faults = vec![
            Faults { share: 0.1, samples: vec![sample(31), sample(203), sample(77)] },
            Faults { share: 0.1, samples: vec![sample(1_473)] },
        ];
        let load = open_whole(&ends, &plan);
        run(&load, 1);
        assert!(boot_ns() >= plan.times.end_ns - 20_000, "not before everything was due");
        let counts = settled(&load);
        // A stalled machine may give datagrams up; it says so.
        assert_eq!(counts.due, 25_000);
        let sent = counts.sent + counts.invalid_sent.iter().sum::<u64>();
        assert!(sent <= 25_000 && sent > 0);
        assert!(counts.invalid_sent.iter().all(|count| *count > 0) && counts.invalid_arrived > 0);
        let front = if plan.relay.is_ipv4() { 42 } else { 62 };
        assert_eq!(ends.seen().longest, front + 1_473);
        assert_complete(&ends, &counts);
    }
}

pub(crate) fn two_workers() {
    let workers = affinity::allowed().unwrap().len().min(2);
    let ends = Ends::new('w');
    let mut plan = soon("192.0.2.9:3478", 1_000, S / 2, &ends);
    plan.workers = (0..workers as u32)
        .map(|worker| Pace { first_flow: worker * 500, burst: 4, phase_ns: 7, ..pace(100_000.0, 500) })
        .collect();
    let load = open_whole(&ends, &plan);
    run(&load, workers);
    let counts = settled(&load);
    assert_eq!(counts.due, 5_000 * 4 * workers as u64);
    let sent: Vec<u64> = (0..128).map(|cell| counts.cells[cell].0).collect();
    assert!(sent.iter().all(|count| *count > 0), "flows of every cell");
    assert_complete(&ends, &counts);
}

pub(crate) fn cut() {
    let ends = Ends::new('c');
    let mut plan = soon("192.0.2.9:3478", 10, 3_600 * S, &ends);
    plan.workers = vec![Pace { poisson: true, ..pace(50_000.0, 10) }, pace(1_000.0, 0)];
    let load = open_whole(&ends, &plan);
    thread::scope(|scope| {
        scope.spawn(|| run(&load, 1));
        while load.glance().unwrap().0 < 1_000 {
            thread::sleep(Duration::from_millis(5));
        }
        load.cut(boot_ns());
    });
    let counts = settled(&load);
    assert!(counts.sent >= 1_000 && counts.due >= counts.sent);
    assert_complete(&ends, &counts);
    let idle = load.transmitter(1).unwrap();
    idle.run().unwrap();
    assert_eq!(checked(&load), counts, "a worker without flows is done at once");
}

pub(crate) fn heads_are_never_torn() {
    let ends = Ends::new('t');
    let mut plan = soon("192.0.2.9:3478", 8, 3_600 * S, &ends);
    plan.times.start_ns = boot_ns();
    plan.times.measured_ns = plan.times.start_ns;
    plan.workers = vec![pace(3_000.0, 8)];
    let mut load = open_whole(&ends, &plan);
    let transmitter = load.transmitter(0).unwrap();
    let worker = thread::spawn(move || transmitter.run().unwrap());
    let (mut generation, mut sent) = (0, 0);
    while generation < 300 || sent < 20_000 {
        generation += 1;
        for number in 0..8 {
            load.set_head(number, &whole_head(number, generation)).unwrap();
        }
        load.adopt_heads();
        sent = load.glance().unwrap().0;
    }
    load.cut(boot_ns());
    worker.join().unwrap();
    assert_complete(&ends, &settled(&load));
}

pub(crate) fn give_up() {
    let ends = Ends::new('g');
    let mut plan = soon("192.0.2.9:3478", 10, 20 * MS, &ends);
    // More than any machine sends.
    plan.workers = vec![pace(1.0, 10)];
    let load = open_whole(&ends, &plan);
    run(&load, 1);
    let counts = settled(&load);
    assert_eq!(counts.due, 20 * MS, "every datagram was due");
    assert!(counts.sent > 0 && counts.sent < counts.due);
    assert_complete(&ends, &counts);
}
