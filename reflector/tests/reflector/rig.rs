//! What the tests are made with: a reflector as a process, its pages, datagrams, traffic.
//!
//! * No test stands here.

pub(crate) mod daemon;
pub(crate) mod page;
pub(crate) mod protocol;
pub(crate) mod stun_message;
pub(crate) mod traffic;
