//! The whole method on loopback: real reflectors, a real access server, and sixty endpoints of the generator.
//!
//! * Needs no root; the other programs are built first, if they have to be.
//! * A day during which the machine kept somebody waiting shows nothing and is repeated (`held_up`).
//! * Judged by what became of notices and datagrams, never by a time; waits are bounds.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../loadgen/held_up.rs"]
mod held_up;
mod mishaps;
#[path = "../loadgen/set_clock.rs"]
mod set_clock;
mod site;

use harness::{Need, Signal, Suite};
use held_up::unless_held_up;
use results::presence::{NoticeReport, PresenceReport};
use site::Site;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    // Nearly all of a day is waiting.
    suite.threads(SIDE_BY_SIDE);
    let mut add =
        |name: &str, needs: &[Need], work: fn()| suite.add(name, needs, move || unless_held_up(work));
    add("sixty_come_talk_and_go_and_every_notice_is_accounted_for", &[], sixty_come_talk_and_go);
    add("who_comes_and_goes_all_the_time_is_seen_coming_each_time", &[], who_comes_and_goes_all_the_time);
    add(
        "half_of_them_hide_and_all_with_them_is_reflected",
        &[],
        half_of_them_hide_and_all_with_them_is_reflected,
    );
    add("an_interrupted_run_keeps_what_it_has", &[], an_interrupted_run_keeps_what_it_has);
    add("what_cannot_work_is_said_at_once", &[], what_cannot_work_is_said_at_once);
    add("an_access_server_that_refuses_all_contacts_is_named", &[], refused_contacts_are_named);
    add(
        "reflectors_that_go_away_fail_the_run_which_keeps_what_it_has",
        &[],
        mishaps::reflectors_that_go_away_fail_the_run_which_keeps_what_it_has,
    );
    add(
        "reflectors_that_are_away_are_told_of_before_the_storm_is_over",
        &[],
        mishaps::reflectors_that_are_away_are_told_of_before_the_storm_is_over,
    );
    add(
        "an_access_server_that_goes_away_fails_the_run_which_keeps_what_it_has",
        &[],
        mishaps::an_access_server_that_goes_away_fails_the_run_which_keeps_what_it_has,
    );
    add(
        "an_access_server_elsewhere_is_told_of_before_its_store_gets_accounts",
        &[],
        mishaps::an_access_server_elsewhere_is_told_of_before_its_store_gets_accounts,
    );
    add("a_signal_before_anybody_is_there_ends_it", &[], mishaps::a_signal_before_anybody_is_there_ends_it);
    add(
        "a_signal_ends_the_waiting_for_an_access_server_that_is_silent",
        &[],
        mishaps::a_signal_ends_the_waiting_for_an_access_server_that_is_silent,
    );
    add(
        "a_clock_that_is_set_is_told_at_once_and_the_run_not_believed",
        &[set_clock::lacks],
        mishaps::a_clock_that_is_set_is_told_at_once_and_the_run_not_believed,
    );
    suite.run()
}

