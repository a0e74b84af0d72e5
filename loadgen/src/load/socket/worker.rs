//! One worker's thread in warm-up and measured phase: send what is due, take what came, wait precisely.
//!
//! ```text
//!   turn:  clock -> what is due, one sendmmsg a socket -> keepalives -> epoll -> one recvmmsg a ready socket
//! ```
//!
//! * Near the next intended time it spins, further away it sleeps in epoll; time spun is accounted apart.
//! * Shares with others only relaxed cells; allocates nothing once it runs.

#![deny(clippy::disallowed_types)]

use crate::error::Error;
use crate::load::shape::churn::Draws;
use crate::load::shape::config::Config;
use crate::load::shape::directory::Directory;
use crate::load::shape::endpoint::Endpoint;
use crate::load::shape::pairing::Pairs;
use crate::load::shape::phase::{BACKLOG_NS, Phase};
use crate::load::shape::stamp::{ProbeStamp, RunId};
use crate::load::socket::contacts::{Nonces, PROBE_LEN, write_probe};
use crate::load::socket::receiver::Receiver;
use crate::load::socket::sender::{Label, Sender, note_sent};
use crate::load::socket::station::{Station, now_ns};
use crate::load::watch::slices::Slices;
use crate::load::watch::tally::Tally;
use crate::random::Random;
use crate::usage::CpuTime;
use crossbeam::utils::CachePadded;
use engine::host::clock;
use engine::host::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What all workers of a run share, read only.
#[derive(Debug)]
pub struct Shared<'a> {
    /// What is meant.
    pub config: &'a Config,
    /// When.
    pub phase: &'a Phase,
    /// The run.
    pub run: RunId,
    /// Who is reached where.
    pub directory: &'a Directory,
    /// Pairs of each kind of flows, all workers together.
    pub of_kind: &'a [u64],
}

/// What a worker tells while it runs.
#[derive(Debug, Default)]
pub struct Live {
    /// Valid datagrams of the measured phase that the kernel took.
    pub sent: CachePadded<AtomicU64>,
    /// First sightings of them.
    pub arrived: CachePadded<AtomicU64>,
    /// Everything that the kernel took, PROBEs apart, warm-up included.
    pub taken: CachePadded<AtomicU64>,
    /// Everything that came in, warm-up included, answers to PROBEs apart.
    pub came: CachePadded<AtomicU64>,
    /// Answers to PROBEs.
    pub answers: CachePadded<AtomicU64>,
    /// The most that a datagram was late since whoever looks took this, ns.
    pub lag_ns: CachePadded<AtomicU64>,
    /// Datagrams that the worker's sockets dropped.
    pub overflows: CachePadded<AtomicU64>,
}

impl Live {
    /// Tells how it goes after a turn that did something.
    #[inline]
    fn tell(&self, tally: &Tally, receiver: &Receiver<'_>, (lag_ns, overflows): (u64, u64)) {
        self.sent.store(tally.sent, Relaxed);
        self.arrived.store(receiver.arrived(), Relaxed);
        self.taken.store(tally.taken, Relaxed);
        self.came.store(receiver.came(), Relaxed);
        self.answers.store(tally.answers, Relaxed);
        self.overflows.store(overflows, Relaxed);
        // Whoever takes the value between the two loses one of many.
        if lag_ns > self.lag_ns.load(Relaxed) {
            self.lag_ns.store(lag_ns, Relaxed);
        }
    }
}

/// One worker.
#[derive(Debug)]
pub struct Worker<'a> {
    config: &'a Config,
    phase: &'a Phase,
    run: RunId,
    nonces: Nonces,
    station: Station<Label>,
    endpoints: Vec<Endpoint>,
    sender: Sender<'a>,
    receiver: Receiver<'a>,
    keepalive: Keepalive,
    leaving: Draws,
    coming: Draws,
    clock: Clock,
    tally: Tally,
}

impl<'a> Worker<'a> {
    /// Takes everything a worker has.
    ///
    /// # Errors
    /// None in practice: the ranges of its histograms are constants.
    pub fn new(
        shared: &Shared<'a>,
        (number, nonces): (u32, Nonces),
        station: Station<Label>,
        endpoints: Vec<Endpoint>,
        pairs: Pairs,
    ) -> Result<Self, Error> {
        let Shared { config, phase, run, directory, of_kind } = *shared;
        let start_ns = phase.start_ns();
        let incoming = pairs.incoming;
        let pairs = Pairs { incoming: Vec::new(), ..pairs };
        let draws = |each_ns, purpose: u64| {
            let random = Random::new(config.traffic.seed, purpose + u64::from(number));
            Draws::new(each_ns, endpoints.len(), start_ns, random)
        };
        Ok(Worker {
            config,
            phase,
            run,
            nonces,
            station,
            keepalive: Keepalive::new(config.keepalive_ns, endpoints.len(), start_ns),
            leaving: draws(config.churn.map(|churn| churn.stay_ns), PURPOSE_LEAVING),
            coming: draws(config.churn.map(|churn| churn.away_ns), PURPOSE_COMING),
            sender: Sender::new(config, directory, pairs, (number, run), (start_ns, of_kind)),
            receiver: Receiver::new(config, (run, nonces), directory, incoming, number),
            endpoints,
            clock: Clock::start(),
            tally: Tally::new()?,
        })
    }

