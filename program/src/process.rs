//! What the kernel says of this process in /proc, for the `process_*` metrics and the busy time of threads.
//!
//! * Read at scrape, on the thread that scrapes; no other thread notices.
//! * What cannot be read is 0: a scrape never fails.
//!
//! Source: proc(5), Documentation/scheduler/sched-stats.rst.

use std::fs;

/// Figures of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// User and system time, s.
    pub cpu_s: f64,
    /// When it started, unix time in s.
    pub start_time_s: f64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Mapped memory, bytes.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// Descriptors that it may open (soft limit).
    pub max_fds: u64,
}

impl Process {
    /// This process now.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let status = text("/proc/self/status");
        let (cpu_s, since_boot_s) = times(&text("/proc/self/stat"));
        Self {
            cpu_s,
            start_time_s: boot_time_s(&text("/proc/stat")) + since_boot_s,
            resident_bytes: field(&status, "VmRSS:") * 1024,
            virtual_bytes: field(&status, "VmSize:") * 1024,
            threads: field(&status, "Threads:"),
            // The descriptor that lists the folder is one of those listed.
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |list| (list.count() as u64).saturating_sub(1)),
            max_fds: field(&text("/proc/self/limits"), "Max open files"),
        }
    }
}

/// The id of the calling thread, by which others find its busy time.
pub fn thread_id() -> Option<u64> {
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// Time that a thread of this process has run, s.
pub fn thread_busy_s(thread: u64) -> f64 {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap_or_default();
    let ran_ns: u64 = text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
    seconds(ran_ns, 1_000_000_000)
}

/// The number behind a label at the start of a line.
fn field(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// CPU time, and start after boot, in s, of a line of `/proc/PID/stat`.
fn times(stat: &str) -> (f64, f64) {
    // The name in parentheses may hold spaces; the third field follows the last parenthesis.
    let fields: Vec<u64> = match stat.rsplit_once(')') {
        Some((_, rest)) => rest.split_whitespace().map(|word| word.parse().unwrap_or_default()).collect(),
        None => Vec::new(),
    };
    let at = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    (seconds(at(14) + at(15), TICKS_PER_S), seconds(at(22), TICKS_PER_S))
}

fn boot_time_s(stat: &str) -> f64 {
    seconds(field(stat, "btime"), 1)
}

#[allow(clippy::cast_precision_loss)] // A metric is a float; 2^53 ns are 104 days to the nanosecond.
fn seconds(units: u64, per_s: u64) -> f64 {
    units as f64 / per_s as f64
}

/// USER_HZ, which Linux shows to programs as 100 on every architecture that Rust has a std for, save Alpha.
const TICKS_PER_S: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0 4200 999";
        assert_eq!(times(&format!("77 (a ) b) {rest}")), (2.0, 42.0));
        assert_eq!(times(""), (0.0, 0.0));
    }

    #[test]
    fn this_process_has_figures() {
        let process = Process::read();
        assert!(process.resident_bytes > 0 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_fds >= 3 && process.max_fds >= process.open_fds && process.threads >= 1);
        assert!(process.start_time_s > 1_500_000_000.0);
        assert!(thread_id().is_some());
    }
}
