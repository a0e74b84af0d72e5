//! Integration tests of `engine` on real sockets, one binary. Loopback only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

mod groups;
mod rig;
mod serving;
mod trains;
