//! What goes wrong before or in the midst of a day: who is away, a clock that is set, a signal. Said in words, with
//! what was seen until then, and the exit code.

use crate::set_clock::{HOUR_NS, SetClock};
use crate::site::Site;
use harness::{Running, Signal};

pub(crate) fn reflectors_that_go_away_fail_the_run_which_keeps_what_it_has() {
    let mut site = Site::start(true);
    let metrics = site.metrics();
    let mut run = site.spawn(&[DAY, &["--metrics", &metrics[0]]].concat());
    site.wait_for_logins(60);
    site.end_reflectors();
    let code = run.wait().code();
    let (table, text) = (run.stdout(), run.stderr());
    assert_eq!(code, Some(1), "{text}");
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

pub(crate) fn reflectors_that_are_away_are_told_of_before_the_storm_is_over() {
    let mut site = Site::start(true);
    site.end_reflectors();
    let (code, _, text) = site.run(&["--endpoints", "600", "--buddies", "2", "--storm", "2m", "--quiet"]);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("no reflector answers: do they run") && text.lines().count() == 1, "{text}");
}

pub(crate) fn an_access_server_that_goes_away_fails_the_run_which_keeps_what_it_has() {
    let mut site = Site::start(true);
    let mut run = site.spawn(DAY);
    site.wait_for_logins(60);
    site.end_access();
    let code = run.wait().code();
    let text = run.stderr();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(" WARN the access server does not answer: "), "{text}");
    assert!(text.contains("ERROR the access server did not answer at the end: "), "{text}");
    let report = site.report();
    assert!(report.failed.contains("did not answer at the end"), "{}", report.failed);
    assert!(report.call_failures.values().sum::<u64>() >= 3, "{:?}", report.call_failures);
    // Endpoints need no server to tell each other that they go.
    assert!(report.went.counts.direct + report.went.counts.reflected > 0, "{:?}", report.went);
}

pub(crate) fn an_access_server_elsewhere_is_told_of_before_its_store_gets_accounts() {
    let site = Site::start(true);
    let (code, _, text) = site.run(&["--access", "http://127.0.0.1:9", "--endpoints", "20"]);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("--access http://127.0.0.1:9: ") && text.contains("its --listen"), "{text}");
    assert!(!text.contains("accounts added"), "{text}");
}

pub(crate) fn a_signal_before_anybody_is_there_ends_it() {
    let site = Site::start(true);
    let mut run = site.spawn(&["--endpoints", "20k", "--storm", "10m"]);
    run.wait_for("20000 accounts added");
    run.signal(Signal::SIGTERM);
    ends_with_nothing(&mut run);
}

pub(crate) fn a_signal_ends_the_waiting_for_an_access_server_that_is_silent() {
    let mut site = Site::start(true);
    let mut run = site.spawn(&["--endpoints", "20k", "--storm", "10m"]);
    run.wait_for("20000 accounts added");
    site.access_server().signal(Signal::SIGSTOP);
    run.signal(Signal::SIGTERM);
    ends_with_nothing(&mut run);

    let mut site = Site::start(true);
    let mut run = site.spawn(&["--endpoints", "20", "--storm", "1s", "--steady", "10m"]);
    site.wait_for_logins(20);
    site.access_server().signal(Signal::SIGSTOP);
    run.signal(Signal::SIGTERM);
    assert_eq!(run.wait().code(), Some(130), "{}", run.stderr());
    let report = site.report();
    assert!(report.interrupted && report.came.counts.is_conserved());
    // No call was waited for until its own patience was over.
    let failures: Vec<_> = report.call_failures.keys().collect();
    assert!(failures.iter().all(|reason| !reason.starts_with("no answer within")), "{failures:?}");
}

fn ends_with_nothing(run: &mut Running) {
    let (code, said) = (run.wait().code(), run.stderr());
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted before anything was measured"), "{said}");
}

pub(crate) fn a_clock_that_is_set_is_told_at_once_and_the_run_not_believed() {
    let site = Site::start(true);
    let clock = SetClock::new(&site.file("clock"));
    let mut command = site.command(DAY);
    clock.govern(&mut command);
    let mut run = Running::start(&mut command);
    site.wait_for_logins(60);
    let jumps = ["the system clock jumped forward by 3", "the system clock jumped back by 3"];
    for (offset_ns, words) in [HOUR_NS, 0].into_iter().zip(jumps) {
        clock.set(offset_ns);
        run.wait_for(&format!(" WARN {words}"));
    }
    let code = run.wait().code();
    let text = run.stderr();
    assert_eq!(code, Some(98), "{text}");
    let report = site.report();
    for words in jumps {
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
    "6s",
    "--talk",
    "100%",
    "--offline-time",
    "1s",
    "--patience",
    "5s",
    "--late",
    "5s",
];
