//! The admin server: `/livez`, `/readyz`, `/metrics`, `/config`, over HTTP on a TCP listener of its own.
//!
//! ```text
//! control thread: status -------> pages <- server: a thread of its own, few connections, short timeouts
//!                 figures ----> metrics
//! ```
//!
//! * Reads and never changes anything; a daemon serves as well while nobody can reach it.

pub mod metrics;
pub mod pages;
pub mod server;
pub mod status;
