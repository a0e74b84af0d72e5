//! `probe`: asks a reflector where one's datagrams come from, and measures how long the answer takes.
//!
//! * One PROBE at a time; an answer counts if it comes from the address asked and echoes the PROBE's own number.
//! * The contact ticket is not printed: whoever holds it can show it to an access server.

use program::failure::Failure;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::header::{HEADER_LEN, Header, Kind};
use wire::{Policy, TransportAddress};

/// What to ask, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The reflector.
    pub reflector: SocketAddr,
    /// How many PROBEs, at least 1.
    pub count: u32,
    /// How long to wait for each answer.
    pub timeout: Duration,
}

/// Asks, and prints what came back.
///
/// # Errors
/// Nothing answered, or the kernel refused to send.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let mut asker = Asker::open(options)?;
    let mut answers = Vec::new();
    for number in 0..options.count {
        answers.extend(asker.ask(u64::from(number))?);
    }
    match answers.last() {
        Some(last) => out.write_all(summary(options, &answers, last, unix_s()).as_bytes())?,
        None => return Err(Failure::Runtime(silence(options, asker.local, asker.refused))),
    }
    Ok(())
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    header: Header,
    round_trip: Duration,
}

/// A socket that asks.
struct Asker {
    socket: UdpSocket,
    local: SocketAddr,
    timeout: Duration,
    nonce: [u8; 8],
    refused: bool,
}

impl Asker {
    fn open(options: &Options) -> Result<Self, Failure> {
        let wildcard: SocketAddr = match options.reflector {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let fail = |error: io::Error| Failure::Runtime(format!("{}: {error}", options.reflector));
        let socket = UdpSocket::bind(wildcard).map_err(fail)?;
        // Connected: the kernel then says which address it sends from, drops foreign answers, and reports refusals.
        socket.connect(options.reflector).map_err(fail)?;
        let local = socket.local_addr().map_err(fail)?;
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce)
            .map_err(|error| Failure::Runtime(format!("the kernel gave no randomness: {error}")))?;
        Ok(Self { socket, local, timeout: options.timeout, nonce, refused: false })
    }

    fn ask(&mut self, number: u64) -> Result<Option<Answer>, Failure> {
        let mut probe = vec![0; HEADER_LEN];
        probe.splice(..1, [Kind::Probe as u8]);
        probe.extend(self.nonce);
        probe.extend(number.to_be_bytes());
        let sent = Instant::now();
        match self.socket.send(&probe) {
            Ok(_) => self.wait(&probe, sent),
            Err(error) => self.note(&error).map(|()| None),
        }
    }

    fn wait(&mut self, probe: &[u8], sent: Instant) -> Result<Option<Answer>, Failure> {
        let mut buffer = [0; 2 * HEADER_LEN];
        loop {
            let left = self.timeout.saturating_sub(sent.elapsed());
            // Even when time is up: what came while this process was held up is there.
            self.socket.set_read_timeout(Some(left.max(SHORTEST_WAIT)))?;
            let received = match self.socket.recv(&mut buffer) {
                Ok(received) => received,
                Err(error) if timed_out(&error) && left.is_zero() => return Ok(None),
                Err(error) if timed_out(&error) => continue,
                Err(error) => return self.note(&error).map(|()| None),
            };
            let round_trip = sent.elapsed();
            let (answer, _) = buffer.split_at(received);
            if let Some(header) = observed(answer, probe) {
                return Ok(Some(Answer { header, round_trip }));
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// A refused PROBE is an answer of its own kind; the next may fare better.
    fn note(&mut self, error: &io::Error) -> Result<(), Failure> {
        if error.kind() != io::ErrorKind::ConnectionRefused {
            return Err(Failure::Runtime(format!("the PROBE could not be sent: {error}")));
        }
        self.refused = true;
        std::thread::sleep(self.timeout.min(Duration::from_millis(100)));
        Ok(())
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// The header of an OBSERVED that answers this PROBE.
fn observed(answer: &[u8], probe: &[u8]) -> Option<Header> {
    let (header, payload) = answer.split_first_chunk::<HEADER_LEN>()?;
    let header = Header::read(header);
    let echoed = probe.get(HEADER_LEN..) == Some(payload);
    (header.kind == Kind::Observed as u8 && echoed).then_some(header)
}

fn summary(options: &Options, answers: &[Answer], last: &Answer, now_s: u64) -> String {
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.round_trip).collect();
    times.sort_unstable();
    let at = |place: usize| times.get(place).copied().unwrap_or_default().as_secs_f64() * 1e3;
    let Header { peer, expires, class_key, .. } = last.header;
    let left_s = i64::from(expires) - i64::try_from(now_s).unwrap_or(i64::MAX);
    format!(
        "observed address   {}\nanswers            {} of {}\nround trip         min {:.3} ms, median {:.3} ms, max {:.3} ms\n\
         ticket expires     in {left_s} s (unix time {expires}), key {}\n",
        peer.to_socket(),
        answers.len(),
        options.count,
        at(0),
        at(times.len() / 2),
        at(times.len().saturating_sub(1)),
        class_key & 15,
    )
}

/// Why nothing may have answered, as far as one can know here.
fn silence(options: &Options, local: SocketAddr, refused: bool) -> String {
    let Options { reflector, count, .. } = options;
    let permits = |address: SocketAddr| {
        TransportAddress::from_socket(address).is_some_and(|address| Policy::default().permits(address))
    };
    let why = if refused {
        String::from("that host says that nothing listens there (ICMP port unreachable); check the port")
    } else if !permits(local) && !permits(*reflector) {
        // Both ends inside: no NAT between them makes another source of it.
        format!(
            "this is why, unless nothing runs there: your address {local} is one that the policy refuses as source; \
             the reflector must be started with --allow-destination {}",
            local.ip()
        )
    } else {
        String::from("wrong address, a firewall on the way, or the budget of your network is spent")
    };
    format!("{reflector} answered none of {count} PROBEs: {why}")
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The shortest wait that a socket accepts: to the kernel, a timeout of zero means forever.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
