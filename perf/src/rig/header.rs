//! What a sweep was asked for and where it runs: the first thing on its disk, and the head of its report.
//!
//! * Two runs of a sweep go together only if everything that decides a figure is the same, versions included.
//! * Versioned: [`SCHEMA`] grows when a field changes its meaning or goes; readers refuse other versions.

use crate::rig::cell::{Cell, Engine};
use crate::rig::environment::Environment;
use crate::rig::matrix::Matrix;
use crate::rig::placement::Placement;
use serde::{Deserialize, Serialize};

/// The head of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Unix seconds at its first start.
    pub started_unix_s: u64,
    /// The command as it was typed.
    pub command: String,
    /// What is varied.
    pub matrix: Matrix,
    /// NAT mix of the endpoints.
    pub nat: String,
    /// What lies between generator and reflector.
    pub ground: GroundName,
    /// Rounds that count; one more warms up.
    pub rounds: u32,
    /// Measured phase of a run in a round, ns.
    pub duration_ns: u64,
    /// Warm-up of a run, ns.
    pub warmup_ns: u64,
    /// Whether runs are too short for figures.
    pub is_short: bool,
    /// The cells that are measured, in order.
    pub cells: Vec<Cell>,
    /// What is left out, and why.
    pub absent: Vec<Absence>,
    /// Who runs where.
    pub sites: Vec<SiteName>,
    /// What a reader must know before believing a figure.
    pub caveats: Vec<String>,
    /// Whether capacity may be planned by it.
    pub fit_for_planning: bool,
    /// The machine and the programs.
    pub environment: Environment,
}

/// What lies between generator and reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroundName {
    /// The loopback interface.
    Loopback,
    /// A veth pair between two namespaces.
    Cable,
    /// A network, to another host.
    Elsewhere,
}

/// What is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A reflector of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteName {
    /// Its engine.
    pub engine: Engine,
    /// Its workers.
    pub workers: u32,
    /// Who runs where.
    pub placement: Placement,
}

impl Header {
    /// In what another sweep differs so that its figures cannot stand beside these; nothing if they can.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let same = [
            ("schema", self.schema == other.schema),
            ("what is varied", self.matrix == other.matrix && self.cells == other.cells),
            ("NAT mix", self.nat == other.nat),
            ("where it runs", self.ground == other.ground && self.sites == other.sites),
            ("rounds", self.rounds == other.rounds),
            (
                "length of a run",
                (self.duration_ns, self.warmup_ns, self.is_short)
                    == (other.duration_ns, other.warmup_ns, other.is_short),
            ),
            ("versions of the programs", self.environment.versions == other.environment.versions),
            ("machine", self.environment.machine == other.environment.machine),
        ];
        same.into_iter().filter(|(_, is_same)| !is_same).map(|(what, _)| what).collect()
    }
}

impl GroundName {
    /// It for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Cable => "a veth pair between two namespaces",
            Self::Elsewhere => "a network, the reflector on another host",
        }
    }
}

/// The version of this form.
pub const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_changes_a_figure_is_named() {
        let header = sample::header();
        let mut other = Header { started_unix_s: 5, command: "again".to_owned(), ..header.clone() };
        assert!(header.differences(&other).is_empty());
        other.rounds += 1;
        other.environment.versions.clear();
        assert_eq!(header.differences(&other), ["rounds", "versions of the programs"]);
        let text = serde_json::to_string(&header).unwrap();
        assert_eq!(serde_json::from_str::<Header>(&text).unwrap(), header);
    }
}
