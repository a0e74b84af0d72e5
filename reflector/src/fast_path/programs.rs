//! The XDP fast path of a running daemon: a program on each interface named, kept equal to rules, routes and clock.
//!
//! ```text
//! rules, interfaces, netlink -> config -> engine::xdp   each reload, each change of the host
//! clock                      -> tick                           each second; without it a program soon stops by itself
//! ```
//!
//! * The sockets serve whatever no program serves: losing a program loses no datagram.
//! * A reload takes effect on every interface or on none.
//! * A program that cannot be kept equal to what is in force is taken off rather than left to answer by old rules.

use crate::fast_path::config::Basis;
use crate::fast_path::figures::Figures;
use crate::fast_path::host::Host;
use crate::fast_path::program::Program;
use crate::fast_path::settings::FastPathSettings;
use engine::host::netlink::Follower;
use program::failure::Failure;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::Revoked;

/// The programs of a daemon; none when no interface is named.
#[derive(Debug, Default)]
pub struct FastPath {
    wanted: Option<FastPathSettings>,
    programs: Vec<Program>,
    follower: Option<Follower>,
    hash_key: [u8; 16],
    /// What programs counted that are gone.
    gone: Figures,
}

impl FastPath {
    /// Puts a program on every interface that the configuration names, or takes over the one that is pinned there.
    ///
    /// # Errors
    /// The first interface on which it cannot be; programs put on others before are taken off again.
    pub fn open(basis: &Basis<'_>, hash_key: [u8; 16], offset_ns: i64) -> Result<Self, Failure> {
        let wanted = &basis.config.fast_path;
        if !wanted.is_on() {
            return Ok(Self::default());
        }
        let mut fast_path = Self { wanted: Some(wanted.clone()), hash_key, ..Self::default() };
        // Heard of from before the tables are read, so that no change falls between.
        fast_path.follower = Some(Follower::open()?);
        let host = Host::read()?;
        for interface in &wanted.interfaces {
            match Program::open(interface, wanted, &host, basis, hash_key, offset_ns) {
                Ok(program) => fast_path.programs.push(program),
                Err(failure) => {
                    fast_path.detach();
                    return Err(failure);
                }
            }
        }
        Ok(fast_path)
    }

    /// Gives every program the time and a sign of life, and follows what the kernel says has changed.
    pub fn each_second(&mut self, basis: &Basis<'_>, offset_ns: i64) {
        let Some(follower) = &self.follower else { return };
        let changed = follower.changed();
        self.keep(|program| program.tick(offset_ns));
        if changed {
            self.follow_host(basis, offset_ns);
        }
    }

    /// Brings every program to what the host is like now; puts one on an interface that has come back.
    pub fn follow_host(&mut self, basis: &Basis<'_>, offset_ns: i64) {
        let Some(wanted) = self.wanted.clone() else { return };
        let host = match Host::read() {
            Ok(host) => host,
            Err(error) => {
                tracing::warn!(%error, "the host's routes cannot be read; those known stay in force");
                return;
            }
        };
        self.keep(|program| program.follow(&host, basis));
        for interface in &wanted.interfaces {
            let missing = self.programs.iter().all(|program| program.interface() != interface);
            if missing && host.link(interface).is_some() {
                match Program::open(interface, &wanted, &host, basis, self.hash_key, offset_ns) {
                    Ok(program) => self.programs.push(program),
                    Err(failure) => tracing::warn!(interface, reason = %failure, "xdp not attached"),
                }
            }
        }
    }

    /// Gives every program the table of what was taken back.
    pub fn set_revoked(&mut self, revoked: &Revoked) {
        self.keep(|program| program.set_revoked(revoked));
    }

    /// Puts new rules in force on every interface.
    ///
    /// # Errors
    /// The first that refuses them; then the old ones are in force on all.
    pub fn reload(&mut self, basis: &Basis<'_>) -> Result<(), Failure> {
        let mut refused = None;
        let mut done = 0;
        for program in &mut self.programs {
            if let Err(failure) = program.put(basis) {
                refused = Some(failure);
                break;
            }
            done += 1;
        }
        let Some(failure) = refused else {
            self.programs.iter_mut().for_each(Program::commit);
            return Ok(());
        };
        let mut at = 0;
        self.keep(|program| {
            at += 1;
            if at <= done { program.restore() } else { Ok(()) }
        });
        Err(failure)
    }

    /// Takes every program off. What they counted stays to be read.
    pub fn detach(&mut self) {
        self.follower = None;
        self.wanted = None;
        for program in std::mem::take(&mut self.programs) {
            self.gone.sum(&program.detach());
        }
    }

    /// What was counted so far.
    pub fn figures(&self) -> Figures {
        let mut figures = self.gone.clone();
        self.programs.iter().for_each(|program| figures.sum(&program.figures()));
        figures
    }

    /// Where programs are, for the log: `eth0,eth1`.
    pub fn interfaces(&self) -> String {
        self.programs.iter().map(Program::interface).collect::<Vec<_>>().join(",")
    }

    /// Does this with every program, and takes off those with which it cannot be done.
    fn keep(&mut self, mut step: impl FnMut(&mut Program) -> Result<(), Failure>) {
        let mut kept = Vec::with_capacity(self.programs.len());
        for mut program in std::mem::take(&mut self.programs) {
            match step(&mut program) {
                Ok(()) => kept.push(program),
                Err(failure) => {
                    let interface = program.interface().to_owned();
                    tracing::error!(interface, reason = %failure, "xdp taken off; the sockets serve");
                    self.gone.sum(&program.detach());
                }
            }
        }
        self.programs = kept;
    }
}

/// The fast path, for whoever only looks; what a thread left behind that panicked is still true.
pub fn lock(fast_path: &Mutex<FastPath>) -> MutexGuard<'_, FastPath> {
    fast_path.lock().unwrap_or_else(PoisonError::into_inner)
}
