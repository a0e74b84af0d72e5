//! The kernel threads that serve an interface (threaded NAPI), on a processor of their own choosing.
//!
//! * A veth is served wherever the other end sends; a thread is what can be kept on one processor.
//! * They are the interface's: they go with it, or when it loses its NAPI.

use super::namespace::Namespace;
use crate::error::Error;
use crate::programs::precedence;
use crate::programs::precedence::Precedence;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// The threads of one interface.
#[derive(Clone, Debug)]
pub struct Napi {
    ids: Vec<u32>,
}

impl Napi {
    /// Gives an interface threads and keeps them on one processor.
    pub(crate) fn pin(namespace: &Namespace, interface: &str, cpu: usize) -> Result<Self, Error> {
        // The kernel tells whose thread it is by the interface's name only, which other namespaces have too.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let before = threads(interface);
        let switch = format!("echo 1 > /sys/class/net/{interface}/threaded");
        namespace.run("sh", &["-c", &switch], "")?;
        let what =
            |error| Error::kernel(format!("cannot pin the NAPI of {interface} to processor {cpu}"))(error);
        let mut cpus = CpuSet::new();
        cpus.set(cpu).map_err(|errno| what(errno.into()))?;
        let new: Vec<i32> = threads(interface).difference(&before).copied().collect();
        if new.is_empty() {
            return Err(what(io::Error::other(
                "it has no thread of its own; set it up and attach an XDP program, or switch GRO on",
            )));
        }
        let pinned = new.iter().try_for_each(|id| sched_setaffinity(Pid::from_raw(*id), &cpus));
        pinned.map_err(|errno| what(errno.into()))?;
        Ok(Self { ids: new.iter().map(|id| id.unsigned_abs()).collect() })
    }

    /// Lets them run before every process on their processor, as soft interrupts of a network interface do: a thread
    /// that waits for the end of another's time slice, 3 ms, loses what does not fit into the veth's 256 places.
    ///
    /// # Errors
    /// What chrt(1) says.
    pub fn run_first(&self) -> Result<(), Error> {
        self.ids.iter().try_for_each(|id| precedence::give(*id, Precedence::Interrupt))
    }

    /// Their process ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// The kernel threads that poll an interface of this name.
fn threads(interface: &str) -> BTreeSet<i32> {
    let prefix = format!("napi/{interface}-");
    let is_napi =
        |id: &i32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with(&prefix));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_napi).collect()
}
