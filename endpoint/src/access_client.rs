//! The access server's HTTP interface, called: one connection a call, TLS where the URL says https.
//!
//! * A call takes at most [`PATIENCE`]; an answer at most [`MAX_ANSWER`] bytes.
//! * A refusal comes as the problem document that the server sent.

use crate::device::Device;
use crate::error::Error;
use http::{Call, Client, Limits, Method, Tls, Url};
use nat::Behaviour;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use wire::json::base64url::Bytes;
use wire::json::device::{DeviceAnswer, DeviceRequest};
use wire::json::login::{
    ChallengeAnswer, ChallengeRequest, ContactProof, LoginAnswer, LoginRequest, Privacy, RefreshRequest,
    Session, Signature, server_name,
};
use wire::json::name::AccountName;
use wire::json::nat::NatJson;
use wire::json::problem::Problem;

/// Who calls one access server.
#[derive(Clone)]
pub struct AccessClient {
    url: String,
    name: String,
    client: Client,
}

impl AccessClient {
    /// A client of the server at `url`, trusting the system's authorities and those in `ca` (PEM).
    ///
    /// # Errors
    /// The URL is none, or an authority's file cannot be read.
    pub fn new(url: &str, ca: Option<&Path>) -> Result<Self, Error> {
        let wrong = || Error::Url { url: url.to_owned() };
        let name = server_name(url).ok_or_else(wrong)?;
        let parsed = Url::parse(url).ok_or_else(wrong)?;
        let limits = Limits { patience: PATIENCE, most_bytes: MAX_ANSWER };
        let client = if parsed.is_https() {
            Client::secure(&parsed, limits, tls(url, ca)?)
        } else {
            Client::plain(&parsed, limits)
        };
        Ok(Self { url: url.trim_end_matches('/').to_owned(), name, client })
    }

    /// `POST /v1/devices`.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn enrol(&self, request: &DeviceRequest) -> Result<DeviceAnswer, Error> {
        self.call(Method::POST, "/v1/devices", None, Some(request)).await
    }

    /// `POST /v1/challenge`, then `POST /v1/login`, signed by the device.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn login(
        &self,
        device: &Device,
        nat: Behaviour,
        contacts: Vec<ContactProof>,
    ) -> Result<LoginAnswer, Error> {
        let ask = ChallengeRequest { device: device.device };
        let challenge: ChallengeAnswer = self.call(Method::POST, "/v1/challenge", None, Some(&ask)).await?;
        let mut request = LoginRequest {
            device: device.device,
            nonce: challenge.nonce,
            nat: NatJson(nat),
            contacts,
            signature: Signature(Bytes([0; 64])),
        };
        request.signature = Signature(Bytes(device.sign(&request.signed_bytes(&self.name))));
        self.call(Method::POST, "/v1/login", None, Some(&request)).await
    }

    /// `POST /v1/refresh`.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn refresh(&self, session: Session, request: &RefreshRequest) -> Result<LoginAnswer, Error> {
        self.call(Method::POST, "/v1/refresh", Some(session), Some(request)).await
    }

    /// `POST /v1/logout`.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn logout(&self, session: Session) -> Result<(), Error> {
        self.send(Method::POST, "/v1/logout", Some(session), None).await.map(drop)
    }

    /// `PUT /v1/buddies/{account}`: asks, or agrees.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn ask_buddy(&self, session: Session, account: &AccountName) -> Result<(), Error> {
        self.send(Method::PUT, &format!("/v1/buddies/{account}"), Some(session), None).await.map(drop)
    }

    /// `DELETE /v1/buddies/{account}`.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn end_buddy(&self, session: Session, account: &AccountName) -> Result<(), Error> {
        self.send(Method::DELETE, &format!("/v1/buddies/{account}"), Some(session), None).await.map(drop)
    }

    /// `PUT /v1/privacy`: hides the address of this device from its buddies, or shows it.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn hide_address(&self, session: Session, hide_address: bool) -> Result<(), Error> {
        let privacy = Privacy { hide_address };
        self.call(Method::PUT, "/v1/privacy", Some(session), Some(&privacy)).await.map(|_: Privacy| ())
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        session: Option<Session>,
        body: Option<&impl Serialize>,
    ) -> Result<A, Error> {
        let body = body.and_then(|body| serde_json::to_vec(body).ok());
        let answer = self.send(method, path, session, body).await?;
        serde_json::from_slice(&answer).map_err(|error| self.unreachable(format!("{path} answers {error}")))
    }

    /// One call; the body of a good answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        session: Option<Session>,
        json: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        let bearer = session.map(|session| session.to_string());
        let answer = self.client.call(Call { method, path, bearer, json }).await;
        let answer = answer.map_err(|error| self.unreachable(error.to_string()))?;
        if answer.is_success() {
            return Ok(answer.body.into());
        }
        match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) => Err(Error::Refused(Box::new(problem))),
            Err(_) => Err(self.unreachable(format!("{path} answers {} and says no more", answer.reason))),
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { url: self.url.clone(), reason }
    }
}

/// Whom to trust: the system's authorities, and those in `ca`.
fn tls(url: &str, ca: Option<&Path>) -> Result<Tls, Error> {
    Tls::new(ca).map_err(|error| match (error, ca) {
        (http::Error::Authority { reason }, Some(path)) => {
            Error::DeviceFile { path: path.to_owned(), reason }
        }
        (error, _) => Error::Unreachable { url: url.to_owned(), reason: error.to_string() },
    })
}

/// So long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A profile of ten thousand devices takes less.
const MAX_ANSWER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_wrong_ones_refused() {
        let of = |url: &str| AccessClient::new(url, None).map(|it| (it.url, it.name));
        let is = |url: &str, name: &str| (url.to_owned(), name.to_owned());
        assert_eq!(of("http://127.0.0.1:8080").unwrap(), is("http://127.0.0.1:8080", "127.0.0.1"));
        assert_eq!(of("http://[::1]:8080/").unwrap(), is("http://[::1]:8080", "::1"));
        assert_eq!(of("http://[::1]").unwrap(), is("http://[::1]", "::1"));
        let secure = "https://Access.example.org";
        assert_eq!(of(secure).unwrap(), is(secure, "access.example.org"));
        for wrong in ["", "access.example.org", "ftp://a", "http://a:x", "http://a:99999", "http://"] {
            assert!(of(wrong).unwrap_err().to_string().contains("http://HOST:PORT"), "{wrong}");
        }
    }
}
