//! The structure's rules, as a test.
