//! What one run of cargo ignored and how long its tests took: written by each suite, read once, by the test target that
//! runs last.
//!
//! * Test binaries of one run are children of the same cargo, so the folder of a run is named after that process: its
//!   id and its start time, because ids come back.
//! * Each test is one short line, appended in one write, so suites may run side by side.
//! * Nothing depends on the records but the line that is printed: without them, tests pass and fail as before.

use crate::need::Missing;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of one run, as far as suites recorded them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// One entry per ignored test.
    pub ignored: Vec<Ignored>,
    /// One entry per test that ran.
    pub took: Vec<Took>,
}

/// How long one test took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Took {
    /// Milliseconds from its start to its end.
    pub ms: u64,
    /// The test binary and the test's name.
    pub name: String,
}

/// One ignored test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Whether it needs root.
    pub root: bool,
    /// The Debian packages that it needs and this machine lacks.
    pub packages: Vec<String>,
    /// The reason that it gave.
    pub reason: String,
}

impl Recorded {
    /// One line: how many tests were ignored, and what would let them run.
    pub fn summary(&self) -> String {
        let count = self.ignored.len();
        if count == 0 {
            return "0 tests ignored: this machine has everything that the tests need".to_owned();
        }
        let packages: BTreeSet<&str> =
            self.ignored.iter().flat_map(|test| &test.packages).map(String::as_str).collect();
        let packages = packages.into_iter().collect::<Vec<_>>().join(" ");
        let mut remedies = Vec::new();
        if self.ignored.iter().any(|test| test.root) {
            remedies.push("run as root".to_owned());
        }
        if !packages.is_empty() {
            remedies.push(format!("apt-get install {packages}"));
        }
        let without_remedy = |test: &&Ignored| !test.root && test.packages.is_empty();
        let features: BTreeSet<&str> =
            self.ignored.iter().filter(without_remedy).map(|test| test.reason.as_str()).collect();
        remedies.extend(features.into_iter().map(str::to_owned));
        let tests = if count == 1 { "test" } else { "tests" };
        format!("{count} {tests} ignored; to run them: {}", remedies.join("; "))
    }

    /// The slowest tests, at most `count`, one line each, the slowest first.
    pub fn slowest(&self, count: usize) -> String {
        let mut took: Vec<&Took> = self.took.iter().collect();
        took.sort_by_key(|test| std::cmp::Reverse(test.ms));
        let line =
            |test: &&Took| format!("{:4}.{} s  {}\n", test.ms / 1_000, test.ms % 1_000 / 100, test.name);
        took.iter().take(count).map(line).collect()
    }

    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let mut fields = line.splitn(3, '\t');
            let (Some(kind), Some(second), Some(third)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if kind == TOOK {
                let ms = second.parse().unwrap_or_default();
                self.took.push(Took { ms, name: third.to_owned() });
            } else {
                let packages = second.split_whitespace().map(str::to_owned).collect();
                self.ignored.push(Ignored { root: kind == ROOT, packages, reason: third.to_owned() });
            }
        }
    }
}

/// Notes an ignored test for the run's last line. A record that cannot be written is left out.
pub(crate) fn record(missing: &Missing) {
    let _ = folder().and_then(|folder| record_in(&folder, missing));
}

/// Notes how long a test took. A record that cannot be written is left out.
pub(crate) fn record_time(name: &str, took: Duration) {
    let binary = std::env::current_exe().unwrap_or_default();
    let binary = binary.file_name().unwrap_or_default().to_string_lossy();
    let binary = binary.rsplit_once('-').map_or(&*binary, |(binary, _)| binary);
    let _ = folder()
        .and_then(|folder| append(&folder, &format!("{TOOK}\t{}\t{binary}: {name}\n", took.as_millis())));
}

/// Takes the records of this run, and removes them together with those of runs that are over.
pub fn take_records() -> Recorded {
    folder().map_or_else(Recorded::default, |own| take_from(&own))
}

