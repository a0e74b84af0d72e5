//! Somebody with a device: enrols, logs in, refreshes, looks.

use crate::client::{Answer, Client};
use crate::server::{PASSWORD, Server};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use wire::json::base64url::Bytes;
use wire::json::login::{ContactProof, LoginRequest, Nonce, Signature};
use wire::json::name::DeviceId;
use wire::json::nat::NatJson;
use wire::json::profile::{BuddyDevice, Profile};

/// The person.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) key: SigningKey,
    pub(crate) device: DeviceId,
    pub(crate) session: String,
    pub(crate) nat: String,
}

impl Person {
    /// Somebody whose account is there, with a fresh device.
    pub(crate) fn enrol(server: &Server, name: &str) -> Self {
        let client = server.client();
        let key = SigningKey::from_bytes(&fresh());
        let answer = client.post("/v1/devices", &device_request(name, PASSWORD, &key)).good();
        let device = answer["device"].as_str().unwrap().parse().unwrap();
        let (session, nat) = (String::new(), String::from("eim/apdf"));
        Self { client, key, device, session, nat }
    }

    /// The same, logged in with a contact at each of these: reflector, address, round trip in µs.
    pub(crate) fn login_at(server: &Server, name: &str, contacts: &[(&str, &str, u32)]) -> Self {
        let mut person = Self::enrol(server, name);
        person.login(&proofs(server, contacts)).good();
        person
    }

    /// A signed login that is ready to be sent.
    pub(crate) fn login_request(&self, contacts: &[ContactProof]) -> LoginRequest {
        let nonce = self.client.post("/v1/challenge", &json!({"device": self.device})).good();
        let nonce: Nonce = serde_json::from_value(nonce["nonce"].clone()).unwrap();
        let nat = NatJson(self.nat.parse().unwrap());
        let (device, contacts) = (self.device, contacts.to_vec());
        let signature = Signature(Bytes([0; 64]));
        self.sign(LoginRequest { device, nonce, nat, contacts, signature }, "127.0.0.1")
    }

    /// The same request, signed for a server of this name.
    pub(crate) fn sign(&self, mut request: LoginRequest, server_name: &str) -> LoginRequest {
        let signature = self.key.sign(&request.signed_bytes(server_name));
        request.signature = Signature(Bytes(signature.to_bytes()));
        request
    }

    /// Logs in, and keeps the session if it works.
    pub(crate) fn login(&mut self, contacts: &[ContactProof]) -> Answer {
        let request = self.login_request(contacts);
        let answer = self.client.post("/v1/login", &serde_json::to_value(&request).unwrap());
        if let Some(session) = answer.body["session"].as_str() {
            self.session = session.to_owned();
        }
        answer
    }

    pub(crate) fn refresh(&self, contacts: &[ContactProof]) -> Answer {
        self.client.post_as("/v1/refresh", &self.session, &json!({"contacts": contacts}))
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Answer {
        self.client.call(method, path, Some(&self.session), None)
    }

    pub(crate) fn profile(&self) -> Profile {
        serde_json::from_value(self.call("GET", "/v1/profile").good()).unwrap()
    }

    /// The profile, unless the session has ended.
    pub(crate) fn try_profile(&self) -> Option<Profile> {
        let answer = self.call("GET", "/v1/profile");
        (answer.status == 200).then(|| serde_json::from_value(answer.body).unwrap())
    }

    /// What the profile says of the one device of a buddy.
    pub(crate) fn sees(&self, name: &str) -> BuddyDevice {
        device_of(self.profile(), name)
    }
}

/// What a profile says of the one device of a buddy.
pub(crate) fn device_of(profile: Profile, name: &str) -> BuddyDevice {
    let buddy = profile.buddies.into_iter().find(|it| it.account.as_str() == name).unwrap();
    assert_eq!(buddy.devices.len(), 1, "{buddy:?}");
    buddy.devices.into_iter().next().unwrap()
}

/// The body of an enrolment.
pub(crate) fn device_request(name: &str, password: &str, key: &SigningKey) -> Value {
    json!({
        "account": name,
        "password": password,
        "name": "laptop",
        "sign_key": Bytes(key.verifying_key().to_bytes()),
        "noise_key": Bytes([9; 32]),
    })
}

/// Contacts with fresh tickets.
pub(crate) fn proofs(server: &Server, contacts: &[(&str, &str, u32)]) -> Vec<ContactProof> {
    let proof = |(reflector, address, rtt_us): &(&str, &str, u32)| ContactProof {
        reflector: reflector.parse().unwrap(),
        ticket: server.tickets.ticket(reflector, address, 120),
        rtt_us: *rtt_us,
    };
    contacts.iter().map(proof).collect()
}

/// 32 random bytes.
pub(crate) fn fresh() -> [u8; 32] {
    program::random::bytes().unwrap()
}
