//! A run from beginning to end: sockets, endpoints, contacts, load, drain, report.
//!
//! ```text
//!   open sockets -> population -> contacts (threads) -> pairs -> warm-up, measured phase, drain (threads) -> report
//! ```
//!
//! * Workers share nothing while they run but relaxed cells; this thread only looks at them a few times a second.
//! * An interrupt ends any phase soon; what was measured until then is kept.

use crate::config::Config;
use crate::contacts::{Asking, Nonces, Obtained, PROBE_LEN, obtain};
use crate::endpoint::{self, Endpoint};
use crate::error::Error;
use crate::fault::OVERSIZE;
use crate::pairing::{self, Pairs};
use crate::phase::Phase;
use crate::plan::Plan;
use crate::progress::State;
use crate::random::Random;
use crate::report::{Contacts, Report};
use crate::slices::Slices;
use crate::stamp::RunId;
use crate::station::{Sockets, Station, now_ns};
use crate::summary::{self, Findings};
use crate::tally::Tally;
use crate::usage;
use crate::worker::{Live, Shared, Worker};
use engine::{affinity, clock};
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;
use wire::mint::TicketError;
use wire::{HEADER_LEN, TransportAddress};

/// What a run does with the rest of the program: when to stop, and whom to tell how it goes.
pub struct Surroundings<'a> {
    /// Set by a signal: finish early, keep what there is.
    pub interrupted: &'a AtomicBool,
    /// Random bits of this very run, from the kernel: they keep other runs' datagrams apart.
    pub entropy: u64,
    /// Called a few times a second.
    pub watch: &'a mut dyn FnMut(&State<'_>),
}

/// Runs; the report, and the latency histogram that it holds in another form.
///
/// # Errors
/// Nobody answers, the ring is another reflector's, a socket fails.
pub fn run(config: &Config, surroundings: &mut Surroundings<'_>) -> Result<(Report, Histogram<u64>), Error> {
    let rss_before = usage::rss_bytes();
    let plan = Plan::new(config.endpoints, &config.mix, config.pattern, config.seed);
    let mut entropy = Random::new(surroundings.entropy, 0);
    let run = RunId::new(entropy.next_u64());
    let mut crews = Vec::new();
    for (number, cpu) in (0..).zip(&config.cpus) {
        let sockets = Sockets::open(config.reflector.is_ipv4())?;
        let endpoints = endpoint::population(config, &plan, number, &sockets.ports())?;
        crews.push(Crew { number, cpu: *cpu, nonces: Nonces::new(entropy.next_u64()), sockets, endpoints });
    }
    let receive_buffer_bytes = crews.iter().map(|crew| crew.sockets.receive_buffer()).min().unwrap_or(0);
    let (crews, contacts, asked) = ask_all(config, run, crews, surroundings)?;
    let pairs = pairing::split(&plan, &contacts, config.workers());
    drop(plan);
    let pair_count = pairs.iter().map(|pairs| pairs.outgoing.len()).sum();
    let rss_built = usage::rss_bytes();
    let load = load_all(config, run, crews, pairs, &contacts, surroundings)?;
    let findings = Findings {
        config,
        pair_count,
        contacts: asked,
        load,
        interrupted: surroundings.interrupted.load(Relaxed),
        rss_bytes: usage::peak_rss_bytes(),
        built_bytes: rss_built.saturating_sub(rss_before),
        receive_buffer_bytes,
    };
    let report = summary::report(&findings)?;
    Ok((report, findings.load.tally.latency))
}

/// What the load phase brought.
#[derive(Debug)]
pub struct Load {
    /// All workers together.
    pub tally: Tally,
    /// Slices of each worker.
    pub slices: Vec<Slices>,
    /// Real length of the measured phase, ns.
    pub elapsed_ns: u64,
    /// Unix seconds at its start.
    pub started_unix_s: u64,
    /// How far the system clock moved against boot time, ns.
    pub clock_step_ns: u64,
}

/// What belongs to one worker between its phases.
#[derive(Debug)]
struct Crew {
    number: u32,
    cpu: usize,
    nonces: Nonces,
    sockets: Sockets,
    endpoints: Vec<Endpoint>,
}

type Asked = (Vec<Crew>, Vec<Option<TransportAddress>>, Contacts);

