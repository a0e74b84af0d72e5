//! A receipt: what lets a service take back what it had minted, and nothing else.
//!
//! ```text
//! length of the name, 1 byte | name | address and port of one side, 18 | of the other, 18 | MAC, 16     as base64url
//! ```
//!
//! * The MAC is over all of this and the service's credential, under a key derived from the master: nothing is remembered.
//! * It holds as long as the master has the key under which it was made.

use crate::mint::master::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use wire::TransportAddress;
use wire::json::name::ReflectorName;

/// The keys of receipts, one for each key of the master; the first one makes them.
#[derive(Clone)]
pub struct ReceiptKeys(pub Vec<[u8; 32]>);

/// Whose pair it is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    /// At which reflector.
    pub reflector: ReflectorName,
    /// The two sides.
    pub sides: [TransportAddress; 2],
}

impl std::fmt::Debug for ReceiptKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiptKeys({})", self.0.len())
    }
}

impl ReceiptKeys {
    /// The receipt of a pair for the service whose credential has this hash.
    pub fn receipt(&self, service: &[u8; 32], paired: &Paired) -> String {
        let mut bytes = body(paired);
        let mac = self.0.first().map_or([0; MAC_LEN], |key| mac(key, service, &bytes));
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a receipt is for; nothing if it is not one of this service's.
    pub fn read(&self, service: &[u8; 32], receipt: &str) -> Option<Paired> {
        let bytes = URL_SAFE_NO_PAD.decode(receipt).ok()?;
        let (body, shown) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LEN)?)?;
        let fits = |known: bool, key| known | bool::from(mac(key, service, body).as_slice().ct_eq(shown));
        if !self.0.iter().fold(false, fits) {
            return None;
        }
        let (length, rest) = body.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (sides, []) = rest.as_chunks::<ADDRESS_LEN>() else { return None };
        let [a, b] = *sides else { return None };
        Some(Paired {
            reflector: std::str::from_utf8(name).ok()?.parse().ok()?,
            sides: [address_of(&a), address_of(&b)],
        })
    }
}

/// An address and its port as bytes, as keys of the store have them too.
pub(crate) fn bytes_of(address: TransportAddress) -> [u8; ADDRESS_LEN] {
    let mut bytes = [0; ADDRESS_LEN];
    let all = address.address.to_be_bytes().into_iter().chain(address.port.to_be_bytes());
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    bytes
}

/// The address of these bytes.
pub(crate) fn address_of(bytes: &[u8; ADDRESS_LEN]) -> TransportAddress {
    let (mut address, mut port) = ([0; 16], [0; 2]);
    address.iter_mut().chain(&mut port).zip(bytes).for_each(|(to, from)| *to = *from);
    TransportAddress { address: u128::from_be_bytes(address), port: u16::from_be_bytes(port) }
}

fn body(Paired { reflector, sides: [a, b] }: &Paired) -> Vec<u8> {
    let name = reflector.as_str().as_bytes();
    // A name has at most 32 characters.
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let sides = [bytes_of(*a), bytes_of(*b)];
    std::iter::once(length).chain(name.iter().copied()).chain(sides.into_iter().flatten()).collect()
}

fn mac(key: &[u8; 32], service: &[u8; 32], body: &[u8]) -> [u8; MAC_LEN] {
    let whole = hmac(key, &[LABEL, service, body]);
    let mut mac = [0; MAC_LEN];
    mac.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    mac
}

/// Bytes of an address and its port.
pub(crate) const ADDRESS_LEN: usize = 18;
const MAC_LEN: usize = 16;
const LABEL: &[u8] = b"reflector-receipt-v1";

#[cfg(test)]
mod tests {
    use super::*;

    fn paired() -> Paired {
        let address = |text: &str| TransportAddress::from_socket(text.parse().unwrap()).unwrap();
        let sides = [address("198.51.100.7:40000"), address("[2001:db8::9]:5000")];
        Paired { reflector: "fra1".parse().unwrap(), sides }
    }

    #[test]
    fn a_receipt_is_good_for_its_service_under_any_key_of_the_master() {
        let (old, both) = (ReceiptKeys(vec![[1; 32]]), ReceiptKeys(vec![[2; 32], [1; 32]]));
        let receipt = old.receipt(&[7; 32], &paired());
        assert_eq!(both.read(&[7; 32], &receipt), Some(paired()));
        assert_eq!(both.read(&[8; 32], &receipt), None, "another service's");
        assert_eq!(ReceiptKeys(vec![[2; 32]]).read(&[7; 32], &receipt), None, "its key is retired");
    }

    #[test]
    fn a_changed_receipt_is_none() {
        let keys = ReceiptKeys(vec![[1; 32]]);
        let receipt = keys.receipt(&[7; 32], &paired());
        for at in 0..receipt.len() {
            let mut changed = receipt.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.read(&[7; 32], std::str::from_utf8(&changed).unwrap()), None, "character {at}");
        }
        for text in ["", "A", "AAAA", &receipt[..receipt.len() - 4], &format!("{receipt}AAAA")] {
            assert_eq!(keys.read(&[7; 32], text), None, "{text}");
        }
    }
}
