//! Made-up results for tests: plausible, and the same every time.
//!
//! * What must add up adds up: datagrams, pairs, counters.

use crate::figures::{float, rounded};
use crate::judge::survey::Survey;
use crate::peers::comparison;
use crate::peers::comparison::{Comparison, Counted, Curve, Peer};
use crate::peers::goal::Goal;
use crate::peers::row::Row;
use crate::rig::cell::{Axis, Cell, Engine};
use crate::rig::cores::{Cores, Sharing};
use crate::rig::environment::{Environment, fact};
use crate::rig::header;
use crate::rig::header::{GroundName, Header, SiteName};
use crate::rig::matrix::Matrix;
use crate::rig::placement::Placement;
use crate::rig::run::{Percentiles, Purpose, Run};
use crate::rig::subject::{Entry, Subject, Traffic};
use hdrhistogram::Histogram;
use lab::programs::relay::Counters;
use results::latency::Latency;
use results::outcome::Outcome;
use results::run::{Contacts, Data, Generator as Cost, Keepalive, NatPair, Rate, SCHEMA};
use results::verdict::{Validity, Verdict as Check};

/// A valid result of the generator at a rate, with a part of the datagrams lost.
pub(crate) fn outcome(offered_per_s: u64, loss: f64) -> Outcome {
    let sent = offered_per_s * 2;
    let lost = rounded(float(sent) * loss);
    let delivered = sent - lost;
    // Latency grows as a queue does.
    let load = float(offered_per_s) / 150_000.0;
    let wait_ns = if load < 0.98 { 4_000.0 / (1.0 - load) } else { 1_400_000.0 };
    let at = |factor: f64| rounded(24_000.0 + wait_ns * factor);
    Outcome {
        schema: SCHEMA,
        version: "0.1.0".to_owned(),
        interrupted: false,
        contacts: Contacts { obtained: 2_000, missing: 0, probes: 2_000, elapsed_ns: 0 },
        rate: Rate {
            elapsed_ns: 2_000_000_000,
            sent_per_s: float(offered_per_s),
            arrived_per_s: float(delivered) / 2.0,
            delivered_per_s: float(delivered) / 2.0,
            ..Rate::default()
        },
        data: Data { sent, delivered, lost, loss, ..Data::default() },
        keepalive: Keepalive::default(),
        latency: Latency {
            count: delivered,
            min_ns: 12_000,
            mean_ns: float(at(1.2)),
            p50_ns: at(1.0).min(400_000),
            p90_ns: at(2.3).min(900_000),
            p99_ns: at(5.0).min(1_400_000),
            p99_9_ns: at(12.0),
            p99_99_ns: at(30.0),
            max_ns: at(60.0),
            hdr_v2_base64: String::new(),
        },
        nat_pairs: pairs(sent, lost),
        generator: Cost { lag_p99_ns: 35_000, core_ns_per_datagram: 4_200.0, ..Cost::default() },
        validity: Validity { valid: true, checks: vec![check("lag-p99", 35_000.0, 1_000_000.0, "ns")] },
    }
}

/// What the reflector counted of it.
pub(crate) fn counters(outcome: &Outcome) -> Counters {
    let Data { delivered, lost, .. } = outcome.data;
    Counters {
        received: delivered + 2_001,
        relayed: delivered,
        observed: 2_001,
        overflows: lost,
        busy_ns: delivered * 4_500,
        ..Counters::default()
    }
}

fn check(name: &str, value: f64, bound: f64, unit: &str) -> Check {
    let holds = value <= bound;
    let (name, relation, unit) = (name.to_owned(), "<=".to_owned(), unit.to_owned());
    Check { name, value: Some(value), relation, bound, unit, holds }
}

/// All pairs of the default mix by their shares; the last takes what rounding left.
fn pairs(sent: u64, lost: u64) -> Vec<NatPair> {
    let shares: Vec<_> = nat::Mix::default().shares().collect();
    let mut left = (sent, lost);
    let mut pairs: Vec<NatPair> = Vec::new();
    for (from, one) in &shares {
        for (to, other) in &shares {
            let part = |whole: u64| rounded(float(whole) * one * other);
            let (sent, lost) = (part(sent).min(left.0), part(lost).min(left.1));
            left = (left.0 - sent, left.1 - lost);
            let (from, to) = (from.to_string(), to.to_string());
            pairs.push(NatPair { from, to, sent, delivered: sent - lost, refused_by_nat: 0 });
        }
    }
    if let Some(last) = pairs.last_mut() {
        last.sent += left.0;
        last.delivered += left.0 - left.1;
    }
    pairs
}

