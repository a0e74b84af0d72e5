//! What the documents tell people to type, typed.

pub(crate) mod examples;
pub(crate) mod tutorial;
