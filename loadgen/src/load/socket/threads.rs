//! What every thread of a run does alike: to stay on its CPU, and to end.
//!
//! * A worker has a CPU of its own; who supervises keeps off those, where there is another.

use crate::error::Error;
use engine::host::affinity;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// Keeps the calling thread on these CPUs.
///
/// # Errors
/// None of them may be used.
pub fn pin(cpus: &[usize]) -> Result<(), Error> {
    affinity::pin(cpus).map_err(|error| Error::Runtime(format!("cannot stay on the CPUs {cpus:?}: {error}")))
}

/// The CPUs of those allowed that no worker has; all that are allowed if the workers have every one.
pub fn beside(allowed: &[usize], workers: &[usize]) -> Vec<usize> {
    let free: Vec<usize> = allowed.iter().copied().filter(|cpu| !workers.contains(cpu)).collect();
    if free.is_empty() { allowed.to_vec() } else { free }
}

/// What a thread brought.
///
/// # Errors
/// Its own, and its panic.
pub fn join<T>(thread: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|_| {
        Err(Error::Runtime("a worker thread died; this is a fault of the generator".to_owned()))
    })
}

/// Between two looks at the workers.
pub const GLANCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supervisor_keeps_off_workers_where_it_can() {
        assert_eq!(beside(&[0, 1, 4], &[4, 1]), [0]);
        assert_eq!(beside(&[0, 1], &[1, 0]), [0, 1]);
        assert_eq!(beside(&[3], &[]), [3]);
    }
}
