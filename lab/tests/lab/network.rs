//! The lab itself: NATs that behave as named, cables, and nothing left behind.

pub(crate) mod cables;
pub(crate) mod leftovers;
pub(crate) mod nat_behaviour;