fn sixty_come_talk_and_go() {
    let site = Site::start(true);
    let metrics = site.metrics();
    let flags = [
        "--endpoints",
        "60",
        "--storm",
        "3s",
        "--steady",
        "14s",
        "--talk",
        "100%",
        "--offline-time",
        "1s",
        "--patience",
        "30s",
        "--late",
        "30s",
        "--seed",
        "1",
        "--threshold",
        "loss<=0%",
        "--metrics",
        &metrics[0],
        "--metrics",
        &metrics[1],
    ];
    let (code, report) = site.finish(&flags);
    // A busy machine makes a run invalid, not wrong.
    assert!([0, 98].contains(&code), "exit {code}: {report:?}");
    assert_eq!(report.validity.valid, code == 0);
    assert_eq!((report.setup.accounts, report.storm.started, report.storm.logged_in), (60, 60, 60));
    assert_eq!((report.storm.login.count, report.storm.to_all.count), (60, 60));
    nothing_is_missing(&report);
    assert_eq!(
        (report.came.counts.lost, report.went.counts.lost),
        (0, 0),
        "{:?} {:?}",
        report.came,
        report.went
    );

    // Who comes is told to each buddy that is there, once for each friendship; half of them leave.
    let [came, went] = [&report.came, &report.went].map(|notices| notices.counts);
    assert_eq!((came.due, came.void), (report.setup.friendships, 0));
    assert!(came.direct > 0 && came.reflected > 0 && went.due > 0, "{came:?} {went:?}");
    assert_eq!((came.by_server, went.by_server, came.late), (0, 0, 0), "{came:?} {went:?}");
    let share = &report.notice_share;
    assert_eq!((share.count, share.reflected), (came.direct + came.reflected, came.reflected));
    assert!(share.agrees && share.against_grid == 0, "{share:?}");
    assert!((share.predicted - 0.9).abs() < 1e-9 && share.sampling_error < 0.2, "{share:?}");

    let talk = report.talk_share.as_ref().unwrap();
    assert!(talk.count > 20 && (talk.predicted - 0.24).abs() < 1e-9, "{talk:?}");
    assert!(report.paths.said > 100 && report.paths.heard == report.paths.said, "{:?}", report.paths);
    // Direct paths are sought against the clock.
    assert!(!report.validity.valid || (talk.against_grid == 0 && talk.agrees), "{talk:?}");

    // The reflectors relayed for nobody else.
    assert_eq!(report.reflectors.iter().map(|load| load.relayed).sum::<u64>(), report.paths.reflected);
    assert!(report.reflectors.iter().all(|load| load.relayed > 0), "{:?}", report.reflectors);
    assert!(report.calls["/v1/login"].count >= 60 && report.calls["/v1/devices"].count == 60);
    assert_eq!(report.calls["/v1/logout"].count, 60);
}

fn half_of_them_hide_and_all_with_them_is_reflected() {
    let site = Site::start(true);
    let flags = "--endpoints 40 --storm 2s --steady 14s --talk 100% --hidden 50% --offline-time 1s --patience 30s \
                 --late 30s --seed 1 --threshold loss<=0%";
    let (code, report) = site.finish(&flags.split_whitespace().collect::<Vec<_>>());
    assert!([0, 98].contains(&code), "exit {code}: {report:?}");
    assert!((report.settings.hidden - 0.5).abs() < 1e-9 && report.storm.logged_in == 40);
    assert_eq!((report.came.counts.lost, report.went.counts.lost), (0, 0), "{report:?}");
    assert!(report.paths.said > 100 && report.paths.heard == report.paths.said, "{:?}", report.paths);
    let (share, talk) = (&report.notice_share, report.talk_share.as_ref().unwrap());
    // A quarter of all pairs has no hidden endpoint; of those a tenth needs no reflector for its first notice.
    assert!((share.predicted - 0.975).abs() < 1e-9 && share.against_grid == 0, "{share:?}");
    assert!((talk.predicted - (1.0 - 0.25 * 0.76)).abs() < 1e-9, "{talk:?}");
    assert!(!report.validity.valid || talk.against_grid == 0, "{talk:?}");
}

