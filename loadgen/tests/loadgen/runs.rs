//! Whole runs against the echo: every fault that it commits is found, and nothing else.
//!
//! * A busy machine may make a run invalid (98); its counts are exact all the same, and those are what is asserted.

use crate::echo::{Echo, Mischief};
use hdrhistogram::Histogram;
use loadgen::report::{Report, SCHEMA};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One run at a time.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("loadgen-{}-{name}", std::process::id()))
}

/// An echo on loopback.
pub(crate) fn echo(name: &str, mischief: Mischief) -> Echo {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Echo::start(socket, scratch(name).with_extension("toml"), "127.0.0.0/8".parse().unwrap(), mischief)
}

pub(crate) fn generator(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reflector-loadgen")).args(flags).output().unwrap()
}

/// Runs against `echo`; exit code and report.
pub(crate) fn run(name: &str, echo: &Echo, flags: &str) -> (i32, Report) {
    let _turn = turn();
    let json = scratch(name).with_extension("json");
    let (address, keys) = (echo.address.to_string(), echo.keys.to_str().unwrap());
    let mut all = vec!["run", "--reflector", &address, "--keys", keys, "--quiet", "--workers", "1"];
    all.extend(["--warmup", "0", "--json", json.to_str().unwrap()]);
    all.extend(flags.split_whitespace());
    let output = generator(&all);
    let code = output.status.code().unwrap();
    let text = std::fs::read(&json)
        .unwrap_or_else(|_| panic!("exit {code}: {}", String::from_utf8_lossy(&output.stderr)));
    let report = Report::from_json(&text).unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&serde_json::to_vec(&report).unwrap()).unwrap(), report);
    assert!(String::from_utf8_lossy(&output.stdout).contains("not for planning: loopback, not a NIC"));
    (code, report)
}

pub(crate) fn is_consistent(report: &Report, echo: &Echo) {
    let data = &report.data;
    assert_eq!(report.schema, SCHEMA);
    assert_eq!(data.sent, data.delivered + data.refused_by_nat.total() + data.lost, "{data:?}");
    assert_eq!(report.latency.count, data.delivered);
    assert!(report.rate.sent <= report.rate.due && report.rate.sent >= echo.sends());
    let series =
        report.series.points.iter().fold((0, 0), |sum, point| (sum.0 + point.sent, sum.1 + point.delivered));
    assert_eq!(series, (data.sent, data.delivered));
    let pairs = report.nat_pairs.iter().fold((0, 0), |sum, pair| (sum.0 + pair.sent, sum.1 + pair.delivered));
    assert_eq!(pairs, (data.sent, data.delivered));
    assert_eq!(report.keepalive.foreign, 0);
    assert_eq!(report.contacts.missing, 0);
}

#[test]
fn a_faithful_reflector_loses_nothing() {
    let echo = echo("faithful", Mischief::None);
    let flags = "--endpoints 300 --rate 2k --duration 1s --keepalive 300ms --seed 4 --threshold loss<100% --threshold p50<1h";
    let (code, report) = run("faithful", &echo, flags);
    assert!([0, 98].contains(&code), "{code}");
    is_consistent(&report, &echo);
    let in_flight = report.data.sent - echo.sends();
    assert_eq!((report.data.lost, report.data.duplicates, report.data.reordered), (in_flight, 0, 0));
    assert_eq!((report.rate.due, report.settings.pair_count), (2_000, 300));
    assert!(report.keepalive.sent >= 500 && report.keepalive.answered >= 400);
    assert_eq!((report.keepalive.changed, report.settings.seed), (0, 4));
    assert_eq!(report.thresholds.len(), 2);
    assert_eq!(report.nat_pairs.len(), 16);
}

#[test]
fn the_histogram_reads_back_with_the_percentiles_reported() {
    use base64::Engine;
    let echo = echo("histogram", Mischief::None);
    let (_, report) =
        run("histogram", &echo, "--endpoints 20 --rate 1k --duration 500ms --arrivals poisson --pairs star");
    is_consistent(&report, &echo);
    let bytes = base64::engine::general_purpose::STANDARD.decode(&report.latency.hdr_v2_base64).unwrap();
    let histogram: Histogram<u64> =
        hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
    assert_eq!(histogram.len(), report.latency.count);
    assert_eq!(histogram.value_at_percentile(99.0), report.latency.p99_ns);
    assert!(report.latency.p50_ns <= report.latency.p99_ns && report.latency.p99_ns <= report.latency.max_ns);
}

