//! A system clock that a test sets, for one program alone.
//!
//! * A small library is preloaded that adds what stands in a file; built by the C compiler that links Rust's programs.
//! * The clock of the machine, and of reflectors beside the program, stays as it is.

use harness::Missing;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is missing to set a program's clock.
#[allow(dead_code)] // Where cargo runs a test, there is a C compiler; the other suites can say so.
pub(crate) fn lacks() -> Option<Missing> {
    Missing::programs(&[("cc", "gcc")])
}

/// The clock of the programs that were told to go by it.
pub(crate) struct SetClock {
    library: PathBuf,
    offset: PathBuf,
}

impl SetClock {
    /// A clock that shows the system's time; its files lie in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let (source, library) = (folder.join("set_clock.c"), folder.join("set_clock.so"));
        std::fs::write(&source, include_str!("set_clock.c")).unwrap();
        let mut build = Command::new("cc");
        build.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source);
        assert!(build.status().unwrap().success(), "{build:?}");
        let clock = Self { library, offset: folder.join("offset_ns") };
        clock.set(0);
        clock
    }

    /// Makes a program go by it.
    pub(crate) fn govern(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("SET_CLOCK", &self.offset);
    }

    /// From now on it shows the system's time and so much more, ns.
    pub(crate) fn set(&self, offset_ns: i64) {
        let part = self.offset.with_extension("part");
        std::fs::write(&part, offset_ns.to_string()).unwrap();
        std::fs::rename(&part, &self.offset).unwrap();
    }
}

/// An hour, ns.
pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;
