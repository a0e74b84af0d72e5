//! The BPF programs that the kernel holds, whoever loaded them.
//!
//! * A copy of what the kernel said at the moment of asking; needs CAP_SYS_ADMIN or CAP_BPF.

use aya::programs::loaded_programs;
use std::io;
use std::time::SystemTime;

/// A loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The kernel's number for it.
    pub id: u32,
    /// The first 15 bytes of its name.
    pub name: String,
    /// When it was loaded.
    pub loaded_at: Option<SystemTime>,
}

/// The program of this number; `None` if the kernel holds none.
///
/// # Errors
/// What bpf(2) says.
pub fn find(id: u32) -> io::Result<Option<Program>> {
    for program in loaded_programs() {
        let program = program.map_err(io::Error::other)?;
        if program.id() == id {
            let name = String::from_utf8_lossy(program.name()).into_owned();
            return Ok(Some(Program { id, name, loaded_at: program.loaded_at() }));
        }
    }
    Ok(None)
}

/// The name under which the fast path's program is loaded.
pub const FAST_PATH: &str = "reflector";
