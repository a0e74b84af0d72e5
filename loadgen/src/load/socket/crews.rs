//! The workers between their phases: sockets, endpoints, and the contacts that these obtain.
//!
//! * Each worker asks for its own endpoints, on a thread and a CPU of its own; this thread only counts.
//! * Sockets stay open from first to last, so that no external port changes hands.

use crate::error::Error;
use crate::load::shape::config::Config;
use crate::load::shape::endpoint;
use crate::load::shape::endpoint::Endpoint;
use crate::load::shape::pairing;
use crate::load::shape::plan::Plan;
use crate::load::shape::stamp::RunId;
use crate::load::socket::contacts::{Asking, Nonces, Obtained, PROBE_LEN, obtain};
use crate::load::socket::station::{Sockets, Station, now_ns};
use crate::load::socket::threads;
use crate::load::socket::threads::{GLANCE, join};
use crate::load::watch::state::{State, Surroundings};
use crate::random::Random;
use results::run::Contacts;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use wire::TransportAddress;
use wire::mint::TicketError;

/// What belongs to one worker between its phases.
#[derive(Debug)]
pub struct Crew {
    /// The worker's number.
    pub number: u32,
    /// Its CPU.
    pub cpu: usize,
    /// What the nonces of its PROBEs are made from.
    pub nonces: Nonces,
    /// Its sockets.
    pub sockets: Sockets,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// Sockets and endpoints of every worker.
///
/// # Errors
/// What the kernel says about the sockets.
pub fn gather(config: &Config, plan: &Plan, entropy: &mut Random) -> Result<Vec<Crew>, Error> {
    let mut crews = Vec::new();
    for (number, cpu) in (0..).zip(&config.traffic.cpus) {
        let sockets = Sockets::open(config.traffic.relay.is_ipv4())?;
        let endpoints = endpoint::population(config, plan, number, &sockets.ports())?;
        crews.push(Crew { number, cpu: *cpu, nonces: Nonces::new(entropy.next_u64()), sockets, endpoints });
    }
    Ok(crews)
}

/// The external transport address of every endpoint towards the relay, in the order of the plan; `None` for one whose
/// NAT lets nobody out.
pub fn externals(crews: &mut [Crew], relay: SocketAddr) -> Vec<Option<SocketAddr>> {
    let now = now_ns();
    let of_crew = |crew: &mut Crew| -> Vec<Option<SocketAddr>> {
        crew.endpoints.iter_mut().map(|endpoint| endpoint.outbound(relay, now).ok()).collect()
    };
    let workers: Vec<Vec<Option<SocketAddr>>> = crews.iter_mut().map(of_crew).collect();
    pairing::in_order(&workers)
}

/// What the contacts phase brings.
#[derive(Debug)]
pub struct Asked {
    /// The workers, with mappings in their endpoints' NATs.
    pub crews: Vec<Crew>,
    /// The contact of every endpoint, in the order of the plan.
    pub contacts: Vec<Option<TransportAddress>>,
    /// How it went.
    pub told: Contacts,
}

/// All workers obtain contacts.
///
/// # Errors
/// Nobody answers, the ring is another reflector's, a socket fails.
pub fn ask_all(
    config: &Config,
    run: RunId,
    crews: Vec<Crew>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Asked, Error> {
    let start_ns = now_ns();
    let results = ask_together(config, run, crews, surroundings);
    let (mut crews, mut all) = (Vec::new(), Vec::new());
    for result in results {
        let (crew, obtained) = result?;
        crews.push(crew);
        all.push(obtained);
    }
    let obtained = all.iter().map(Obtained::count).sum::<usize>();
    let obtained = u32::try_from(obtained).unwrap_or(u32::MAX);
    let told = Contacts {
        obtained,
        missing: config.endpoints.saturating_sub(obtained),
        probes: all.iter().map(|each| each.probes).sum(),
        elapsed_ns: now_ns().saturating_sub(start_ns),
    };
    if !surroundings.interrupted.load(Relaxed) {
        judge(config, &told, all.iter().find_map(|each| each.refused))?;
    }
    let contacts: Vec<_> = all.into_iter().map(|each| each.contacts).collect();
    Ok(Asked { crews, contacts: pairing::in_order(&contacts), told })
}

fn ask_together(
    config: &Config,
    run: RunId,
    crews: Vec<Crew>,
    surroundings: &mut Surroundings<'_>,
) -> Vec<Result<(Crew, Obtained), Error>> {
    let counts: Vec<AtomicU32> = crews.iter().map(|_| AtomicU32::new(0)).collect();
    let gap_ns = probe_gap_ns(config);
    let interrupted: &AtomicBool = surroundings.interrupted;
    thread::scope(|scope| {
        let threads: Vec<ScopedJoinHandle<'_, Result<(Crew, Obtained), Error>>> = crews
            .into_iter()
            .zip(&counts)
            .map(|(crew, obtained)| {
                let asking = Asking {
                    reflector: config.traffic.relay,
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
    })
}

fn ask_one(mut crew: Crew, asking: &Asking<'_>) -> Result<(Crew, Obtained), Error> {
    threads::pin(&[crew.cpu])?;
    let mut station = Station::open(crew.sockets, PROBE_LEN)
        .map_err(|error| Error::Runtime(format!("cannot wait for sockets: {error}")))?;
    let obtained = obtain(&mut station, &mut crew.endpoints, asking)?;
    crew.sockets = station.into_sockets();
    Ok((crew, obtained))
}

/// Whether enough endpoints have a contact to go on, or what to do about it.
fn judge(config: &Config, told: &Contacts, refused: Option<TicketError>) -> Result<(), Error> {
    let (reflector, external) = (config.traffic.relay, config.external);
    if told.obtained == 0 {
        return Err(match refused {
            Some(TicketError::Expired) => Error::Configuration(format!(
                "{reflector} answers with tickets out of time: set both hosts' clocks (`timedatectl`), they differ by a minute or more"
            )),
            Some(_) => Error::Configuration(format!(
                "{reflector} answers, but not with tickets of this ring, so that it would refuse every SEND: is --keys the ring of the reflector?"
            )),
            None => Error::Runtime(format!(
                "nothing answers at {reflector} ({} PROBEs): is it running, and does it take sources in {external} (`--allow-destination {external}`)?",
                told.probes
            )),
        });
    }
    if u64::from(told.missing) * 10 > u64::from(config.endpoints) {
        return Err(Error::Runtime(format!(
            "only {} of {} endpoints got an answer from {reflector}: raise its --probe-budget or choose a larger --external block, which spreads PROBEs over more prefixes",
            told.obtained, config.endpoints
        )));
    }
    Ok(())
}

/// The pace of PROBEs of one worker, ns apart: half of what a reflector budgets for each prefix, and not too fast.
fn probe_gap_ns(config: &Config) -> u64 {
    let prefixes = config.addresses().prefixes_of(u64::from(config.endpoints));
    let rate_per_s = prefixes.saturating_mul(PROBES_PER_PREFIX_S).min(MOST_PROBES_S);
    u64::from(config.workers()) * NS_PER_S / rate_per_s.max(1)
}

const NS_PER_S: u64 = 1_000_000_000;
/// A reflector's default budget is 4,000 a second for each /24 or /48, in buckets that prefixes may have to share.
const PROBES_PER_PREFIX_S: u64 = 2_000;
const MOST_PROBES_S: u64 = 40_000;
