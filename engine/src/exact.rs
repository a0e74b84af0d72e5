//! Number conversions that cannot fail; each asserts why when it is compiled.

/// A 32-bit number as an index.
pub(crate) const fn index(number: u32) -> usize {
    const { assert!(usize::BITS >= u32::BITS) };
    number as usize
}

/// The size of a type in bytes, as system calls take it.
#[allow(clippy::cast_possible_truncation)] // Asserted.
pub(crate) const fn len_of<T>() -> u32 {
    const { assert!(size_of::<T>() <= u32::MAX as usize) };
    size_of::<T>() as u32
}
