//! The JSON between endpoints and the access server, and the texts inside it.

pub mod base64url;
pub mod canonical;
pub mod capabilities;
pub mod device;
pub mod header;
pub mod keys;
pub mod login;
pub mod name;
pub mod nat;
pub mod problem;
pub mod profile;
pub mod revocations;
