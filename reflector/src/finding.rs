//! One thing that could be better, and what changes it.
//!
//! * Made by whatever looks at a part of the host; shown by `check` and by the log of a start.

/// Something that could be better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is so.
    pub text: String,
    /// The command or flag that changes it.
    pub mend: String,
}

impl Finding {
    /// A finding and its remedy.
    pub fn new(text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { text: text.into(), mend: mend.into() }
    }
}
