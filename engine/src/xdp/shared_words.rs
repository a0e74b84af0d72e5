//! Memory that this process and a loaded program share: words, each of which is stored and loaded whole.

#![allow(unsafe_code)]

use crate::exact;
use crate::xdp::error::XdpError;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The one value of an array that can be mapped.
#[derive(Debug)]
pub(crate) struct SharedWords {
    first: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: shared memory of atomics, which any thread may use.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the value of `map`, which has `bytes`.
    pub(crate) fn map(map: BorrowedFd<'_>, bytes: u32) -> Result<Self, XdpError> {
        let (access, len) = (libc::PROT_READ | libc::PROT_WRITE, exact::index(bytes));
        // SAFETY: a new mapping of a descriptor that is open; the kernel chooses the place.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        let first = NonNull::new(address.cast::<AtomicU64>()).filter(|_| address != libc::MAP_FAILED);
        let refused = || XdpError::kernel("map a map of the program", io::Error::last_os_error());
        Ok(Self { first: first.ok_or_else(refused)?, count: len / size_of::<AtomicU64>() })
    }

    /// The words.
    pub(crate) fn all(&self) -> &[AtomicU64] {
        // SAFETY: mapped for as long as `self` lives, zeroed by the kernel, and `count` words long.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }

    /// Stores every word that differs from those of `other`.
    pub(crate) fn copy(&self, other: &[AtomicU64]) {
        for (mine, theirs) in self.all().iter().zip(other) {
            let word = theirs.load(Relaxed);
            if mine.load(Relaxed) != word {
                mine.store(word, Relaxed);
            }
        }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: this very mapping, which nothing borrows any more.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}
