//! Memory that the kernel writes into and reads from while Rust looks elsewhere: pages behind a raw pointer.
//!
//! * Taken and touched at once, on the thread that takes it; never moved, never grown.
//! * No reference to it is held anywhere; whoever makes one says why nobody else uses those bytes meanwhile.

#![deny(clippy::disallowed_types)]

/// Some pages.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Owns the pages; after `take` nothing goes through it.
    pages: Vec<Page>,
    start: *mut u8,
    len: usize,
}

impl Memory {
    /// Takes and touches at least `len` bytes that start on a page.
    pub(crate) fn take(len: usize) -> Self {
        // Zeroed memory need not be there yet; written memory is.
        let mut pages = vec![Page([u8::MAX; PAGE_LEN]); len.div_ceil(PAGE_LEN)];
        let start = pages.as_mut_ptr().cast();
        Self { pages, start, len }
    }

    /// Bytes asked for.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of the byte at `offset`; good for `len() - offset` bytes.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        self.start.wrapping_add(offset)
    }

    /// Gives the pages up for good, because the kernel may still use them.
    pub(crate) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.pages));
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_LEN]);

/// What the kernel aligns to; it is content with more.
const PAGE_LEN: usize = 4_096;
