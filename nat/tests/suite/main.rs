//! What the public face of `nat` promises: the published grid, the grid found again by experiment, and properties.
//!
//! * `documentation`: the example that the documentation of the crate shows.
//! * `grid`: `route`, `answer` and `after_punch` against all of `nat-grid.json`.
//! * `experiment`: two state machines and a reflector exchange datagrams; what gets through is compared with both.
//! * `machine`: one state machine, case by case, with its sizes and its freedom from allocation.
//! * `properties`: random traffic against a slow NAT written from the RFC, and random mixes.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod documentation;
mod experiment;
mod grid;
mod machine;
mod properties;
