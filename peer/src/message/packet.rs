//! The datagrams between endpoints as bytes: kind 0x0C, a form, and what the form says.
//!
//! ```text
//! INIT      0c | 01 | sender index 3   | Noise IK message 1: ephemeral 32, static 48, payload + 16
//! RESPONSE  0c | 02 | receiver index 3 | sender index 3 | Noise IK message 2: ephemeral 32, payload + 16
//! DATAGRAM  0c | 03 | receiver index 3 | counter 4 | ciphertext + 16    the application's bytes, nothing else
//! CONTROL   0c | 04 | receiver index 3 | counter 4 | ciphertext + 16    frames (`frame.rs`)
//! ```
//!
//! * The same bytes whether they go directly or as the payload of SEND and DATA.
//! * A form that is not in this table, or one cut short, is no packet; nothing answers it.

/// One datagram taken apart; nothing of it is believed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The first message of a handshake.
    Init { sender: Index, noise: &'a [u8] },
    /// Its answer.
    Response { receiver: Index, sender: Index, noise: &'a [u8] },
    /// A message of a session.
    Sealed { receiver: Index, sealed: Sealed<'a> },
}

/// A sealed message as it arrived; nothing of it is proven until a session opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed<'a> {
    pub(crate) form: Form,
    pub(crate) counter: u32,
    /// Ciphertext and tag.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes a datagram apart; `None` for what is no packet.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let ([KIND, form], rest) = bytes.split_first_chunk::<2>().map(|(head, rest)| (*head, rest))? else {
            return None;
        };
        let (index, rest) = rest.split_first_chunk::<3>()?;
        let index = Index::read(*index);
        match form {
            INIT => (rest.len() >= INIT_NOISE_MIN).then_some(Self::Init { sender: index, noise: rest }),
            RESPONSE => {
                let (sender, noise) = rest.split_first_chunk::<3>()?;
                let sender = Index::read(*sender);
                (noise.len() >= RESPONSE_NOISE_MIN).then_some(Self::Response {
                    receiver: index,
                    sender,
                    noise,
                })
            }
            _ => {
                let form = Form::of_byte(form)?;
                let (counter, bytes) = rest.split_first_chunk::<4>()?;
                let sealed = Sealed { form, counter: u32::from_be_bytes(*counter), bytes };
                (bytes.len() >= TAG_LEN).then_some(Self::Sealed { receiver: index, sealed })
            }
        }
    }
}

/// What a sealed message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One datagram of the application.
    Datagram,
    /// Frames between the endpoints.
    Control,
}

impl Form {
    /// The byte that says so.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Datagram => 3,
            Self::Control => 4,
        }
    }

    const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            3 => Some(Self::Datagram),
            4 => Some(Self::Control),
            _ => None,
        }
    }
}

/// What a receiver calls one of its sessions: 24 bits, meaningless to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Index([u8; 3]);

impl Index {
    /// Three bytes as an index.
    pub(crate) const fn read(bytes: [u8; 3]) -> Self {
        Self(bytes)
    }
}

/// The bytes before Noise message 1.
pub(crate) fn init_head(sender: Index) -> [u8; 5] {
    let [a, b, c] = sender.0;
    [KIND, INIT, a, b, c]
}

/// The bytes before Noise message 2.
pub(crate) fn response_head(receiver: Index, sender: Index) -> [u8; 8] {
    let ([a, b, c], [d, e, f]) = (receiver.0, sender.0);
    [KIND, RESPONSE, a, b, c, d, e, f]
}

/// The bytes before a sealed message.
pub(crate) fn sealed_head(form: Form, receiver: Index, counter: u32) -> [u8; SEALED_HEAD] {
    let ([a, b, c], [d, e, f, g]) = (receiver.0, counter.to_be_bytes());
    [KIND, form.byte(), a, b, c, d, e, f, g]
}

/// Bytes that sealing adds to a message: kind 1, form, index and counter 8, tag 16.
pub const OVERHEAD: usize = SEALED_HEAD + TAG_LEN;
/// Bytes of an authentication tag.
pub(crate) const TAG_LEN: usize = 16;
const SEALED_HEAD: usize = 9;
const KIND: u8 = wire::Kind::Peer as u8;
const INIT: u8 = 1;
const RESPONSE: u8 = 2;
/// Ephemeral key, sealed static key, sealed empty payload.
const INIT_NOISE_MIN: usize = 32 + 48 + TAG_LEN;
const RESPONSE_NOISE_MIN: usize = 32 + TAG_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_read_back_and_cut_ones_do_not() {
        let (a, b) = (Index::read([1, 2, 3]), Index::read([4, 5, 6]));
        let init = [&init_head(a)[..], &[7; INIT_NOISE_MIN]].concat();
        assert_eq!(Packet::parse(&init), Some(Packet::Init { sender: a, noise: &[7; INIT_NOISE_MIN] }));
        let response = [&response_head(a, b)[..], &[7; RESPONSE_NOISE_MIN]].concat();
        let expected = Packet::Response { receiver: a, sender: b, noise: &[7; RESPONSE_NOISE_MIN] };
        assert_eq!(Packet::parse(&response), Some(expected));
        let sealed = [&sealed_head(Form::Control, b, 0x0102_0304)[..], &[9; TAG_LEN]].concat();
        let expected = Packet::Sealed {
            receiver: b,
            sealed: Sealed { form: Form::Control, counter: 0x0102_0304, bytes: &[9; TAG_LEN] },
        };
        assert_eq!(Packet::parse(&sealed), Some(expected));
        for whole in [init, response, sealed] {
            for cut in 0..whole.len() {
                assert_eq!(Packet::parse(&whole[..cut]), None, "{cut} bytes of {whole:?}");
            }
        }
    }

    #[test]
    fn other_kinds_and_forms_are_no_packets() {
        let mut bytes = [&sealed_head(Form::Datagram, Index::read([0; 3]), 0)[..], &[0; TAG_LEN]].concat();
        assert!(Packet::parse(&bytes).is_some());
        assert_eq!(bytes.len(), OVERHEAD);
        bytes[1] = 5;
        assert_eq!(Packet::parse(&bytes), None);
        bytes[..2].copy_from_slice(&[0x0b, 3]);
        assert_eq!(Packet::parse(&bytes), None);
    }
}
