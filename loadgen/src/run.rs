//! A run from beginning to end: who talks, the load through the engine that was chosen, the report.
//!
//! ```text
//!   endpoints: population -> contacts -> pairs --+--> load/socket --+--> report/summary
//!                                                `--> load/xdp -----+
//!   flows:     ready ---------------------------------> load/xdp ---'
//! ```
//!
//! * The one place where engines differ is the load phase; both bring the same numbers.
//! * An interrupt ends any phase soon; what was measured until then is kept.

use crate::error::Error;
use crate::load::shape::config::{Config, Engine};
use crate::load::shape::directory::Directory;
use crate::load::shape::fault::FaultMix;
use crate::load::shape::job::Job;
use crate::load::shape::pairing::{self, Sealing};
use crate::load::shape::plan::Plan;
use crate::load::shape::stamp::RunId;
use crate::load::socket;
use crate::load::socket::crews;
use crate::load::socket::crews::Asked;
use crate::load::socket::station::SOCKETS;
use crate::load::watch::measured::Measured;
use crate::load::watch::state::Surroundings;
use crate::load::xdp;
use crate::load::xdp::flows::{Flows, Minted};
use crate::load::xdp::ready::Ready;
use crate::load::xdp::run::Rehearsal;
use crate::random::Random;
use crate::report::summary;
use crate::report::summary::Findings;
use crate::usage;
use engine::host::clock;
use engine::load::Arriving;
use hdrhistogram::Histogram;
use results::run::{Contacts, Report};
use std::sync::atomic::Ordering::Relaxed;
use wire::HEADER_LEN;

/// Runs; the report, and the latency histogram that it holds in another form.
///
/// # Errors
/// Nobody answers, the ring is another reflector's, a socket or an XDP program fails.
pub fn run(job: &Job, surroundings: &mut Surroundings<'_>) -> Result<(Report, Histogram<u64>), Error> {
    let offset_before = clock_offset_ns();
    let findings = match job {
        Job::Endpoints(config) => endpoints(config, surroundings)?,
        Job::Flows(ready) => flows(ready, surroundings)?,
    };
    let started_ns = i64::try_from(findings.measured.phase.measured_ns()).unwrap_or(i64::MAX);
    let findings = Findings {
        interrupted: surroundings.interrupted.load(Relaxed),
        started_unix_s: u64::from(clock::unix_s(offset_before, started_ns)),
        clock_step_ns: clock_offset_ns().abs_diff(offset_before),
        rss_bytes: usage::peak_rss_bytes(),
        ..findings
    };
    let report = summary::report(&findings)?;
    Ok((report, findings.measured.tally.latency))
}

fn endpoints<'a>(config: &'a Config, surroundings: &mut Surroundings<'_>) -> Result<Findings<'a>, Error> {
    let rss_before = usage::rss_bytes();
    let rehearsal = match &config.engine {
        Engine::Epoll => None,
        Engine::Xdp(interface) => Some(xdp::run::rehearse(interface, &config.traffic, HEADER_LEN)?),
    };
    let plan = Plan::new(config.endpoints, &config.mix, config.pattern, config.traffic.seed);
    let mut entropy = Random::new(surroundings.entropy, 0);
    let run = RunId::new(entropy.next_u64());
    let crews = crews::gather(config, &plan, &mut entropy)?;
    let receive_buffer_bytes = crews.iter().map(|crew| crew.sockets.receive_buffer()).min().unwrap_or(0);
    let asked = crews::ask_all(config, run, crews, surroundings)?;
    let contacts = asked.told.clone();
    let loaded = match (&config.engine, rehearsal) {
        (Engine::Xdp(interface), Some(rehearsal)) => {
            by_xdp(config, (interface, rehearsal), run, plan, asked, surroundings)?
        }
        _ => by_sockets(config, run, plan, asked, surroundings)?,
    };
    Ok(Findings {
        traffic: &config.traffic,
        settings: config.settings(loaded.pair_count),
        contacts,
        built_bytes: loaded.rss_built.saturating_sub(rss_before),
        receive_buffer_bytes,
        sockets: config.workers() * u32::try_from(SOCKETS).unwrap_or(0),
        ..Findings::of(&config.traffic, loaded.measured)
    })
}

/// A load phase and what led to it.
struct Loaded {
    pair_count: usize,
    /// Resident memory before the load.
    rss_built: u64,
    measured: Measured,
}

fn by_sockets(
    config: &Config,
    run: RunId,
    plan: Plan,
    asked: Asked,
    surroundings: &mut Surroundings<'_>,
) -> Result<Loaded, Error> {
    let Asked { crews, contacts, .. } = asked;
    let sealing = Sealing { share: config.sealed, seed: config.traffic.seed };
    let pairs = pairing::split(&plan, &contacts, config.workers(), &config.flows()?, sealing);
    drop(plan);
    let directory = Directory::new(&contacts);
    drop(contacts);
    let pair_count = pairs.iter().map(|pairs| pairs.outgoing.len()).sum();
    let rss_built = usage::rss_bytes();
    let measured = socket::run::load(config, run, crews, pairs, &directory, surroundings)?;
    Ok(Loaded { pair_count, rss_built, measured })
}

fn by_xdp(
    config: &Config,
    (interface, rehearsal): (&str, Rehearsal),
    run: RunId,
    plan: Plan,
    asked: Asked,
    surroundings: &mut Surroundings<'_>,
) -> Result<Loaded, Error> {
    let Asked { mut crews, contacts, .. } = asked;
    let relay = config.traffic.relay;
    let externals = crews::externals(&mut crews, relay);
    let minted = Minted::new(&config.ring, relay, &plan, &contacts, &externals, config.flows()?.iter().sum());
    drop(plan);
    let rss_built = usage::rss_bytes();
    let now_s = clock::unix_s(clock_offset_ns(), clock::boot_ns());
    let faults = minted.faults(&config.faults, config.traffic.payload.longest(), now_s, config.traffic.seed);
    let flows = Flows::Minted(minted);
    let pair_count = flows.count();
    let course = xdp::run::Course {
        traffic: &config.traffic,
        interface,
        run,
        flows: &flows,
        arriving: Arriving::Data,
        mix: &config.faults,
        faults,
    };
    let measured = xdp::run::load(&course, rehearsal, surroundings)?;
    // The sockets held the ports of all mappings until here.
    drop(crews);
    Ok(Loaded { pair_count, rss_built, measured })
}

fn flows<'a>(ready: &'a Ready, surroundings: &mut Surroundings<'_>) -> Result<Findings<'a>, Error> {
    let Ready { traffic, interface, arriving, flows } = ready;
    let run = RunId::new(Random::new(surroundings.entropy, 0).next_u64());
    let flows = Flows::Ready(flows);
    let rehearsal = xdp::run::rehearse(interface, traffic, flows.head_len())?;
    let (mix, faults) = (&FaultMix::default(), Vec::new());
    let course =
        xdp::run::Course { traffic, interface, run, flows: &flows, arriving: *arriving, mix, faults };
    let measured = xdp::run::load(&course, rehearsal, surroundings)?;
    Ok(Findings {
        settings: ready.settings(),
        contacts: Contacts::default(),
        ..Findings::of(traffic, measured)
    })
}

/// Unix time less boot time, ns.
fn clock_offset_ns() -> i64 {
    clock::realtime_ns().saturating_sub(clock::boot_ns())
}
