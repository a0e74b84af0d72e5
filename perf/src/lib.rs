//! Quick runs, reports and plans.
//!
//! * What is measured are programs, which `lab` starts and reads; nothing of them is linked.
//! * What decides (the search, the capacity, the report) is pure; what starts programs and reads the kernel is thin.
//! * A figure comes only from a run that was valid, and its caveats travel with it.

#![forbid(unsafe_code)]

pub mod draw;
pub mod figures;
pub mod judge;
pub mod peers;
pub mod plan;
pub mod rig;
#[cfg(test)]
mod sample;
pub mod sweep;
