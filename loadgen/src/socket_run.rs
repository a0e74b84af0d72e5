//! The load phase through sockets: one thread a worker, each sending and receiving.
//!
//! * Workers share nothing while they run but relaxed cells; this thread only looks at them a few times a second.
//! * An interrupt ends the phase soon; what was measured until then is kept.

use crate::config::Config;
use crate::contacts::PROBE_LEN;
use crate::crews::Crew;
use crate::error::Error;
use crate::fault::OVERSIZE;
use crate::pairing::Pairs;
use crate::phase::{LEAST_DRAIN_NS, Phase};
use crate::progress::{Seen, State, Surroundings};
use crate::slices::{self, Slices};
use crate::stamp::RunId;
use crate::station::{Station, now_ns};
use crate::summary::Measured;
use crate::tally::Tally;
use crate::threads::{GLANCE, join, pin};
use crate::worker::{Live, Shared, Worker};
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, ScopedJoinHandle};
use wire::{HEADER_LEN, TransportAddress};

/// All workers send and receive.
///
/// # Errors
/// A socket fails.
pub fn load(
    config: &Config,
    run: RunId,
    crews: Vec<Crew>,
    pairs: Vec<Pairs>,
    contacts: &[Option<TransportAddress>],
    surroundings: &mut Surroundings<'_>,
) -> Result<Measured, Error> {
    let traffic = &config.traffic;
    let slices: Vec<Slices> = crews.iter().map(|_| Slices::new(traffic.duration_ns)).collect();
    let lives: Vec<Live> = crews.iter().map(|_| Live::default()).collect();
    let phase = Phase::new(now_ns() + SETUP_NS, traffic.warmup_ns, traffic.duration_ns);
    let pair_count = pairs.iter().map(|pairs| pairs.outgoing.len() as u64).sum();
    let shared = Shared { config, phase: &phase, run, contacts, pair_count };
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
            supervise(&phase, &slices, &lives, surroundings);
        }
        threads.into_iter().map(join).collect()
    });
    let mut tally = Tally::new()?;
    for result in results {
        tally.add(&result?)?;
    }
    let series = slices::series(&slices.iter().collect::<Vec<_>>(), phase.elapsed_ns(u64::MAX));
    Ok(Measured { tally, series, phase })
}

fn load_one(
    shared: &Shared<'_>,
    crew: Crew,
    pairs: Pairs,
    (slices, live): (&Slices, &Live),
) -> Result<Tally, Error> {
    pin(&[crew.cpu])?;
    let longest = (HEADER_LEN + shared.config.traffic.payload).max(PROBE_LEN);
    let longest = if shared.config.faults.is_empty() { longest } else { longest.max(OVERSIZE) };
    let station = Station::open(crew.sockets, longest)
        .map_err(|error| Error::Runtime(format!("cannot wait for sockets: {error}")))?;
    Worker::new(shared, (crew.number, crew.nonces), station, crew.endpoints, pairs)?.run(slices, live)
}

/// One look at the workers: ends the run when it was interrupted or nothing more is expected, and tells how it goes.
fn supervise(phase: &Phase, slices: &[Slices], lives: &[Live], surroundings: &mut Surroundings<'_>) {
    let now = now_ns();
    if surroundings.interrupted.load(Relaxed) {
        phase.cut(now);
    }
    let sum = |cell: fn(&Live) -> u64| lives.iter().map(cell).sum::<u64>();
    let arrived = sum(|live| live.arrived.load(Relaxed));
    let sent = sum(|live| live.sent.load(Relaxed));
    if now > phase.end_ns().saturating_add(LEAST_DRAIN_NS) && arrived >= sent {
        phase.finish();
    }
    (surroundings.watch)(&State::Load { phase, seen: Seen::Slices(slices), now_ns: now });
}

/// Time for workers to take their memory before the first intended send, ns.
const SETUP_NS: u64 = 100_000_000;
