//! Hosts in namespaces, joined by cables and routers, behind real kernel NATs; and what a cable carries.

pub(crate) mod address;
pub(crate) mod capture;
pub(crate) mod delay;
pub mod frame;
pub(crate) mod host;
pub(crate) mod link;
pub(crate) mod missing;
pub(crate) mod namespace;
pub(crate) mod napi;
pub(crate) mod nat_box;
pub(crate) mod packet_socket;
pub(crate) mod pair;
pub(crate) mod reaper;
pub(crate) mod rules;
pub(crate) mod topology;
