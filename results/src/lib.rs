//! What the load generator measures, as JSON: one declaration for the generator that writes it, and for everybody who
//! reads it.
//!
//! * [`run`] is the result of `reflector-loadgen run`, [`presence`] that of `presence`; [`outcome`] is the part of a run
//!   that reports keep. [`stream`] has what applications send, for generating and for planning it.
//! * Latency is kept as a whole histogram, so that results are merged without loss and percentiles are never averaged.
//! * Pure: nothing here measures, judges a rate or knows who did.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod error;
pub mod latency;
pub mod outcome;
pub mod presence;
pub mod run;
pub mod stream;
pub mod verdict;