#[test]
fn every_lost_datagram_is_found() {
    let echo = echo("drops", Mischief::DropEveryTenth);
    let (code, report) = run("drops", &echo, "--endpoints 50 --rate 2k --duration 1s --threshold loss<1%");
    assert!([99, 98].contains(&code), "{code}");
    is_consistent(&report, &echo);
    assert!(echo.meddled() >= 100);
    assert_eq!(report.data.lost, echo.meddled() + report.data.sent - echo.sends());
    assert!(!report.thresholds[0].holds);
}

#[test]
fn every_repeated_datagram_is_found() {
    let echo = echo("repeats", Mischief::RepeatEveryTenth);
    let (_, report) = run("repeats", &echo, "--endpoints 50 --rate 2k --duration 1s --pairs ring");
    is_consistent(&report, &echo);
    assert!(echo.meddled() >= 100);
    assert_eq!(report.data.duplicates, echo.meddled());
    assert_eq!(report.data.lost, report.data.sent - echo.sends());
}

#[test]
fn every_reordered_datagram_is_found() {
    let echo = echo("holds", Mischief::HoldEveryTenth);
    let (_, report) = run("holds", &echo, "--endpoints 2 --rate 1k --duration 1s --pairs ring");
    is_consistent(&report, &echo);
    assert!(echo.meddled() >= 50);
    // The last one held for either receiver may have had no two successors, and is lost then.
    let lost = report.data.lost - (report.data.sent - echo.sends());
    assert!(lost <= 2, "{lost}");
    assert_eq!(report.data.reordered, echo.meddled() - lost);
    assert_eq!(report.data.duplicates, 0);
}

#[test]
fn a_stall_is_found_in_the_latency_of_all_that_waited() {
    let echo = echo("stall", Mischief::Stall(300));
    let (_, report) = run("stall", &echo, "--endpoints 20 --rate 500 --duration 2s");
    is_consistent(&report, &echo);
    // A closed loop would have sent one datagram into the stall; 150 were meant to leave meanwhile, of 1,000.
    assert!(report.latency.max_ns >= 290_000_000, "{}", report.latency.max_ns);
    assert!(report.latency.p90_ns >= 50_000_000, "{}", report.latency.p90_ns);
    let stalled = report.series.points.iter().filter(|point| point.p99_ns >= 100_000_000).count();
    assert!(stalled >= 2, "{:?}", report.series.points);
}

#[test]
fn invalid_datagrams_are_counted_apart() {
    let echo = echo("invalid", Mischief::None);
    let all = "tag=10%,kind=5%,key=5%,expired=5%,lifetime=5%,destination=5%,short=5%,oversize=5%,\
               stolen=5%,loop=5%,data=5%,garbage=5%,probe=5%";
    let (code, report) =
        run("invalid", &echo, &format!("--endpoints 50 --rate 2k --duration 1s --invalid {all}"));
    assert!([0, 98].contains(&code), "{code}");
    is_consistent(&report, &echo);
    let sent: u64 = report.invalid.sent.values().sum();
    assert_eq!(report.invalid.sent.len(), 13);
    assert_eq!(report.rate.sent, report.data.sent + sent);
    assert_eq!(report.invalid.delivered, 0);
    assert!(echo.refused() <= sent && echo.refused() + (report.rate.sent - echo.sends()) >= sent);
    assert!(report.thresholds.iter().all(|verdict| verdict.holds));
}

#[test]
fn a_reflector_that_relays_anything_is_found_out() {
    let echo = echo("anything", Mischief::RelayAnything);
    let (code, report) =
        run("anything", &echo, "--endpoints 20 --rate 1k --duration 500ms --invalid tag=30%");
    assert!([99, 98].contains(&code), "{code}");
    assert!(report.invalid.delivered > 50);
    assert!(report.thresholds.iter().any(|verdict| !verdict.holds));
}

#[test]
fn data_that_name_another_sender_prove_nothing() {
    let echo = echo("another", Mischief::NameAnotherSender);
    let (_, report) = run("another", &echo, "--endpoints 20 --rate 500 --duration 500ms");
    assert_eq!((report.data.delivered, report.latency.count), (0, 0));
    assert_eq!(report.data.lost, report.data.sent);
    assert!(report.keepalive.foreign > 100);
}

