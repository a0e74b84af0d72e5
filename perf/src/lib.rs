//! Quick runs, reports and plans.
//!
//! * The reflector and the load generator are programs here: started, signalled and read, never linked.
//! * What decides (the search, the capacity, the report) is pure; what starts programs and reads the kernel is thin.
//! * A figure comes only from a run that was valid, and its caveats travel with it.
//!
//! Tests that need running programs use [`programs`], [`reflector`] and [`generator`].

#![forbid(unsafe_code)]

pub mod axis;
pub mod capacity;
pub mod charts;
pub mod cores;
pub mod environment;
pub mod figures;
pub mod generator;
pub mod histogram;
pub mod interrupt;
pub mod metrics;
pub mod page;
pub mod plot;
pub mod program;
pub mod programs;
pub mod quick;
pub mod reflector;
pub mod relay;
pub mod report;
pub mod rig;
#[cfg(test)]
mod sample;
pub mod scratch;
pub mod search;
pub mod tables;
pub mod terminal;