fn environment() -> Environment {
    Environment {
        machine: vec![
            fact("Kernel", "Linux 6.18.0"),
            fact("Processor", "Example <CPU> & Co. @ 2.60GHz"),
            fact("Processors", "2, of which 2 may be used"),
        ],
        sysctls: vec![fact("net.core.rmem_max", "212992")],
        mitigations: vec![fact(
            "spectre_v2",
            "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: SW sequence; BHI: BHI_DIS_S",
        )],
        versions: vec![fact("reflector", "0.1.0"), fact("Commit", "0123abc-dirty")],
    }
}

/// One run of a search through a subject, with singles: a part of the datagrams lost, each costing the core so much.
pub(crate) fn peers_run(subject: Subject, offered_per_s: u64, loss: f64, core_ns: f64) -> Run<Entry> {
    let sent = offered_per_s;
    let lost = rounded(float(sent) * loss);
    Run {
        cell: Entry { subject, traffic: Traffic::Singles },
        purpose: Purpose::Search,
        round: 0,
        offered_per_s,
        sent_per_s: float(sent),
        arrived_per_s: float(sent - lost),
        sent,
        delivered: sent - lost,
        refused: 0,
        lost,
        duplicates: 0,
        latency: Some(percentiles([20_000, 60_000, 90_000])),
        hdr_v2_base64: String::new(),
        lag_p99_ns: 3_000,
        core_ns: Some([core_ns * 0.25, core_ns * 0.5, core_ns * 0.25]),
        own_ns: Some(core_ns * 0.9),
        relay: Counters::default(),
        reflector_bytes: 0,
        generator_bytes: 0,
        pairs: Vec::new(),
        failed: Vec::new(),
    }
}

/// Percentiles of which the 50th, 99th and 99.9th are these.
fn percentiles([p50_ns, p99_ns, p99_9_ns]: [u64; 3]) -> Percentiles {
    let (p90_ns, p99_99_ns, max_ns) = (p50_ns * 2, p99_9_ns, p99_9_ns);
    Percentiles { p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, max_ns }
}

/// A comparison's runs with singles: a search each, then round 0, which warms up, and three that count.
pub(crate) fn peers_runs() -> Vec<Run<Entry>> {
    let subjects = [
        (Subject::Coturn, 7_000.0, 300_000),
        (Subject::Epoll, 5_600.0, 250_000),
        (Subject::Forwarder, 5_600.0, 240_000),
        (Subject::Xdp, 250.0, 40_000),
        (Subject::Swap, 150.0, 30_000),
    ];
    let mut runs = Vec::new();
    for (subject, core_ns, p99_ns) in subjects {
        let capacity = rounded(1e9 / core_ns);
        runs.push(peers_run(subject, capacity * 9 / 10, 0.0, core_ns));
        runs.push(peers_run(subject, capacity * 11 / 10, 0.1, core_ns));
        for round in 0..=3_u8 {
            for (purpose, rate) in [(Purpose::Half, capacity * 9 / 20), (Purpose::HalfOfEpoll, 80_000)] {
                // Round 2 is slow for everyone, and round 0 for whom it warms up.
                let slow = f64::from([3, 1, 2, 1][usize::from(round)]);
                let mut run = peers_run(subject, rate, 0.0, core_ns * slow);
                run.purpose = purpose;
                run.round = round.into();
                let latencies = [p99_ns / 3, p99_ns, p99_ns * 2].map(|ns| rounded(float(ns) * slow));
                run.latency = Some(percentiles(latencies));
                run.hdr_v2_base64 = histogram(latencies);
                runs.push(run);
            }
        }
    }
    runs
}

/// A histogram whose 50th, 99th and 99.9th percentile are these.
fn histogram([p50, p99, p99_9]: [u64; 3]) -> String {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for (value, times) in [(p50, 9_800), (p99, 150), (p99_9, 50)] {
        histogram.record_n(value, times).unwrap();
    }
    Latency::of(&histogram).unwrap().hdr_v2_base64
}

