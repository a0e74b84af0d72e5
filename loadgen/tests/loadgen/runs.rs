//! Whole runs against the echo: every fault that it commits is found, and nothing else.
//!
//! * A busy machine may make a run invalid (98); its counts are exact all the same, and those are what is asserted.

use crate::echo::{Echo, Mischief};
use crate::held_up::{note_generator, unless_held_up};
use crate::set_clock::SetClock;
use harness::{Folder, Running, Signal, wait_until_or};
use results::run::{Report, SCHEMA};
use std::net::UdpSocket;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

/// An echo on loopback, with the folder that its ring lies in.
pub(crate) struct Site {
    echo: Option<Echo>,
    folder: Folder,
}

pub(crate) fn echo(mischief: Mischief) -> Site {
    let folder = Folder::new("loadgen");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let echo = serve(socket, &folder, mischief);
    Site { echo: Some(echo), folder }
}

fn serve(socket: UdpSocket, folder: &Folder, mischief: Mischief) -> Echo {
    Echo::start(socket, folder.file("keys.toml"), "127.0.0.0/8".parse().unwrap(), mischief)
}

impl Site {
    /// A file that goes with the echo.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }

    /// The echo goes away, and its port stays its own; what it does not take is thrown away.
    pub(crate) fn stop(&mut self) -> UdpSocket {
        self.echo.take().unwrap().stop()
    }

    /// The echo comes back where it was, and knows nothing of what came meanwhile.
    pub(crate) fn start_again(&mut self, socket: UdpSocket) {
        socket.set_nonblocking(true).unwrap();
        while socket.recv_from(&mut [0; 2_048]).is_ok() {}
        socket.set_nonblocking(false).unwrap();
        self.echo = Some(serve(socket, &self.folder, Mischief::None));
    }
}

impl Deref for Site {
    type Target = Echo;

    fn deref(&self) -> &Echo {
        self.echo.as_ref().unwrap()
    }
}

/// A run of the generator under way.
pub(crate) struct Run {
    process: Running,
    folder: Folder,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) report: Report,
    pub(crate) table: String,
    pub(crate) said: String,
}

impl Run {
    /// Starts it against `echo`, by another clock than the system's if there is one.
    pub(crate) fn start(echo: &Echo, flags: &str, clock: Option<&SetClock>) -> Self {
        let folder = Folder::new("loadgen-run");
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
        command.args(["run", "--reflector", &echo.address.to_string(), "--workers", "1", "--warmup", "0"]);
        command.arg("--keys").arg(&echo.keys).arg("--json").arg(folder.file("report.json"));
        command.args(flags.split_whitespace());
        if let Some(clock) = clock {
            clock.govern(&mut command);
        }
        Self { process: Running::start(&mut command), folder }
    }

    /// Waits until something is so.
    pub(crate) fn wait(&mut self, done: impl Fn() -> bool) {
        let mut ended = false;
        wait_until_or(
            || {
                ended = self.process.has_ended();
                ended || done()
            },
            || "it never came".to_owned(),
        );
        assert!(done(), "it ended before:\n{}", self.process.stderr());
    }

    /// Waits until it has said something.
    pub(crate) fn wait_for(&mut self, words: &str) {
        self.process.wait_for(words);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let code = self.process.wait().code().unwrap();
        let (table, said) = (self.process.stdout(), self.process.stderr());
        let report = self.report().unwrap_or_else(|| panic!("exit {code}: {said}"));
        note_generator(&report);
        Ended { code, report, table, said }
    }

    fn report(&self) -> Option<Report> {
        let json = self.folder.read("report.json");
        (!json.is_empty()).then(|| Report::from_json(json.as_bytes()).unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A test that waited for more than came may have to blame the machine.
        if thread::panicking() && self.process.has_ended() {
            let _ = self.report().as_ref().map(note_generator);
        }
    }
}

/// Runs the generator where it has nothing to report: exit code, standard output, standard error.
pub(crate) fn generator(flags: &[&str]) -> (i32, String, String) {
    let mut process = Running::start(Command::new(env!("CARGO_BIN_EXE_reflector-loadgen")).args(flags));
    let code = process.wait().code().unwrap();
    (code, process.stdout(), process.stderr())
}

/// Runs against `echo`; exit code and report.
pub(crate) fn run(echo: &Echo, flags: &str) -> (i32, Report) {
    let Ended { code, report, table, .. } = Run::start(echo, &format!("--quiet {flags}"), None).end();
    assert_eq!(serde_json::from_slice::<Report>(&serde_json::to_vec(&report).unwrap()).unwrap(), report);
    assert!(table.contains("not for planning: loopback, not a NIC"));
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
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--endpoints 300 --rate 2k --duration 1s --keepalive 300ms --seed 4 --threshold loss<100% --threshold p50<1h";
        let (code, report) = run(&echo, flags);
        assert!([0, 98].contains(&code), "{code}");
        is_consistent(&report, &echo);
        let in_flight = report.data.sent - echo.sends();
        assert_eq!((report.data.lost, report.data.duplicates, report.data.reordered), (in_flight, 0, 0));
        assert_eq!((report.rate.due, report.settings.pair_count), (2_000, 300));
        assert!(report.keepalive.sent >= 500 && report.keepalive.answered >= 400);
        assert_eq!((report.keepalive.changed, report.settings.seed), (0, 4));
        assert_eq!(report.thresholds.len(), 2);
        assert_eq!(report.nat_pairs.len(), 16);
    });
}

