//! As much STUN as asks a reflector what it speaks: one Binding request, and whether its answer names another address.
//!
//! ```text
//! type (2) | length (2) | magic cookie (4) | transaction id (12) | attributes: type (2), length (2), value, padding to 4
//! ```
//!
//! Source: RFC 8489 section 5; RFC 5780 section 7.4 (OTHER-ADDRESS).

use wire::login::Stun;

/// A Binding request without attributes.
pub fn request(transaction: &[u8; 12]) -> [u8; 20] {
    let mut bytes = [0; 20];
    let head = [0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42];
    bytes.iter_mut().zip(head.iter().chain(transaction)).for_each(|(to, from)| *to = *from);
    bytes
}

/// What an answer to that request says; `None` for what is no success response of this transaction.
pub fn read(answer: &[u8], transaction: &[u8; 12]) -> Option<Stun> {
    let (head, mut attributes) = answer.split_first_chunk::<20>()?;
    let right_head = [0x01, 0x01].iter().eq(head.iter().take(2));
    let right_transaction = [0x21, 0x12, 0xa4, 0x42].iter().chain(transaction).eq(head.iter().skip(4));
    if !(right_head && right_transaction) {
        return None;
    }
    while let Some(([kind_0, kind_1, len_0, len_1], rest)) = attributes.split_first_chunk::<4>() {
        if u16::from_be_bytes([*kind_0, *kind_1]) == OTHER_ADDRESS {
            return Some(Stun::Behaviour);
        }
        let len = usize::from(u16::from_be_bytes([*len_0, *len_1])).next_multiple_of(4);
        attributes = rest.get(len..).unwrap_or_default();
    }
    Some(Stun::Binding)
}

const OTHER_ADDRESS: u16 = 0x802c;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_another_address_is_behaviour_discovery() {
        let id = [7; 12];
        assert_eq!(request(&id)[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        let answer = |attributes: &[u8]| {
            let mut bytes = request(&id).to_vec();
            bytes[0] = 1;
            bytes[3] = u8::try_from(attributes.len()).unwrap();
            bytes.extend(attributes);
            bytes
        };
        let mapped = [0x00, 0x20, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0];
        let other = [0x80, 0x2c, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0];
        let odd = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        assert_eq!(read(&answer(&mapped), &id), Some(Stun::Binding));
        assert_eq!(read(&answer(&[odd.as_slice(), &mapped, &other].concat()), &id), Some(Stun::Behaviour));
        assert_eq!(read(&answer(&[0x00, 0x20, 0xff, 0xff]), &id), Some(Stun::Binding));
        assert_eq!(read(&answer(&mapped), &[8; 12]), None);
        assert_eq!(read(&request(&id), &id), None);
        assert_eq!(read(&[1; 19], &id), None);
    }
}
