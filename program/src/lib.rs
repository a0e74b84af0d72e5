//! What every daemon is made of: settings, log, exit codes, admin server.
//!
//! ```text
//! command line, environment, file -> settings -> the daemon's own configuration
//! run -> log, panics, systemd                    failure -> one line and an exit code
//! admin: /livez /readyz /metrics /config         process, random, tls, units
//! ```
//!
//! * Knows nothing of what a daemon does: names, defaults and figures come in as data.
//! * For daemons alone; an endpoint or a tool has no use for it.

#![forbid(unsafe_code)]

pub mod admin;
pub mod failure;
pub mod log;
pub mod panics;
pub mod process;
pub mod random;
pub mod run;
pub mod settings;
pub mod systemd;
pub mod tls;
pub mod units;
