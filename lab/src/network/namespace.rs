//! A network namespace: a host's or a router's own interfaces, routes, sysctls and sockets.
//!
//! * Entered by threads that do nothing else and never leave: sockets that they open and programs that they start stay
//!   in the namespace, the caller stays outside.
//! * Removed with its value, together with every process in it and with its folders.

use super::reaper::{self, FOLDER, PINS, remove};
use crate::error::Error;
use crate::tool::tool;
use nix::sched::{CloneFlags, setns};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, thread};

/// A namespace of this process.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes one; `role` is for people who look at it with `ip netns`.
    ///
    /// # Errors
    /// What `ip` or the kernel says.
    pub fn new(role: &str) -> Result<Self, Error> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}{}-{role}", reaper::prefix()?, MADE.fetch_add(1, Ordering::Relaxed));
        tool("ip", ["netns", "add", &name], "")?;
        let path = Path::new(FOLDER).join(&name);
        let opened = File::open(&path).map_err(Error::kernel(format!("cannot open {}", path.display())));
        let file = opened.inspect_err(|_| remove(&name))?;
        let namespace = Self { name, file };
        // Duplicate address detection would keep IPv6 addresses unusable for a second.
        namespace.set("net/ipv6/conf/default/accept_dad", 0)?;
        namespace.set("net/ipv6/conf/all/accept_dad", 0)?;
        namespace.set("net/ipv6/conf/default/router_solicitations", 0)?;
        // As IPv4 addresses do, IPv6 ones outlast a pulled cable.
        namespace.set("net/ipv6/conf/default/keep_addr_on_down", 1)?;
        namespace.set("net/ipv6/conf/all/keep_addr_on_down", 1)?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A folder of the BPF file system that is this namespace's own and goes with it.
    ///
    /// # Errors
    /// There is no BPF file system at /sys/fs/bpf.
    pub fn pin_folder(&self) -> Result<PathBuf, Error> {
        let folder = Path::new(PINS).join(&self.name);
        let made = fs::create_dir_all(&folder);
        made.map_err(Error::kernel(format!("cannot make {}; mount -t bpf bpf {PINS}", folder.display())))?;
        Ok(folder)
    }

    /// A folder for files that nobody else can read; it goes with the namespace.
    ///
    /// # Errors
    /// It cannot be made among the temporary files.
    pub fn folder(&self) -> Result<PathBuf, Error> {
        let folder = env::temp_dir().join(&self.name);
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&folder);
        made.map_err(Error::kernel(format!("cannot make {}", folder.display())))?;
        Ok(folder)
    }

    /// Does `work` in the namespace, on a thread of its own; a panic in it goes on here.
    ///
    /// # Errors
    /// The kernel lets nobody in.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let entered = thread::scope(|scope| {
            let entering = scope.spawn(|| setns(&self.file, CloneFlags::CLONE_NEWNET).map(|()| work()));
            entering.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        let what = || format!("cannot enter the namespace {}", self.name);
        entered.map_err(|errno| Error::kernel(what())(errno.into()))
    }

    /// Sets a sysctl of the namespace, e.g. `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// There is no such setting here, or it takes no such value.
    pub fn set(&self, setting: &str, value: u32) -> Result<(), Error> {
        let path = Path::new("/proc/sys").join(setting);
        let written = self.enter(|| fs::write(&path, value.to_string()))?;
        written.map_err(Error::kernel(format!("cannot write {value} to {}", path.display())))
    }

    /// Runs commands of ip(8) in the namespace, one a line, without the word `ip`.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, lines: &str) -> Result<String, Error> {
        tool("ip", ["-n", &self.name, "-batch", "-"], lines)
    }

    /// Runs a program in the namespace, with /sys showing its interfaces, and gives what it printed.
    ///
    /// # Errors
    /// It cannot be run, or does not exit with 0.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, Error> {
        let head = ["netns", "exec", &self.name, program];
        tool("ip", head.iter().chain(arguments), input)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}
