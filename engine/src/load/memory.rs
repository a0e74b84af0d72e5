//! Memory that a program of the kernel and this process share: the values of an array, as words.
//!
//! * Every word is an atomic: the program may write while this process reads, and the other way round.
//! * The whole array is mapped, page by page, when it is opened; nothing is copied and no call is made per value.
//!
//! Source: mmap(2), BPF_F_MMAPABLE in linux/bpf.h.

#![allow(unsafe_code)]

use crate::xdp::error::XdpError;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The words of one array.
#[derive(Debug)]
pub(crate) struct Memory {
    words: NonNull<AtomicU64>,
    count: usize,
    value_words: usize,
}

// SAFETY: shared memory of atomics, which any thread may use; it is unmapped when its owner goes.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps an array of `entries` values of `value_words` words.
    pub(crate) fn map(array: BorrowedFd<'_>, entries: usize, value_words: usize) -> Result<Self, XdpError> {
        let count = entries.saturating_mul(value_words);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping of a descriptor that is open; the kernel chooses the place.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), len(count), access, kind, array.as_raw_fd(), 0) };
        let words = NonNull::new(address.cast::<AtomicU64>()).filter(|_| address != libc::MAP_FAILED);
        let refused = || XdpError::kernel("map the program's memory", io::Error::last_os_error());
        Ok(Self { words: words.ok_or_else(refused)?, count, value_words })
    }

    /// The words of one value; none if there is no such value.
    #[inline]
    pub(crate) fn value(&self, index: usize) -> &[AtomicU64] {
        let start = index.saturating_mul(self.value_words);
        self.words().get(start..start.saturating_add(self.value_words)).unwrap_or_default()
    }

    /// One word of a value; 0 if there is no such word.
    #[inline]
    pub(crate) fn get(&self, index: usize, place: usize) -> u64 {
        self.value(index).get(place).map_or(0, |word| word.load(Relaxed))
    }

    /// Writes words of a value, from `place` on.
    #[inline]
    pub(crate) fn set(&self, index: usize, place: usize, words: &[u64]) {
        let places = self.value(index).iter().skip(place);
        places.zip(words).for_each(|(place, word)| place.store(*word, Relaxed));
    }

    /// The number of values.
    pub(crate) fn entries(&self) -> usize {
        self.count / self.value_words.max(1)
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped for as long as `self` lives, so many words long, and page-aligned; the kernel made it zeros.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this very mapping, which nothing borrows any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), len(self.count)) };
    }
}

/// Bytes of so many words; the kernel maps whole pages.
fn len(words: usize) -> usize {
    words.saturating_mul(size_of::<u64>())
}
