//! What the host is like: its processors, clock, interfaces and routes.

pub mod addresses;
pub mod affinity;
pub mod clock;
pub mod interfaces;
pub mod netlink;
pub mod nic;
pub mod routes;
pub mod sockaddr;
