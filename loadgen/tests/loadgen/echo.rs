//! A reflector of one thread, made of `wire::decide` and a plain socket, that misbehaves on demand.
//!
//! * Notes when it got no CPU, because what it does late may come too late for the generator.
//! * Counts what it saw and what it did, so that a test knows exactly what the generator has to find.

use crate::held_up::Looks;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};
use wire::{Block, BlockSet, HEADER_LEN, Header, KeyRing, Kind, Policy, TransportAddress, Verdict, decide};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    None,
    /// Relays nine of ten.
    DropEveryTenth,
    /// Relays each tenth twice.
    RepeatEveryTenth,
    /// Holds each tenth back until two more have gone to the same destination.
    HoldEveryTenth,
    /// Takes nothing for so many ms, once, after 200 SENDs.
    Stall(u64),
    /// Relays whatever it is sent, without a check.
    RelayAnything,
    /// Relays so many of each hundredth of a second, and no more.
    Limit(u64),
    /// Answers PROBEs only.
    RelayNothing,
    /// Says that somebody else sent it.
    NameAnotherSender,
}

/// A running echo; stops when dropped.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    pub(crate) keys: PathBuf,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<UdpSocket>>,
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    probes: AtomicU64,
    sends: AtomicU64,
    sealed: AtomicU64,
    refused: AtomicU64,
    meddled: AtomicU64,
}

impl Echo {
    /// Serves `socket` until dropped, to destinations in `block`; its ring is written to `keys`.
    pub(crate) fn start(socket: UdpSocket, keys: PathBuf, block: Block, mischief: Mischief) -> Self {
        let secret: [u8; 16] = *b"a test's secret!";
        std::fs::write(&keys, wire::ring_file::render(5, &secret)).unwrap();
        socket.set_read_timeout(Some(GLANCE)).unwrap();
        let address = socket.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let policy = Policy {
            own: vec![TransportAddress::from_socket(address).unwrap()],
            allow_destination: BlockSet::new(&[block]),
            ..Policy::default()
        };
        let ring = KeyRing::new(&[(5, secret)]).unwrap();
        let (held, window, looks) = (Vec::new(), (0, 0), Looks::new(GLANCE));
        let server =
            Server { socket, counts: Arc::clone(&counts), ring, policy, mischief, held, window, looks };
        Self { address, keys, counts, thread: Some(thread::spawn(move || server.run())) }
    }

    /// Goes away, and leaves the socket with what nobody takes any more.
    pub(crate) fn stop(mut self) -> UdpSocket {
        self.counts.stop.store(true, SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }

    /// PROBEs that arrived here.
    pub(crate) fn probes(&self) -> u64 {
        self.counts.probes.load(SeqCst)
    }

    /// SENDs that arrived here, accepted or not.
    pub(crate) fn sends(&self) -> u64 {
        self.counts.sends.load(SeqCst)
    }

    /// SEALED_SENDs among them.
    pub(crate) fn sealed(&self) -> u64 {
        self.counts.sealed.load(SeqCst)
    }

    /// SENDs and junk that `decide` refused.
    pub(crate) fn refused(&self) -> u64 {
        self.counts.refused.load(SeqCst)
    }

    /// Datagrams dropped, repeated or held back.
    pub(crate) fn meddled(&self) -> u64 {
        self.counts.meddled.load(SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.counts.stop.store(true, SeqCst);
        // The panic of a thread is the test's unless that has one already.
        let outcome = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || outcome.is_none_or(|outcome| outcome.is_ok()), "the echo died");
    }
}

struct Server {
    socket: UdpSocket,
    counts: Arc<Counts>,
    ring: KeyRing,
    policy: Policy,
    mischief: Mischief,
    /// How many still go before it, the datagram, and where to.
    held: Vec<(u32, Vec<u8>, SocketAddr)>,
    /// The present hundredth of a second, and what was relayed in it.
    window: (u128, u64),
    looks: Looks,
}

impl Server {
    fn run(mut self) -> UdpSocket {
        let mut buffer = [0; 2_048];
        self.looks.forget();
        while !self.counts.stop.load(SeqCst) {
            // A time-out is the moment to look whether to stop.
            let received = self.socket.recv_from(&mut buffer);
            self.looks.look();
            if let Ok((len, source)) = received {
                self.serve(&mut buffer[..len], source);
            }
        }
        self.looks.look();
        self.socket
    }

