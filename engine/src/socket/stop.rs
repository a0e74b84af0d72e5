//! How a running worker is asked to stop: an eventfd(2) that its wait includes.
//!
//! * Owned by both sides: a stopper that is dropped before the worker looks has stopped it all the same.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends an engine's `run` from another thread.
#[derive(Debug)]
pub struct Stopper {
    stop: Arc<Stop>,
}

impl Stopper {
    /// Asks the worker to stop after its present batch.
    ///
    /// # Errors
    /// What writing to an eventfd(2) says.
    pub fn stop(&self) -> io::Result<()> {
        self.stop.requested.store(true, Ordering::Relaxed);
        (&self.stop.event).write_all(&1_u64.to_ne_bytes())
    }
}

/// The worker's side.
#[derive(Debug)]
pub(crate) struct Stop {
    event: File,
    requested: AtomicBool,
}

impl Stop {
    /// Both sides.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub(crate) fn open() -> io::Result<(Arc<Self>, Stopper)> {
        // SAFETY: eventfd takes no pointer; its result is checked below.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a descriptor that eventfd has just opened and that nobody else knows.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        let stop = Arc::new(Self { event: File::from(event), requested: AtomicBool::new(false) });
        Ok((Arc::clone(&stop), Stopper { stop }))
    }

    /// Whether the worker has been asked to stop.
    #[inline]
    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

impl AsRawFd for Stop {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
