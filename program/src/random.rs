//! Randomness from the kernel.
//!
//! * Pure code takes its random bytes as an argument; this is where they come from.

use crate::failure::Failure;

/// `N` fresh bytes.
///
/// # Errors
/// The kernel gave none, which happens only before its pool is ready.
pub fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Runtime(format!("the kernel gave no randomness: {error}")))?;
    Ok(bytes)
}
