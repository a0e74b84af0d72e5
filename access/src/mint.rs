//! What is minted, for whom, by which keys, and where it is written down.
//!
//! * Nothing is minted but between proven contacts at one reflector.

pub mod audit;
pub mod master;
pub mod pair;
pub mod sight;
