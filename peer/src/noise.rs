//! Noise IK between two endpoints: one message each way, then a session.
//!
//! * `Noise_IK_25519_ChaChaPoly_BLAKE2s` with a prologue of its own; keys come from the profile.
//! * Randomness is a seed, so that a core can be replayed; nothing here reads the machine's.
//! * The form of a sealed message is part of its nonce: under another form it does not open.
//! * A counter is used once; a session whose counters are used up seals nothing more.

mod replay;

use crate::message::packet::{Form, Index, Sealed, TAG_LEN, sealed_head};
use crate::noise::replay::Window;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, StatelessTransportState};

/// An X25519 public key.
pub type PublicKey = [u8; 32];
/// An X25519 secret key, or a seed.
pub type Secret = [u8; 32];

/// A handshake that waits for its answer.
pub(crate) struct Initiation(Box<HandshakeState>);

impl Initiation {
    /// Starts a handshake with the holder of `remote`; also its first Noise message, which carries `payload`.
    pub(crate) fn start(
        own: &Secret,
        remote: &PublicKey,
        payload: &[u8],
        seed: Secret,
    ) -> Option<(Self, Vec<u8>)> {
        let builder = builder(seed)?.local_private_key(own).ok()?.remote_public_key(remote).ok()?;
        let mut state = builder.build_initiator().ok()?;
        let message = write(&mut state, payload, INIT_OVERHEAD)?;
        Some((Self(Box::new(state)), message))
    }

    /// Reads the answer and its payload; `None` leaves the handshake as it was.
    pub(crate) fn read_answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        read(&mut self.0, message)
    }

    /// The session, once the answer was read.
    pub(crate) fn finish(self) -> Option<Cryptor> {
        Cryptor::new(*self.0)
    }
}

/// A first message that was opened; its sender proved that it holds `remote`, now or when it was recorded.
pub(crate) struct Opened {
    state: HandshakeState,
    /// The sender's static key.
    pub(crate) remote: PublicKey,
    /// What the message carried.
    pub(crate) payload: Vec<u8>,
}

impl Opened {
    /// Opens a first message.
    pub(crate) fn read(own: &Secret, message: &[u8], seed: Secret) -> Option<Self> {
        let mut state = builder(seed)?.local_private_key(own).ok()?.build_responder().ok()?;
        let payload = read(&mut state, message)?;
        let remote = state.get_remote_static()?.try_into().ok()?;
        Some(Self { state, remote, payload })
    }

    /// Answers it: the session and the second Noise message, which carries `payload`.
    pub(crate) fn answer(mut self, payload: &[u8]) -> Option<(Cryptor, Vec<u8>)> {
        let message = write(&mut self.state, payload, ANSWER_OVERHEAD)?;
        Some((Cryptor::new(self.state)?, message))
    }
}

/// Both keys of a session.
pub(crate) struct Cryptor(Box<StatelessTransportState>);

impl Cryptor {
    fn new(state: HandshakeState) -> Option<Self> {
        state.into_stateless_transport_mode().ok().map(|transport| Self(Box::new(transport)))
    }
}

/// One session: what it was agreed with, its counter and its window.
pub(crate) struct Session {
    cryptor: Cryptor,
    /// What we call it.
    local: Index,
    remote: Index,
    counter: u32,
    window: Window,
    /// The peer's life: another one after it restarted.
    life: u64,
    /// When it was agreed.
    since_us: u64,
    /// Whether the peer has proved that it holds the session: what a recorded first message can never do.
    confirmed: bool,
}

impl Session {
    /// A fresh session.
    pub(crate) fn new(cryptor: Cryptor, indexes: (Index, Index), life: u64, now_us: u64) -> Self {
        let (local, remote) = indexes;
        let window = Window::new();
        Self { cryptor, local, remote, counter: 0, window, life, since_us: now_us, confirmed: false }
    }

    /// What we call it.
    pub(crate) fn local(&self) -> Index {
        self.local
    }

    /// The life of the peer that it was agreed with.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// Whether the peer has proved that it holds the session.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The peer has proved that it holds the session.
    pub(crate) fn confirm(&mut self) {
        self.confirmed = true;
    }

