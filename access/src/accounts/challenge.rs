//! Challenges: a nonce says for which device and when it was made, and that this server made it.
//!
//! ```text
//! nonce = boot time (8, BE, ns) | first 24 bytes of HMAC-SHA256(key, "reflector-nonce-v1" | device (16) | boot time (8))
//! ```
//!
//! * Nothing is remembered of a challenge; the directory remembers the newest that each device has used.
//! * The key is made at every start, so that a nonce of before a restart, whose use is forgotten, is worth nothing.

use crate::mint::master::hmac;
use crate::now::Now;
use program::failure::Failure;
use program::random;
use std::fmt;
use subtle::ConstantTimeEq;
use wire::json::base64url::Bytes;
use wire::json::login::Nonce;
use wire::json::name::DeviceId;

/// The key of all challenges of one run.
pub struct Challenges([u8; 32]);

impl Challenges {
    /// A fresh key.
    ///
    /// # Errors
    /// No randomness from the kernel.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self(random::bytes()?))
    }

    /// A nonce for a device, which need not exist.
    pub fn nonce(&self, device: &DeviceId, now: Now) -> Nonce {
        let time = now.boot_ns.to_be_bytes();
        let mac = self.mac(device, &time);
        let mut nonce = [0; 32];
        nonce.iter_mut().zip(time.into_iter().chain(mac)).for_each(|(to, from)| *to = from);
        Nonce(Bytes(nonce))
    }

    /// The time in a nonce of this device that is not too old, ns since boot.
    pub fn verify(&self, device: &DeviceId, nonce: &Nonce, now: Now) -> Option<u64> {
        let (time, mac) = nonce.0.0.split_first_chunk::<8>()?;
        let right = self.mac(device, time);
        let fits: bool = right.split_at(24).0.ct_eq(mac).into();
        let made_at = u64::from_be_bytes(*time);
        let age_ns = now.boot_ns.checked_sub(made_at)?;
        (fits && age_ns < u64::from(CHALLENGE_S) * NS_PER_S).then_some(made_at)
    }

    fn mac(&self, device: &DeviceId, time: &[u8; 8]) -> [u8; 32] {
        hmac(&self.0, &[LABEL, &device.0.0, time])
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges(..)")
    }
}

/// Seconds that a nonce is good for.
pub const CHALLENGE_S: u32 = 30;
const LABEL: &[u8] = b"reflector-nonce-v1";
const NS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { unix_s: 0, unix_ms: 0, boot_ns: seconds * NS_PER_S }
    }

    #[test]
    fn a_nonce_is_good_for_its_device_for_30_s() {
        let (challenges, other) = (Challenges([1; 32]), Challenges([2; 32]));
        let (alice, bob) = (DeviceId(Bytes([1; 16])), DeviceId(Bytes([2; 16])));
        let nonce = challenges.nonce(&alice, at(100));
        assert_eq!(challenges.verify(&alice, &nonce, at(100)), Some(100 * NS_PER_S));
        assert_eq!(challenges.verify(&alice, &nonce, at(129)), Some(100 * NS_PER_S));
        assert_eq!(challenges.verify(&alice, &nonce, at(130)), None);
        assert_eq!(challenges.verify(&alice, &nonce, at(99)), None);
        assert_eq!(challenges.verify(&bob, &nonce, at(100)), None);
        assert_eq!(other.verify(&alice, &nonce, at(100)), None);
        for bit in 0..256 {
            let mut bent = nonce;
            bent.0.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(challenges.verify(&alice, &bent, at(100)), None, "bit {bit}");
        }
    }
}
