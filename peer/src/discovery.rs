//! What NAT we are behind, found out with a STUN server that has two addresses (RFC 5780), without input and output.
//!
//! * Filtering first, because asking for the mapping opens the filter; from a port that has sent to nobody else.
//! * An answer that does not come within three round trips, or a quarter of a second, is one that the NAT keeps out.
//! * What cannot be found out is taken for what needs most help: APDM, APDF.

use nat::{Behaviour, Filtering, Mapping};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use stun::message::TransactionId;
use stun::request::Change;
use stun::response::Bound;

/// One discovery, from one local port.
#[derive(Debug)]
pub struct Discovery {
    server: SocketAddr,
    /// Addresses of the own interfaces: who is mapped to one of them is behind no NAT.
    own: Vec<IpAddr>,
    local_port: u16,
    step: Step,
    tries: u32,
    asked_us: u64,
    next_us: u64,
    ids: Vec<(TransactionId, Question)>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
    rng: ChaCha12Rng,
    rtt_us: u64,
    mapped: Option<SocketAddr>,
    other: Option<SocketAddr>,
    /// The reflexive address towards the server's other address, and towards its other port there.
    second: Option<SocketAddr>,
    third: Option<SocketAddr>,
    heard: Filtering,
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The behaviour, as far as it was found out.
    pub behaviour: Behaviour,
    /// The reflexive transport address; nothing if the server did not answer.
    pub mapped: Option<SocketAddr>,
    /// Whether the mapping was found out, not only taken for the worst.
    pub saw_mapping: bool,
    /// Whether the server has the second address that all this needs.
    pub whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Bind,
    Filter,
    MapAddress,
    MapPort,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Plain,
    OtherAddressAndPort,
    OtherPort,
    SecondAddress,
    SecondPort,
}

impl Discovery {
    /// A discovery with the server at `server`, from a fresh local port on a host with these addresses.
    #[must_use]
    pub fn new(server: SocketAddr, local_port: u16, own: Vec<IpAddr>, seed: [u8; 32], now_us: u64) -> Self {
        let mut discovery = Self {
            server,
            own,
            local_port,
            step: Step::Bind,
            tries: 0,
            asked_us: now_us,
            next_us: now_us,
            ids: Vec::new(),
            out: VecDeque::new(),
            rng: ChaCha12Rng::from_seed(seed),
            rtt_us: 0,
            mapped: None,
            other: None,
            second: None,
            third: None,
            heard: Filtering::Apdf,
        };
        discovery.handle_timeout(now_us);
        discovery
    }

    /// A request to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }

