//! `reflector-perf peers` as a program.
//!
//! * Its files are read back: what it shows is what it found.

use harness::{Running, Signal, wait_until};
use lab::programs::found::Programs;
use lab::programs::scratch::Scratch;
use perf::peers::comparison::Comparison;
use perf::peers::{page, report};
use perf::rig::run::{Purpose, Run};
use perf::rig::subject::{Entry, Subject, Traffic};
use std::fs;
use std::process::{Command, Stdio};

pub(crate) fn a_short_comparison_counts_everything() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("out");
    let output = peers()
        .args(["--short", "--flows", "64", "--moderation", "50", "--out"])
        .arg(&folder)
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(matches!(output.status.code(), Some(0 | 98)), "{}\n{stderr}", output.status);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let comparison = Comparison::parse(&read("peers.json")).unwrap();
    assert_eq!(read("README.md"), report::readme(&comparison));
    assert_eq!(read("peers.html"), page::render(&comparison).unwrap());
    assert!(read("peers.svg").contains("coturn") && stdout.contains(&comparison.headline()), "{stdout}");
    assert_eq!((comparison.settings.endpoints, comparison.settings.moderation_us), (64, 50));
    assert!(comparison.cable.iter().any(|fact| fact.value == "50 µs"), "{:?}", comparison.cable);
    let present: Vec<Subject> = comparison.present().map(|peer| peer.subject).collect();
    let wanted = [Subject::Coturn, Subject::Epoll, Subject::Forwarder, Subject::Xdp, Subject::Swap];
    assert!(wanted.iter().all(|subject| present.contains(subject)), "{present:?}\n{stderr}");
    for subject in present {
        for traffic in Traffic::ALL {
            everything_is_counted(&comparison, subject, traffic);
        }
    }
    let reflectors = comparison.present().filter(|peer| peer.subject.is_reflector()).count();
    assert_eq!(comparison.counted.len(), reflectors);
    for counted in &comparison.counted {
        let own = comparison.runs.iter().filter(|run| run.cell.subject == counted.subject);
        let delivered: u64 = own.map(|run| run.delivered).sum();
        assert!(counted.is_conserved(), "{counted:?}");
        assert!(counted.counters.relayed >= delivered && counted.counters.dropped.is_empty(), "{counted:?}");
    }
}

/// Sent is delivered or lost, in every run; and the subject relayed at all.
fn everything_is_counted(comparison: &Comparison, subject: Subject, traffic: Traffic) {
    let own = |run: &&Run<Entry>| (run.cell.subject, run.cell.traffic) == (subject, traffic);
    let runs: Vec<&Run<Entry>> = comparison.runs.iter().filter(own).collect();
    let rounds = runs.iter().filter(|run| run.purpose == Purpose::Half).count();
    assert!(rounds >= 2, "{subject}, {traffic}: {rounds} rounds");
    for run in &runs {
        assert_eq!(run.sent, run.delivered + run.lost, "{run:?}");
        assert_eq!(run.duplicates, 0, "{run:?}");
    }
    let delivered: u64 = runs.iter().map(|run| run.delivered).sum();
    assert!(delivered > 0, "{subject}, {traffic}: nothing came back");
}

pub(crate) fn an_interrupt_leaves_nothing_behind() {
    // Built before, so that only the command itself is waited for.
    Programs::find().unwrap();
    let mut running = Running::start(peers().arg("--short")).ended_by(Signal::SIGTERM);
    let own = format!("lab-{}-", running.id());
    wait_until("it makes no namespaces", || namespaces(&own).len() >= 4 || running.has_ended());
    assert!(!running.has_ended(), "it ended before it had its namespaces: {}", running.stderr());
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait().code(), Some(130), "{}", running.stderr());
    assert_eq!(namespaces(&own), Vec::<String>::new());
}

pub(crate) fn what_is_missing_is_named() {
    let output = peers().env("PATH", "/nonexistent").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("apt-get install coturn") && output.stdout.is_empty(), "{stderr}");
}

/// The namespaces of a process.
fn namespaces(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn peers() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-perf"));
    command.arg("peers").stdin(Stdio::null());
    command
}
