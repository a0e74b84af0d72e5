//! Ready flows of another relay, as a file lists them: so is a relay measured that this program cannot ask.
//!
//! ```text
//!   # FROM           TO                VIA            HEAD
//!   10.64.0.1:40000  10.64.1.1:40000   192.0.2.1:5001 40010018
//! ```
//!
//! * One flow a line: sender, receiver, where the receiver sees it come from, and the bytes before the payload in
//!   hexadecimal, `-` for none. `#` begins a comment.
//! * All heads have one length, a multiple of 4, all addresses the family of the relay, and VIA is at its IP address.
//! * Who told the relay of the flows is no matter here.

use crate::error::{Error, refuse};
use crate::load::shape::traffic::Traffic;
use crate::units;
use engine::load::{Arriving, MAX_FLOWS, MAX_HEAD_LEN};
use results::run::Settings;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A run of ready flows as it is meant.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What is sent to the relay, and when.
    pub traffic: Traffic,
    /// The interface that frames leave by.
    pub interface: String,
    /// What stands before the payload of what arrives.
    pub arriving: Arriving,
    /// The flows, at least one.
    pub flows: Vec<ReadyFlow>,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyFlow {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Where the receiver sees it come from.
    pub via: SocketAddr,
    /// What stands before the payload.
    pub head: Vec<u8>,
}

impl Ready {
    /// Checks what can be checked without asking the kernel.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), Error> {
        self.traffic.check(self.flows.first().map_or(0, |flow| flow.head.len()))?;
        let (workers, flows) = (self.traffic.workers(), self.flows.len());
        refuse(workers as usize > flows, || format!("--workers {workers}: no more than the {flows} flows"))
    }

    /// As the report says it.
    pub fn settings(&self) -> Settings {
        let ends: BTreeSet<SocketAddr> = self.flows.iter().flat_map(|flow| [flow.from, flow.to]).collect();
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Settings {
            engine: "xdp".to_owned(),
            endpoints: small(ends.len()),
            nat: "open=100%".to_owned(),
            pairs: FLOWS.to_owned(),
            pair_count: small(self.flows.len()),
            ..self.traffic.settings()
        }
    }
}

/// Reads the text of a file of flows to a relay.
///
/// # Errors
/// The first line that is no flow, with its number; no flow at all; too many.
pub fn parse(text: &str, relay: SocketAddr) -> Result<Vec<ReadyFlow>, String> {
    let mut flows: Vec<ReadyFlow> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let wrong = |what: String| format!("line {number}: {what}");
        let content = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = content.split_whitespace().collect();
        let flow = match words.as_slice() {
            [] => continue,
            [from, to, via, head] => flow([from, to, via], head, relay).map_err(wrong)?,
            words => {
                let found = words.len();
                return Err(wrong(format!("{found} words, where a flow has four: FROM TO VIA HEAD")));
            }
        };
        if let Some(first) = flows.first().filter(|first| first.head.len() != flow.head.len()) {
            let (here, there) = (flow.head.len(), first.head.len());
            return Err(wrong(format!(
                "a head of {here} bytes, where the first has {there}: all have one length"
            )));
        }
        if flows.len() == MAX_FLOWS as usize {
            return Err(wrong(format!("more than {MAX_FLOWS} flows; that is all there is room for")));
        }
        flows.push(flow);
    }
    if flows.is_empty() {
        return Err("no flow: each is a line FROM TO VIA HEAD".to_owned());
    }
    Ok(flows)
}

