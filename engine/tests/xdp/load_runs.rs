//! Whole runs of the generator over a veth: everything that is sent comes back from the other end, once.
//!
//! * The far end's program verifies every checksum and head, then sends the frame back.
//! * A busy machine may lose frames in a veth's rings; such losses are counted by the driver, and so by these tests.

use crate::links::apart;
use crate::load::{Ends, S, address, checked, flow, plan};
use engine::host::{affinity, clock, nic};
use engine::load::{Counts, Faults, Load, Pace, Plan, Sample, Times};
use harness::{PATIENCE, wait_until, wait_until_or};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const MS: u64 = 1_000_000;

fn boot_ns() -> u64 {
    clock::boot_ns().cast_unsigned()
}

/// A plan that begins when this time has passed, measured from the start.
fn begun_after(delay_ns: u64, relay: &str, flows: u32, duration_ns: u64, ends: &Ends) -> Plan {
    let start_ns = boot_ns() + delay_ns;
    let times = Times {
        start_ns,
        measured_ns: start_ns,
        end_ns: start_ns + duration_ns,
        slice_ns: duration_ns.div_ceil(20),
    };
    Plan { times, next_hop: ends.witness.mac(), ..plan(relay, flows, 32, 168) }
}

/// Does `attempt` with new ends until it says that its run counts: one that the machine held up does not.
///
/// It is given the time to prepare the run in, ns, each time more.
fn until_it_counts(attempt: impl Fn(u64, &Ends) -> bool + Sync) {
    let delays_ns = (0..7).map(|number| (300 * MS) << number);
    let counts = delays_ns.into_iter().any(|delay_ns| apart(|| attempt(delay_ns, &Ends::new())));
    assert!(counts, "every run was held up by the machine");
}

fn pace(gap_ns: f64, flows: u32) -> Pace {
    Pace { first_flow: 0, flows, phase_ns: 0, gap_ns, poisson: false, burst: 1, seed: 3 }
}

