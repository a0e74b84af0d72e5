//! Datagrams through sockets: two engines of the same shape, and what both are made of.
//!
//! * [`epoll`] and [`uring`] serve the same handler; [`kind`] says which there are.

pub mod bare;
pub mod control;
pub mod epoll;
pub mod groups;
pub mod handler;
pub mod inbound;
pub mod kind;
pub mod outbound;
pub(crate) mod partners;
pub mod steer;
pub mod stop;
pub mod udp;
pub mod uring;
