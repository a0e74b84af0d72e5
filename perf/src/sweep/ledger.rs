//! A sweep on disk while it runs: its head, and every run as soon as it has ended.
//!
//! ```text
//!   DIR/sweep.json     the head: what is measured, where, with which versions
//!   DIR/runs.jsonl     one run a line, in the order in which they ended
//!   DIR/commands.txt   the command lines, in order
//! ```
//!
//! * A run that was interrupted is in no line; a line that was cut short by a crash is cut off before others follow.
//! * Runs are added only to the sweep that they belong to.

use crate::rig::header::{Header, SCHEMA};
use crate::rig::run::Run;
use anyhow::{Context, bail};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A sweep's folder, open for more runs.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    commands: File,
    runs: Vec<Run>,
}

impl Ledger {
    /// Begins a sweep in a folder, or goes on with the one that was begun there.
    ///
    /// # Errors
    /// The folder holds another sweep, or cannot be written.
    pub fn open(folder: &Path, header: &Header) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot make the folder {}; name a writable one with --out", folder.display())
        })?;
        let head = folder.join(HEAD);
        let mut runs = Vec::new();
        if head.exists() {
            let begun = header_of(folder)?;
            let differences = begun.differences(header);
            if !differences.is_empty() {
                bail!(
                    "{} holds another sweep (different: {}); name another folder with --out, or remove that one",
                    folder.display(),
                    differences.join(", ")
                );
            }
            runs = runs_of(folder)?;
        } else {
            let text = serde_json::to_string_pretty(header).context("cannot write the head as JSON")? + "\n";
            fs::write(&head, text).with_context(|| format!("cannot write {}", head.display()))?;
        }
        mend(&folder.join(RUNS))?;
        let [file, commands] = [RUNS, COMMANDS].map(|name| {
            let path = folder.join(name);
            let opened = OpenOptions::new().create(true).append(true).open(&path);
            opened.with_context(|| format!("cannot write {}", path.display()))
        });
        Ok(Self { file: file?, commands: commands?, runs })
    }

    /// Begins a sweep in a folder, and removes an earlier sweep of the same kind from it.
    ///
    /// # Errors
    /// The folder holds a sweep that another kind of command made, or cannot be written.
    pub fn replace(folder: &Path, header: &Header) -> anyhow::Result<Self> {
        if let Ok(begun) = header_of(folder) {
            let kind = |header: &Header| header.command.split(' ').nth(1).map(str::to_owned);
            if kind(&begun) != kind(header) {
                bail!(
                    "{} holds what `{}` made; name another folder with --out, or remove that one",
                    folder.display(),
                    begun.command
                );
            }
        }
        for name in [HEAD, RUNS, COMMANDS] {
            let path = folder.join(name);
            if path.exists() {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Self::open(folder, header)
    }

    /// All runs so far.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Adds a run, with the command lines that made it.
    ///
    /// # Errors
    /// The disk takes no more.
    pub fn add(&mut self, run: Run, commands: &[String]) -> anyhow::Result<()> {
        let line = serde_json::to_string(&run).context("cannot write a run as JSON")? + "\n";
        self.file.write_all(line.as_bytes()).context("cannot write a run")?;
        let lines: String = commands.iter().map(|command| format!("{command}\n")).collect();
        self.commands.write_all(lines.as_bytes()).context("cannot write a command line")?;
        self.runs.push(run);
        Ok(())
    }
}

/// The head of the sweep in a folder.
///
/// # Errors
/// There is none, or one of another version.
pub fn header_of(folder: &Path) -> anyhow::Result<Header> {
    let path = folder.join(HEAD);
    let text = fs::read_to_string(&path).with_context(|| {
        format!("{} holds no sweep; `reflector-perf sweep --out DIR` makes one", folder.display())
    })?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let schema = value.get("schema").and_then(serde_json::Value::as_u64);
    if schema != Some(u64::from(SCHEMA)) {
        bail!(
            "{} has schema {}, this program reads schema {SCHEMA}: measure again, or read it with the version that \
             made it",
            path.display(),
            schema.map_or_else(|| "unknown".to_owned(), |schema| schema.to_string())
        );
    }
    serde_json::from_value(value).with_context(|| format!("{} is no head of a sweep", path.display()))
}

/// The runs of the sweep in a folder; a last line that was cut short is left out.
///
/// # Errors
/// A line that is no run.
pub fn runs_of(folder: &Path) -> anyhow::Result<Vec<Run>> {
    let path = folder.join(RUNS);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}:{}: no run", path.display(), number + 1))
    };
    whole.lines().enumerate().map(line).collect()
}

