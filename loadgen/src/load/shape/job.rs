//! What is to be run, as the command line meant it: load between endpoints, or flows that another relay was told of.

use crate::load::shape::config::Config;
use crate::load::shape::traffic::{MAX_RATE, Traffic};
use crate::load::xdp::ready::Ready;

/// What is to be run.
#[derive(Clone, Debug)]
pub enum Job {
    /// Load between endpoints that a reflector knows nothing of.
    Endpoints(Box<Config>),
    /// Load of flows that another relay has been told of.
    Flows(Box<Ready>),
}

impl Job {
    /// The load.
    pub fn traffic(&self) -> &Traffic {
        match self {
            Self::Endpoints(config) => &config.traffic,
            Self::Flows(ready) => &ready.traffic,
        }
    }

    /// The load, to change it.
    pub fn traffic_mut(&mut self) -> &mut Traffic {
        match self {
            Self::Endpoints(config) => &mut config.traffic,
            Self::Flows(ready) => &mut ready.traffic,
        }
    }

    /// The highest rate that those who talk can send, datagrams per second.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn most_per_s(&self) -> u64 {
        let Self::Endpoints(config) = self else { return MAX_RATE };
        let pairs = config.pattern.pair_count(config.endpoints);
        let flow_per_s = config.traffic.payload.flow_per_s();
        flow_per_s.map_or(MAX_RATE, |flow_per_s| ((pairs as f64 * flow_per_s) as u64).clamp(1, MAX_RATE))
    }
}
