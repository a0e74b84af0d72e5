//! The access server.
#![forbid(unsafe_code)]