#[test]
fn the_histogram_reads_back_with_the_percentiles_reported() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (_, report) =
            run(&echo, "--endpoints 20 --rate 1k --duration 500ms --arrivals poisson --pairs star");
        is_consistent(&report, &echo);
        let histogram = report.latency.histogram().unwrap();
        assert_eq!(histogram.len(), report.latency.count);
        assert_eq!(histogram.value_at_percentile(99.0), report.latency.p99_ns);
        assert!(
            report.latency.p50_ns <= report.latency.p99_ns && report.latency.p99_ns <= report.latency.max_ns
        );
    });
}

#[test]
fn every_lost_datagram_is_found() {
    unless_held_up(|| {
        let echo = echo(Mischief::DropEveryTenth);
        let (code, report) = run(&echo, "--endpoints 50 --rate 2k --duration 1s --threshold loss<1%");
        assert!([99, 98].contains(&code), "{code}");
        is_consistent(&report, &echo);
        assert!(echo.meddled() >= 100);
        assert_eq!(report.data.lost, echo.meddled() + report.data.sent - echo.sends());
        assert!(!report.thresholds[0].holds);
    });
}

#[test]
fn every_repeated_datagram_is_found() {
    unless_held_up(|| {
        let echo = echo(Mischief::RepeatEveryTenth);
        let (_, report) = run(&echo, "--endpoints 50 --rate 2k --duration 1s --pairs ring");
        is_consistent(&report, &echo);
        assert!(echo.meddled() >= 100);
        assert_eq!(report.data.duplicates, echo.meddled());
        assert_eq!(report.data.lost, report.data.sent - echo.sends());
    });
}

#[test]
fn every_reordered_datagram_is_found() {
    unless_held_up(|| {
        let echo = echo(Mischief::HoldEveryTenth);
        let (_, report) = run(&echo, "--endpoints 2 --rate 1k --duration 1s --pairs ring");
        is_consistent(&report, &echo);
        assert!(echo.meddled() >= 50);
        // The last one held for either receiver may have had no two successors, and is lost then.
        let lost = report.data.lost - (report.data.sent - echo.sends());
        assert!(lost <= 2, "{lost}");
        assert_eq!(report.data.reordered, echo.meddled() - lost);
        assert_eq!(report.data.duplicates, 0);
    });
}

#[test]
fn a_stall_is_found_in_the_latency_of_all_that_waited() {
    unless_held_up(|| {
        let echo = echo(Mischief::Stall(300));
        let (_, report) = run(&echo, "--endpoints 20 --rate 500 --duration 2s");
        is_consistent(&report, &echo);
        // A closed loop would have sent one datagram into the stall; 150 were meant to leave meanwhile, of 1,000.
        assert!(report.latency.max_ns >= 290_000_000, "{}", report.latency.max_ns);
        assert!(report.latency.p90_ns >= 50_000_000, "{}", report.latency.p90_ns);
        let stalled = report.series.points.iter().filter(|point| point.p99_ns >= 100_000_000).count();
        assert!(stalled >= 2, "{:?}", report.series.points);
    });
}

#[test]
fn invalid_datagrams_are_counted_apart() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let all = "tag=10%,kind=5%,key=5%,expired=5%,lifetime=5%,destination=5%,short=5%,oversize=5%,\
                   stolen=5%,loop=5%,data=5%,garbage=5%,probe=5%";
        let (code, report) = run(&echo, &format!("--endpoints 50 --rate 2k --duration 1s --invalid {all}"));
        assert!([0, 98].contains(&code), "{code}");
        is_consistent(&report, &echo);
        let sent: u64 = report.invalid.sent.values().sum();
        assert_eq!(report.invalid.sent.len(), 13);
        assert_eq!(report.rate.sent, report.data.sent + sent);
        assert_eq!(report.invalid.delivered, 0);
        assert!(echo.refused() <= sent && echo.refused() + (report.rate.sent - echo.sends()) >= sent);
        assert!(report.thresholds.iter().all(|verdict| verdict.holds));
    });
}

