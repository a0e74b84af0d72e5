//! Endpoints behind simulated NATs, through reflectors that do right and wrong.

use crate::Test;
use crate::echo::{Echo, Mischief};
use crate::rig::Rig;
use results::run::Report;

pub(crate) const TESTS: [Test; 11] = [
    ("endpoints::a_faithful_reflector_loses_nothing", faithful),
    ("endpoints::over_ipv6", over_ipv6),
    ("endpoints::every_lost_datagram_is_found", lost),
    ("endpoints::every_repeated_datagram_is_found", repeated),
    ("endpoints::every_reordered_datagram_is_found", reordered),
    ("endpoints::a_stall_is_found_in_the_latency_of_all_that_waited", stalled),
    ("endpoints::data_that_name_another_sender_prove_nothing", another_sender),
    ("endpoints::invalid_datagrams_are_counted_apart", invalid),
    ("endpoints::a_reflector_that_relays_nothing_or_anything_is_found_out", nothing_or_anything),
    ("endpoints::flows_with_a_pace_send_trains", paced_flows),
    ("endpoints::a_ring_by_which_all_is_refused_ends_the_run_at_once", all_refused),
];

/// Runs against a reflector that does `mischief`.
fn run(mischief: Mischief, flags: &str) -> (i32, Report, Echo) {
    let rig = Rig::new();
    run_in(&rig, true, mischief, flags)
}

fn run_in(rig: &Rig, ipv4: bool, mischief: Mischief, flags: &str) -> (i32, Report, Echo) {
    let block = if ipv4 { "10.64.0.0/16" } else { "fd64::/64" };
    let keys = rig.file("ring.toml");
    let echo = Echo::start(rig.relay_socket(ipv4), keys, block.parse().unwrap(), mischief);
    let keys = echo.keys.to_str().unwrap();
    let (code, report) = rig.run(echo.address, &format!("--keys {keys} --external {block} {flags}"));
    assert_eq!(report.contacts.missing, 0);
    (code, report, echo)
}

/// Datagrams that the reflector's own socket had no room for.
fn unseen(report: &Report, echo: &Echo) -> u64 {
    report.data.sent - echo.sends()
}

fn faithful() {
    let rig = Rig::new();
    let flags = "--endpoints 300 --rate 2k --duration 1s --seed 4 --threshold loss<100% --hgrm /dev/null/x";
    let flags = flags.replace("/dev/null/x", rig.file("latency.hgrm").to_str().unwrap());
    let (code, report, echo) = run_in(&rig, true, Mischief::None, &flags);
    assert!([0, 98].contains(&code), "{code}");
    assert_eq!(
        (report.data.lost, report.data.duplicates, report.data.reordered),
        (unseen(&report, &echo), 0, 0)
    );
    assert!(report.rate.due.abs_diff(2_000) <= 1, "{}", report.rate.due);
    assert_eq!((report.settings.pair_count, report.nat_pairs.len(), report.keepalive.foreign), (300, 16, 0));
    assert_eq!((report.settings.keepalive_ns, report.settings.mapping_timeout_ns), (0, 0));
    let text = std::fs::read_to_string(rig.file("latency.hgrm")).unwrap();
    assert!(text.contains(&format!("Total count    = {:>12}", report.data.delivered)), "{text}");
}

fn over_ipv6() {
    let rig = Rig::new();
    let flags = "--endpoints 50 --rate 1k --duration 500ms --invalid tag=10%,short=10%";
    let (code, report, echo) = run_in(&rig, false, Mischief::None, flags);
    assert!([0, 98].contains(&code), "{code}");
    assert!(report.data.delivered > 0 && report.invalid.delivered == 0);
    let invalid: u64 = report.invalid.sent.values().sum();
    assert_eq!(echo.refused() + (report.rate.sent - echo.sends()) - report.data.lost, invalid);
}

fn lost() {
    let (code, report, echo) =
        run(Mischief::DropEveryTenth, "--endpoints 50 --rate 2k --duration 1s --threshold loss<1%");
    assert!([99, 98].contains(&code), "{code}");
    assert!(echo.meddled() >= 100);
    assert_eq!(report.data.lost, echo.meddled() + unseen(&report, &echo));
    assert!(!report.thresholds[0].holds);
}

