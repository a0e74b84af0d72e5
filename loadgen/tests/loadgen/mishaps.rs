//! What goes wrong in the middle of a run: a reflector that goes away, a clock that is set, a signal, a rate that
//! nobody reaches. Said in words, with what was measured until then, and the exit code.
//!
//! * A busy machine may make a run invalid (98) where 0 would be right; what is asserted holds all the same.

use crate::echo::Mischief;
use crate::held_up::unless_held_up;
use crate::runs::{Ended, Run, echo, is_consistent};
use crate::set_clock::{HOUR_NS, SetClock};
use harness::Signal;
use results::run::Report;

fn told(report: &Report) -> Vec<&str> {
    report.events.iter().map(|event| event.what.as_str()).collect()
}

#[test]
fn a_reflector_that_goes_away_fails_the_run_which_keeps_what_it_has() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let mut run = Run::start(&echo, "--endpoints 20 --rate 500 --duration 2500ms", None);
        run.wait(|| echo.sends() >= 100);
        drop(echo);
        let Ended { code, report, table, said } = run.end();
        assert_eq!(code, 1, "{said}");
        assert!(report.failed.contains("nothing came back at the end for"), "{}", report.failed);
        assert!(report.failed.contains("is the reflector away?"), "{}", report.failed);
        assert!(
            told(&report).iter().any(|what| what.contains("is the reflector away?")),
            "{:?}",
            report.events
        );
        assert!(table.contains(&format!("FAILED      {}; a partial result", report.failed)), "{table}");
        assert!(
            said.contains(" WARN nothing has come back for") && said.contains("ERROR nothing came"),
            "{said}"
        );
        assert!(report.data.delivered >= 90 && report.data.lost > 500, "{:?}", report.data);
        assert!(!report.interrupted && !report.refused_all);
    });
}

#[test]
fn a_reflector_that_comes_back_is_told_of_and_the_run_goes_on() {
    unless_held_up(|| {
        let mut echo = echo(Mischief::None);
        let mut run = Run::start(&echo, "--endpoints 20 --rate 500 --duration 3s", None);
        run.wait(|| echo.sends() >= 100);
        let socket = echo.stop();
        run.wait_for("is the reflector away?");
        echo.start_again(socket);
        let Ended { code, report, said, .. } = run.end();
        assert!([0, 98].contains(&code) && report.failed.is_empty(), "{code}: {said}");
        assert!(echo.sends() > 0 && report.data.lost > 500, "{:?}", report.data);
        let told = told(&report);
        let place = |words: &str| told.iter().position(|what| what.contains(words));
        let (away, back) = (place("is the reflector away?"), place("datagrams come back again after"));
        assert!(away.is_some() && away < back, "{told:?}");
    });
}

#[test]
fn a_reflector_that_goes_away_in_a_search_leaves_what_was_found() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--find pdr --endpoints 20 --rate 200 --duration 1500ms --keepalive 0";
        let mut run = Run::start(&echo, flags, None);
        // In the second try, wherever the first one has led.
        run.wait(|| echo.sends() >= 350);
        drop(echo);
        let Ended { code, report, table, said } = run.end();
        assert_eq!(code, 1, "{said}");
        let found = report.found.as_ref().unwrap();
        let last = found.tried.last().unwrap();
        // It went in the midst of a try, or between two of them.
        assert!(last.verdict == "cut short" || report.failed.contains("nothing answers at"), "{report:?}");
        assert!(table.contains("pdr         cut short"), "{table}");
        assert!(report.data.delivered > 200 && report.settings.rate_per_s == 200, "{:?}", report.data);
    });
}

#[test]
fn a_signal_in_a_search_keeps_what_was_found_and_counts_no_try_that_it_cut() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--find ndr --endpoints 20 --rate 200 --duration 10m --keepalive 0";
        let mut run = Run::start(&echo, flags, None);
        run.wait(|| echo.sends() >= 100);
        run.signal(Signal::SIGINT);
        let Ended { code, report, table, said } = run.end();
        assert_eq!(code, 130, "{said}");
        let found = report.found.as_ref().unwrap();
        assert!(report.interrupted && found.rate_per_s == 0 && found.failed_per_s == 0, "{found:?}");
        assert_eq!((found.tried.len(), found.tried[0].verdict.as_str()), (1, "cut short"));
        assert!(
            table.contains("cut short before any rate held") && table.contains("a partial result"),
            "{table}"
        );
    });
}

