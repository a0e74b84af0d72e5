//! The reflector end to end, datagram by datagram, over every path that one may take through it.

pub(crate) mod conversation;
pub(crate) mod daemon;
pub(crate) mod endpoint;
pub(crate) mod generator;
pub(crate) mod loops;
pub(crate) mod operation;
pub(crate) mod strangers;
pub(crate) mod stun;
