//! What endpoints say to each other inside a sealed CONTROL message or a handshake: frames of type, length, body.
//!
//! ```text
//! type 1 | length 2 (BE) | body
//!   0 PADDING     zeros                                             fills a message to a size
//!   1 NOTICE      incarnation 8 | sequence 8 | status 1             0 offline, 1 online
//!   2 CHALLENGE   token 8                                           answer this
//!   3 ANSWER      token 8                                           answered
//!   4 CONTACTS    sequence 8 | mapping 1 | filtering 1 | n x (place 1 | address 16 | port 2)
//!   5 MESSAGE     number 4 | oldest 4 | bytes                       reliable; what lies below `oldest` was given up
//!   6 RECEIVED    next 4                                            every MESSAGE below `next` has arrived
//!   7 CONSENT                                                       goes through the reflector and renews its header
//!   8 LIFE        random 8                                          in handshakes: a restarted endpoint has another
//! ```
//!
//! * A frame of an unknown type is skipped, one of a wrong length too: later versions may add to both.
//! * All numbers are big-endian; IPv4 addresses are written `::ffff:a.b.c.d`.

use crate::message::notice::{Notice, Status};
use nat::{Behaviour, Filtering, Mapping};
use std::net::SocketAddr;
use wire::TransportAddress;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Presence.
    Notice(Notice),
    /// A challenge to be answered.
    Challenge(Token),
    /// The answer to a challenge.
    Answer(Token),
    /// Where the sender can be reached.
    Contacts(Contacts),
    /// A reliable message.
    Message { number: u32, oldest: u32, bytes: &'a [u8] },
    /// Which reliable messages have arrived.
    Received { next: u32 },
    /// Renews the other side's right to send through the reflector.
    Consent,
    /// Random, the same from start to end of one endpoint; in handshakes.
    Life(u64),
}

/// Random bytes that only who received them can know.
pub(crate) type Token = [u8; 8];

/// Where an endpoint can be reached, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contacts {
    /// Higher is newer.
    pub(crate) sequence: u64,
    /// How its NAT behaves.
    pub(crate) behaviour: Behaviour,
    /// Reflexive transport addresses.
    pub(crate) reflexive: Vec<SocketAddr>,
    /// Host candidates (RFC 8445 section 5.1.1).
    pub(crate) hosts: Vec<SocketAddr>,
}

impl Frame<'_> {
    /// Appends the frame.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Notice(notice) => {
                let status = u8::from(notice.status == Status::Online);
                let numbers = [notice.incarnation.to_be_bytes(), notice.sequence.to_be_bytes()];
                put(out, NOTICE, &[numbers.as_flattened(), &[status]].concat());
            }
            Self::Challenge(token) => put(out, CHALLENGE, token),
            Self::Answer(token) => put(out, ANSWER, token),
            Self::Contacts(contacts) => put(out, CONTACTS, &contacts.to_body()),
            Self::Message { number, oldest, bytes } => {
                put(out, MESSAGE, &[&number.to_be_bytes()[..], &oldest.to_be_bytes(), bytes].concat());
            }
            Self::Life(life) => put(out, LIFE, &life.to_be_bytes()),
            Self::Received { next } => put(out, RECEIVED, &next.to_be_bytes()),
            Self::Consent => put(out, CONSENT, &[]),
        }
    }
}

impl Contacts {
    fn to_body(&self) -> Vec<u8> {
        let (mapping, filtering) = behaviour_bytes(self.behaviour);
        let mut body = self.sequence.to_be_bytes().to_vec();
        body.extend([mapping, filtering]);
        let places =
            self.reflexive.iter().map(|it| (REFLEXIVE, it)).chain(self.hosts.iter().map(|it| (HOST, it)));
        for (place, address) in places.take(MAX_ADDRESSES) {
            let Some(address) = TransportAddress::from_socket(*address) else { continue };
            body.push(place);
            body.extend(address.address.to_be_bytes());
            body.extend(address.port.to_be_bytes());
        }
        body
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (sequence, rest) = body.split_first_chunk::<8>()?;
        let ([mapping, filtering], rest) = rest.split_first_chunk::<2>()?;
        let behaviour = behaviour_of_bytes(*mapping, *filtering)?;
        let sequence = u64::from_be_bytes(*sequence);
        let mut contacts = Self { sequence, behaviour, reflexive: Vec::new(), hosts: Vec::new() };
        for entry in rest.as_chunks::<19>().0.iter().take(MAX_ADDRESSES) {
            let [place, rest @ ..] = entry;
            let (Some(address), Some(port)) = (rest.first_chunk::<16>(), rest.last_chunk::<2>()) else {
                continue;
            };
            let address =
                TransportAddress { address: u128::from_be_bytes(*address), port: u16::from_be_bytes(*port) };
            match *place {
                REFLEXIVE => contacts.reflexive.push(address.to_socket()),
                HOST => contacts.hosts.push(address.to_socket()),
                _ => {}
            }
        }
        Some(contacts)
    }
}

/// Appends zeros until `out` has `len` bytes, the frame's own head included; does nothing where less than a head is left.
pub(crate) fn pad(out: &mut Vec<u8>, len: usize) {
    let Some(zeros) = len.checked_sub(out.len() + HEAD) else { return };
    put(out, PADDING, &vec![0; zeros]);
}

