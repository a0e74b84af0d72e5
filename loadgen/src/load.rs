//! Load: what is sent, through which engine, and what is seen of it meanwhile.

pub mod shape;
pub mod socket;
pub mod watch;
pub mod xdp;
