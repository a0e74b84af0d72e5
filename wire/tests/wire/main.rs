//! Integration tests of `wire`, one binary.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod vectors;