fn flow(addresses: [&str; 3], head: &str, relay: SocketAddr) -> Result<ReadyFlow, String> {
    let mut read = [relay; 3];
    for (place, text) in read.iter_mut().zip(addresses) {
        let address: SocketAddr = text.parse().map_err(|_| {
            let shown = units::quote(text);
            format!("{shown} is no transport address such as 192.0.2.1:3478 or [2001:db8::1]:3478")
        })?;
        if address.is_ipv4() != relay.is_ipv4() {
            return Err(format!("{address} is of the other family than the relay {relay}"));
        }
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(format!("nobody can be at {address}: name a unicast address and a port"));
        }
        *place = address;
    }
    let [from, to, via] = read;
    if via.ip() != relay.ip() {
        return Err(format!(
            "{via} is not at the address of the relay {relay}, by which its datagrams are told"
        ));
    }
    Ok(ReadyFlow { from, to, via, head: read_head(head)? })
}

fn read_head(text: &str) -> Result<Vec<u8>, String> {
    let text = if text == "-" { "" } else { text };
    let head = hex::decode(text).map_err(|_| {
        format!("{} is no head: hexadecimal digits, two a byte, or - for none", units::quote(text))
    })?;
    if head.len() > MAX_HEAD_LEN || head.len() % 4 != 0 {
        return Err(format!("a head of {} bytes: a multiple of 4, at most {MAX_HEAD_LEN}", head.len()));
    }
    Ok(head)
}

/// What a report calls the pairs of such a run.
pub const FLOWS: &str = "flows";

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> SocketAddr {
        "192.0.2.1:3478".parse().unwrap()
    }

    #[test]
    fn flows_are_read_in_order_and_comments_passed_over() {
        let text = "# all of it\n\n10.0.0.1:5 10.0.0.2:6 192.0.2.1:49152 4001ffEE\n \t10.0.0.2:6  10.0.0.1:5\t192.0.2.1:49153 40020000 # back\n";
        let flows = parse(text, relay()).unwrap();
        let shown: Vec<String> =
            flows.iter().map(|it| format!("{} {} {} {:02x?}", it.from, it.to, it.via, it.head)).collect();
        assert_eq!(
            shown,
            [
                "10.0.0.1:5 10.0.0.2:6 192.0.2.1:49152 [40, 01, ff, ee]",
                "10.0.0.2:6 10.0.0.1:5 192.0.2.1:49153 [40, 02, 00, 00]",
            ]
        );
        let six = parse("[fd00::1]:5 [fd00::2]:6 [fd00::9]:7 -", "[fd00::9]:7".parse().unwrap()).unwrap();
        assert_eq!((six.len(), six[0].head.len()), (1, 0));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let long = "00".repeat(36);
        let cases = [
            ("", "no flow"),
            ("# nothing\n", "FROM TO VIA HEAD"),
            ("\n10.0.0.1:5 10.0.0.2:6 192.0.2.1:7", "line 2: 3 words"),
            ("10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 - -", "line 1: 5 words"),
            ("10.0.0.1 10.0.0.2:6 192.0.2.1:7 -", "\"10.0.0.1\" is no transport address"),
            ("10.0.0.1:5 [fd00::1]:6 192.0.2.1:7 -", "other family"),
            ("10.0.0.1:0 10.0.0.2:6 192.0.2.1:7 -", "nobody can be at 10.0.0.1:0"),
            ("10.0.0.1:5 224.0.0.2:6 192.0.2.1:7 -", "nobody can be"),
            ("10.0.0.1:5 10.0.0.2:6 192.0.2.2:7 -", "192.0.2.2:7 is not at the address of the relay"),
            ("10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 0", "two a byte"),
            ("10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 zz", "two a byte"),
            ("10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 000000", "a head of 3 bytes: a multiple of 4"),
            (
                "10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 -\n10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 00000000",
                "line 2: a head of 4",
            ),
            (&format!("10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 {long}"), "at most 32"),
        ];
        for (text, right) in cases {
            let error = parse(text, relay()).unwrap_err();
            assert!(error.contains(right), "{text:?}: {error}");
        }
        let line = "10.0.0.1:5 10.0.0.2:6 192.0.2.1:7 -\n";
        let error = parse(&line.repeat((1 << 20) + 1), relay()).unwrap_err();
        assert!(error.contains("line 1048577: more than 1048576"), "{error}");
    }
}
