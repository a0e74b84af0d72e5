//! Programs under test, as processes: found or built, started, read, signalled, and never linked.

pub mod found;
pub mod generator;
pub mod interrupt;
pub mod precedence;
pub mod process_time;
pub mod program;
pub mod reflector;
pub mod relay;
pub mod scratch;
