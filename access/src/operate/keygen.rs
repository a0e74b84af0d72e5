//! `keygen`: a fresh master file on stdout.
//!
//! * The secret comes from the kernel and is printed once; nothing is written to disk.

use crate::mint::master;
use program::failure::Failure;
use program::random;
use std::io::Write;

/// Prints a master with one key of this id, 0..=15.
///
/// # Errors
/// No randomness from the kernel, or nobody who reads.
pub fn run(id: u8, out: &mut dyn Write) -> Result<(), Failure> {
    let secret: [u8; 32] = random::bytes()?;
    out.write_all(master::render(id, &secret).as_bytes())?;
    Ok(())
}