/// The command lines of the sweep in a folder.
pub fn commands_of(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join(COMMANDS)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Cuts off a last line that has no end.
fn mend(path: &PathBuf) -> anyhow::Result<()> {
    let Ok(bytes) = fs::read(path) else { return Ok(()) };
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if end < bytes.len() {
        let file = OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(u64::try_from(end).unwrap_or(0)));
        cut.with_context(|| format!("cannot mend {}", path.display()))?;
    }
    Ok(())
}

/// The head's file.
pub const HEAD: &str = "sweep.json";
const RUNS: &str = "runs.jsonl";
const COMMANDS: &str = "commands.txt";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::run::Purpose;
    use crate::sample;

    #[test]
    fn a_sweep_goes_on_where_it_ended() {
        let scratch = lab::programs::scratch::Scratch::new().unwrap();
        let folder = scratch.path().join("sweep");
        let header = sample::header();
        let run = |rate| sample::run(sample::cell(), Purpose::Half, rate, 0.0);
        let mut ledger = Ledger::open(&folder, &header).unwrap();
        ledger.add(run(1_000), &["one".to_owned()]).unwrap();
        ledger.add(run(2_000), &[]).unwrap();
        drop(ledger);
        // A crash in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(folder.join(RUNS)).unwrap();
        file.write_all(b"{\"cell\":").unwrap();
        assert_eq!(runs_of(&folder).unwrap().len(), 2);
        let mut ledger = Ledger::open(&folder, &header).unwrap();
        assert_eq!(ledger.runs(), [run(1_000), run(2_000)]);
        ledger.add(run(3_000), &["two".to_owned()]).unwrap();
        assert_eq!(runs_of(&folder).unwrap().len(), 3);
        assert_eq!(commands_of(&folder), ["one", "two"]);
        assert_eq!(header_of(&folder).unwrap(), header);
    }

    #[test]
    fn another_sweep_is_not_mixed_in() {
        let scratch = lab::programs::scratch::Scratch::new().unwrap();
        let header = sample::header();
        drop(Ledger::open(scratch.path(), &header).unwrap());
        // A quick run replaces the one before, and nothing else.
        let quick = Header { command: "reflector-perf quick".to_owned(), ..header.clone() };
        let error = Ledger::replace(scratch.path(), &quick).unwrap_err().to_string();
        assert!(error.contains("reflector-perf sweep") && error.contains("--out"), "{error}");
        let of_quick = scratch.path().join("quick");
        let mut ledger = Ledger::replace(&of_quick, &quick).unwrap();
        ledger.add(sample::run(sample::cell(), Purpose::Half, 1_000, 0.0), &[]).unwrap();
        assert!(Ledger::replace(&of_quick, &quick).unwrap().runs().is_empty());
        let other = Header { rounds: 9, ..header };
        let error = Ledger::open(scratch.path(), &other).unwrap_err().to_string();
        assert!(error.contains("different: rounds") && error.contains("--out"), "{error}");
        let text = fs::read_to_string(scratch.path().join(HEAD))
            .unwrap()
            .replace(&format!("\"schema\": {SCHEMA}"), "\"schema\": 99");
        fs::write(scratch.path().join(HEAD), text).unwrap();
        assert!(header_of(scratch.path()).unwrap_err().to_string().contains("schema 99"));
        assert!(header_of(&scratch.path().join("none")).unwrap_err().to_string().contains("holds no sweep"));
    }
}
