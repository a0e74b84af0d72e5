//! What is sent and when: rates over time, payloads, pairs; and what is told while a run lasts.

use crate::echo::Mischief;
use crate::held_up::unless_held_up;
use crate::runs::{echo, is_consistent, run};
use results::run::Event;

#[test]
fn as_many_leave_as_lie_under_the_profile() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (_, report) = run(&echo, "--endpoints 40 --rate 2k --duration 2s --profile ramp");
        is_consistent(&report, &echo);
        // 200 to 2,000 a second within 2 s.
        assert!(report.rate.due.abs_diff(2_200) <= 2, "{}", report.rate.due);
        assert_eq!((report.settings.profile.as_str(), report.settings.rate_per_s), ("ramp", 2_000));
        let sent: Vec<u64> = report.series.points.iter().map(|point| point.sent).collect();
        let (first, second): (u64, u64) = (sent[..10].iter().sum(), sent[10..].iter().sum());
        assert!(first.abs_diff(650) <= 2 && second.abs_diff(1_550) <= 2, "{sent:?}");
    });
}

#[test]
fn a_file_of_rates_says_how_long_the_run_is() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let file = echo.file("rates.toml");
        let point = |at: &str, rate: &str| format!("[[point]]\nat = \"{at}\"\nrate = \"{rate}\"\n");
        let text =
            [point("0s", "1k"), point("300ms", "1k"), point("300ms", "0"), point("600ms", "0")].concat();
        std::fs::write(&file, text).unwrap();
        let flags = format!("--endpoints 40 --arrivals burst:2 --profile {}", file.display());
        let (_, report) = run(&echo, &flags);
        is_consistent(&report, &echo);
        assert_eq!((report.rate.due, report.settings.duration_ns), (300, 600_000_000));
        assert!(report.series.points[3..].iter().all(|point| point.sent == 0), "{:?}", report.series.points);
    });
}

#[test]
fn as_many_calls_talk_as_the_rate_needs() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (_, report) = run(&echo, "--endpoints 200 --payload voice --rate 2k --duration 1s");
        is_consistent(&report, &echo);
        assert_eq!((report.rate.due, report.settings.pair_count), (2_000, 40));
        assert_eq!((report.settings.payload.as_str(), report.settings.payload_bytes), ("voice", 160));
        let (_, all) = run(&echo, "--endpoints 20 --payload game --duration 1s --pairs ring");
        assert_eq!((all.rate.due, all.settings.rate_per_s), (600, 600));
    });
}

#[test]
fn kinds_of_flows_keep_their_own_pace() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let file = echo.file("kinds.toml");
        let text = "[[flow]]\nshare = \"75%\"\nrate = 20\nsizes = [{ bytes = 80, share = \"50%\" }, { bytes = 400, share = \"50%\" }]\n\
                    [[flow]]\nshare = \"25%\"\nrate = 60\ntrain = 6\nbytes = 1200\n";
        std::fs::write(&file, text).unwrap();
        let flags = format!("--endpoints 80 --duration 1s --payload {}", file.display());
        let (_, report) = run(&echo, &flags);
        is_consistent(&report, &echo);
        // 60 flows of 20 a second and 20 of 60: 1,200 each; mean size of 240 and 1,200.
        assert_eq!((report.settings.rate_per_s, report.settings.pair_count), (2_400, 80));
        assert_eq!((report.rate.due, report.settings.payload_bytes), (2_400, 720));
    });
}

#[test]
fn rooms_and_several_partners() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        for (pairs, count) in [("groups:5", 80), ("random:3", 60), ("calls", 20)] {
            let flags = format!("--endpoints 20 --rate 1k --duration 300ms --pairs {pairs}");
            let (_, report) = run(&echo, &flags);
            assert_eq!((report.settings.pair_count, report.settings.pairs.as_str()), (count, pairs));
            assert_eq!(
                report.data.sent,
                report.data.delivered + report.data.refused_by_nat.total() + report.data.lost
            );
            assert!(report.rate.due == 300 && report.keepalive.foreign == 0);
        }
    });
}

fn told(events: &[Event], part: &str) -> bool {
    events.iter().any(|event| event.what.contains(part))
}

#[test]
fn a_ring_by_which_all_is_refused_ends_the_run_at_once() {
    unless_held_up(|| {
        let echo = echo(Mischief::RelayNothing);
        let flags = "--endpoints 20 --rate 500 --duration 60s --keepalive 200ms";
        let (code, report) = run(&echo, flags);
        assert_eq!((code, report.refused_all, report.interrupted), (78, true, false));
        assert!(report.rate.elapsed_ns < 30_000_000_000, "{}", report.rate.elapsed_ns);
        assert!(told(&report.events, "every SEND was refused by tag"), "{:?}", report.events);
        assert!(report.data.sent > 0 && report.data.lost == report.data.sent);
    });
}

#[test]
fn a_reflector_that_falls_silent_is_told_of_and_measured_on() {
    unless_held_up(|| {
        let echo = echo(Mischief::Stall(1_500));
        let (code, report) = run(&echo, "--endpoints 20 --rate 500 --duration 2500ms");
        assert!([0, 98].contains(&code), "{code}");
        is_consistent(&report, &echo);
        assert!(told(&report.events, "is the reflector away?"), "{:?}", report.events);
        assert!(told(&report.events, "datagrams come back again after"), "{:?}", report.events);
    });
}

#[test]
fn a_rate_out_of_reach_is_told_with_what_is_in_reach() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let (code, report) = run(&echo, "--endpoints 20 --rate 20M --duration 1s");
        assert!(code == 98 && !report.validity.valid, "{code}");
        assert!(report.validity.checks.iter().any(|check| check.name == "rate-shortfall" && !check.holds));
        assert!(told(&report.events, "is --rate out of reach?"), "{:?}", report.events);
        assert!(report.rate.managed_per_s > 100.0 && report.rate.managed_per_s < 19e6, "{:?}", report.rate);
        assert!(loadgen::report::table::advice(&report).unwrap().contains("lower --rate"));
    });
}
