//! Comparisons with a bound, and what they say about a run.

use serde::{Deserialize, Serialize};

/// Whether the numbers may be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// Whether every check holds.
    pub valid: bool,
    /// The checks.
    pub checks: Vec<Verdict>,
}

/// One comparison and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is compared: `lag-p99`, or a threshold such as `p99<2ms`.
    pub name: String,
    /// The value found; `None` where there was nothing to measure, which fails.
    pub value: Option<f64>,
    /// `<`, `<=`, `>` or `>=`.
    pub relation: String,
    /// What it is compared with.
    pub bound: f64,
    /// `ns`, `fraction` or `count`.
    pub unit: String,
    /// Whether it holds.
    pub holds: bool,
}

/// How a value stands to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// At most.
    AtMost,
    /// At least.
    AtLeast,
    /// Below.
    Below,
    /// Above.
    Above,
}

impl Relation {
    /// All, the longer signs first, since `<` begins `<=`.
    pub const ALL: [Self; 4] = [Self::AtMost, Self::AtLeast, Self::Below, Self::Above];

    /// Its sign.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::Above => ">",
        }
    }

    /// Whether it holds.
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::AtMost => value <= bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::Above => value > bound,
        }
    }
}

impl Verdict {
    /// Compares; a value that is missing fails.
    pub fn new(name: String, value: Option<f64>, relation: Relation, bound: f64, unit: &str) -> Self {
        Self {
            name,
            value,
            relation: relation.as_str().to_owned(),
            bound,
            unit: unit.to_owned(),
            holds: value.is_some_and(|value| relation.holds(value, bound)),
        }
    }
}