fn who_comes_and_goes_all_the_time() {
    let site = Site::start(true);
    let flags = [
        "--endpoints",
        "40",
        "--storm",
        "1s",
        "--steady",
        "6s",
        "--talk",
        "20%",
        "--churn",
        "2s/500ms",
        "--offline",
        "25%",
        "--offline-time",
        "500ms",
        "--patience",
        "10s",
        "--late",
        "10s",
        "--nat",
        "open=20%,eim/eif=20%,eim/apdf=40%,symmetric=20%",
        "--buddies",
        "4",
        "--connections",
        "3",
        "--mapping-timeout",
        "60s",
        "--log-format",
        "json",
    ];
    let (code, report) = site.finish(&flags);
    let settings = &report.settings;
    assert_eq!((settings.buddies, settings.connections), (4, 3));
    assert_eq!(settings.mapping_timeout_ns, 60_000_000_000);
    // Two random rings of forty, and a pair that both join counts once.
    assert!((40..=80).contains(&report.setup.friendships), "{:?}", report.setup);
    assert!([0, 98].contains(&code), "exit {code}: {report:?}");
    assert!(report.churn.left > 20 && report.churn.returned > 10, "{:?}", report.churn);
    assert!(report.came.counts.due > report.setup.friendships, "{:?}", report.came);
    assert!(report.went.counts.due > 50, "{:?}", report.went);
    assert_eq!(report.notice_share.against_grid, 0, "{:?}", report.notice_share);
    assert_eq!(
        (report.came.counts.lost, report.went.counts.lost),
        (0, 0),
        "{:?} {:?}",
        report.came,
        report.went
    );
    nothing_is_missing(&report);
}

fn an_interrupted_run_keeps_what_it_has() {
    let site = Site::start(true);
    let mut run = site.spawn(&["--endpoints", "20", "--storm", "1s", "--steady", "10m"]);
    site.wait_for_logins(20);
    run.signal(Signal::SIGINT);
    assert_eq!(run.wait().code(), Some(130), "{}", run.stderr());
    let report = site.report();
    assert!(report.interrupted && report.storm.logged_in <= 20 && report.came.counts.is_conserved());
}

fn what_cannot_work_is_said_at_once() {
    let site = Site::start(true);
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--nat", "open=60%,eim/eif=60%"], 2, "sum to 120%"),
        (&["--access", "https://127.0.0.1"], 2, "http://HOST:PORT"),
        (&["--control", "/nowhere/store.sock"], 78, "STORE.sock"),
        (&["--external", "192.0.2.0/24", "--endpoints", "10"], 78, "ip route add local 192.0.2.0/24"),
        (&["--endpoints", "300", "--external", "127.64.0.0/24"], 2, "254 addresses for 300"),
        (&["--metrics", "http://127.0.0.1:9/metrics"], 78, "--metrics"),
    ];
    for (flags, code, words) in cases {
        let (ended, _, text) = site.run(&[flags, &["--quiet"]].concat());
        assert_eq!(ended, code, "{flags:?}: {text}");
        assert!(text.contains(words) && text.lines().count() == 1, "{flags:?}: {text}");
    }
}

fn refused_contacts_are_named() {
    let site = Site::start(false);
    // So many refusals end it before patience does.
    let flags = ["--endpoints", "24", "--storm", "200ms", "--patience", "60s", "--quiet"];
    let (code, _, text) = site.run(&flags);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("does it accept contacts in --external (--allow-destination)"), "{text}");
}

/// Every notice and every datagram is accounted for, and no datagram was lost.
fn nothing_is_missing(report: &PresenceReport) {
    for NoticeReport { counts, latency } in [&report.came, &report.went] {
        assert!(counts.is_conserved(), "{counts:?}");
        assert_eq!(latency.count, counts.direct + counts.reflected);
    }
    let paths = &report.paths;
    assert!(paths.reflected > 0 && paths.direct_sent > 0, "{paths:?}");
    assert_eq!((paths.returned, paths.lost, paths.foreign), (paths.reflected, 0, 0), "{paths:?}");
    assert_eq!(paths.observed, paths.probes, "{paths:?}");
    let from_reflectors = paths.delivered + paths.refused_by_nat + paths.away;
    assert_eq!(paths.returned + paths.observed, from_reflectors, "{paths:?}");
    let from_hosts = paths.direct_delivered + paths.direct_refused + paths.direct_away;
    assert_eq!(paths.direct_sent, from_hosts, "{paths:?}");
    assert_eq!(report.false_offline, 0);
    assert!(report.call_failures.is_empty(), "{:?}", report.call_failures);
    assert!(!report.planning.fit, "loopback");
}

/// Days at a time.
const SIDE_BY_SIDE: usize = 6;
