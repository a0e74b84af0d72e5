//! Who may log in: accounts, devices, passwords and the budgets of guessing them, challenges.
//!
//! * What lasts is stored before it is acknowledged.

pub mod budget;
pub mod challenge;
pub mod gate;
pub mod password;
pub mod places;
pub mod registry;
