//! What goes wrong in the middle of a run: a reflector that goes away, a clock that is set, a signal, a rate that
//! nobody reaches. Said in words, with what was measured until then, and the exit code.
//!
//! * A busy machine may make a run invalid (98) where 0 would be right; what is asserted holds all the same.

use crate::echo::{Echo, Mischief};
use crate::runs::{echo, is_consistent, scratch, turn};
use crate::set_clock::{HOUR_NS, SetClock};
use loadgen::report::Report;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run under way.
struct Running {
    child: Child,
    json: PathBuf,
}

/// How it ended.
struct Ended {
    code: i32,
    report: Report,
    table: String,
    said: String,
}

impl Running {
    fn start(name: &str, echo: &Echo, flags: &str, clock: Option<&SetClock>) -> Running {
        let json = scratch(name).with_extension("json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
        command.args(["run", "--reflector", &echo.address.to_string(), "--workers", "1", "--warmup", "0"]);
        command.arg("--keys").arg(&echo.keys).arg("--json").arg(&json).args(flags.split_whitespace());
        if let Some(clock) = clock {
            clock.govern(&mut command);
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child, json }
    }

    /// Waits until something is so.
    fn wait(&mut self, done: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < until && self.child.try_wait().unwrap().is_none(), "it came never");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    fn end(self) -> Ended {
        let output = self.child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (code, table, said) = (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr));
        let json = std::fs::read(&self.json).unwrap_or_else(|_| panic!("exit {code}: {said}"));
        Ended { code, report: Report::from_json(&json).unwrap(), table, said }
    }
}

fn told(report: &Report) -> Vec<&str> {
    report.events.iter().map(|event| event.what.as_str()).collect()
}

#[test]
fn a_reflector_that_goes_away_fails_the_run_which_keeps_what_it_has() {
    let _turn = turn();
    let echo = echo("away", Mischief::None);
    let mut run = Running::start("away", &echo, "--endpoints 20 --rate 500 --duration 6s", None);
    run.wait(|| echo.sends() >= 500);
    drop(echo);
    let Ended { code, report, table, said } = run.end();
    assert_eq!(code, 1, "{said}");
    assert!(report.failed.contains("nothing came back at the end for"), "{}", report.failed);
    assert!(report.failed.contains("is the reflector away?"), "{}", report.failed);
    assert!(told(&report).iter().any(|what| what.contains("is the reflector away?")), "{:?}", report.events);
    assert!(table.contains(&format!("FAILED      {}; a partial result", report.failed)), "{table}");
    assert!(
        said.contains(" WARN nothing has come back for") && said.contains("ERROR nothing came"),
        "{said}"
    );
    assert!(report.data.delivered >= 490 && report.data.lost > 500, "{:?}", report.data);
    assert!(!report.interrupted && !report.refused_all);
}

#[test]
fn a_reflector_that_comes_back_is_told_of_and_the_run_goes_on() {
    let _turn = turn();
    let before = echo("back", Mischief::None);
    let mut run = Running::start("back", &before, "--endpoints 20 --rate 500 --duration 8s", None);
    run.wait(|| before.sends() >= 250);
    let (address, keys) = (before.address, before.keys.clone());
    drop(before);
    std::thread::sleep(Duration::from_millis(2_500));
    let after =
        Echo::start(UdpSocket::bind(address).unwrap(), keys, "127.0.0.0/8".parse().unwrap(), Mischief::None);
    let Ended { code, report, said, .. } = run.end();
    assert!([0, 98].contains(&code) && report.failed.is_empty(), "{code}: {said}");
    assert!(after.sends() > 0 && report.data.lost > 500, "{:?}", report.data);
    let told = told(&report);
    let place = |words: &str| told.iter().position(|what| what.contains(words));
    let (away, back) = (place("is the reflector away?"), place("datagrams come back again after"));
    assert!(away.is_some() && away < back, "{told:?}");
}

#[test]
fn a_reflector_that_goes_away_in_a_search_leaves_what_was_found() {
    let _turn = turn();
    let echo = echo("search-away", Mischief::None);
    let flags = "--find pdr --endpoints 20 --rate 200 --duration 2s --keepalive 0";
    let mut run = Running::start("search-away", &echo, flags, None);
    // In the second try, wherever the first one has led.
    run.wait(|| echo.sends() >= 500);
    drop(echo);
    let Ended { code, report, table, said } = run.end();
    assert_eq!(code, 1, "{said}");
    let found = report.found.as_ref().unwrap();
    let last = found.tried.last().unwrap();
    // It went in the midst of a try, or between two of them.
    assert!(last.verdict == "cut short" || report.failed.contains("nothing answers at"), "{report:?}");
    assert!(table.contains("pdr         cut short"), "{table}");
    assert!(report.data.delivered > 300 && report.settings.rate_per_s == 200, "{:?}", report.data);
}

