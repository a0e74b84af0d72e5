//! The keys of a simulated device: grown from the run's secret, so that none has to be kept.
//!
//! * Never two devices with the same; `Debug` shows nothing of them.

use ed25519_dalek::{Signer as _, SigningKey};
use peer::public_key;
use sha2::{Digest as _, Sha256};
use std::fmt;
use wire::json::base64url::Bytes;
use wire::json::device::{DeviceRequest, Password};
use wire::json::keys::{NoiseKey, SignKey};
use wire::json::login::{ContactProof, LoginRequest, Nonce, Signature};
use wire::json::name::{AccountName, DeviceId};
use wire::json::nat::NatJson;

/// The secret keys of one device.
#[derive(Clone, Copy)]
pub struct Keys {
    sign: [u8; 32],
    noise: [u8; 32],
}

impl Keys {
    /// Those of the device of this number.
    pub fn of(secret: &[u8; 32], number: u32) -> Self {
        Self { sign: grow(secret, "sign", number, 0), noise: grow(secret, "noise", number, 0) }
    }

    /// To be written to: X25519.
    pub fn noise(&self) -> [u8; 32] {
        self.noise
    }

    /// The request by which it joins its account.
    pub fn enrolment(&self, account: AccountName, password: &str) -> DeviceRequest {
        DeviceRequest {
            account,
            password: Password(password.to_owned()),
            name: None,
            sign_key: SignKey(Bytes(SigningKey::from_bytes(&self.sign).verifying_key().to_bytes())),
            noise_key: NoiseKey(Bytes(public_key(&self.noise))),
        }
    }

    /// A signed login at the server of this name.
    pub fn login(
        &self,
        device: DeviceId,
        nonce: Nonce,
        (nat, contacts): (nat::Behaviour, Vec<ContactProof>),
        server: &str,
    ) -> LoginRequest {
        let signature = Signature(Bytes([0; 64]));
        let mut request = LoginRequest { device, nonce, nat: NatJson(nat), contacts, signature };
        let signed = SigningKey::from_bytes(&self.sign).sign(&request.signed_bytes(server));
        request.signature = Signature(Bytes(signed.to_bytes()));
        request
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Bytes for one purpose of one device in one of its lives.
pub fn grow(secret: &[u8; 32], purpose: &str, number: u32, life: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(secret);
    hash.update(purpose);
    hash.update(number.to_be_bytes());
    hash.update(life.to_be_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_share_nothing_and_repeat() {
        let (one, other) = (Keys::of(&[1; 32], 7), Keys::of(&[1; 32], 8));
        assert!(one.sign != other.sign && one.noise != other.noise && one.sign != one.noise);
        assert_eq!((one.sign, one.noise), (Keys::of(&[1; 32], 7).sign, Keys::of(&[1; 32], 7).noise));
        assert_ne!(grow(&[1; 32], "seed", 7, 1), grow(&[1; 32], "seed", 7, 2));
        assert_eq!(format!("{one:?}"), "Keys(..)");
    }
}