/// All workers obtain contacts; the contacts in the order of the plan.
fn ask_all(
    config: &Config,
    run: RunId,
    crews: Vec<Crew>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Asked, Error> {
    let start_ns = now_ns();
    let counts: Vec<AtomicU32> = crews.iter().map(|_| AtomicU32::new(0)).collect();
    let gap_ns = probe_gap_ns(config);
    let interrupted = surroundings.interrupted;
    let results: Vec<Result<(Crew, Obtained), Error>> = thread::scope(|scope| {
        let threads: Vec<ScopedJoinHandle<'_, Result<(Crew, Obtained), Error>>> = crews
            .into_iter()
            .zip(&counts)
            .map(|(crew, obtained)| {
                let asking = Asking {
                    reflector: config.reflector,
                    ring: &config.ring,
                    run,
                    nonces: crew.nonces,
                    gap_ns,
                    interrupted,
                    obtained,
                };
                scope.spawn(move || ask_one(crew, &asking))
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(GLANCE);
            let obtained = counts.iter().map(|count| count.load(Relaxed)).sum();
            (surroundings.watch)(&State::Contacts { obtained, endpoints: config.endpoints });
        }
        threads.into_iter().map(join).collect()
    });
    let mut crews = Vec::new();
    let mut all: Vec<Obtained> = Vec::new();
    for result in results {
        let (crew, obtained) = result?;
        crews.push(crew);
        all.push(obtained);
    }
    let obtained = all.iter().map(Obtained::count).sum::<usize>();
    let obtained = u32::try_from(obtained).unwrap_or(u32::MAX);
    let asked = Contacts {
        obtained,
        missing: config.endpoints.saturating_sub(obtained),
        probes: all.iter().map(|each| each.probes).sum(),
        elapsed_ns: now_ns().saturating_sub(start_ns),
    };
    if !interrupted.load(Relaxed) {
        judge_contacts(config, &asked, all.iter().find_map(|each| each.refused))?;
    }
    let contacts: Vec<_> = all.into_iter().map(|each| each.contacts).collect();
    Ok((crews, pairing::contacts_in_order(&contacts), asked))
}

fn ask_one(mut crew: Crew, asking: &Asking<'_>) -> Result<(Crew, Obtained), Error> {
    pin(crew.cpu)?;
    let mut station = Station::open(crew.sockets, PROBE_LEN).map_err(failed)?;
    let obtained = obtain(&mut station, &mut crew.endpoints, asking)?;
    crew.sockets = station.into_sockets();
    Ok((crew, obtained))
}

/// Whether enough endpoints have a contact to go on, or what to do about it.
fn judge_contacts(config: &Config, asked: &Contacts, refused: Option<TicketError>) -> Result<(), Error> {
    let (reflector, external) = (config.reflector, config.external);
    if asked.obtained == 0 {
        return Err(match refused {
            Some(TicketError::Expired) => Error::Configuration(format!(
                "{reflector} answers with tickets out of time: set both hosts' clocks (`timedatectl`), they differ by a minute or more"
            )),
            Some(error) => Error::Configuration(format!(
                "{reflector} answers, but its tickets prove nothing under this ring ({error}): is --keys the ring of the reflector?"
            )),
            None => Error::Runtime(format!(
                "nothing answers at {reflector} ({} PROBEs): is it running, and does it take sources in {external} (`--allow-destination {external}`)?",
                asked.probes
            )),
        });
    }
    if u64::from(asked.missing) * 10 > u64::from(config.endpoints) {
        return Err(Error::Runtime(format!(
            "only {} of {} endpoints got an answer from {reflector}: raise its --probe-budget or choose a larger --external block, which spreads PROBEs over more prefixes",
            asked.obtained, config.endpoints
        )));
    }
    Ok(())
}

/// All workers send and receive.
fn load_all(
    config: &Config,
    run: RunId,
    crews: Vec<Crew>,
    pairs: Vec<Pairs>,
    contacts: &[Option<TransportAddress>],
    surroundings: &mut Surroundings<'_>,
) -> Result<Load, Error> {
    let slices: Vec<Slices> = crews.iter().map(|_| Slices::new(config.duration_ns)).collect();
    let lives: Vec<Live> = crews.iter().map(|_| Live::default()).collect();
    let phase = Phase::new(now_ns() + SETUP_NS, config.warmup_ns, config.duration_ns);
    let offset_before = clock_offset_ns();
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
    let started_ns = i64::try_from(phase.measured_ns()).unwrap_or(i64::MAX);
    Ok(Load {
        tally,
        slices,
        elapsed_ns: phase.elapsed_ns(u64::MAX),
        started_unix_s: u64::from(clock::unix_s(offset_before, started_ns)),
        clock_step_ns: clock_offset_ns().abs_diff(offset_before),
    })
}

fn load_one(
    shared: &Shared<'_>,
    crew: Crew,
    pairs: Pairs,
    (slices, live): (&Slices, &Live),
) -> Result<Tally, Error> {
    pin(crew.cpu)?;
    let longest = (HEADER_LEN + shared.config.payload).max(PROBE_LEN);
    let longest = if shared.config.faults.is_empty() { longest } else { longest.max(OVERSIZE) };
    let station = Station::open(crew.sockets, longest).map_err(failed)?;
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
    (surroundings.watch)(&State::Load { phase, slices, now_ns: now });
}

/// The pace of PROBEs of one worker, ns apart: half of what a reflector budgets for each prefix, and not too fast.
fn probe_gap_ns(config: &Config) -> u64 {
    let prefixes = config.addresses().prefixes_of(u64::from(config.endpoints));
    let rate_per_s = prefixes.saturating_mul(PROBES_PER_PREFIX_S).min(MOST_PROBES_S);
    u64::from(config.workers()) * NS_PER_S / rate_per_s.max(1)
}

fn pin(cpu: usize) -> Result<(), Error> {
    affinity::pin(&[cpu]).map_err(|error| Error::Runtime(format!("cannot stay on CPU {cpu}: {error}")))
}

/// Unix time less boot time, ns.
fn clock_offset_ns() -> i64 {
    clock::realtime_ns().saturating_sub(clock::boot_ns())
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|_| {
        Err(Error::Runtime("a worker thread died; this is a fault of the generator".to_owned()))
    })
}

#[allow(clippy::needless_pass_by_value)] // Called by map_err.
fn failed(error: std::io::Error) -> Error {
    Error::Runtime(format!("cannot wait for sockets: {error}"))
}

const NS_PER_S: u64 = 1_000_000_000;
/// Between two looks at the workers.
const GLANCE: Duration = Duration::from_millis(50);
/// Time for workers to take their memory before the first intended send, ns.
const SETUP_NS: u64 = 100_000_000;
/// Duplicates and invalid datagrams are waited for at least so long, ns.
const LEAST_DRAIN_NS: u64 = 200_000_000;
/// A reflector's default budget is 4,000 a second for each /24 or /48, in buckets that prefixes may have to share.
const PROBES_PER_PREFIX_S: u64 = 2_000;
const MOST_PROBES_S: u64 = 40_000;