#[test]
fn a_reflector_that_relays_nothing_is_lost_entirely() {
    let echo = echo("nothing", Mischief::RelayNothing);
    let (code, report) =
        run("nothing", &echo, "--endpoints 20 --rate 500 --duration 300ms --threshold p99<1h");
    assert!([99, 98].contains(&code), "{code}");
    is_consistent(&report, &echo);
    assert_eq!((report.data.loss, report.latency.max_ns), (1.0, 0));
    assert_eq!(report.thresholds[0].value, None);
}

#[test]
fn forgotten_mappings_refuse_what_the_reflector_delivers() {
    let echo = echo("forgotten", Mischief::None);
    // An endpoint sends once a second, so its mapping is gone nearly always; the answer to its PROBE, though, has 20 ms to
    // come back, and five tries.
    let flags = "--endpoints 100 --nat open=50%,eim/eif=50% --rate 100 --duration 4s --keepalive 0 --mapping-timeout 20ms";
    let (_, report) = run("forgotten", &echo, flags);
    is_consistent(&report, &echo);
    let pair = |from, to| report.nat_pairs.iter().find(|pair| pair.from == from && pair.to == to).unwrap();
    let (open, closed) = (pair("open", "open"), pair("open", "eim/eif"));
    assert!(open.sent > 50 && open.refused_by_nat == 0);
    assert!(closed.sent > 50 && closed.refused_by_nat * 10 > closed.sent * 9, "{closed:?}");
    assert!(report.data.refused_by_nat.expired + report.data.refused_by_nat.no_mapping > 0);
}

#[test]
fn bursts_and_trains_arrive_singly() {
    let echo = echo("bursts", Mischief::None);
    let (_, report) =
        run("bursts", &echo, "--endpoints 10 --rate 2k --duration 500ms --arrivals burst:20 --payload 24");
    is_consistent(&report, &echo);
    assert_eq!(report.rate.due, 1_000);
    assert_eq!(report.data.lost, report.data.sent - echo.sends());
    assert_eq!((report.data.reordered, report.data.duplicates), (0, 0));
}

#[test]
fn a_signal_keeps_the_partial_result() {
    let echo = echo("signal", Mischief::None);
    let _turn = turn();
    let json = scratch("signal").with_extension("json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"))
        .args(["run", "--reflector", &echo.address.to_string(), "--keys", echo.keys.to_str().unwrap()])
        .args(["--endpoints", "20", "--rate", "500", "--duration", "60s", "--warmup", "0", "--workers", "1"])
        .args(["--quiet", "--json", json.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while echo.sends() < 100 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report = Report::from_json(&std::fs::read(&json).unwrap()).unwrap();
    is_consistent(&report, &echo);
    assert!(report.interrupted && report.rate.elapsed_ns < 60_000_000_000 && report.data.delivered >= 90);
}

#[test]
fn flags_are_variables_too_and_the_log_may_be_json() {
    let echo = echo("variables", Mischief::None);
    let _turn = turn();
    let (json, hgrm) =
        (scratch("variables").with_extension("json"), scratch("variables").with_extension("hgrm"));
    let cpu = engine::affinity::allowed().unwrap()[0];
    let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
    command.args(["run", "--rate", "300", "--cpus", &cpu.to_string(), "--log-format", "json"]);
    command.arg("--hgrm").arg(&hgrm).env("REFLECTOR_LOADGEN_JSON", &json);
    command.env("REFLECTOR_LOADGEN_REFLECTOR", echo.address.to_string());
    command.env("REFLECTOR_LOADGEN_KEYS", &echo.keys).env("REFLECTOR_LOADGEN_ENDPOINTS", "20");
    command.env("REFLECTOR_LOADGEN_DURATION", "500ms").env("REFLECTOR_LOADGEN_WARMUP", "0");
    // What is typed counts before the variable.
    command.env("REFLECTOR_LOADGEN_RATE", "7");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!([0, 98].contains(&output.status.code().unwrap()), "{said}");
    let report = Report::from_json(&std::fs::read(&json).unwrap()).unwrap();
    is_consistent(&report, &echo);
    assert_eq!(
        (report.settings.rate_per_s, report.settings.endpoints, report.settings.workers),
        (300, 20, 1)
    );
    assert!(said.lines().count() >= 2, "{said}");
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
    }
    let text = std::fs::read_to_string(&hgrm).unwrap();
    assert!(text.contains(&format!("Total count    = {:>12}", report.data.delivered)), "{text}");
}
