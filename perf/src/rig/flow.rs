//! Flows for relays that are not this reflector: who sends what to whom, and as whom the receiver sees it come.
//!
//! ```text
//! FROM TO VIA HEAD      45.1.7.1:40000 46.0.1.1:40001 45.1.7.2:3478 400000a8
//! ```
//!
//! * One flow a line, as the generator reads them.
//! * Endpoints lie in different /24, as the generator's own do, each with an address and a port of its own.
//! * A ring: every endpoint sends to the next one, and receives from the one before.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The transport address that the receiver gets it from.
    pub via: SocketAddr,
    /// What stands before the payload on the way to the relay.
    pub head: Vec<u8>,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.from, self.to, self.via)?;
        self.head.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The transport addresses of so many endpoints, at most 65,000, in [`BLOCK`].
pub fn endpoints(count: u32) -> Vec<SocketAddr> {
    let endpoint = |number: u32| {
        let [_, _, place, network] = number.to_be_bytes();
        let port = FIRST_PORT.saturating_add(u16::try_from(number % PORTS).unwrap_or(0));
        SocketAddr::from((Ipv4Addr::new(46, 0, network, place.saturating_add(1)), port))
    };
    (0..count).map(endpoint).collect()
}

/// Every endpoint and the one that it sends to.
pub fn ring(endpoints: &[SocketAddr]) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
    endpoints.iter().copied().zip(endpoints.iter().copied().cycle().skip(1))
}

/// A ring through a forwarder that reads the destination from the first six bytes and leaves from the address that was
/// called.
pub fn through_forwarder(endpoints: &[SocketAddr], forwarder: SocketAddr) -> Vec<Flow> {
    let flow = |(from, to): (SocketAddr, SocketAddr)| {
        let mut head = match to {
            SocketAddr::V4(to) => [to.ip().octets().as_slice(), &to.port().to_be_bytes()].concat(),
            SocketAddr::V6(_) => Vec::new(),
        };
        head.resize(HEAD_LEN, 0);
        Flow { from, to, via: forwarder, head }
    };
    ring(endpoints).map(flow).collect()
}

/// Every endpoint to itself, through a relay that returns what it gets.
pub fn returned(endpoints: &[SocketAddr], relay: SocketAddr) -> Vec<Flow> {
    let flow = |&from: &SocketAddr| Flow { from, to: from, via: relay, head: vec![0; HEAD_LEN] };
    endpoints.iter().map(flow).collect()
}

/// The file that the generator reads.
pub fn file_text(flows: &[Flow]) -> String {
    let mut text = String::new();
    for flow in flows {
        let _ = writeln!(text, "{flow}"); // Writing to a string cannot fail.
    }
    text
}

/// The block of all external addresses; the generator's host answers for all of it.
pub const BLOCK: &str = "46.0.0.0/16";
/// As long as this reflector's header, so that datagrams are equally long.
const HEAD_LEN: usize = wire::HEADER_LEN;
const FIRST_PORT: u16 = 40_000;
/// Ports that are used.
const PORTS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn endpoints_are_distinct_and_spread() {
        let all = endpoints(3_000);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 3_000);
        let shown: Vec<String> =
            [0, 1, 256, 2_999].into_iter().map(|number: usize| all[number].to_string()).collect();
        assert_eq!(shown, ["46.0.0.1:40000", "46.0.1.1:40001", "46.0.0.2:40256", "46.0.183.12:42999"]);
        assert!(all.iter().all(|endpoint| endpoint.to_string().starts_with("46.0.")));
    }

    #[test]
    fn a_ring_closes() {
        let all = endpoints(3);
        let pairs: Vec<_> = ring(&all).collect();
        assert_eq!(pairs, [(all[0], all[1]), (all[1], all[2]), (all[2], all[0])]);
    }

    #[test]
    fn flows_are_lines() {
        let all = endpoints(2);
        let relay: SocketAddr = "45.1.7.2:4000".parse().unwrap();
        let flows = through_forwarder(&all, relay);
        let head = format!("2e0001019c41{}", "0".repeat(52));
        assert_eq!(flows[0].to_string(), format!("46.0.0.1:40000 46.0.1.1:40001 45.1.7.2:4000 {head}"));
        assert_eq!(file_text(&flows).lines().count(), 2);
        let returned = returned(&all, relay);
        assert!(returned.iter().all(|flow| flow.from == flow.to && flow.head.len() == HEAD_LEN));
    }
}
