//! Nothing is left behind, however a test ends.
//!
//! * A victim is this very program, started again: it builds a lab with a running program in it, says its names, and
//!   ends in one of several bad ways.

use crate::{Test, test};
use lab::Lab;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Test> {
    ["drop", "panic", "TERM", "INT", "KILL"]
        .into_iter()
        .map(|end| test(format!("leftovers::{}", end.to_lowercase()), move || nothing_stays_after(end)))
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
    let mut sleeper = host.spawn(Command::new("sleep").arg("100")).unwrap();
    let folder = host.namespace().folder().unwrap();
    std::fs::write(folder.join("file"), "content").unwrap();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{} {} {}", lab.core().name(), host.namespace().name(), sleeper.id()).unwrap();
    stdout.flush().unwrap();
    match std::env::var(VICTIM).as_deref() {
        Ok("panic") => panic!("as a failing test does"),
        Ok("drop") => drop((host, lab)),
        _ => std::thread::sleep(Duration::from_secs(60)),
    }
    let _ = sleeper.wait();
    ExitCode::SUCCESS
}

fn nothing_stays_after(end: &str) {
    let own = std::env::current_exe().unwrap();
    let mut victim =
        Command::new(own).env(VICTIM, end).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(victim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[core, host, sleeper] = words.as_slice() else { panic!("the victim said {line:?}") };
    end_it(&mut victim, end);
    let left = || {
        let namespaces = [core, host].map(|name| Path::new("/run/netns").join(name));
        let folder = std::env::temp_dir().join(host);
        let process = Path::new("/proc").join(sleeper).join("ns/net");
        namespaces.into_iter().chain([process, folder]).filter(|path| path.exists()).collect::<Vec<_>>()
    };
    let until = Instant::now() + Duration::from_secs(10);
    while !left().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(left().is_empty(), "left behind after {end}: {:?}", left());
}

/// What a run left that died together with its reaper goes when the next one starts.
fn sweep() {
    // No process has the first id: it is above the highest that Linux gives.
    let dead = &format!("lab-4194305-1-{}-dead", std::process::id());
    assert!(Command::new("ip").args(["netns", "add", dead.as_str()]).status().unwrap().success());
    assert!(Path::new("/run/netns").join(dead).exists());
    nothing_stays_after("drop");
    assert!(!Path::new("/run/netns").join(dead).exists(), "{dead} was not swept");
}

fn end_it(victim: &mut Child, end: &str) {
    if end.chars().all(char::is_uppercase) {
        let id = victim.id().to_string();
        let killed = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", end, &id]).status().unwrap();
        assert!(killed.success());
    }
    let _ = victim.wait().unwrap();
}

const VICTIM: &str = "LAB_TEST_VICTIM";
