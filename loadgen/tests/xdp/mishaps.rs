//! What goes wrong in the middle of a run below the sockets, in words and by exit code.

use crate::Test;
use crate::echo::{Echo, Mischief};
use crate::flows;
use crate::forwarder::{Forwarder, Way};
use crate::rig::{Rig, wait};
use crate::set_clock::{HOUR_NS, SetClock};
use harness::Signal;
use results::run::Report;

pub(crate) const TESTS: [Test; 5] = [
    ("mishaps::a_reflector_that_goes_away_fails_the_run_which_keeps_what_it_has", reflector_away),
    ("mishaps::a_relay_that_goes_away_fails_the_run_which_keeps_what_it_has", relay_away),
    ("mishaps::a_signal_keeps_the_partial_result", signalled),
    ("mishaps::a_rate_that_nobody_reaches_is_not_believed", out_of_reach),
    ("mishaps::nobody_there_and_the_wrong_ring_are_told_apart", nobody_or_wrong_ring),
];

/// It needs a C compiler, too.
pub(crate) const CLOCK_TEST: Test =
    ("mishaps::a_clock_that_is_set_is_told_and_the_run_not_believed", clock_set);

fn echo(rig: &Rig) -> Echo {
    let keys = rig.file("ring.toml");
    Echo::start(rig.relay_socket(true), keys, "10.64.0.0/16".parse().unwrap(), Mischief::None)
}

fn flags(echo: &Echo, more: &str) -> String {
    format!("--keys {} --external 10.64.0.0/16 --endpoints 20 --rate 500 {more}", echo.keys.to_str().unwrap())
}

fn has_failed((code, report, text): &(i32, Report, String)) {
    assert_eq!(*code, 1, "{text}");
    assert!(report.failed.starts_with("nothing came back at the end for"), "{}", report.failed);
    assert!(text.contains("is the reflector away?"), "{text}");
    assert!(report.data.delivered >= 90 && report.data.lost > 500, "{:?}", report.data);
}

fn reflector_away() {
    let rig = Rig::new();
    let echo = echo(&rig);
    let mut running = rig.start(echo.address, &flags(&echo, "--duration 2500ms"));
    wait(&mut running, || echo.sends() >= 100);
    drop(echo);
    has_failed(&rig.end(running));
}

fn relay_away() {
    let rig = Rig::new();
    let relay = Forwarder::start(rig.relay_socket(true), Way::OnWithoutHead);
    let file = flows::ring(&rig, relay.address);
    let mut running = rig.start(relay.address, &format!("--flows {file} --rate 500 --duration 2500ms"));
    wait(&mut running, || relay.forwarded() >= 100);
    drop(relay);
    has_failed(&rig.end(running));
}

fn signalled() {
    let rig = Rig::new();
    let echo = echo(&rig);
    let mut running = rig.start(echo.address, &flags(&echo, "--duration 60s"));
    wait(&mut running, || echo.sends() >= 100);
    running.signal(Signal::SIGTERM);
    let (code, report, text) = rig.end(running);
    assert_eq!(code, 130, "{text}");
    assert!(report.interrupted && report.failed.is_empty() && report.data.delivered >= 90);
}

fn clock_set() {
    let rig = Rig::new();
    for (offset_ns, words) in [(HOUR_NS, "jumped forward by 3"), (-HOUR_NS, "jumped back by 3")] {
        let echo = echo(&rig);
        let clock = SetClock::new(&rig.file("clock"));
        let mut command = rig.command(echo.address, &flags(&echo, "--duration 1200ms"));
        clock.govern(&mut command);
        let mut running = rig.start_command(&mut command);
        wait(&mut running, || echo.sends() >= 100);
        clock.set(offset_ns);
        let (code, report, text) = rig.end(running);
        assert_eq!(code, 98, "{text}");
        assert!(report.events.iter().any(|event| event.what.contains(words)), "{:?}", report.events);
        let check = report.validity.checks.iter().find(|check| check.name == "clock-step").unwrap();
        assert!(!check.holds && check.value.unwrap() > 3.5e12, "{check:?}");
        assert_eq!((report.data.lost, report.failed.as_str()), (report.data.sent - echo.sends(), ""));
    }
}

fn out_of_reach() {
    let rig = Rig::new();
    let echo = echo(&rig);
    let (code, report) =
        rig.run(echo.address, &flags(&echo, "--duration 1s").replace("--rate 500", "--rate 100M"));
    assert_eq!(code, 98);
    let failed: Vec<_> = report.validity.checks.iter().filter(|check| !check.holds).collect();
    assert!(failed.iter().any(|check| check.name == "rate-shortfall"), "{failed:?}");
    assert!(report.rate.managed_per_s < 100e6 && report.rate.managed_per_s > 0.0, "{:?}", report.rate);
}

fn nobody_or_wrong_ring() {
    let rig = Rig::new();
    let echo = echo(&rig);
    let other = rig.file("other.toml");
    std::fs::write(&other, wire::ring_file::render(1, b"another's secret")).unwrap();
    let wrong = flags(&echo, "").replace("/ring.toml", "/other.toml");
    let (code, text) = rig.fail(echo.address, &wrong);
    assert!(code == 78 && text.contains("is --keys the ring of the reflector?"), "{code} {text}");
    let (address, flags) = (echo.address, flags(&echo, ""));
    drop(echo);
    let (code, text) = rig.fail(address, &flags);
    assert!(code == 1 && text.contains(&format!("nothing answers at {address}")), "{code} {text}");
}
