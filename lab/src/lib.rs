//! Hosts in network namespaces, joined by veth pairs and routers, behind real kernel NATs, and the programs on them.
//!
//! * Everything lives in namespaces whose names begin with this process's id; nothing outside them is touched.
//! * Nothing is left behind: a namespace goes with its value, and all of them when the process dies, however it dies.
//! * Addresses look like those of the Internet, so that a fixed policy is exercised rather than opened; they exist
//!   inside the namespaces only.
//! * Needs root and the programs `ip`, `nft` and `ethtool`; [`missing`] says what is not there.
//! * Programs are started, signalled and read, never linked: [`programs::found`] finds them, [`programs::program`] runs one,
//!   and [`programs::reflector`] and [`programs::generator`] know two of them. On loopback they need no root.
//!
//! ```text
//!   inside hosts        NAT box           core (router)          public hosts
//!   10.N.M.2 ───────── 10.N.M.1
//!   10.N.K.2 ───────── 10.N.K.1  45.N.7.2 ── 45.N.7.1
//!                                            45.P.7.1 ── [delay] ── 45.P.7.2, 2a00:0:P::2
//! ```
//!
//! A NAT, a host behind it and one that it calls, as `examples/through_a_nat.rs` has it:
//!
#![doc = concat!("```no_run\n", include_str!("../examples/through_a_nat.rs"), "```")]
#![forbid(unsafe_code)]

mod error;
pub mod network;
pub mod programs;
mod tool;

pub use error::Error;
pub use network::capture::{Capture, Seen};
pub use network::host::Host;
pub use network::link::{End, Link};
pub use network::missing::{PROGRAMS, missing};
pub use network::namespace::Namespace;
pub use network::napi::Napi;
pub use network::nat_box::NatBox;
pub use network::pair::Pair;
pub use network::topology::Lab;