    /// Seals a message as a whole packet, with `room` zeros in front for a header; `None` when counters are used up.
    pub(crate) fn seal(&mut self, form: Form, plain: &[u8], room: usize) -> Option<Vec<u8>> {
        let counter = self.counter;
        self.counter = counter.checked_add(1)?;
        let head = sealed_head(form, self.remote, counter);
        let start = room + head.len();
        let mut bytes = vec![0; start + plain.len() + TAG_LEN];
        bytes.get_mut(room..start)?.copy_from_slice(&head);
        self.cryptor.0.write_message(nonce(form, counter), plain, bytes.get_mut(start..)?).ok()?;
        Some(bytes)
    }

    /// Opens a sealed message; `None` for what was not sealed for this session, or was opened before.
    pub(crate) fn open(&mut self, Sealed { form, counter, bytes }: Sealed<'_>) -> Option<Vec<u8>> {
        if !self.window.is_fresh(counter) {
            return None;
        }
        let mut plain = vec![0; bytes.len()];
        let len = self.cryptor.0.read_message(nonce(form, counter), bytes, &mut plain).ok()?;
        plain.truncate(len);
        self.window.take(counter);
        Some(plain)
    }

    /// Whether a new session should be agreed: this one is old or nearly used up.
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        self.counter >= COUNTER_DUE || now_us.saturating_sub(self.since_us) >= AGE_DUE_US
    }
}

/// The public key of a secret one.
#[must_use]
pub fn public_key(secret: &Secret) -> PublicKey {
    let mut key = PublicKey::default();
    if let Some(mut dh) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
        dh.set(secret);
        if let Ok(public) = dh.pubkey().try_into() {
            key = public;
        }
    }
    key
}