#[test]
fn a_signal_while_contacts_are_obtained_ends_the_run_with_what_there_is() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--endpoints 400k --rate 500 --duration 60s --external 127.64.0.0/10";
        let mut run = Run::start(&echo, flags, None);
        run.wait(|| echo.probes() >= 1_000);
        run.signal(Signal::SIGTERM);
        let Ended { code, report, table, said } = run.end();
        assert_eq!(code, 130, "{said}");
        assert!(
            report.interrupted && report.contacts.missing > 0 && report.data.sent == 0,
            "{:?}",
            report.data
        );
        assert!(table.contains("interrupted: a partial result"), "{table}");
        assert!(!said.contains("lower --rate") && !said.contains("ERROR"), "{said}");
    });
}

#[test]
fn a_clock_that_is_set_is_told_at_once_and_the_run_not_believed() {
    let (forth, back) = ("the system clock jumped forward by 3", "the system clock jumped back by 3");
    // Forward, back, and there and back again, after which it is right and was not steady all the same.
    let cases: [&[(i64, &str)]; 3] =
        [&[(HOUR_NS, forth)], &[(-HOUR_NS, back)], &[(HOUR_NS, forth), (0, back)]];
    for settings in cases {
        unless_held_up(|| is_told_and_not_believed(settings));
    }
}

/// A run during which the clock is set to each offset, with what has to be said about it.
fn is_told_and_not_believed(settings: &[(i64, &str)]) {
    let echo = echo(Mischief::None);
    let clock = SetClock::new(&echo.file("clock"));
    let flags = "--endpoints 20 --rate 500 --duration 1200ms --capability-lifetime 600s";
    let mut run = Run::start(&echo, flags, Some(&clock));
    run.wait(|| echo.sends() >= 100);
    for (offset_ns, words) in settings {
        clock.set(*offset_ns);
        run.wait_for(&format!(" WARN {words}"));
    }
    let Ended { code, report, said, .. } = run.end();
    assert_eq!(code, 98, "{said}");
    is_consistent(&report, &echo);
    let told = told(&report);
    for (_, words) in settings {
        assert!(told.iter().any(|what| what.starts_with(words)), "{told:?}");
    }
    let check = report.validity.checks.iter().find(|check| check.name == "clock-step").unwrap();
    assert!(!check.holds && check.value.unwrap() > 3.5e12, "{check:?}");
    // Nothing else went wrong: times of datagrams are boot times.
    assert_eq!((report.data.lost, report.failed.as_str()), (report.data.sent - echo.sends(), ""));
    assert!(report.latency.max_ns < 1_000_000_000_000, "{:?}", report.latency);
}

#[test]
fn a_rate_that_nobody_reaches_is_said_with_the_one_that_was_managed() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let run = Run::start(&echo, "--endpoints 20 --rate 100M --duration 1s", None);
        let Ended { code, report, said, .. } = run.end();
        assert_eq!(code, 98, "{said}");
        assert!(
            told(&report).iter().any(|what| what.contains("is --rate out of reach?")),
            "{:?}",
            report.events
        );
        assert!(said.contains("/s of 100000000/s: lower --rate, give it more --workers"), "{said}");
        let failed: Vec<_> = report.validity.checks.iter().filter(|check| !check.holds).collect();
        assert!(failed.iter().any(|check| check.name == "rate-shortfall"), "{failed:?}");
    });
}

#[test]
fn a_reflector_that_refuses_every_send_ends_the_run_at_once() {
    unless_held_up(|| {
        let echo = echo(Mischief::RelayNothing);
        let run = Run::start(&echo, "--endpoints 20 --rate 500 --duration 10m --keepalive 200ms", None);
        let Ended { code, report, said, .. } = run.end();
        assert_eq!(code, 78, "{said}");
        assert!(report.refused_all && report.rate.elapsed_ns < 300_000_000_000, "{:?}", report.rate);
        assert!(said.contains("ERROR every SEND was refused by tag, it seems"), "{said}");
        assert!(said.contains("is this the reflector's ring?"), "{said}");
    });
}