fn repeated() {
    let (_, report, echo) =
        run(Mischief::RepeatEveryTenth, "--endpoints 50 --rate 2k --duration 1s --pairs ring");
    assert!(echo.meddled() >= 100);
    assert_eq!(report.data.duplicates, echo.meddled());
    assert_eq!(report.data.lost, unseen(&report, &echo));
}

fn reordered() {
    let (_, report, echo) =
        run(Mischief::HoldEveryTenth, "--endpoints 2 --rate 1k --duration 1s --pairs ring");
    assert!(echo.meddled() >= 50);
    // The last one held for either receiver may have had no two successors, and is lost then.
    let lost = report.data.lost - unseen(&report, &echo);
    assert!(lost <= 2, "{lost}");
    assert_eq!((report.data.reordered, report.data.duplicates), (echo.meddled() - lost, 0));
}

fn stalled() {
    // Each frame of a program takes a page of the reflector's socket: not too many may wait there.
    let (_, report, _) = run(Mischief::Stall(300), "--endpoints 20 --rate 120 --duration 2s --pairs star");
    // A closed loop would have sent one datagram into the stall; 36 were meant to leave meanwhile, of 240.
    assert!(report.latency.max_ns >= 290_000_000, "{}", report.latency.max_ns);
    assert!(report.latency.p90_ns >= 50_000_000, "{}", report.latency.p90_ns);
    let stalled = report.series.points.iter().filter(|point| point.p99_ns >= 100_000_000).count();
    assert!(stalled >= 2, "{:?}", report.series.points);
}

fn another_sender() {
    let (_, report, echo) = run(Mischief::NameAnotherSender, "--endpoints 20 --rate 500 --duration 500ms");
    assert_eq!((report.data.delivered, report.latency.count), (0, 0));
    assert_eq!(report.data.lost, report.data.sent);
    assert!(echo.sends() > 100 && report.keepalive.foreign == echo.sends(), "{:?}", report.keepalive);
}

fn invalid() {
    let all = "tag=10%,kind=5%,key=5%,expired=5%,lifetime=5%,destination=5%,short=5%,stolen=5%,loop=5%,data=5%,garbage=5%";
    let (code, report, echo) =
        run(Mischief::None, &format!("--endpoints 50 --rate 2k --duration 1s --invalid {all}"));
    assert!([0, 98].contains(&code), "{code}");
    let sent: u64 = report.invalid.sent.values().sum();
    assert_eq!(report.invalid.sent.len(), 11);
    assert!(sent.abs_diff(1_200) < 160, "{sent}");
    assert_eq!((report.rate.sent, report.invalid.delivered), (report.data.sent + sent, 0));
    assert_eq!(echo.refused() + (report.rate.sent - echo.sends()) - report.data.lost, sent);
    assert!(report.thresholds.iter().all(|verdict| verdict.holds));
}

fn nothing_or_anything() {
    let flags = "--endpoints 20 --rate 1k --duration 500ms --threshold p99<1h --invalid tag=30%";
    let (code, report, _) = run(Mischief::RelayNothing, flags);
    assert!([99, 98].contains(&code), "{code}");
    assert_eq!((report.data.loss, report.latency.max_ns, report.thresholds[0].value), (1.0, 0, None));
    let (code, report, _) = run(Mischief::RelayAnything, flags);
    assert!([99, 98].contains(&code), "{code}");
    assert!(report.invalid.delivered > 50);
    assert!(report.thresholds.iter().any(|verdict| !verdict.holds));
}

fn paced_flows() {
    let flags = "--endpoints 20 --rate 960 --duration 1s --payload video --pairs ring";
    let (code, report, echo) = run(Mischief::None, flags);
    assert!([0, 98].contains(&code), "{code}");
    assert_eq!((report.settings.pair_count, report.settings.payload_bytes), (4, 1_200));
    // Programs pace by whole ns, so that the train at the very end falls to either side of it.
    assert!(report.rate.due.abs_diff(960) <= 8, "{}", report.rate.due);
    assert_eq!((report.data.lost, report.data.duplicates), (unseen(&report, &echo), 0));
}

fn all_refused() {
    let (code, report, _) = run(Mischief::RelayNothing, "--endpoints 20 --rate 500 --duration 60s");
    assert_eq!((code, report.refused_all), (78, true));
    assert!(report.rate.elapsed_ns < 30_000_000_000 && !report.events.is_empty(), "{:?}", report.events);
}
