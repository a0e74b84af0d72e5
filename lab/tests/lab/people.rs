//! Everything together: access server, reflectors, and the endpoints of people with accounts.

pub(crate) mod absence;
pub(crate) mod access_server;
pub(crate) mod calls;
pub(crate) mod changes;
pub(crate) mod grid;
pub(crate) mod hiding;
pub(crate) mod member;
pub(crate) mod site;
pub(crate) mod story;
pub(crate) mod talk;
pub(crate) mod tunnel;