    fn serve(&mut self, datagram: &mut [u8], source: SocketAddr) {
        let probe = datagram.first() == Some(&(Kind::Probe as u8));
        let count = if probe { &self.counts.probes } else { &self.counts.sends };
        let number = count.fetch_add(1, SeqCst) + 1;
        self.counts.sealed.fetch_add(u64::from(datagram.first() == Some(&(Kind::SealedSend as u8))), SeqCst);
        let number = if probe { 0 } else { number };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let verdict = match self.mischief {
            Mischief::RelayAnything if !probe => relay_blindly(datagram, source),
            _ => decide(datagram, source, u32::try_from(now).unwrap(), &self.ring, &self.policy),
        };
        match verdict {
            Verdict::Observe => self.send(datagram, source),
            Verdict::Relay { to, .. } => self.relay(datagram, to, number),
            Verdict::Drop(_) => {
                self.counts.refused.fetch_add(1, SeqCst);
            }
        }
    }

    /// Whether there is room for one more now.
    fn has_room(&mut self, limit: u64) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() / 10;
        let (window, relayed) = self.window;
        self.window = if window == now { (now, relayed + 1) } else { (now, 1) };
        self.window.1 <= limit
    }

    fn relay(&mut self, datagram: &mut [u8], to: SocketAddr, number: u64) {
        let tenth = number.is_multiple_of(10);
        let is_over = if let Mischief::Limit(limit) = self.mischief { !self.has_room(limit) } else { false };
        match self.mischief {
            Mischief::RelayNothing => return self.meddle(),
            Mischief::Limit(_) if is_over => return self.meddle(),
            Mischief::DropEveryTenth if tenth => return self.meddle(),
            Mischief::RepeatEveryTenth if tenth => {
                self.meddle();
                self.send(datagram, to);
            }
            Mischief::HoldEveryTenth if tenth => {
                self.meddle();
                return self.held.push((2, datagram.to_vec(), to));
            }
            Mischief::Stall(ms) if number == 200 => {
                thread::sleep(Duration::from_millis(ms));
                self.looks.forget();
            }
            Mischief::NameAnotherSender => datagram[23] ^= 1,
            _ => {}
        }
        self.send(datagram, to);
        self.release(to);
    }

    /// Lets go what was held back for this destination long enough.
    fn release(&mut self, passed: SocketAddr) {
        for (left, _, to) in &mut self.held {
            *left -= u32::from(*to == passed);
        }
        let (due, held) = self.held.drain(..).partition(|(left, ..)| *left == 0);
        self.held = held;
        let due: Vec<(u32, Vec<u8>, SocketAddr)> = due;
        for (_, datagram, to) in due {
            self.send(&datagram, to);
        }
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) {
        self.socket.send_to(datagram, to).unwrap();
    }

    fn meddle(&self) {
        self.counts.meddled.fetch_add(1, SeqCst);
    }
}

fn relay_blindly(datagram: &mut [u8], source: SocketAddr) -> Verdict {
    let Some(bytes) = datagram.first_chunk_mut::<HEADER_LEN>() else {
        return Verdict::Drop(wire::Reason::Short);
    };
    let header = Header::read(bytes);
    let peer = TransportAddress::from_socket(source).unwrap();
    Header { kind: Kind::Data as u8, peer, ..header }.write(bytes);
    Verdict::Relay { to: header.peer.to_socket(), class_key: header.class_key }
}

/// How often it looks whether to stop.
const GLANCE: Duration = Duration::from_millis(20);