#[test]
fn a_signal_in_a_search_keeps_what_was_found_and_counts_no_try_that_it_cut() {
    let _turn = turn();
    let echo = echo("search-signal", Mischief::None);
    let flags = "--find ndr --endpoints 20 --rate 200 --duration 2s --keepalive 0";
    let mut run = Running::start("search-signal", &echo, flags, None);
    run.wait(|| echo.sends() >= 100);
    run.signal("INT");
    let Ended { code, report, table, said } = run.end();
    assert_eq!(code, 130, "{said}");
    let found = report.found.as_ref().unwrap();
    assert!(report.interrupted && found.rate_per_s == 0 && found.failed_per_s == 0, "{found:?}");
    assert_eq!((found.tried.len(), found.tried[0].verdict.as_str()), (1, "cut short"));
    assert!(
        table.contains("cut short before any rate held") && table.contains("a partial result"),
        "{table}"
    );
}

#[test]
fn a_signal_while_contacts_are_obtained_ends_the_run_with_what_there_is() {
    let _turn = turn();
    let echo = echo("contacts", Mischief::None);
    let flags = "--endpoints 400k --rate 500 --duration 60s --external 127.64.0.0/10";
    let run = Running::start("contacts", &echo, flags, None);
    std::thread::sleep(Duration::from_millis(1_500));
    run.signal("TERM");
    let Ended { code, report, table, said } = run.end();
    assert_eq!(code, 130, "{said}");
    assert!(report.interrupted && report.contacts.missing > 0 && report.data.sent == 0, "{:?}", report.data);
    assert!(table.contains("interrupted: a partial result"), "{table}");
    assert!(!said.contains("lower --rate") && !said.contains("ERROR"), "{said}");
}

#[test]
fn a_clock_that_is_set_is_told_at_once_and_the_run_not_believed() {
    let _turn = turn();
    let (forth, back) = ("the system clock jumped forward by 3", "the system clock jumped back by 3");
    // Forward, back, and there and back again, after which it is right and was not steady all the same.
    let cases: [(&str, &[i64], &[&str]); 3] = [
        ("clock-forth", &[HOUR_NS], &[forth]),
        ("clock-back", &[-HOUR_NS], &[back]),
        ("clock-both", &[HOUR_NS, 0], &[forth, back]),
    ];
    for (name, offsets, words) in cases {
        let echo = echo(name, Mischief::None);
        let clock = SetClock::new(&scratch("clock"));
        let flags = "--endpoints 20 --rate 500 --duration 3s --capability-lifetime 600s";
        let mut run = Running::start(name, &echo, flags, Some(&clock));
        for (place, offset_ns) in (1..).zip(offsets) {
            run.wait(|| echo.sends() >= place * 400);
            clock.set(*offset_ns);
        }
        let Ended { code, report, said, .. } = run.end();
        assert_eq!(code, 98, "{name}: {said}");
        is_consistent(&report, &echo);
        let told = told(&report);
        assert!(
            words.iter().all(|words| told.iter().any(|what| what.starts_with(words))),
            "{name}: {told:?}"
        );
        assert!(words.iter().all(|words| said.contains(&format!(" WARN {words}"))), "{name}: {said}");
        let check = report.validity.checks.iter().find(|check| check.name == "clock-step").unwrap();
        assert!(!check.holds && check.value.unwrap() > 3.5e12, "{name}: {check:?}");
        // Nothing else went wrong: times of datagrams are boot times.
        assert_eq!(
            (report.data.lost, report.failed.as_str()),
            (report.data.sent - echo.sends(), ""),
            "{name}"
        );
        assert!(report.latency.max_ns < 1_000_000_000_000, "{name}: {:?}", report.latency);
    }
}

#[test]
fn a_rate_that_nobody_reaches_is_said_with_the_one_that_was_managed() {
    let _turn = turn();
    let echo = echo("reach", Mischief::None);
    let run = Running::start("reach", &echo, "--endpoints 20 --rate 100M --duration 1s", None);
    let Ended { code, report, said, .. } = run.end();
    assert_eq!(code, 98, "{said}");
    assert!(told(&report).iter().any(|what| what.contains("is --rate out of reach?")), "{:?}", report.events);
    assert!(said.contains("/s of 100000000/s: lower --rate, give it more --workers"), "{said}");
    let failed: Vec<_> = report.validity.checks.iter().filter(|check| !check.holds).collect();
    assert!(failed.iter().any(|check| check.name == "rate-shortfall"), "{failed:?}");
}

#[test]
fn a_reflector_that_refuses_every_send_ends_the_run_at_once() {
    let _turn = turn();
    let echo = echo("refusing", Mischief::RelayNothing);
    let run =
        Running::start("refusing", &echo, "--endpoints 20 --rate 500 --duration 10m --keepalive 200ms", None);
    let Ended { code, report, said, .. } = run.end();
    assert_eq!(code, 78, "{said}");
    assert!(report.refused_all && report.rate.elapsed_ns < 300_000_000_000, "{:?}", report.rate);
    assert!(said.contains("ERROR every SEND was refused by tag, it seems"), "{said}");
    assert!(said.contains("is this the reflector's ring?"), "{said}");
}
