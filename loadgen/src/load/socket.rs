//! The load phase through sockets.

pub mod contacts;
pub mod crews;
pub mod receiver;
pub mod run;
pub mod sender;
pub mod station;
pub mod threads;
pub mod tracker;
pub mod worker;
