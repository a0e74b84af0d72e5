//! The settings of a daemon: each has one name, which is its flag, its key in the file and its variable.
//!
//! ```text
//! flags (flags) over environment over file (file) over defaults -> texts -> checked by the daemon -> written
//! ```
//!
//! * A setting `--deny-source` is the key `deny-source` of the file and the variable `PREFIX_DENY_SOURCE`.
//! * Here a setting is a name and a text; what the text means is for the daemon to say.

pub mod file;
pub mod flags;
pub mod layers;
pub mod table;
pub mod texts;
pub mod written;
