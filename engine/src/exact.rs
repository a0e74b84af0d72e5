//! Conversions of numbers that cannot fail here; each asserts why.

/// A number of 32 bits as a place in memory.
pub(crate) const fn index(number: u32) -> usize {
    const { assert!(usize::BITS >= u32::BITS) };
    number as usize
}

/// Bytes of a type, as system calls want them.
#[allow(clippy::cast_possible_truncation)] // Asserted.
pub(crate) const fn len_of<T>() -> u32 {
    const { assert!(size_of::<T>() <= u32::MAX as usize) };
    size_of::<T>() as u32
}
