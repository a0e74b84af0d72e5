//! What STUN messages are made of: the head, attributes, numbers, and the sum of FINGERPRINT.
//!
//! * Nothing here knows what is asked or answered.
//! * Source: RFC 8489, sections 5, 14 and 18; RFC 5780, section 7.

/// Tells one request's answer from another's; random.
pub type TransactionId = [u8; 12];

/// The first 20 bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The message's type, e.g. [`BINDING_REQUEST`].
    pub kind: u16,
    /// Bytes of attributes, as the message says.
    pub length: usize,
    /// The transaction id.
    pub transaction: TransactionId,
}

impl Head {
    /// The head of a message, and what follows it; `None` without the magic cookie, or if the message is shorter.
    pub fn read(datagram: &[u8]) -> Option<(Self, &[u8])> {
        let (head, body) = datagram.split_first_chunk::<HEADER_LEN>()?;
        let [kind_high, kind_low, length_high, length_low, c0, c1, c2, c3, transaction @ ..] = *head;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let kind = u16::from_be_bytes([kind_high, kind_low]);
        ([c0, c1, c2, c3] == COOKIE).then_some((Self { kind, length, transaction }, body))
    }
}

/// One attribute of a message, and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'a [u8],
    /// The bytes after it and its padding.
    pub rest: &'a [u8],
}

impl Attribute<'_> {
    /// The first attribute of `bytes`; `None` if there is less than it claims.
    pub fn first(bytes: &[u8]) -> Option<Attribute<'_>> {
        let (kind, body) = bytes.split_first_chunk::<2>()?;
        let (length, body) = body.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        Some(Attribute {
            kind: u16::from_be_bytes(*kind),
            value: body.get(..length)?,
            rest: body.get(length.next_multiple_of(4)..)?,
        })
    }
}

/// Whether a datagram starts like STUN: a first byte that RFC 7983 gives to STUN, and the magic cookie.
#[inline]
pub fn starts_like_stun(datagram: &[u8]) -> bool {
    let Some(head) = datagram.first_chunk::<8>() else { return false };
    let [first, _, _, _, cookie @ ..] = head;
    *first <= LAST_FIRST_BYTE && *cookie == COOKIE
}

/// The value of FINGERPRINT for a message whose bytes before that attribute are these.
pub fn fingerprint(message: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in message {
        let [low, ..] = sum.to_le_bytes();
        sum = sum >> 8 ^ table_entry(low ^ byte);
    }
    !sum ^ FINGERPRINT_MASK
}

/// The entry of CRC-32's table for a byte.
#[expect(clippy::indexing_slicing, reason = "the table has an entry for each value of a byte")]
fn table_entry(byte: u8) -> u32 {
    CRC_TABLE[usize::from(byte)]
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut rest: &mut [u32] = &mut table;
    let mut byte = 0;
    while let [entry, others @ ..] = rest {
        let (mut sum, mut bit) = (byte, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ CRC_POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        *entry = sum;
        byte += 1;
        rest = others;
    }
    table
}

/// Bytes of a message before its attributes.
pub const HEADER_LEN: usize = 20;
/// The magic cookie, as it stands in a message.
pub const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// The last first byte that is STUN's; those above belong to other protocols (RFC 7983), 5 to 15 to this project's.
pub const LAST_FIRST_BYTE: u8 = 3;

/// Type of a Binding request.
pub const BINDING_REQUEST: u16 = 0x0001;
/// Type of a Binding success response.
pub const BINDING_SUCCESS: u16 = 0x0101;
/// Type of a Binding error response.
pub const BINDING_ERROR: u16 = 0x0111;

/// MAPPED-ADDRESS.
pub const MAPPED_ADDRESS: u16 = 0x0001;
/// CHANGE-REQUEST (RFC 5780).
pub const CHANGE_REQUEST: u16 = 0x0003;
/// USERNAME.
pub const USERNAME: u16 = 0x0006;
/// MESSAGE-INTEGRITY.
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
/// ERROR-CODE.
pub const ERROR_CODE: u16 = 0x0009;
/// UNKNOWN-ATTRIBUTES.
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// REALM.
pub const REALM: u16 = 0x0014;
/// NONCE.
pub const NONCE: u16 = 0x0015;
/// MESSAGE-INTEGRITY-SHA256.
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
/// PASSWORD-ALGORITHM.
pub const PASSWORD_ALGORITHM: u16 = 0x001d;
/// USERHASH.
pub const USERHASH: u16 = 0x001e;
/// XOR-MAPPED-ADDRESS.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// FINGERPRINT.
pub const FINGERPRINT: u16 = 0x8028;
/// RESPONSE-ORIGIN (RFC 5780).
pub const RESPONSE_ORIGIN: u16 = 0x802b;
/// OTHER-ADDRESS (RFC 5780).
pub const OTHER_ADDRESS: u16 = 0x802c;
/// Types from here on need not be understood.
pub const FIRST_OPTIONAL: u16 = 0x8000;

/// Sets the sum apart from those of other protocols: "STUN" in ASCII.
const FINGERPRINT_MASK: u32 = 0x5354_554e;
/// CRC-32 of ITU-T V.42, bits reversed.
const CRC_POLYNOMIAL: u32 = 0xedb8_8320;
static CRC_TABLE: [u32; 256] = crc_table();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_known_one() {
        // The check value of CRC-32 in every catalogue.
        assert_eq!(fingerprint(b"123456789") ^ FINGERPRINT_MASK, 0xcbf4_3926);
        assert_eq!(fingerprint(b""), FINGERPRINT_MASK);
    }

    #[test]
    fn stun_is_known_by_its_first_byte_and_its_cookie() {
        let mut datagram = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        assert!(starts_like_stun(&datagram) && !starts_like_stun(&datagram[..7]));
        for (first, taken) in [(1, true), (3, true), (4, false), (8, false), (0x41, false), (0xff, false)] {
            datagram[0] = first;
            assert_eq!(starts_like_stun(&datagram), taken, "{first:#x}");
        }
        datagram[0] = 0;
        for bit in 32..64 {
            let mut other = datagram;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!starts_like_stun(&other));
        }
    }
}
