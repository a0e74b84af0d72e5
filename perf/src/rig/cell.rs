//! One configuration that a sweep measures, and its name.
//!
//! * Two cells are the same if every axis is: results of different runs are matched by that.
//! * The name is short, stable and reads back as nothing but itself: it stands in files and tables.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// How the reflector moves datagrams.
    pub engine: Engine,
    /// Its workers, each on a processor of its own.
    pub workers: u32,
    /// Bytes behind the header.
    pub payload_bytes: u32,
    /// Endpoints, each behind a NAT of its own.
    pub endpoints: u32,
    /// Datagrams of one flow that come at once; 1: one by one, at random times.
    pub train: u32,
    /// Percent of the datagrams whose tag is wrong.
    pub hostile_percent: u32,
}

/// How a reflector moves datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// epoll with recvmmsg and sendmmsg.
    #[serde(alias = "mio")]
    Epoll,
    /// io_uring.
    Uring,
    /// XDP in front of epoll.
    Xdp,
}

/// What a cell varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Worker threads.
    Workers,
    /// Bytes behind the header.
    Payload,
    /// Endpoints.
    Endpoints,
    /// Datagrams at once.
    Train,
    /// Percent of wrong tags.
    Hostile,
}

impl Cell {
    /// Its value on an axis.
    pub fn value(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Workers => self.workers,
            Axis::Payload => self.payload_bytes,
            Axis::Endpoints => self.endpoints,
            Axis::Train => self.train,
            Axis::Hostile => self.hostile_percent,
        }
    }

    /// It with another value on an axis.
    #[must_use]
    pub fn with(mut self, axis: Axis, value: u32) -> Self {
        let place = match axis {
            Axis::Workers => &mut self.workers,
            Axis::Payload => &mut self.payload_bytes,
            Axis::Endpoints => &mut self.endpoints,
            Axis::Train => &mut self.train,
            Axis::Hostile => &mut self.hostile_percent,
        };
        *place = value;
        self
    }

    /// It through another engine.
    #[must_use]
    pub fn through(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// The axes on which it differs from another.
    pub fn differences(&self, other: &Self) -> Vec<Axis> {
        Axis::ALL.into_iter().filter(|axis| self.value(*axis) != other.value(*axis)).collect()
    }

    /// How its datagrams follow each other, as the generator's `--arrivals` reads it.
    pub fn arrivals(&self) -> String {
        // Endpoints send independently; even gaps could beat against the kernel's own ticks.
        if self.train > 1 { format!("burst:{}", self.train) } else { "poisson".to_owned() }
    }

    /// Its name without the engine, for people: `168 B, 1,000 endpoints`.
    pub fn in_words(&self) -> String {
        let mut words =
            format!("{} B, {} endpoints", self.payload_bytes, crate::figures::count(self.endpoints.into()));
        if self.workers > 1 {
            words.push_str(&format!(", {} workers", self.workers));
        }
        if self.train > 1 {
            words.push_str(&format!(", trains of {}", self.train));
        }
        if self.hostile_percent > 0 {
            words.push_str(&format!(", {} % hostile", self.hostile_percent));
        }
        words
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, workers, payload_bytes, endpoints, train, hostile_percent } = self;
        write!(f, "{engine}-w{workers}-p{payload_bytes}-e{endpoints}-t{train}-h{hostile_percent}")
    }
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Epoll, Self::Uring, Self::Xdp];

    /// Its name as flags have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "uring",
            Self::Xdp => "xdp",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "uring",
            Self::Xdp => "XDP",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|engine| engine.name() == text || (*engine == Self::Epoll && text == "mio"));
        found.ok_or_else(|| "an engine is epoll, uring or xdp".to_owned())
    }
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Workers, Self::Payload, Self::Endpoints, Self::Train, Self::Hostile];

    /// Its name, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Payload => "payload, bytes",
            Self::Endpoints => "endpoints",
            Self::Train => "train, datagrams",
            Self::Hostile => "hostile, %",
        }
    }

    /// Where a value lies on it, so that cost is nearly straight between two neighbours: what a train costs once is
    /// shared by its datagrams, what endpoints cost grows with their logarithm.
    pub fn place(self, value: u32) -> f64 {
        let value = f64::from(value);
        match self {
            Self::Workers | Self::Payload | Self::Hostile => value,
            Self::Endpoints => value.max(1.0).ln(),
            Self::Train => 1.0 / value.max(1.0),
        }
    }
}

/// Bytes of the header of every datagram.
#[allow(clippy::cast_possible_truncation)] // 32.
pub const HEADER_BYTES: u32 = wire::HEADER_LEN as u32;

#[cfg(test)]
mod tests {
    use super::*;

    /// The cell of most tests.
    fn cell() -> Cell {
        Cell {
            engine: Engine::Epoll,
            workers: 1,
            payload_bytes: 168,
            endpoints: 1_000,
            train: 1,
            hostile_percent: 0,
        }
    }

    #[test]
    fn names_tell_cells_apart() {
        let other = cell().with(Axis::Train, 16).with(Axis::Hostile, 20).through(Engine::Xdp);
        assert_eq!(cell().to_string(), "epoll-w1-p168-e1000-t1-h0");
        assert_eq!(other.to_string(), "xdp-w1-p168-e1000-t16-h20");
        assert_eq!(other.in_words(), "168 B, 1,000 endpoints, trains of 16, 20 % hostile");
        assert_eq!(cell().differences(&other), [Axis::Train, Axis::Hostile]);
        assert_eq!([cell().arrivals(), other.arrivals()], ["poisson", "burst:16"]);
    }

    #[test]
    fn every_axis_sets_its_own_value() {
        for axis in Axis::ALL {
            let changed = cell().with(axis, 7);
            assert_eq!((changed.value(axis), cell().differences(&changed)), (7, vec![axis]));
        }
        assert_eq!(Engine::ALL.map(|engine| engine.name().parse()), Engine::ALL.map(Ok));
        assert!("poll".parse::<Engine>().is_err());
        assert_eq!("mio".parse(), Ok(Engine::Epoll), "its name before");
    }
}