#[test]
fn a_reflector_that_relays_anything_is_found_out() {
    unless_held_up(|| {
        let echo = echo(Mischief::RelayAnything);
        let (code, report) = run(&echo, "--endpoints 20 --rate 1k --duration 500ms --invalid tag=30%");
        assert!([99, 98].contains(&code), "{code}");
        assert!(report.invalid.delivered > 50);
        assert!(report.thresholds.iter().any(|verdict| !verdict.holds));
    });
}

#[test]
fn data_that_name_another_sender_prove_nothing() {
    unless_held_up(|| {
        let echo = echo(Mischief::NameAnotherSender);
        let (_, report) = run(&echo, "--endpoints 20 --rate 500 --duration 500ms");
        assert_eq!((report.data.delivered, report.latency.count), (0, 0));
        assert_eq!(report.data.lost, report.data.sent);
        assert!(echo.sends() > 100 && report.keepalive.foreign == echo.sends(), "{:?}", report.keepalive);
    });
}

#[test]
fn a_reflector_that_relays_nothing_is_lost_entirely() {
    unless_held_up(|| {
        let echo = echo(Mischief::RelayNothing);
        let (code, report) = run(&echo, "--endpoints 20 --rate 500 --duration 300ms --threshold p99<1h");
        assert!([99, 98].contains(&code), "{code}");
        is_consistent(&report, &echo);
        assert_eq!((report.data.loss, report.latency.max_ns), (1.0, 0));
        assert_eq!(report.thresholds[0].value, None);
    });
}

#[test]
fn forgotten_mappings_refuse_what_the_reflector_delivers() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        // Each of the ring sends once a second, just before its receiver does, whose mapping is therefore the oldest then.
        let flags = "--endpoints 100 --nat open=50%,eim/eif=50% --pairs ring --seed 1 --rate 100 --duration 3s \
                     --keepalive 0 --mapping-timeout 200ms";
        let (_, report) = run(&echo, flags);
        is_consistent(&report, &echo);
        let pair =
            |from, to| report.nat_pairs.iter().find(|pair| pair.from == from && pair.to == to).unwrap();
        let (open, closed) = (pair("open", "open"), pair("open", "eim/eif"));
        assert!(open.sent > 50 && open.refused_by_nat == 0);
        assert!(closed.sent > 50 && closed.refused_by_nat * 10 > closed.sent * 9, "{closed:?}");
        assert!(report.data.refused_by_nat.expired + report.data.refused_by_nat.no_mapping > 0);
    });
}

#[test]
fn bursts_and_trains_arrive_singly() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (_, report) =
            run(&echo, "--endpoints 10 --rate 2k --duration 500ms --arrivals burst:20 --payload 24");
        is_consistent(&report, &echo);
        assert_eq!(report.rate.due, 1_000);
        assert_eq!(report.data.lost, report.data.sent - echo.sends());
        assert_eq!((report.data.reordered, report.data.duplicates), (0, 0));
    });
}

#[test]
fn a_signal_keeps_the_partial_result() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let mut run = Run::start(&echo, "--quiet --endpoints 20 --rate 500 --duration 60s", None);
        run.wait(|| echo.sends() >= 100);
        run.signal(Signal::SIGTERM);
        let Ended { code, report, .. } = run.end();
        assert_eq!(code, 130);
        is_consistent(&report, &echo);
        assert!(report.interrupted && report.rate.elapsed_ns < 60_000_000_000 && report.data.delivered >= 90);
    });
}

#[test]
fn flags_are_variables_too_and_the_log_may_be_json() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (json, hgrm) = (echo.file("report.json"), echo.file("latency.hgrm"));
        let cpu = engine::host::affinity::allowed().unwrap()[0];
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
        command.args(["run", "--rate", "300", "--cpus", &cpu.to_string(), "--log-format", "json"]);
        command.arg("--hgrm").arg(&hgrm).env("REFLECTOR_LOADGEN_JSON", &json);
        command.env("REFLECTOR_LOADGEN_REFLECTOR", echo.address.to_string());
        command.env("REFLECTOR_LOADGEN_KEYS", &echo.keys).env("REFLECTOR_LOADGEN_ENDPOINTS", "20");
        command.env("REFLECTOR_LOADGEN_DURATION", "500ms").env("REFLECTOR_LOADGEN_WARMUP", "0");
        // What is typed counts before the variable.
        command.env("REFLECTOR_LOADGEN_RATE", "7");
        let mut process = Running::start(&mut command);
        let (status, said) = (process.wait(), process.stderr());
        assert!([0, 98].contains(&status.code().unwrap()), "{said}");
        let report = Report::from_json(&std::fs::read(&json).unwrap()).unwrap();
        note_generator(&report);
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
    });
}
