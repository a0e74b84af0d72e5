//! Sweep, report, plan and compare as they are typed: files, words, exit codes, and figures that agree.
//!
//! * Whether the machine was quiet enough for figures is not judged: 98 is as good an end as 0.
//! * Loopback only, a few thousand datagrams a second, seconds in all.

use crate::Stage;
use harness::{Running, Signal, wait_until_or};
use lab::programs::scratch::Scratch;
use perf::rig::run::Purpose;
use perf::sweep::audit;
use perf::sweep::ledger;
use perf::sweep::report;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[test]
fn a_short_sweep_agrees_with_itself_and_becomes_a_report() {
    let _stage = Stage::enter();
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("sweep");
    let output = sweep(&folder).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(matches!(output.status.code(), Some(0 | 98)), "{}\n{stderr}", output.status);
    assert!(stderr.contains("figures agree with each other") && stderr.contains(" left\n"), "{stderr}");
    assert!(stdout.contains("trains of 4") && stdout.contains("20 % hostile"), "{stdout}");
    let (header, runs) = (ledger::header_of(&folder).unwrap(), ledger::runs_of(&folder).unwrap());
    assert_eq!(audit::faults(&header, &runs).unwrap(), Vec::<String>::new());
    for cell in &header.cells {
        let halves = runs.iter().filter(|run| run.cell == *cell && run.purpose == Purpose::Half);
        assert!(
            halves.filter(|run| run.sent > 0 && run.delivered > 0).count() > 1,
            "{cell} was not measured"
        );
    }
    let again = sweep(&folder).output().unwrap();
    assert_eq!(ledger::runs_of(&folder).unwrap(), runs, "what was done was done again");
    assert!(texts(&again).1.contains(&format!("going on after {} runs", runs.len())));

    let out = scratch.path().join("report");
    let report = perf().arg("report").arg(&folder).arg("--out").arg(&out).output().unwrap();
    assert_eq!(report.status.code(), Some(0), "{}", texts(&report).1);
    let survey = report::read(&out).unwrap();
    assert_eq!(survey.headline, texts(&report).0.trim_end());
    assert_eq!(survey.validity.not_conserved, 0);
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("not fitted: ") && html.contains("loopback, not a NIC: not for planning."));
    let same = perf().arg("compare").arg(&out).arg(&folder).output().unwrap();
    // Without a run that may be believed there is nothing to compare, and that is said.
    let (code, said) = (same.status.code(), texts(&same));
    assert!(
        code == Some(0) && said.0.contains("\n0 worse, 0 better") || said.1.contains("nothing to compare"),
        "{said:?}"
    );
    assert_eq!(survey.validity.believed == 0, output.status.code() == Some(98));
}

#[test]
fn an_interrupted_sweep_goes_on() {
    let _stage = Stage::enter();
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("sweep");
    let mut running = Running::start(&mut sweep(&folder)).ended_by(Signal::SIGTERM);
    let made = || ledger::runs_of(&folder).unwrap_or_default().len();
    wait_until_or(|| made() >= 2 || running.has_ended(), || format!("only {} runs were made", made()));
    assert!(!running.has_ended(), "it ended before it was interrupted: {}", running.stderr());
    running.signal(Signal::SIGINT);
    let status = running.wait();
    let stderr = running.stderr();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("is kept in") && stderr.contains("goes on with it"), "{stderr}");
    let kept = ledger::runs_of(&folder).unwrap();
    let whole = sweep(&folder).output().unwrap();
    let (_, stderr) = texts(&whole);
    assert!(matches!(whole.status.code(), Some(0 | 98)), "{stderr}");
    let runs = ledger::runs_of(&folder).unwrap();
    assert!(runs.starts_with(&kept) && runs.len() > kept.len());
    // Another sweep does not go into the same folder.
    let other = sweep(&folder).args(["--rounds", "2"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(texts(&other).1.contains("different: rounds"), "{}", texts(&other).1);
}

#[test]
fn a_reflector_elsewhere_is_measured_through_its_admin_server() {
    let stage = Stage::enter();
    let reflector = stage.reflector(&[]);
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("sweep");
    let mut command = perf();
    command.args(["sweep", "--short", "--trains", "1", "--hostile", "0%", "--out"]).arg(&folder);
    command.arg("--reflector").arg(reflector.listen().to_string());
    command.arg("--admin").arg(format!("http://{}", reflector.ready().admin));
    command.arg("--keys").arg(reflector.keys());
    let output = command.output().unwrap();
    let (_, stderr) = texts(&output);
    assert!(matches!(output.status.code(), Some(0 | 98)), "{stderr}");
    let (header, runs) = (ledger::header_of(&folder).unwrap(), ledger::runs_of(&folder).unwrap());
    assert_eq!(audit::faults(&header, &runs).unwrap(), Vec::<String>::new());
    assert!(runs.iter().all(|run| run.core_ns.is_none() && run.own_ns.is_some_and(|ns| ns > 0.0)));
    assert!(header.caveats[0].contains("another host") && header.sites[0].placement.reflector.is_empty());
}

#[test]
fn what_is_typed_wrong_is_told_in_one_line() {
    let wrong: [(&[&str], i32, &str); 9] = [
        (&["sweep", "--payloads", "3"], 1, "--payloads 3: 24 to 1440"),
        (&["sweep", "--hostile", "120%"], 2, "0% to 100%"),
        (&["sweep", "--engines", "poll"], 2, "epoll, uring or xdp"),
        (&["sweep", "--reflector", "127.0.0.1:4000"], 2, "--admin"),
        (&["sweep", "--short", "--ground", "loopback", "--engines", "xdp"], 1, "XDP needs an interface"),
        (&["report", "/nonexistent"], 1, "reflector-perf sweep"),
        (&["plan", "/nonexistent"], 1, "is no report"),
        (&["plan", "/nonexistent", "--nat", "eim/eif=10%"], 2, "10%"),
        (&["compare", "/nonexistent"], 2, "<B>"),
    ];
    let _stage = Stage::enter();
    for (arguments, code, words) in wrong {
        let output = perf().args(arguments).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.contains(words) && stdout.is_empty(), "{arguments:?}: {stderr}");
    }
}

/// The smallest sweep that has every kind of cell.
fn sweep(folder: &Path) -> Command {
    let mut command = perf();
    command.args(["sweep", "--short", "--engines", "epoll", "--out"]).arg(folder);
    command
}

fn perf() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-perf"));
    command.stdin(Stdio::null());
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