    /// When to call [`Discovery::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        (self.step != Step::Done).then_some(self.next_us)
    }

    /// What was found out, at the end.
    #[must_use]
    pub fn findings(&self) -> Option<Findings> {
        if self.step != Step::Done {
            return None;
        }
        let is_own = |mapped: SocketAddr| self.own.contains(&mapped.ip()) && mapped.port() == self.local_port;
        let mapping = match (self.mapped, self.second) {
            (Some(mapped), _) if is_own(mapped) => Mapping::Eim,
            (Some(mapped), Some(second)) if mapped == second => Mapping::Eim,
            (Some(_), Some(second)) if self.third == Some(second) => Mapping::Adm,
            _ => Mapping::Apdm,
        };
        let open = self.mapped.is_some_and(is_own) && self.heard == Filtering::Eif;
        let behaviour = if open { Behaviour::Open } else { Behaviour::nat(mapping, self.heard) };
        let saw_mapping = self.second.is_some() || self.mapped.is_some_and(is_own);
        Some(Findings { behaviour, mapped: self.mapped, saw_mapping, whole: self.other.is_some() })
    }

    /// Takes a datagram that came to the port.
    pub fn handle_datagram(&mut self, datagram: &[u8], now_us: u64) {
        let Some(Bound { transaction: id, mapped, other }) = Bound::read(datagram) else { return };
        let Some((_, question)) = self.ids.iter().find(|(known, _)| *known == id) else { return };
        match (question, self.step) {
            (Question::Plain, Step::Bind) => {
                (self.mapped, self.other) = (Some(mapped), other.filter(|it| it.ip() != self.server.ip()));
                self.rtt_us = now_us.saturating_sub(self.asked_us);
                self.enter(if self.other.is_some() { Step::Filter } else { Step::Done }, now_us);
            }
            (Question::OtherAddressAndPort, Step::Filter) => {
                self.heard = Filtering::Eif;
                self.enter(Step::MapAddress, now_us);
            }
            (Question::OtherPort, Step::Filter) => self.heard = Filtering::Adf,
            (Question::SecondAddress, Step::MapAddress) => {
                self.second = Some(mapped);
                let same = self.mapped == Some(mapped);
                self.enter(if same { Step::Done } else { Step::MapPort }, now_us);
            }
            (Question::SecondPort, Step::MapPort) => {
                self.third = Some(mapped);
                self.enter(Step::Done, now_us);
            }
            _ => {}
        }
    }

    /// Repeats what was not answered, and takes silence for an answer where it is one.
    pub fn handle_timeout(&mut self, now_us: u64) {
        if self.step == Step::Done || now_us < self.next_us {
            return;
        }
        if self.tries >= TRIES {
            let next = match self.step {
                Step::Filter => Step::MapAddress,
                Step::Bind | Step::MapAddress | Step::MapPort | Step::Done => Step::Done,
            };
            return self.enter(next, now_us);
        }
        self.tries += 1;
        self.asked_us = now_us;
        let is_last = self.tries == TRIES;
        let pause_us = match self.step {
            Step::Bind => FIRST_PAUSE_US << self.tries,
            // Most NATs keep the answers out: repeats guard against loss and need not wait for them.
            Step::Filter if !is_last => REPEAT_US,
            _ => 3 * self.rtt_us,
        };
        // The last of a step waits as long as all answers may take.
        let patience_us = if is_last { SILENCE_US } else { REPEAT_US };
        self.next_us = now_us + pause_us.max(patience_us);
        for question in questions(self.step) {
            self.ask(*question);
        }
    }

    fn enter(&mut self, step: Step, now_us: u64) {
        (self.step, self.tries, self.next_us) = (step, 0, now_us);
        self.handle_timeout(now_us);
    }

    fn ask(&mut self, question: Question) {
        let mut id = TransactionId::default();
        self.rng.fill_bytes(&mut id);
        let other = self.other.unwrap_or(self.server);
        let (to, change) = match question {
            Question::Plain => (self.server, Change::default()),
            Question::OtherAddressAndPort => (self.server, Change { ip: true, port: true }),
            Question::OtherPort => (self.server, Change { ip: false, port: true }),
            Question::SecondAddress => (SocketAddr::new(other.ip(), self.server.port()), Change::default()),
            Question::SecondPort => (other, Change::default()),
        };
        self.ids.push((id, question));
        self.out.push_back((to, stun::request::write(&id, change)));
    }
}

const fn questions(step: Step) -> &'static [Question] {
    match step {
        Step::Bind => &[Question::Plain],
        Step::Filter => &[Question::OtherAddressAndPort, Question::OtherPort],
        Step::MapAddress => &[Question::SecondAddress],
        Step::MapPort => &[Question::SecondPort],
        Step::Done => &[],
    }
}

/// Requests for each question.
const TRIES: u32 = 3;
const FIRST_PAUSE_US: u64 = 100_000;
const REPEAT_US: u64 = 50_000;
const SILENCE_US: u64 = 250_000;

#[cfg(test)]
mod tests {
    use super::*;
    use nat::{Nat, Rules, Settings};
    use std::sync::Arc;

    const SERVER: [&str; 4] = ["93.184.0.1:3478", "93.184.0.1:3479", "93.184.0.2:3478", "93.184.0.2:3479"];

    fn address(place: usize) -> SocketAddr {
        SERVER[place].parse().unwrap()
    }