    /// Runs until the phase is over; what was counted.
    ///
    /// # Errors
    /// What the kernel says about the sockets.
    pub fn run(mut self, slices: &Slices, live: &Live) -> Result<Tally, Error> {
        let cpu = CpuTime::open();
        let overflows = self.station.overflows();
        let (mut cpu_start, mut cpu_end) = (None, None);
        let mut spinning_since: Option<u64> = None;
        loop {
            let turn_ns = now_ns();
            if let Some(since_ns) = spinning_since.take() {
                // A turn that took longer was interrupted, and that time is not this thread's.
                self.tally.spin_ns += turn_ns.saturating_sub(since_ns).min(LONGEST_SPIN_NS);
            }
            if self.phase.is_over(turn_ns) {
                break;
            }
            if turn_ns >= self.phase.measured_ns() && cpu_start.is_none() {
                cpu_start = Some(cpu.read_ns());
            }
            if turn_ns >= self.phase.end_ns() && cpu_end.is_none() {
                cpu_end = Some(cpu.read_ns());
            }
            let late_ns = turn_ns.saturating_sub(self.sender.next_ns().min(self.phase.end_ns()));
            let measuring = cpu_start.is_some() && cpu_end.is_none();
            let done = self.turn(turn_ns, slices).map_err(failed)?;
            if done == 0 {
                let spun = self.idle(turn_ns).map_err(failed)?;
                spinning_since = (spun && measuring).then_some(turn_ns);
            } else {
                let seen = (late_ns, self.station.overflows().saturating_sub(overflows));
                live.tell(&self.tally, &self.receiver, seen);
                self.tally.handled += if measuring { u64::from(done) } else { 0 };
            }
        }
        self.receive_last(slices).map_err(failed)?;
        self.sender.give_up(self.phase, &mut self.tally);
        let cpu_end = cpu_end.unwrap_or_else(|| cpu.read_ns());
        self.tally.cpu_ns = cpu_end.saturating_sub(cpu_start.unwrap_or(cpu_end));
        self.tally.overflows = self.station.overflows().saturating_sub(overflows);
        Ok(self.tally)
    }

    /// Sends what is due and receives what is there; the number of datagrams.
    #[inline]
    fn turn(&mut self, turn_ns: u64, slices: &Slices) -> std::io::Result<u32> {
        let mut done = 0;
        if turn_ns < self.phase.end_ns().saturating_add(BACKLOG_NS) {
            let boot_ns = i64::try_from(turn_ns).unwrap_or(i64::MAX);
            let now = (turn_ns, clock::unix_s(self.clock.offset_ns(), boot_ns));
            let Worker { sender, phase, station, endpoints, tally, .. } = self;
            done += sender.send_due(now, phase, station, endpoints, (tally, slices));
            done += self.churn(turn_ns);
            done += self.keep_alive(turn_ns);
            let Worker { station, tally, .. } = self;
            station.flush(&mut |sent| note_sent(tally, sent));
        }
        Ok(done + self.receive(slices)?)
    }

    /// Receives a batch of each socket that has something; the number of datagrams.
    #[inline]
    fn receive(&mut self, slices: &Slices) -> std::io::Result<u32> {
        let Worker { station, sender, receiver, phase, endpoints, tally, .. } = self;
        station.wait(Duration::ZERO)?;
        let outgoing = sender.outgoing();
        station.receive(&mut |arrival| {
            receiver.handle(arrival, phase, (endpoints, outgoing), (tally, slices));
        })
    }

