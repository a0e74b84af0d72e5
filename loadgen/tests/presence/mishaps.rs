//! What goes wrong before or in the midst of a day: who is away, a clock that is set, a signal. Said in words, with
//! what was seen until then, and the exit code.

use crate::set_clock::{HOUR_NS, SetClock};
use crate::site::{Programs, Site, said};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

pub(crate) fn reflectors_that_go_away_fail_the_run_which_keeps_what_it_has(programs: &Programs) {
    let mut site = Site::start(programs, true);
    let metrics = site.metrics();
    let mut run = site.command(&[DAY, &["--metrics", &metrics[0]]].concat());
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    site.wait_for_logins(60);
    site.end_reflectors();
    let output = child.wait_with_output().unwrap();
    let (table, text) = (said(&output.stdout), said(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}");
    let report = site.report();
    assert!(report.failed.starts_with("nothing came back at the end for"), "{}", report.failed);
    assert!(table.contains(&format!("FAILED      {}; a partial result", report.failed)), "{table}");
    assert!(
        text.contains(" WARN nothing has come back for") && text.contains("is the reflector away?"),
        "{text}"
    );
    assert!(text.contains("ERROR nothing came back at the end"), "{text}");
    assert_eq!((report.storm.logged_in, report.came.counts.is_conserved()), (60, true));
    assert!(report.paths.lost > 50 && report.reflectors.is_empty(), "{:?}", report.paths);
}

pub(crate) fn reflectors_that_are_away_are_told_of_before_the_storm_is_over(programs: &Programs) {
    let mut site = Site::start(programs, true);
    site.end_reflectors();
    let output = site.command(&["--endpoints", "600", "--storm", "10m", "--quiet"]).output().unwrap();
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("no reflector answers: do they run") && text.lines().count() == 1, "{text}");
}

pub(crate) fn an_access_server_that_goes_away_fails_the_run_which_keeps_what_it_has(programs: &Programs) {
    let mut site = Site::start(programs, true);
    let child = site.command(DAY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    site.wait_for_logins(60);
    site.end_access();
    let output = child.wait_with_output().unwrap();
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(" WARN the access server does not answer: "), "{text}");
    assert!(text.contains("ERROR the access server did not answer at the end: "), "{text}");
    let report = site.report();
    assert!(report.failed.contains("did not answer at the end"), "{}", report.failed);
    assert!(report.call_failures.values().sum::<u64>() >= 3, "{:?}", report.call_failures);
    // Endpoints need no server to tell each other that they go.
    assert!(report.went.counts.direct + report.went.counts.reflected > 0, "{:?}", report.went);
}

pub(crate) fn an_access_server_elsewhere_is_told_of_before_its_store_gets_accounts(programs: &Programs) {
    let site = Site::start(programs, true);
    let output = site.command(&["--access", "http://127.0.0.1:9", "--endpoints", "20"]).output().unwrap();
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("--access http://127.0.0.1:9: ") && text.contains("its --listen"), "{text}");
    assert!(!text.contains("accounts added"), "{text}");
}

pub(crate) fn a_signal_before_anybody_is_there_ends_it(programs: &Programs) {
    let site = Site::start(programs, true);
    let mut child =
        site.command(&["--endpoints", "20k", "--storm", "10m"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("20000 accounts added")));
    let sent = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("interrupted before anything was measured")), "{rest:?}");
}

pub(crate) fn a_clock_that_is_set_is_told_at_once_and_the_run_not_believed(programs: &Programs) {
    let site = Site::start(programs, true);
    let clock = SetClock::new(site.folder());
    let mut run = site.command(DAY);
    clock.govern(&mut run);
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    site.wait_for_logins(60);
    clock.set(HOUR_NS);
    std::thread::sleep(std::time::Duration::from_secs(3));
    clock.set(0);
    let output = child.wait_with_output().unwrap();
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(98), "{text}");
    let report = site.report();
    for words in ["the system clock jumped forward by 3", "the system clock jumped back by 3"] {
        assert!(report.events.iter().any(|event| event.what.starts_with(words)), "{:?}", report.events);
        assert!(text.contains(&format!(" WARN {words}")), "{text}");
    }
    let check = report.validity.checks.iter().find(|check| check.name == "clock-step").unwrap();
    assert!(!check.holds && check.value.unwrap() > 3.5e12, "{check:?}");
    assert_eq!((report.came.counts.lost, report.went.counts.lost), (0, 0), "{:?}", report.came);
}

/// A short day of sixty who talk.
const DAY: &[&str] = &[
    "--endpoints",
    "60",
    "--storm",
    "1s",
    "--steady",
    "8s",
    "--talk",
    "100%",
    "--offline-time",
    "1s",
    "--patience",
    "5s",
    "--late",
    "5s",
];
