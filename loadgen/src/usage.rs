//! What the generator itself uses: CPU time of a thread, resident memory.
//!
//! * Read from /proc (proc(5)); where the kernel does not tell, 0.
//! * Reading CPU time allocates nothing, so a worker may do it between two datagrams.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// The CPU time of the thread that opened it.
#[derive(Debug)]
pub struct CpuTime {
    file: Option<File>,
}

impl CpuTime {
    /// For the calling thread.
    pub fn open() -> Self {
        Self { file: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// CPU time so far, ns; exact to a tick of the scheduler.
    pub fn read_ns(&self) -> u64 {
        let mut text = [0; 64];
        let read = self.file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let digits = text.iter().take(read).take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |value: u64, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    }
}

/// Resident memory of this process, bytes.
pub fn rss_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// The most resident memory that this process ever had, bytes.
pub fn peak_rss_bytes() -> u64 {
    status_bytes("VmHWM:")
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const INEXACT_BYTES: u64 = 4 << 20;

    #[test]
    fn work_takes_cpu_time_and_memory() {
        let cpu = CpuTime::open();
        let before = cpu.read_ns();
        let mut value = 1_u64;
        while cpu.file.is_some() && cpu.read_ns() == before {
            value = std::hint::black_box(value.wrapping_mul(3));
        }
        assert!(cpu.read_ns() >= before && value != 0);
        // Other tests allocate meanwhile, and the kernel keeps both figures to within some pages a CPU.
        let resident = rss_bytes();
        assert!(resident > 100_000 && peak_rss_bytes() + INEXACT_BYTES >= resident);
    }
}
