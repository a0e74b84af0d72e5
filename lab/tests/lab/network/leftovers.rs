//! Nothing is left behind, however a test ends.
//!
//! * A victim is this very program, started again: it builds a lab with a running program in it, says its names, and
//!   ends in one of several bad ways.

use crate::{Test, test};
use harness::{PATIENCE, Running, Signal, wait_until, wait_until_or};
use lab::Lab;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

pub(crate) fn tests() -> Vec<Test> {
    let signals = [("term", Signal::SIGTERM), ("int", Signal::SIGINT), ("kill", Signal::SIGKILL)];
    let signals = signals.map(|(end, signal)| (end, Some(signal)));
    [("drop", None), ("panic", None)]
        .into_iter()
        .chain(signals)
        .map(|(end, signal)| test(format!("leftovers::{end}"), move || nothing_stays_after(end, signal)))
        .chain([test("leftovers::sweep", sweep)])
        .collect()
}

pub(crate) fn is_victim() -> bool {
    std::env::var_os(VICTIM).is_some()
}

/// Builds a lab, says what it consists of, and ends as told.
pub(crate) fn be_victim() -> ExitCode {
    let mut lab = Lab::new().unwrap();
    let host = lab.host("victim").unwrap();
    let mut sleeper = host.spawn(Command::new("sleep").arg("1000")).unwrap();
    let folder = host.namespace().folder().unwrap();
    std::fs::write(folder.join("file"), "content").unwrap();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{} {} {}", lab.core().name(), host.namespace().name(), sleeper.id()).unwrap();
    stdout.flush().unwrap();
    match std::env::var(VICTIM).as_deref() {
        Ok("panic") => panic!("as a failing test does"),
        Ok("drop") => drop((host, lab)),
        // Longer than anybody waits for the signal.
        _ => std::thread::sleep(2 * PATIENCE),
    }
    let _ = sleeper.wait();
    ExitCode::SUCCESS
}

fn nothing_stays_after(end: &str, signal: Option<Signal>) {
    // A test run in the background of a script ignores SIGINT, and so would everything that it starts.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(std::env::current_exe().unwrap()).env(VICTIM, end);
    let mut victim = Running::start(&mut command);
    wait_until("the victim says nothing", || victim.stdout().ends_with('\n') || victim.has_ended());
    let line = victim.stdout();
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[core, host, sleeper] = words.as_slice() else { panic!("the victim said {line:?}") };
    if let Some(signal) = signal {
        victim.signal(signal);
    }
    victim.wait();
    let left = || {
        let namespaces = [core, host].map(|name| Path::new("/run/netns").join(name));
        let folder = std::env::temp_dir().join(host);
        let process = Path::new("/proc").join(sleeper).join("ns/net");
        namespaces.into_iter().chain([process, folder]).filter(|path| path.exists()).collect::<Vec<PathBuf>>()
    };
    wait_until_or(|| left().is_empty(), || format!("left behind after {end}: {:?}", left()));
}

/// What a run left that died together with its reaper goes when the next one starts.
fn sweep() {
    // No process has the first id: it is above the highest that Linux gives.
    let dead = &format!("lab-4194305-1-{}-dead", std::process::id());
    assert!(Command::new("ip").args(["netns", "add", dead.as_str()]).status().unwrap().success());
    // The victim, or another run that starts at this moment, sweeps it.
    nothing_stays_after("drop", None);
    assert!(!Path::new("/run/netns").join(dead).exists(), "{dead} was not swept");
}

const VICTIM: &str = "LAB_TEST_VICTIM";
