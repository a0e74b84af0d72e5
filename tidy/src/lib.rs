//! The structure's rules, as a test: `cargo test -p tidy`.
//!
//! * Everything is in `tests/tidy.rs`; this library is empty, so that nothing can depend on it.
//! * The rules read the tree as text and manifests; they build and run nothing.

#![forbid(unsafe_code)]