/// Both programs, with heads of four equal words; the far end tells a torn one.
fn open_whole(ends: &Ends, plan: &Plan) -> Load {
    let mut load = Load::open(&ends.near, plan).unwrap();
    for number in 0..plan.flows {
        let back = engine::load::Flow { to: address(plan, number), ..flow(plan, number) };
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

/// Waits until all that was sent has arrived or is counted as lost, and then until nothing more comes.
fn settled(load: &Load, ends: &Ends) -> Counts {
    let balance = || {
        // Parts and sums agree only when nothing is counted meanwhile.
        let counts = load.counts().unwrap();
        let lost = counts.transmit_errors + nic::transmit_drops(&ends.far);
        (all_sent(&counts), counts.arrived + counts.invalid_arrived + lost)
    };
    let all_there = || {
        let (sent, known) = balance();
        sent <= known
    };
    wait_until_or(all_there, || {
        let (counts, seen) = (load.counts().unwrap(), ends.seen());
        let others = [counts.duplicates, counts.reordered, counts.stale, counts.late, counts.foreign];
        format!("sent, and arrived or lost: {:?}; {others:?}; the far end: {seen:?}", balance())
    });
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

fn all_sent(counts: &Counts) -> u64 {
    counts.sent + counts.invalid_sent.iter().sum::<u64>()
}

/// Whether so much of what was due was sent that the run says what it should: a machine that is held up gives up the rest.
fn is_mostly_sent(counts: &Counts) -> bool {
    2 * all_sent(counts) > counts.due
}

/// A run of the first worker that goes on until it is told to end, also when the test fails.
struct Running {
    load: Load,
    worker: Option<JoinHandle<()>>,
}

impl Running {
    fn start(load: Load) -> Self {
        let transmitter = load.transmitter(0).unwrap();
        let worker = thread::spawn(move || transmitter.run().unwrap());
        Self { load, worker: Some(worker) }
    }

    fn sent(&self) -> u64 {
        assert!(self.worker.as_ref().is_some_and(|worker| !worker.is_finished()), "the run has ended");
        self.load.glance().unwrap().0
    }

    /// Ends it; whether the end was told before it came, without which some of what was sent counts as lost.
    fn end_in_time(&mut self) -> bool {
        let in_time = boot_ns() < self.load.cut(boot_ns() + 200 * MS);
        self.worker.take().unwrap().join().unwrap();
        in_time
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.load.cut(boot_ns());
        // If it has panicked, the test has failed already.
        let _ = self.worker.take().map(JoinHandle::join);
    }
}

/// Everything sent arrived once, or was lost in a ring that says so.
fn assert_complete(ends: &Ends, counts: &Counts) {
    let (lost_there, lost_back) = (counts.transmit_errors, nic::transmit_drops(&ends.far));
    let sent = all_sent(counts);
    let came = counts.arrived + counts.invalid_arrived;
    assert_eq!(sent, came + lost_there + lost_back, "{lost_there} and {lost_back} lost");
    assert_eq!((counts.duplicates, counts.reordered, counts.stale, counts.foreign), (0, 0, 0, 0));
    let seen = ends.seen();
    assert_eq!(seen.frames, sent - lost_there);
    assert_eq!((seen.wrong_ip, seen.wrong_udp, seen.torn), (0, 0, 0), "{seen:?}");
}

pub(crate) fn end_to_end() {
    for relay in ["192.0.2.9:3478", "[2001:db8::9]:3478"] {
        until_it_counts(|delay_ns, ends| {
            let mut plan = begun_after(delay_ns, relay, 300, S / 2, ends);
            plan.payload_len = 171;
            plan.workers = vec![pace(20_000.0, 300)];
            let sample = |len: usize| Sample { flow: 7, head: vec![0xee; 32], len };
            plan.faults = vec![
                Faults { share: 0.1, samples: vec![sample(31), sample(203), sample(77)] },
                Faults { share: 0.1, samples: vec![sample(1_473)] },
            ];
            let load = open_whole(ends, &plan);
            run(&load, 1);
            assert!(boot_ns() >= plan.times.end_ns - 20_000, "not before everything was due");
            let counts = settled(&load, ends);
            assert_complete(ends, &counts);
            assert_eq!(counts.due, 25_000);
            assert!(all_sent(&counts) <= 25_000);
            if !is_mostly_sent(&counts) {
                return false;
            }
            assert!(counts.invalid_sent.iter().all(|count| *count > 0) && counts.invalid_arrived > 0);
            let front = if plan.relay.is_ipv4() { 42 } else { 62 };
            assert_eq!(ends.seen().longest, front + 1_473);
            true
        });
    }
}

pub(crate) fn two_workers() {
    until_it_counts(|delay_ns, ends| {
        let workers = affinity::allowed().unwrap().len().min(2);
        let mut plan = begun_after(delay_ns, "192.0.2.9:3478", 1_000, S / 2, ends);
        plan.workers = (0..workers as u32)
            .map(|worker| Pace { first_flow: worker * 500, burst: 4, phase_ns: 7, ..pace(100_000.0, 500) })
            .collect();
        let load = open_whole(ends, &plan);
        run(&load, workers);
        let counts = settled(&load, ends);
        assert_complete(ends, &counts);
        assert_eq!(counts.due, 5_000 * 4 * workers as u64);
        if !is_mostly_sent(&counts) {
            return false;
        }
        let sent: Vec<u64> = (0..128).map(|cell| counts.cells[cell].0).collect();
        assert!(sent.iter().all(|count| *count > 0), "flows of every cell");
        true
    });
}

pub(crate) fn cut() {
    until_it_counts(|delay_ns, ends| {
        let mut plan = begun_after(delay_ns, "192.0.2.9:3478", 10, 3_600 * S, ends);
        plan.workers = vec![Pace { poisson: true, ..pace(50_000.0, 10) }, pace(1_000.0, 0)];
        let mut running = Running::start(open_whole(ends, &plan));
        wait_until("the run does not come to 1000 datagrams", || running.sent() >= 1_000);
        if !running.end_in_time() {
            return false;
        }
        let counts = settled(&running.load, ends);
        assert!(counts.sent >= 1_000 && counts.due >= counts.sent);
        assert_complete(ends, &counts);
        let idle = running.load.transmitter(1).unwrap();
        idle.run().unwrap();
        assert_eq!(checked(&running.load), counts, "a worker without flows is done at once");
        true
    });
}

pub(crate) fn heads_are_never_torn() {
    until_it_counts(|_, ends| {
        let mut plan = begun_after(0, "192.0.2.9:3478", 8, 3_600 * S, ends);
        plan.workers = vec![pace(3_000.0, 8)];
        let mut running = Running::start(open_whole(ends, &plan));
        let (mut generation, started) = (0, Instant::now());
        while generation < 300 || running.sent() < 20_000 {
            assert!(started.elapsed() < PATIENCE, "generation {generation}, {} sent", running.sent());
            generation += 1;
            for number in 0..8 {
                running.load.set_head(number, &whole_head(number, generation)).unwrap();
            }
            running.load.adopt_heads();
        }
        let in_time = running.end_in_time();
        if in_time {
            assert_complete(ends, &settled(&running.load, ends));
        }
        in_time
    });
}

pub(crate) fn give_up() {
    until_it_counts(|delay_ns, ends| {
        let mut plan = begun_after(delay_ns, "192.0.2.9:3478", 10, 20 * MS, ends);
        // More than any machine sends.
        plan.workers = vec![pace(1.0, 10)];
        let load = open_whole(ends, &plan);
        run(&load, 1);
        let counts = settled(&load, ends);
        assert_eq!(counts.due, 20 * MS, "every datagram was due");
        assert!(counts.sent < counts.due);
        assert_complete(ends, &counts);
        counts.sent > 0
    });
}
