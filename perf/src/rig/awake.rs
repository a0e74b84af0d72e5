//! Processors that do not sleep while this value lives: an idle one waits in a loop (cpu_dma_latency, power/pm_qos).
//!
//! * What waking a sleeping processor costs is the machine's matter, most of all in a virtual machine, where it leaves
//!   and enters the guest; it would be booked on whatever comes first, and on relays that are loaded least.
//! * The kernel takes the wish back when the file is closed, however this process ends; idle time stays idle time.
//! * Where the kernel has no such file, processors sleep as they like, and the result says so.

use std::fs::{File, OpenOptions};
use std::io::Write;

/// The wish, while it stands.
#[derive(Debug)]
pub struct Awake {
    file: Option<File>,
}

impl Awake {
    /// Asks for it, for all processors.
    pub fn ask() -> Self {
        let opened = OpenOptions::new().write(true).open(FILE);
        // A latency of 0 us, as a native 32-bit number.
        let asked = opened.and_then(|mut file| file.write_all(&0_i32.to_ne_bytes()).map(|()| file));
        Self { file: asked.ok() }
    }

    /// What idle processors do, in words.
    pub fn in_words(&self) -> &'static str {
        if self.file.is_some() { "wait in a loop (cpu_dma_latency 0)" } else { "sleep as the machine has it" }
    }
}

const FILE: &str = "/dev/cpu_dma_latency";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_asked_is_said() {
        assert!(Awake { file: None }.in_words().starts_with("sleep"));
        let file = File::open("/dev/null").ok();
        assert!(Awake { file }.in_words().starts_with("wait"));
    }
}
