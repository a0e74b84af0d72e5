//! Who cleans up when nobody else can: a child that outlives this process and removes its namespaces.
//!
//! * The child waits for the end of a pipe whose other end only this process holds: a panic, SIGTERM and SIGKILL all
//!   close it.
//! * It kills what runs in namespaces of this process, and nothing else: they are known by their prefix.
//! * Namespaces of runs that died together with their reaper are swept at the start of the next run; a process is known
//!   by its id and the time it started, because ids come back.

use crate::error::Error;
use crate::tool::tool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::{env, io};

/// The prefix of every namespace of this process. The first call starts the reaper and sweeps what dead runs left.
pub(crate) fn prefix() -> Result<&'static str, Error> {
    static STARTED: OnceLock<Result<Reaper, String>> = OnceLock::new();
    let started = STARTED.get_or_init(|| start().map_err(|error| error.to_string()));
    let failed =
        |said: &String| Error::Tool { command: "the reaper of namespaces".to_owned(), said: said.clone() };
    started.as_ref().map(|reaper| reaper.prefix.as_str()).map_err(failed)
}

struct Reaper {
    prefix: String,
    /// Its standard input is the pipe: it must not be dropped before the process ends.
    _child: Child,
}

fn start() -> Result<Reaper, Error> {
    let cannot_read = || Error::kernel("cannot read /proc/self/stat")(io::ErrorKind::InvalidData.into());
    let id = std::process::id();
    let prefix = format!("lab-{id}-{}-", started_ticks(id).ok_or_else(cannot_read)?);
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "lab-reaper", &prefix]).arg(env::temp_dir());
    // A group of its own, so that an interrupt at the keyboard, which ends the tests, does not end it.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(Error::kernel("cannot start the reaper of namespaces"))?;
    sweep();
    Ok(Reaper { prefix, _child: child })
}

/// Removes the namespaces of processes that are no more; one that cannot be removed waits for the next run.
fn sweep() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|(id, ticks)| started_ticks(id) != Some(ticks)) {
            remove(&name);
        }
    }
}

/// Ends what runs in a namespace, and removes it and its folders; a failure leaves it to the reaper.
pub(crate) fn remove(name: &str) {
    if let Ok(inode) = Path::new(FOLDER).join(name).metadata().map(|data| data.ino()) {
        inhabitants(inode).into_iter().for_each(|id| {
            let _ = kill(id, Signal::SIGKILL);
        });
        let _ = tool("ip", ["netns", "delete", name], "");
    }
    // Most have neither.
    let _ = fs::remove_dir_all(Path::new(PINS).join(name));
    let _ = fs::remove_dir_all(env::temp_dir().join(name));
}

/// The processes whose network namespace this is.
fn inhabitants(inode: u64) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let inside = |id: &i32| namespace_of(*id).is_ok_and(|found| found == inode);
    ids.filter(inside).map(Pid::from_raw).collect()
}

fn namespace_of(id: i32) -> io::Result<u64> {
    Ok(PathBuf::from(format!("/proc/{id}/ns/net")).metadata()?.ino())
}

/// The process id and start time that the name of a namespace of ours carries.
fn owner(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix("lab-")?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// When a process started, in clock ticks since boot: proc_pid_stat(5), field 22.
fn started_ticks(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program, field 2, may hold anything; fields behind its last parenthesis are plain.
    let (_, behind) = stat.rsplit_once(") ")?;
    behind.split(' ').nth(19)?.parse().ok()
}

/// Where ip(8) keeps names of namespaces.
pub(crate) const FOLDER: &str = "/run/netns";
/// Where programs and maps can be pinned.
pub(crate) const PINS: &str = "/sys/fs/bpf";
/// Twice, because a program that was shaping the network when its starter died may finish behind the first time.
const SCRIPT: &str = r#"
cat
for pause in 0.5 0; do
    for name in $(ls /run/netns); do
        case $name in
            "$1"*)
                for id in $(ip netns pids "$name"); do kill -9 "$id"; done
                ip netns delete "$name"
                rm -rf "/sys/fs/bpf/$name" "$2/$name" ;;
        esac
    done
    sleep $pause
done"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_tells_whose_it_is() {
        assert_eq!(owner("lab-12-345-6-core"), Some((12, 345)));
        assert_eq!([owner("lab-x-345-6"), owner("lab-trial-7"), owner("other-12-345-6")], [None; 3]);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = started_ticks(std::process::id());
        assert!(own.is_some() && own == started_ticks(std::process::id()));
        assert_eq!(started_ticks(u32::MAX), None);
        assert_ne!(own, started_ticks(1));
    }
}
