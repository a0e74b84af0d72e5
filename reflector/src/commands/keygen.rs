//! `keygen`: a fresh ring file on stdout.
//!
//! * The secret comes from the kernel and is printed once; nothing is written to disk.

use program::failure::Failure;
use std::io::Write;
use wire::ring::check_secret;
use wire::ring_file;

/// Prints a ring with one key of this id, 0..=15.
///
/// # Errors
/// No randomness from the kernel, or nobody who reads.
pub fn run(id: u8, out: &mut dyn Write) -> Result<(), Failure> {
    let mut secret = [0; 16];
    while check_secret(&secret).is_err() {
        getrandom::fill(&mut secret)
            .map_err(|error| Failure::Runtime(format!("the kernel gave no randomness: {error}")))?;
    }
    out.write_all(ring_file::render(id, &secret).as_bytes())?;
    Ok(())
}