/// The frames of a message, in order; ends at the first that is cut short.
pub(crate) fn read_all(bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ([kind, high, low], after) = rest.split_first_chunk::<HEAD>()?;
        let (body, after) = after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        rest = after;
        Some(read(*kind, body))
    })
    .flatten()
}

fn read(kind: u8, body: &[u8]) -> Option<Frame<'_>> {
    match kind {
        NOTICE => {
            let (incarnation, rest) = body.split_first_chunk::<8>()?;
            let (sequence, rest) = rest.split_first_chunk::<8>()?;
            let status = match rest.first()? {
                0 => Status::Offline,
                1 => Status::Online,
                _ => return None,
            };
            let (incarnation, sequence) = (u64::from_be_bytes(*incarnation), u64::from_be_bytes(*sequence));
            Some(Frame::Notice(Notice { incarnation, sequence, status }))
        }
        CHALLENGE => body.first_chunk().copied().map(Frame::Challenge),
        ANSWER => body.first_chunk().copied().map(Frame::Answer),
        CONTACTS => Contacts::read(body).map(Frame::Contacts),
        MESSAGE => {
            let (number, rest) = body.split_first_chunk::<4>()?;
            let (oldest, bytes) = rest.split_first_chunk::<4>()?;
            let (number, oldest) = (u32::from_be_bytes(*number), u32::from_be_bytes(*oldest));
            Some(Frame::Message { number, oldest, bytes })
        }
        RECEIVED => body.first_chunk().map(|next| Frame::Received { next: u32::from_be_bytes(*next) }),
        CONSENT => Some(Frame::Consent),
        LIFE => body.first_chunk().map(|life| Frame::Life(u64::from_be_bytes(*life))),
        _ => None,
    }
}

fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let Ok(len) = u16::try_from(body.len()) else { return };
    let [high, low] = len.to_be_bytes();
    out.extend([kind, high, low]);
    out.extend(body);
}

const fn behaviour_bytes(behaviour: Behaviour) -> (u8, u8) {
    match behaviour {
        Behaviour::Open => (0, 0),
        Behaviour::Nat { mapping, filtering } => {
            let mapping = match mapping {
                Mapping::Eim => 1,
                Mapping::Adm => 2,
                Mapping::Apdm => 3,
            };
            let filtering = match filtering {
                Filtering::Eif => 1,
                Filtering::Adf => 2,
                Filtering::Apdf => 3,
            };
            (mapping, filtering)
        }
    }
}

fn behaviour_of_bytes(mapping: u8, filtering: u8) -> Option<Behaviour> {
    Behaviour::ALL.into_iter().find(|behaviour| behaviour_bytes(*behaviour) == (mapping, filtering))
}

/// Bytes before the body of a frame.
pub(crate) const HEAD: usize = 3;
/// Addresses in one CONTACTS frame, written and read.
const MAX_ADDRESSES: usize = 16;
const PADDING: u8 = 0;
const NOTICE: u8 = 1;
const CHALLENGE: u8 = 2;
const ANSWER: u8 = 3;
const CONTACTS: u8 = 4;
const MESSAGE: u8 = 5;
const RECEIVED: u8 = 6;
const CONSENT: u8 = 7;
const LIFE: u8 = 8;
const REFLEXIVE: u8 = 1;
const HOST: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<Frame<'static>> {
        vec![
            Frame::Notice(Notice { incarnation: 1 << 60, sequence: 7, status: Status::Online }),
            Frame::Notice(Notice { incarnation: 0, sequence: u64::MAX, status: Status::Offline }),
            Frame::Challenge(*b"01234567"),
            Frame::Answer(*b"76543210"),
            Frame::Contacts(Contacts {
                sequence: 9,
                behaviour: "adm/apdf".parse().unwrap(),
                reflexive: vec!["192.0.2.1:4000".parse().unwrap(), "[2001:db8::1]:5".parse().unwrap()],
                hosts: vec!["10.0.0.5:4000".parse().unwrap()],
            }),
            Frame::Message { number: 3, oldest: 2, bytes: b"hello" },
            Frame::Received { next: 4 },
            Frame::Consent,
            Frame::Life(0x0102_0304_0506_0708),
        ]
    }

    #[test]
    fn frames_read_back_also_behind_padding_and_unknown_ones() {
        let mut bytes = vec![200, 0, 2, 1, 1];
        sample().iter().for_each(|frame| frame.write(&mut bytes));
        pad(&mut bytes, 600);
        assert_eq!(bytes.len(), 600);
        Frame::Consent.write(&mut bytes);
        let frames: Vec<Frame<'_>> = read_all(&bytes).collect();
        assert_eq!(frames, [sample(), vec![Frame::Consent]].concat());
    }

    #[test]
    fn all_behaviours_have_bytes_of_their_own() {
        for behaviour in Behaviour::ALL {
            let (mapping, filtering) = behaviour_bytes(behaviour);
            assert_eq!(behaviour_of_bytes(mapping, filtering), Some(behaviour));
        }
        assert_eq!(behaviour_of_bytes(0, 1), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read_all(&bytes).count() <= bytes.len() / HEAD);
        }
    }
}
