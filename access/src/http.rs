//! What endpoints and services ask over HTTP: connections, routes, calls, refusals.
//!
//! * Each call judges what it was shown before it changes anything; what it says is JSON.

pub(crate) mod accounts;
pub(crate) mod answer;
pub mod api;
pub mod call;
pub mod impatient;
pub(crate) mod noting;
pub mod refusal;
pub mod request;
pub mod server;
pub(crate) mod services;
pub(crate) mod sessions;
