//! Empty: what this crate is for stands in its manifest, which asks for one set of features for every build.

#![forbid(unsafe_code)]
