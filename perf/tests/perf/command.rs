//! The command as it is typed: files, words and exit codes.
//!
//! * Whether the machine was quiet enough for figures is not judged: 98 is as good an end as 0.

use crate::Stage;
use harness::{Running, Signal, send, wait_until_or};
use lab::programs::scratch::Scratch;
use perf::judge::survey::SCHEMA;
use perf::sweep::{page, report};
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn quick_writes_its_report_and_ends_with_one_sentence() {
    let _stage = Stage::enter();
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("out");
    let output = quick().args(["--short", "--endpoints", "300", "--out"]).arg(&folder).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(matches!(output.status.code(), Some(0 | 98)), "{}\n{stderr}", output.status);
    let sentence = stdout.lines().last().unwrap();
    assert!(sentence.contains("loopback, not a NIC") && sentence.contains("not for planning"), "{sentence}");
    assert!(stdout.lines().all(|line| line.chars().count() <= 100 || line == sentence), "{stdout}");
    assert!(
        stderr.contains(", search: ")
            && stderr.contains(", round 1, 50 % load: ")
            && stderr.contains("report.html"),
        "{stderr}"
    );
    assert_eq!(output.status.code() == Some(98), stderr.contains("no run may be believed"), "{stderr}");
    let survey = report::read(&folder.join("report.json")).unwrap();
    assert_eq!((survey.schema, survey.headline.as_str()), (SCHEMA, sentence));
    let cells: Vec<String> = survey.header.cells.iter().map(ToString::to_string).collect();
    assert_eq!(cells, ["epoll-w1-p168-e300-t1-h0"]);
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    let made_again = page::render(&survey).unwrap();
    // Numbers read from JSON may differ in their last digit, and so may a coordinate.
    assert_eq!(html.lines().count(), made_again.lines().count());
    assert!(!html.contains("http:") && !html.contains("https:"));
}

#[test]
fn what_is_typed_wrong_is_told_in_one_line() {
    let wrong: [&[&str]; 6] = [
        &["--endpoints", "many"],
        &["--payload", "3"],
        &["--nat", "eim/eif=10%"],
        &["--colour", "red"],
        &["--out"],
        &["extra"],
    ];
    for arguments in wrong {
        let output = quick().args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(arguments[0]) && output.stdout.is_empty(), "{arguments:?}: {stderr}");
    }
    let none = Command::new(BINARY).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let _stage = Stage::enter();
    let mut running = Running::start(&mut quick()).ended_by(Signal::SIGTERM);
    let children = wait_for_both(&mut running);
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait().code(), Some(130), "{}", running.stderr());
    let left: Vec<_> =
        children.into_iter().filter(|(id, name)| name_of(*id).as_ref() == Some(name)).collect();
    assert!(left.is_empty(), "{left:?} still run");
}

#[test]
fn a_reflector_that_dies_is_the_error() {
    let _stage = Stage::enter();
    let mut running = Running::start(&mut quick()).ended_by(Signal::SIGTERM);
    let children = wait_for_both(&mut running);
    let (reflector, _) = children.iter().find(|(_, name)| name == "reflector").unwrap();
    send(*reflector, Signal::SIGKILL);
    let status = running.wait();
    let stderr = running.stderr();
    assert_eq!(status.code(), Some(1), "{stderr}");
    let last = stderr.lines().find(|line| line.starts_with("error:")).unwrap();
    assert!(last.contains("the reflector ended during the run (signal 9)"), "{stderr}");
}

fn quick() -> Command {
    let mut command = Command::new(BINARY);
    command.arg("quick").stdin(Stdio::null());
    command
}

/// The command's children, once a reflector and a generator are among them; asked for its version, each is alone.
fn wait_for_both(command: &mut Running) -> Vec<(u32, String)> {
    let (id, mut children) = (command.id(), Vec::new());
    let started = || {
        children = children_of(id);
        let has = |wanted: &str| children.iter().any(|(_, name)| name == wanted);
        // The kernel keeps 15 bytes of a name.
        let both = has("reflector") && has("reflector-loadg");
        both || command.has_ended()
    };
    wait_until_or(started, || "no run was started".to_owned());
    assert!(!command.has_ended(), "it ended before a run was started: {}", command.stderr());
    children
}

fn children_of(parent: u32) -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).filter_map(|id| Some((id, name_of(id)?))).collect()
}

/// proc(5): field 4, behind the name in brackets and the state.
fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn name_of(id: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{id}/comm")).ok()?.trim().to_owned())
}

const BINARY: &str = env!("CARGO_BIN_EXE_reflector-perf");
