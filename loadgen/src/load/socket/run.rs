//! The load phase through sockets: one thread a worker, each sending and receiving.
//!
//! * Workers share nothing while they run but relaxed cells; this thread only looks at them a few times a second.
//! * An interrupt ends the phase soon; what was measured until then is kept.

use crate::error::Error;
use crate::load::shape::config::Config;
use crate::load::shape::directory::Directory;
use crate::load::shape::fault::OVERSIZE;
use crate::load::shape::pairing::Pairs;
use crate::load::shape::phase::{LEAST_DRAIN_NS, Phase};
use crate::load::shape::stamp::RunId;
use crate::load::socket::contacts::PROBE_LEN;
use crate::load::socket::crews::Crew;
use crate::load::socket::station::{Station, now_ns};
use crate::load::socket::threads::{GLANCE, join, pin};
use crate::load::socket::worker::{Live, Shared, Worker};
use crate::load::watch::events::{Expected, Pulse, Watchman};
use crate::load::watch::measured::Measured;
use crate::load::watch::slices;
use crate::load::watch::slices::Slices;
use crate::load::watch::state::{Load, Seen, State, Surroundings};
use crate::load::watch::tally::Tally;
use engine::host::clock;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, ScopedJoinHandle};
use wire::HEADER_LEN;

/// All workers send and receive.
///
/// # Errors
/// A socket fails.
pub fn load(
    config: &Config,
    run: RunId,
    crews: Vec<Crew>,
    pairs: Vec<Pairs>,
    directory: &Directory,
    surroundings: &mut Surroundings<'_>,
) -> Result<Measured, Error> {
    let traffic = &config.traffic;
    let slices: Vec<Slices> = crews.iter().map(|_| Slices::new(traffic.duration_ns)).collect();
    let lives: Vec<Live> = crews.iter().map(|_| Live::default()).collect();
    let phase = Phase::new(now_ns() + SETUP_NS, traffic.warmup_ns, traffic.duration_ns);
    let kinds = traffic.payload.kinds.len();
    let of_kind: Vec<u64> = (0..kinds)
        .map(|kind| {
            pairs.iter().filter_map(|pairs| pairs.of_kind.get(kind)).map(|count| u64::from(*count)).sum()
        })
        .collect();
    let shared = Shared { config, phase: &phase, run, directory, of_kind: &of_kind };
    let refused: f64 = config.faults.shares().map(|(_, share)| share).sum();
    let expected = if refused > MOST_REFUSED { Expected::Little } else { Expected::Answers };
    let mut watchman = Watchman::new(phase.measured_ns(), expected);
    let results: Vec<Result<Tally, Error>> = thread::scope(|scope| {
        let shared = &shared;
        let cells = slices.iter().zip(&lives);
        let threads: Vec<ScopedJoinHandle<'_, Result<Tally, Error>>> = crews
            .into_iter()
            .zip(pairs)
            .zip(cells)
            .map(|((crew, pairs), cells)| scope.spawn(move || load_one(shared, crew, pairs, cells)))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(GLANCE);
            let pulse = pulse(&lives);
            supervise(&phase, pulse, &lives, &mut watchman, surroundings.interrupted.load(Relaxed));
            let (seen, profile) = (Seen::Slices(&slices), &traffic.profile);
            let state = Load { phase: &phase, seen, pulse, profile, events: watchman.events() };
            (surroundings.watch)(&State::Load(state));
        }
        threads.into_iter().map(join).collect()
    });
    let mut tally = Tally::new()?;
    for result in results {
        tally.add(&result?)?;
    }
    let series = slices::series(&slices.iter().collect::<Vec<_>>(), phase.elapsed_ns(u64::MAX));
    Ok(Measured { tally, series, phase, watched: watchman.end(pulse(&lives)) })
}

fn load_one(
    shared: &Shared<'_>,
    crew: Crew,
    pairs: Pairs,
    (slices, live): (&Slices, &Live),
) -> Result<Tally, Error> {
    pin(&[crew.cpu])?;
    let longest = (HEADER_LEN + shared.config.traffic.payload.longest()).max(PROBE_LEN);
    let longest = if shared.config.faults.is_empty() { longest } else { longest.max(OVERSIZE) };
    let station = Station::open(crew.sockets, longest)
        .map_err(|error| Error::Runtime(format!("cannot wait for sockets: {error}")))?;
    Worker::new(shared, (crew.number, crew.nonces), station, crew.endpoints, pairs)?.run(slices, live)
}

/// The sums of all workers.
fn pulse(lives: &[Live]) -> Pulse {
    let sum = |cell: fn(&Live) -> u64| lives.iter().map(cell).sum::<u64>();
    Pulse {
        at_ns: now_ns(),
        taken: sum(|live| live.taken.load(Relaxed)),
        came: sum(|live| live.came.load(Relaxed)),
        answers: sum(|live| live.answers.load(Relaxed)),
        lag_ns: lives.iter().map(|live| live.lag_ns.swap(0, Relaxed)).max().unwrap_or(0),
        overflows: sum(|live| live.overflows.load(Relaxed)),
        offset_ns: clock::realtime_ns().saturating_sub(clock::boot_ns()),
    }
}

/// One look at the workers: ends the run when it was interrupted, makes no sense, or nothing more is expected.
fn supervise(phase: &Phase, pulse: Pulse, lives: &[Live], watchman: &mut Watchman, is_interrupted: bool) {
    let now = pulse.at_ns;
    if now < phase.end_ns() {
        watchman.look(pulse);
    }
    if is_interrupted || watchman.is_refused() {
        phase.cut(now);
    }
    let sum = |cell: fn(&Live) -> u64| lives.iter().map(cell).sum::<u64>();
    let arrived = sum(|live| live.arrived.load(Relaxed));
    let sent = sum(|live| live.sent.load(Relaxed));
    if now > phase.end_ns().saturating_add(LEAST_DRAIN_NS) && arrived >= sent {
        phase.finish();
    }
}

/// The part of wrong datagrams above which nothing has to come back.
const MOST_REFUSED: f64 = 0.9;
/// Time for workers to take their memory before the first intended send, ns.
const SETUP_NS: u64 = 100_000_000;
