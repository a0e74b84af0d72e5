//! What endpoints say to each other, as bytes: packets, the frames in them, and notices of presence.

pub(crate) mod frame;
pub(crate) mod notice;
pub(crate) mod packet;