/// The library's own primitives, with randomness grown from a seed.
struct Seeded(Secret);

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRandom(ChaCha12Rng::from_seed(self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(ChaCha12Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

fn builder(seed: Secret) -> Option<Builder<'static>> {
    Builder::with_resolver(PATTERN.parse().ok()?, Box::new(Seeded(seed))).prologue(PROLOGUE).ok()
}

fn write(state: &mut HandshakeState, payload: &[u8], overhead: usize) -> Option<Vec<u8>> {
    let mut message = vec![0; payload.len() + overhead];
    let len = state.write_message(payload, &mut message).ok()?;
    message.truncate(len);
    Some(message)
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Option<Vec<u8>> {
    let mut payload = vec![0; message.len()];
    let len = state.read_message(message, &mut payload).ok()?;
    payload.truncate(len);
    Some(payload)
}

fn nonce(form: Form, counter: u32) -> u64 {
    u64::from(form.byte()) << 32 | u64::from(counter)
}

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"reflector-peer-v1";
/// Ephemeral key, sealed static key, tag of the payload.
const INIT_OVERHEAD: usize = 32 + 32 + TAG_LEN + TAG_LEN;
/// Ephemeral key, tag of the payload.
const ANSWER_OVERHEAD: usize = 32 + TAG_LEN;
/// A quarter of all counters: time enough to agree on the next session.
const COUNTER_DUE: u32 = 1 << 30;
/// Old sessions are replaced, so that a stolen key opens little of the past.
const AGE_DUE_US: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::packet::Packet;

    fn pair() -> (Session, Session) {
        let (a, b) = ([1; 32], [2; 32]);
        let (mut start, first) = Initiation::start(&a, &public_key(&b), b"hello", [3; 32]).unwrap();
        let opened = Opened::read(&b, &first, [4; 32]).unwrap();
        assert_eq!((opened.remote, opened.payload.as_slice()), (public_key(&a), &b"hello"[..]));
        let (cryptor_b, second) = opened.answer(b"you too").unwrap();
        assert_eq!(start.read_answer(&[0; 60]), None);
        assert_eq!(start.read_answer(&second).unwrap(), b"you too");
        let (i, j) = (Index::read([0, 0, 1]), Index::read([0, 0, 2]));
        let a = Session::new(start.finish().unwrap(), (i, j), 1, 0);
        (a, Session::new(cryptor_b, (j, i), 1, 0))
    }

    fn sealed(packet: &[u8]) -> Sealed<'_> {
        match Packet::parse(packet).unwrap() {
            Packet::Sealed { sealed, .. } => sealed,
            other => panic!("not sealed: {other:?}"),
        }
    }

    #[test]
    fn messages_open_once_and_under_their_own_form_only() {
        let (mut a, mut b) = pair();
        let first = a.seal(Form::Datagram, b"one", 0).unwrap();
        let second = a.seal(Form::Control, b"two", 32).unwrap();
        assert_eq!(first.len(), 3 + crate::message::packet::OVERHEAD);
        let two = sealed(&second[32..]);
        assert_eq!(b.open(Sealed { form: Form::Datagram, ..two }), None);
        assert_eq!(b.open(two).unwrap(), b"two");
        assert_eq!(b.open(two), None, "a replay");
        assert_eq!(b.open(sealed(&first)).unwrap(), b"one", "late, but fresh");
        let back = b.seal(Form::Datagram, b"", 0).unwrap();
        assert_eq!(a.open(sealed(&back)).unwrap(), b"");
    }

    #[test]
    fn the_last_counter_is_the_last() {
        let (mut a, _) = pair();
        a.counter = u32::MAX - 1;
        assert!(a.seal(Form::Datagram, b"", 0).is_some() && a.is_due(0));
        assert!(a.seal(Form::Datagram, b"", 0).is_none());
    }

    #[test]
    fn another_key_opens_nothing_and_a_seed_decides_everything() {
        let (_, first) = Initiation::start(&[1; 32], &public_key(&[2; 32]), b"", [3; 32]).unwrap();
        let (_, again) = Initiation::start(&[1; 32], &public_key(&[2; 32]), b"", [3; 32]).unwrap();
        assert_eq!(first, again);
        assert!(Opened::read(&[5; 32], &first, [4; 32]).is_none());
    }

    /// The lines of the example in the description of the protocol, made anew.
    fn example() -> Vec<(&'static str, Vec<u8>)> {
        let (a, b) = ([0x0a; 32], [0x0b; 32]);
        let ephemeral = |seed: Secret| {
            let mut secret = Secret::default();
            ChaCha12Rng::from_seed(seed).fill_bytes(&mut secret);
            secret.to_vec()
        };
        let greeting = |life: u64| {
            let mut frames = Vec::new();
            let notice = crate::message::notice::Notice {
                incarnation: 7,
                sequence: 1,
                status: crate::message::notice::Status::Online,
            };
            crate::message::frame::Frame::Notice(notice).write(&mut frames);
            crate::message::frame::Frame::Life(life).write(&mut frames);
            frames
        };
        let (i, j) = (Index::read([1, 2, 3]), Index::read([4, 5, 6]));
        let (mut start, first) = Initiation::start(&a, &public_key(&b), &greeting(1), [3; 32]).unwrap();
        let opened = Opened::read(&b, &first, [4; 32]).unwrap();
        let (cryptor_b, second) = opened.answer(&greeting(2)).unwrap();
        start.read_answer(&second).unwrap();
        let mut session_a = Session::new(start.finish().unwrap(), (i, j), 2, 0);
        let mut session_b = Session::new(cryptor_b, (j, i), 1, 0);
        vec![
            ("A static secret", a.to_vec()),
            ("A static public", public_key(&a).to_vec()),
            ("B static secret", b.to_vec()),
            ("B static public", public_key(&b).to_vec()),
            ("A ephemeral secret", ephemeral([3; 32])),
            ("B ephemeral secret", ephemeral([4; 32])),
            ("INIT payload", greeting(1)),
            ("INIT", [&crate::message::packet::init_head(i)[..], &first].concat()),
            ("RESPONSE payload", greeting(2)),
            ("RESPONSE", [&crate::message::packet::response_head(i, j)[..], &second].concat()),
            ("A: CONTROL, no frames", session_a.seal(Form::Control, b"", 0).unwrap()),
            ("A: DATAGRAM hello", session_a.seal(Form::Datagram, b"hello", 0).unwrap()),
            ("B: DATAGRAM hi", session_b.seal(Form::Datagram, b"hi", 0).unwrap()),
        ]
    }

    #[test]
    fn the_example_of_the_description_is_what_we_do() {
        let page = include_str!("../../docs/peer.md");
        let (_, page) = page.split_once("## 10. Example").unwrap();
        let block = page.split("```").nth(1).unwrap();
        let told: String = block.trim_start_matches("text").split_whitespace().collect();
        let mut right = String::new();
        for (name, bytes) in example() {
            right.extend(name.chars().filter(|c| !c.is_whitespace()));
            right.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
        }
        assert_eq!(told, right);
    }
}
