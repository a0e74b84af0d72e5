//! Which processors this process may use, and where a thread runs.
//!
//! * A thread inherits its creator's set, and so does a child process.
//!
//! Source: sched_setaffinity(2), cpuset(7).

#![allow(unsafe_code)]

use std::io;

/// The processors that the calling thread may use, ascending.
///
/// # Errors
/// What sched_getaffinity(2) says.
pub fn allowed() -> io::Result<Vec<usize>> {
    let mut set = empty();
    // SAFETY: `set` is a live cpu_set_t of the size named, for the kernel to write; 0 is the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((0..CPUS).filter(|cpu| is_set(*cpu, &set)).collect())
}

/// Keeps the calling thread on these processors.
///
/// # Errors
/// What sched_setaffinity(2) says, e.g. that none of them may be used.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = empty();
    for cpu in cpus.iter().copied().filter(|cpu| *cpu < CPUS) {
        // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies within the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: `set` is a live cpu_set_t of the size named, which the kernel only reads; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn empty() -> libc::cpu_set_t {
    // SAFETY: a cpu_set_t is an array of integers, for which zero is a value: no processor.
    unsafe { std::mem::zeroed() }
}

fn is_set(cpu: usize, set: &libc::cpu_set_t) -> bool {
    // SAFETY: the only caller counts to CPU_SETSIZE, so the bit lies within the set.
    unsafe { libc::CPU_ISSET(cpu, set) }
}

#[allow(clippy::cast_sign_loss)] // A constant, 1,024.
const CPUS: usize = libc::CPU_SETSIZE as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_put() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        std::thread::spawn(move || {
            pin(&[last]).unwrap();
            assert_eq!(allowed().unwrap(), [last]);
        })
        .join()
        .unwrap();
        assert_eq!(allowed().unwrap(), before);
        assert!(pin(&[]).is_err());
    }
}