/// A whole comparison.
pub(crate) fn comparison() -> Comparison {
    let mut runs = peers_runs();
    let present = [Subject::Coturn, Subject::Epoll, Subject::Forwarder, Subject::Xdp, Subject::Swap];
    let rows = present.iter().flat_map(|subject| Traffic::ALL.map(|traffic| (*subject, traffic)));
    let peer = |subject: Subject| Peer {
        subject,
        version: if subject == Subject::Coturn { "4.6.1" } else { "0.1.0 (0123abc)" }.to_owned(),
        absent: (!present.contains(&subject)).then(|| "this reflector has no --engine <uring>".to_owned()),
    };
    let rows = rows.map(|(subject, traffic)| Row::of(subject, traffic, &runs).unwrap()).collect();
    let (goals, curves) = (Goal::all(&runs), Curve::all(&runs).unwrap());
    runs.iter_mut().for_each(|run| run.hdr_v2_base64.clear());
    Comparison {
        schema: comparison::SCHEMA,
        started_unix_s: 1_760_000_000,
        elapsed_s: 520,
        settings: comparison::Settings {
            endpoints: 1_000,
            payload_bytes: 168,
            moderation_us: 30,
            rounds: 3,
            duration_ns: 1_200_000_000,
            warmup_ns: 200_000_000,
            is_short: false,
        },
        cores: Cores { reflector: 1, generator: 0, sharing: Sharing::Apart },
        peers: Subject::ALL.map(peer).to_vec(),
        rows,
        goals,
        caveats: vec!["veth, not a NIC".to_owned()],
        environment: environment(),
        cable: vec![fact("Relay's end", "generic-receive-offload: on")],
        counted: vec![Counted {
            subject: Subject::Epoll,
            counters: Counters { received: 10, relayed: 9, observed: 1, ..Counters::default() },
            passed: 0,
        }],
        commands: vec!["taskset -c 1 turnserver -c turnserver.conf".to_owned()],
        curves,
        runs,
    }
}

/// The base of a made-up sweep.
pub(crate) fn cell() -> Cell {
    Cell {
        engine: Engine::Epoll,
        workers: 1,
        payload_bytes: 168,
        endpoints: 1_000,
        train: 1,
        hostile_percent: 0,
    }
}

/// The head of a made-up sweep: two engines, three payloads, two trains, two endpoint counts, two shares of hostile ones.
pub(crate) fn header() -> Header {
    let matrix = Matrix {
        engines: vec![Engine::Epoll, Engine::Xdp],
        workers: vec![1],
        payloads_bytes: vec![168, 24, 1_200],
        endpoints: vec![1_000, 10_000],
        trains: vec![1, 16],
        hostile_percent: vec![0, 20],
        is_crossed: false,
    };
    let placement = Placement { reflector: vec![1], generator: vec![0] };
    let site = |engine| SiteName { engine, workers: 1, placement: placement.clone() };
    Header {
        schema: header::SCHEMA,
        started_unix_s: 1_760_000_000,
        command: "reflector-perf sweep --rounds 3".to_owned(),
        cells: matrix.cells(),
        matrix,
        nat: nat::Mix::default().to_string(),
        ground: GroundName::Cable,
        rounds: 3,
        duration_ns: 1_000_000_000,
        warmup_ns: 200_000_000,
        is_short: false,
        absent: vec![header::Absence {
            what: "2 workers".to_owned(),
            why: "needs 3 <processors>".to_owned(),
        }],
        sites: vec![site(Engine::Epoll), site(Engine::Xdp)],
        caveats: vec!["veth, not a NIC".to_owned()],
        fit_for_planning: false,
        environment: environment(),
    }
}

/// What a datagram costs on a cell of the made-up sweep, ns: one law for all axes.
pub(crate) fn cost_ns(cell: Cell) -> f64 {
    let alone = if cell.engine == Engine::Xdp { 250.0 } else { 5_000.0 };
    let payload = 1.0 + (f64::from(cell.payload_bytes) - 168.0) / 5_000.0;
    let train = 0.2 + 0.8 * Axis::Train.place(cell.train);
    let hostile = 1.0 - f64::from(cell.hostile_percent) / 200.0;
    alone * payload * train * hostile
}

