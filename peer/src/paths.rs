//! The ways to one peer: direct paths, headers that lead through reflectors, challenges that prove both, and sizes.

pub(crate) mod challenge;
pub(crate) mod direct;
pub(crate) mod headers;
pub(crate) mod search;
pub(crate) mod way;
