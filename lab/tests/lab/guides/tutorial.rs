//! The tutorial, followed to the letter: its commands in shells that stand for its terminals, its outputs awaited.
//!
//! * A heading `## Terminal N: ...` says where the blocks below it belong; `## All three terminals` means all.
//! * A block `sh` is typed as it stands, save that cargo is not run: the programs are built already.
//! * A block `text` is awaited: the words of each of its lines in this order on one line, whatever stands between.
//! * In a namespace of its own, because the tutorial's ports are fixed; nothing there needs root.

use crate::{Test, test};
use harness::PATIENCE;
use lab::Namespace;
use lab::programs::found::{Programs, SessionPrograms};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Test> {
    vec![test("tutorial::it_says_what_happens", || {
        let steps = steps(&fs::read_to_string(PAGE).unwrap());
        assert!(steps.iter().filter(|step| matches!(step, Step::Type(..))).count() >= 8, "{steps:?}");
        let namespace = Namespace::new("tutorial").unwrap();
        let checkout = namespace.folder().unwrap();
        place_programs(&checkout);
        let mut terminals: BTreeMap<u8, Terminal> =
            (1..=3).map(|number| (number, Terminal::open(&namespace, &checkout))).collect();
        for step in &steps {
            let done = match step {
                Step::Type(numbers, commands) => {
                    numbers.iter().all(|number| terminals.get_mut(number).unwrap().enter(commands))
                }
                Step::Await(number, lines) => terminals[number].has_shown(lines),
            };
            assert!(done, "{step:?}: not so; but\n{}", all_shown(&terminals));
        }
        let end = terminals[&1].shown();
        let relayed = end.split(" relayed=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(relayed.parse::<u64>().unwrap() > 0, "nothing went through the reflector:\n{end}");
    })]
}

/// One thing to do.
#[derive(Debug)]
enum Step {
    /// Type these commands in each of these terminals.
    Type(Vec<u8>, String),
    /// Wait until this terminal has shown these lines.
    Await(u8, Vec<String>),
}

/// What the page says to do, in order.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut at, mut lines) = (Vec::new(), Vec::new(), page.lines());
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            at = match heading.strip_prefix("Terminal ") {
                Some(rest) => vec![rest[..1].parse().unwrap()],
                None if heading == "All three terminals" => vec![1, 2, 3],
                None => Vec::new(),
            };
        } else if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<String> =
                lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
            match (kind, at.as_slice()) {
                ("sh", [_, ..]) => steps.push(Step::Type(at.clone(), block.join("\n"))),
                ("text", [number]) => steps.push(Step::Await(*number, block)),
                (_, []) => {}
                _ => panic!("docs/tutorial.md: a block {kind:?} under terminals {at:?}"),
            }
        }
    }
    steps
}

/// Makes `target/debug` of a checkout that has nothing else.
fn place_programs(checkout: &Path) {
    let folder = checkout.join("target/debug");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
    let sessions = SessionPrograms::find().unwrap();
    for program in [&Programs::find().unwrap().reflector, &sessions.access, &sessions.endpoint] {
        symlink(program, folder.join(program.file_name().unwrap())).unwrap();
    }
}

/// A shell, and everything that it has shown.
struct Terminal {
    shell: Child,
    keyboard: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(namespace: &Namespace, folder: &Path) -> Self {
        let mut command = Command::new("bash");
        command.arg("--norc").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let own = std::env::vars_os().map(|(name, _)| name);
        own.filter(|name| name.to_string_lossy().starts_with("REFLECTOR_")).for_each(|name| {
            command.env_remove(name);
        });
        let mut shell = namespace.enter(|| command.spawn()).unwrap().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        read_into(&shown, shell.stdout.take().unwrap());
        let mut keyboard = shell.stdin.take().unwrap();
        // Errors are shown where everything is, and end the shell.
        keyboard.write_all(b"exec 2>&1\nset -e\ncargo() { echo \"built: $*\"; }\n").unwrap();
        Self { shell, keyboard, shown }
    }

    /// Types commands; false if they do not come to an end.
    fn enter(&mut self, commands: &str) -> bool {
        self.keyboard.write_all(format!("{commands}\n").as_bytes()).unwrap();
        // A program in the foreground takes no more commands, so its output is waited for instead.
        if commands.contains("reflector-endpoint up") {
            return true;
        }
        let mark = format!("the end of {} bytes", commands.len());
        self.keyboard.write_all(format!("echo {mark}\n").as_bytes()).unwrap();
        self.has_shown(&[mark])
    }

    /// Waits until it has shown these lines; false if it does not.
    fn has_shown(&self, lines: &[String]) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut missing: Vec<&String> = lines.iter().collect();
        while !missing.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
            let shown = self.shown();
            missing.retain(|wanted| !shown.lines().any(|line| has_words(line, wanted)));
        }
        missing.is_empty()
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What it has started ends with the namespace.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn all_shown(terminals: &BTreeMap<u8, Terminal>) -> String {
    terminals.iter().map(|(number, it)| format!("terminal {number}:\n{}", it.shown())).collect()
}

/// Whether the words of `wanted` stand in this line, in this order.
fn has_words(line: &str, wanted: &str) -> bool {
    let mut words = wanted.split([' ', '…']).filter(|word| !word.is_empty());
    words.try_fold(line, |rest, word| rest.split_once(word).map(|(_, rest)| rest)).is_some()
}

fn read_into(shown: &Arc<Mutex<String>>, output: impl Read + Send + 'static) {
    let shown = Arc::clone(shown);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            *shown.lock().unwrap() += &(line + "\n");
        }
    });
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tutorial.md");