fn record_in(folder: &Path, missing: &Missing) -> Option<()> {
    let kind = if missing.root { ROOT } else { "anyone" };
    let reason = missing.reason.replace(['\n', '\t'], " ");
    append(folder, &format!("{kind}\t{}\t{reason}\n", missing.packages.join(" ")))
}

fn append(folder: &Path, line: &str) -> Option<()> {
    fs::create_dir_all(folder).ok()?;
    let name = format!("{}.tsv", std::process::id());
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join(name)).ok()?;
    file.write_all(line.as_bytes()).ok()
}

fn take_from(own: &Path) -> Recorded {
    let mut recorded = Recorded::default();
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        recorded.add(&fs::read_to_string(entry.path()).unwrap_or_default());
    }
    let all = own.parent().and_then(|all| fs::read_dir(all).ok());
    for run in all.into_iter().flatten().flatten().map(|entry| entry.path()) {
        if own == run || !is_running(&run) {
            let _ = fs::remove_dir_all(run); // The next run tries again.
        }
    }
    recorded
}

/// The folder of this run, below the folder that the tests were built in.
fn folder() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let built_in = own.parent()?.parent()?;
    let parent = parent_id();
    Some(built_in.join("test-records").join(format!("{parent}-{}", started_ticks(parent)?)))
}

/// Whether the process that a run's folder is named after still runs.
fn is_running(run: &Path) -> bool {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let process = name.split_once('-').and_then(|(id, ticks)| Some((id.parse().ok()?, ticks.parse().ok()?)));
    process.is_some_and(|(id, ticks): (u32, u64)| started_ticks(id) == Some(ticks))
}

/// When a process started, in clock ticks since boot: proc_pid_stat(5), field 22.
fn started_ticks(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program, field 2, may hold anything; the fields after its last parenthesis are plain.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

/// The first field of a line about a test that ran.
const TOOK: &str = "took";
/// The first field of a line about a test that needs root.
const ROOT: &str = "root";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_how_many_and_what_would_help() {
        assert_eq!(
            Recorded::default().summary(),
            "0 tests ignored: this machine has everything that the tests need"
        );
        let mut recorded = Recorded::default();
        recorded.add(
            "root\t\tneeds root, for namespaces\nanyone\tnftables iproute2\tneeds nft\n\
                    root\tiproute2\tneeds ip\nanyone\t\tio_uring is forbidden\ncut off",
        );
        assert_eq!(
            recorded.summary(),
            "4 tests ignored; to run them: run as root; apt-get install iproute2 nftables; io_uring is forbidden"
        );
    }

    #[test]
    fn the_slowest_tests_are_named() {
        let mut recorded = Recorded::default();
        recorded.add("took\t90\tlab: quick\ntook\t12345\tlab: slow\ntook\t700\txdp: middling\n");
        assert_eq!(recorded.slowest(2), "  12.3 s  lab: slow\n   0.7 s  xdp: middling\n");
    }

    #[test]
    fn records_are_taken_once_and_those_of_dead_runs_are_removed() {
        let all = crate::Folder::new("records");
        let alive = std::process::id();
        let ticks = started_ticks(alive).unwrap();
        let (own, other, dead) = (
            all.file("own"),
            all.file(&format!("{alive}-{ticks}")),
            all.file(&format!("{alive}-{}", ticks + 1)),
        );
        for (run, reason) in
            [(&own, "a\nb\tc"), (&own, "d"), (&other, "of another run"), (&dead, "of a dead run")]
        {
            record_in(run, &Missing::feature(reason)).unwrap();
        }
        let reasons: Vec<String> = take_from(&own).ignored.into_iter().map(|test| test.reason).collect();
        assert_eq!(reasons, ["a b c", "d"]);
        assert_eq!(take_from(&own), Recorded::default());
        assert!(other.exists() && !own.exists() && !dead.exists());
    }
}
