//! What every integration test is made of: what it needs, the processes it starts, and how it waits.
//!
//! * For tests only; no program depends on it.
//! * A test that cannot run on this machine is `ignored` and says why, and which Debian packages would let it run.
//! * A process that a test started ends with the test, also when the test fails.
//! * Waiting ends when the thing happens; the limit is generous and only ends a hang.

#![forbid(unsafe_code)]

mod folder;
mod need;
mod programs;
mod record;
mod running;
mod suite;
mod wait;

pub use folder::Folder;
pub use need::{Missing, Need};
pub use programs::{Sibling, sibling};
pub use record::{Ignored, Recorded, Took, take_records};
pub use running::{Running, Signal, send};
pub use suite::{Suite, Work};
pub use wait::{PATIENCE, wait_until, wait_until_or};