    /// What a server answers to a request, and from which of its four sockets.
    fn answer(request: &[u8], at: usize, source: SocketAddr, has_other: bool) -> Option<(usize, Vec<u8>)> {
        let flags = request.get(27).copied().unwrap_or(0);
        if flags != 0 && !has_other {
            return None;
        }
        let from = at ^ usize::from(flags & 2 != 0) ^ (usize::from(flags & 4 != 0) << 1);
        let SocketAddr::V4(mapped) = source else { panic!("IPv4 only") };
        let mut body = vec![0, 0x20, 0, 8, 0, 1];
        body.extend((mapped.port() ^ 0x2112).to_be_bytes());
        body.extend((mapped.ip().to_bits() ^ 0x2112_a442).to_be_bytes());
        if has_other {
            let SocketAddr::V4(other) = address(at ^ 3) else { panic!("IPv4 only") };
            body.extend([0x80, 0x2c, 0, 8, 0, 1]);
            body.extend(other.port().to_be_bytes());
            body.extend(other.ip().octets());
        }
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        Some((from, [&[1, 1], &length[..], &request[4..20], &body].concat()))
    }

    fn run(behaviour: Behaviour, has_other: bool, loses: fn(u64) -> bool) -> (Findings, u64) {
        let rules = Arc::new(Rules::new(Settings::of(behaviour)).unwrap());
        let mut nat = Nat::new(rules, "45.1.0.1".parse().unwrap());
        let inside: SocketAddr =
            if behaviour == Behaviour::Open { "45.1.0.1:4000" } else { "10.0.0.5:4000" }.parse().unwrap();
        let mut discovery = Discovery::new(address(0), 4000, vec![inside.ip()], [7; 32], 0);
        let (mut now_us, mut number, mut arrivals) = (0, 0, Vec::new());
        loop {
            while let Some((to, request)) = discovery.poll_transmit() {
                number += 1;
                let source = nat.outbound(inside, to, now_us / 1000).unwrap();
                let at = (0..4).find(|place| address(*place) == to).unwrap();
                let reply = answer(&request, at, source, has_other).filter(|_| !loses(number));
                let Some((from, bytes)) = reply else { continue };
                if nat.inbound(address(from), source, now_us / 1000).is_ok() {
                    arrivals.push((now_us + 40_000, bytes));
                }
            }
            if let Some(findings) = discovery.findings() {
                return (findings, now_us);
            }
            arrivals.sort();
            let next_us = discovery.poll_timeout().unwrap();
            match arrivals.first().filter(|(at_us, _)| *at_us <= next_us).cloned() {
                Some((at_us, bytes)) => {
                    arrivals.remove(0);
                    now_us = at_us;
                    discovery.handle_datagram(&bytes, now_us);
                }
                None => {
                    now_us = next_us;
                    discovery.handle_timeout(now_us);
                }
            }
        }
    }

    #[test]
    fn every_behaviour_is_found_in_time_for_a_login_within_a_second() {
        for behaviour in Behaviour::ALL {
            let (findings, took_us) = run(behaviour, true, |_| false);
            assert_eq!((findings.behaviour, findings.whole, findings.saw_mapping), (behaviour, true, true));
            assert!(took_us < 500_000, "{behaviour} took {took_us} us");
            let (findings, _) = run(behaviour, true, |number| number % 3 == 1);
            assert_eq!(findings.behaviour, behaviour, "with loss");
        }
    }

    #[test]
    fn what_cannot_be_found_out_is_taken_for_the_worst() {
        let worst = Behaviour::nat(Mapping::Apdm, Filtering::Apdf);
        let (alone, _) = run(Behaviour::nat(Mapping::Eim, Filtering::Eif), false, |_| false);
        assert_eq!((alone.behaviour, alone.whole), (worst, false));
        assert!(alone.mapped.is_some() && !alone.saw_mapping);
        let (silent, _) = run(Behaviour::nat(Mapping::Eim, Filtering::Eif), true, |_| true);
        assert_eq!(silent, Findings { behaviour: worst, mapped: None, saw_mapping: false, whole: false });
    }
}
