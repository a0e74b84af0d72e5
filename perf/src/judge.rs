//! What follows from runs: capacities, costs, spreads over rounds, and laws.
//!
//! * Pure: made from runs alone; made again, it is the same.

pub mod ceiling;
pub mod contrast;
pub mod finding;
pub mod histogram;
pub mod model;
pub mod spread;
pub mod survey;
pub mod usl;