    /// Receives what has come while this thread had no CPU: only what is in no socket at the end is lost.
    fn receive_last(&mut self, slices: &Slices) -> std::io::Result<()> {
        for _ in 0..MOST_LAST {
            if self.receive(slices)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Nothing was there to do: sleeps until shortly before the next intended time, or says that it is time to spin.
    #[inline]
    fn idle(&mut self, turn_ns: u64) -> std::io::Result<bool> {
        let ended = turn_ns >= self.phase.end_ns();
        let others_ns = self.keepalive.next_ns.min(self.leaving.next_ns()).min(self.coming.next_ns());
        let next_ns = if ended { u64::MAX } else { self.sender.next_ns().min(others_ns) };
        let milestone_ns =
            if turn_ns < self.phase.measured_ns() { self.phase.measured_ns() } else { u64::MAX };
        let gap_ns = next_ns.min(milestone_ns).saturating_sub(turn_ns);
        if gap_ns > SPIN_NS {
            let sleep_ms = ((gap_ns - SPIN_NS / 2) / NS_PER_MS).min(LONGEST_SLEEP_MS);
            self.station.wait(Duration::from_millis(sleep_ms))?;
            return Ok(false);
        }
        if self.config.traffic.single_cpu {
            // The reflector needs the same CPU: a spinning generator would only measure the scheduler.
            std::thread::yield_now();
        }
        Ok(true)
    }

    /// Endpoints leave and ask to come back; the number of PROBEs queued.
    #[inline]
    fn churn(&mut self, turn_ns: u64) -> u32 {
        while let Some(place) = self.leaving.due(turn_ns) {
            if let Some(endpoint) = self.endpoints.get_mut(place as usize).filter(|it| !it.is_away()) {
                endpoint.leave();
                self.tally.left += 1;
            }
        }
        let mut count = 0;
        while !self.station.is_full() {
            let Some(place) = self.coming.due(turn_ns) else { break };
            // Back it is when it has its answer; one that gets none is drawn again.
            if self.endpoints.get(place as usize).is_some_and(Endpoint::is_away) {
                count += self.ask(place, turn_ns);
            }
        }
        count
    }

    /// Queues the PROBEs that are due.
    #[inline]
    fn keep_alive(&mut self, turn_ns: u64) -> u32 {
        let mut count = 0;
        while self.keepalive.next_ns <= turn_ns && !self.station.is_full() {
            let place = self.keepalive.step();
            if self.endpoints.get(place as usize).is_some_and(|endpoint| !endpoint.is_away()) {
                count += self.ask(place, turn_ns);
            }
        }
        count
    }

    /// Queues the PROBE of an endpoint; how many were.
    #[inline]
    fn ask(&mut self, place: u32, turn_ns: u64) -> u32 {
        let relay = self.config.traffic.relay;
        let Some(endpoint) = self.endpoints.get_mut(place as usize) else { return 0 };
        let Ok(from) = endpoint.outbound(relay, turn_ns) else {
            self.tally.nat_outbound_refused += 1;
            return 0;
        };
        let stamp = ProbeStamp { nonce: self.nonces.of(place), endpoint: place };
        let run = self.run;
        let write = |bytes: &mut [u8]| write_probe(bytes, run, stamp);
        u32::from(self.station.queue((from, relay), Label::Keepalive, PROBE_LEN, write))
    }
}

/// Whose turn it is to keep its pinhole alive: one endpoint after the other, evenly spaced.
#[derive(Clone, Copy, Debug)]
struct Keepalive {
    next_ns: u64,
    gap_ns: u64,
    cursor: u32,
    endpoints: u32,
}

impl Keepalive {
    fn new(every_ns: u64, endpoints: usize, start_ns: u64) -> Self {
        let endpoints = u32::try_from(endpoints).unwrap_or(u32::MAX);
        let gap_ns = every_ns / u64::from(endpoints.max(1));
        let next_ns = if every_ns == 0 { u64::MAX } else { start_ns.saturating_add(gap_ns) };
        Self { next_ns, gap_ns: gap_ns.max(1), cursor: 0, endpoints }
    }

    #[inline]
    fn step(&mut self) -> u32 {
        let place = self.cursor;
        self.cursor = if place + 1 < self.endpoints { place + 1 } else { 0 };
        self.next_ns = self.next_ns.saturating_add(self.gap_ns);
        place
    }
}

#[allow(clippy::needless_pass_by_value)] // Called by map_err.
fn failed(error: std::io::Error) -> Error {
    Error::Runtime(format!("a socket of the generator failed: {error}"))
}

const PURPOSE_LEAVING: u64 = 0x500_0000;
const PURPOSE_COMING: u64 = 0x600_0000;
const NS_PER_MS: u64 = 1_000_000;
/// Nearer than this it spins: epoll sleeps whole milliseconds and wakes up to one late, ns.
const SPIN_NS: u64 = 2 * NS_PER_MS;
/// So often it looks whether the run was cut short, ms.
const LONGEST_SLEEP_MS: u64 = 20;
/// Batches that are received at the end: more than fit into the sockets.
const MOST_LAST: u32 = 1_000;
/// A turn without work takes one look at epoll, ns.
const LONGEST_SPIN_NS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalives_go_round_evenly() {
        let mut keepalive = Keepalive::new(1_000, 4, 10_000);
        let turns: Vec<(u64, u32)> = (0..6).map(|_| (keepalive.next_ns, keepalive.step())).collect();
        assert_eq!(turns, [(10_250, 0), (10_500, 1), (10_750, 2), (11_000, 3), (11_250, 0), (11_500, 1)]);
        assert_eq!(Keepalive::new(0, 4, 10_000).next_ns, u64::MAX);
    }
}