/// One run on a cell: a part of the datagrams lost, each costing what [`cost_ns`] says.
pub(crate) fn run(cell: Cell, purpose: Purpose, offered_per_s: u64, loss: f64) -> Run {
    let sent = offered_per_s;
    let lost = rounded(float(sent) * loss);
    let delivered = sent - lost;
    let cost_ns = cost_ns(cell);
    let base_ns = rounded(cost_ns * 10.0);
    let load = purpose.part().unwrap_or(0.5);
    let latencies = [1.0, 3.0, 6.0].map(|factor| rounded(float(base_ns) * factor * (0.5 + load)));
    let kept = purpose != Purpose::Search;
    Run {
        cell,
        purpose,
        round: 1,
        offered_per_s,
        sent_per_s: float(offered_per_s),
        arrived_per_s: float(delivered),
        sent,
        delivered,
        refused: 0,
        lost,
        duplicates: 0,
        latency: Some(percentiles(latencies)),
        hdr_v2_base64: if kept { counted_histogram(latencies, delivered) } else { String::new() },
        lag_p99_ns: 3_000,
        core_ns: Some([cost_ns * 0.25, cost_ns * 0.5, cost_ns * 0.25]),
        own_ns: Some(cost_ns * 0.7),
        relay: Counters {
            received: delivered + 1,
            relayed: delivered,
            observed: 1,
            overflows: lost,
            ..Counters::default()
        },
        reflector_bytes: 11 << 20,
        generator_bytes: (8 << 20) + u64::from(cell.endpoints) * 600,
        pairs: if kept { pairs(sent, lost) } else { Vec::new() },
        failed: Vec::new(),
    }
}

/// All runs on the base of the made-up sweep.
pub(crate) fn runs() -> Vec<Run> {
    runs_on(&header(), cell())
}

/// All runs of a sweep.
pub(crate) fn runs_of_all(header: &Header) -> Vec<Run> {
    header.cells.iter().flat_map(|cell| runs_on(header, *cell)).collect()
}

/// A search that ends at one core over the cost, then all rounds at what it found.
fn runs_on(header: &Header, cell: Cell) -> Vec<Run> {
    let capacity = 1e9 / cost_ns(cell);
    let steps = [0.5, 0.98, 1.02, 1.1];
    let mut runs: Vec<Run> = (0..)
        .zip(steps)
        .map(|(round, part)| {
            let loss = if part > 1.0 { 0.08 } else { 0.0 };
            Run { round, ..run(cell, Purpose::Search, rounded(capacity * part), loss) }
        })
        .collect();
    // A failure is tried again before it counts, which ends the search by its number of tries.
    let last = runs.pop();
    runs.extend(std::iter::repeat_n(last, 6).flatten());
    let passed = capacity * 0.98;
    let is_base = header.matrix.base(cell.engine) == Some(cell);
    for purpose in Purpose::LOADS {
        if is_base || purpose == Purpose::Half {
            let rate = rounded(passed * purpose.part().unwrap_or(0.5));
            let rounds = 0..=header.rounds;
            runs.extend(rounds.map(|round| Run { round, ..run(cell, purpose, rate, 0.0) }));
        }
    }
    runs
}

/// A histogram of so many values, most of them the first, the 99th and the 99.9th percentile as given.
fn counted_histogram([p50, p99, p99_9]: [u64; 3], count: u64) -> String {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    let (rare, rarest) = (count / 60, count / 200);
    for (value, times) in [(p50, count - rare - rarest), (p99, rare), (p99_9, rarest)] {
        histogram.record_n(value, times).unwrap();
    }
    Latency::of(&histogram).unwrap().hdr_v2_base64
}

/// A survey of one cell, as a quick run makes it.
pub(crate) fn survey_of_one_cell() -> Survey {
    let mut header = header();
    let matrix = &mut header.matrix;
    matrix.engines.truncate(1);
    for values in
        [&mut matrix.payloads_bytes, &mut matrix.endpoints, &mut matrix.trains, &mut matrix.hostile_percent]
    {
        values.truncate(1);
    }
    header.cells = header.matrix.cells();
    let runs = runs_of_all(&header);
    Survey::of(header, &runs, &[]).unwrap()
}

/// A whole survey.
pub(crate) fn survey() -> Survey {
    let header = header();
    let commands =
        ["taskset -c 1 reflector run --workers 1", "taskset -c 0 reflector-loadgen run --rate 1 && <x>"];
    let runs = runs_of_all(&header);
    Survey::of(header, &runs, &commands.map(str::to_owned)).unwrap()
}
