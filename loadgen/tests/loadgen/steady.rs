//! A worker that runs allocates nothing, however long it runs.

use crate::echo::{Echo, Mischief};
use crate::held_up::unless_held_up;
use crate::runs::echo;
use loadgen::load::shape::config::{Capabilities, Config, Engine};
use loadgen::load::shape::directory::Directory;
use loadgen::load::shape::endpoint::population;
use loadgen::load::shape::fault::OVERSIZE;
use loadgen::load::shape::pairing::{Sealing, split};
use loadgen::load::shape::payload::Payload;
use loadgen::load::shape::phase::Phase;
use loadgen::load::shape::plan::{Pattern, Plan};
use loadgen::load::shape::profile;
use loadgen::load::shape::profile::Profile;
use loadgen::load::shape::schedule::Arrivals;
use loadgen::load::shape::stamp::RunId;
use loadgen::load::shape::traffic::Traffic;
use loadgen::load::socket::contacts::{Asking, Nonces, PROBE_LEN, obtain};
use loadgen::load::socket::station::{Sockets, Station, now_ns};
use loadgen::load::socket::worker::{Live, Shared, Worker};
use loadgen::load::watch::slices::Slices;
use std::sync::atomic::{AtomicBool, AtomicU32};

fn config(echo: &Echo, duration_ns: u64) -> Config {
    let ring = wire::ring_file::parse(&std::fs::read_to_string(&echo.keys).unwrap()).unwrap();
    let traffic = Traffic {
        relay: echo.address,
        rate_per_s: 2_000,
        profile: Profile::named(&profile::Form::Ramp, 2_000, duration_ns).unwrap(),
        profile_name: "ramp".to_owned(),
        payload: Payload::fixed(100),
        duration_ns,
        warmup_ns: 50_000_000,
        arrivals: Arrivals::Burst(3),
        cpus: vec![0],
        single_cpu: false,
        seed: 1,
        thresholds: Vec::new(),
    };
    Config {
        sealed: 0.0,
        traffic,
        engine: Engine::Epoll,
        ring,
        endpoints: 50,
        mix: "open=50%,symmetric=50%".parse().unwrap(),
        faults: "tag=5%,oversize=5%".parse().unwrap(),
        pattern: Pattern::Calls,
        capabilities: Capabilities::Adopt,
        capability_lifetime_s: 100,
        churn: Some("500ms/50ms".parse().unwrap()),
        external: "127.64.0.0/16".parse().unwrap(),
        keepalive_ns: 100_000_000,
        mapping_timeout_ns: 10_000_000_000,
    }
}

/// Allocations of one worker from start to end, and the datagrams that it delivered.
fn allocations(echo: &Echo, duration_ns: u64) -> (u64, u64) {
    let config = config(echo, duration_ns);
    config.check().unwrap();
    config.check_addresses().unwrap();
    let plan = Plan::new(config.endpoints, &config.mix, config.pattern, config.traffic.seed);
    let (run, nonces) = (RunId::new(77), Nonces::new(5));
    let sockets = Sockets::open(true).unwrap();
    let mut endpoints = population(&config, &plan, 0, &sockets.ports()).unwrap();
    let asking = Asking {
        reflector: config.traffic.relay,
        ring: &config.ring,
        run,
        nonces,
        gap_ns: 100_000,
        interrupted: &AtomicBool::new(false),
        obtained: &AtomicU32::new(0),
    };
    let mut station = Station::open(sockets, PROBE_LEN).unwrap();
    let contacts = obtain(&mut station, &mut endpoints, &asking).unwrap().contacts;
    let pairs = split(&plan, &contacts, 1, &[50], Sealing { share: 0.0, seed: 1 }).remove(0);
    let station = Station::open(station.into_sockets(), OVERSIZE).unwrap();
    let directory = Directory::new(&contacts);
    let phase = Phase::new(now_ns() + 10_000_000, config.traffic.warmup_ns, duration_ns);
    let shared = Shared { config: &config, phase: &phase, run, directory: &directory, of_kind: &[50] };
    let worker = Worker::new(&shared, (0, nonces), station, endpoints, pairs).unwrap();
    let (slices, live) = (Slices::new(duration_ns), Live::default());
    let mut delivered = 0;
    let counted = allocation_counter::measure(|| delivered = worker.run(&slices, &live).unwrap().delivered);
    (counted.count_total, delivered)
}

#[test]
fn a_longer_run_allocates_no_more_than_a_short_one() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (short, few) = allocations(&echo, 50_000_000);
        let (long, many) = allocations(&echo, 1_000_000_000);
        assert!(many > few + 500, "{few} and {many} delivered");
        assert_eq!(short, long);
        assert!(allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8]))).count_total == 1);
    });
}
