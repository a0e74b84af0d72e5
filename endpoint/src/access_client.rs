//! The access server's HTTP interface, called: one connection a call, TLS where the URL says https.
//!
//! * A call takes at most [`PATIENCE`]; an answer at most [`MAX_ANSWER`] bytes.
//! * A refusal comes as the problem document that the server sent.

use crate::device::Device;
use crate::error::Error;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes as Body;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use nat::Behaviour;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wire::json::base64url::Bytes;
use wire::json::device::{DeviceAnswer, DeviceRequest};
use wire::json::login::{
    ChallengeAnswer, ChallengeRequest, ContactProof, LoginAnswer, LoginRequest, RefreshRequest, Session,
    Signature, server_name,
};
use wire::json::name::AccountName;
use wire::json::nat::NatJson;
use wire::json::problem::Problem;

/// Who calls one access server.
#[derive(Clone)]
pub struct AccessClient {
    url: String,
    name: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl AccessClient {
    /// A client of the server at `url`, trusting the system's authorities and those in `ca` (PEM).
    ///
    /// # Errors
    /// The URL is none, or an authority's file cannot be read.
    pub fn new(url: &str, ca: Option<&Path>) -> Result<Self, Error> {
        let wrong = || Error::Url { url: url.to_owned() };
        let name = server_name(url).ok_or_else(wrong)?;
        let is_tls = url.starts_with("https://");
        let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).ok_or_else(wrong)?;
        let port_text = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        let port = match port_text {
            Some(text) => text.parse().map_err(|_| wrong())?,
            None => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
        };
        let tls = if is_tls { Some(connector(url, ca)?) } else { None };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, host: authority.to_owned(), name, port, tls })
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
        body: Option<Vec<u8>>,
    ) -> Result<Body, Error> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        if let Some(session) = session {
            request = request.header(header::AUTHORIZATION, format!("Bearer {session}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Body::from(body.unwrap_or_default())))
            .map_err(|error| self.unreachable(error.to_string()))?;
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(request));
        let (status, body) = exchange
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .map_err(|reason| self.unreachable(reason))?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Error::Refused(Box::new(problem))),
            Err(_) => Err(self.unreachable(format!("{path} answers {status} and says no more"))),
        }
    }

    async fn exchange(&self, request: Request<Full<Body>>) -> Result<(hyper::StatusCode, Body), String> {
        let stream =
            TcpStream::connect((self.name.as_str(), self.port)).await.map_err(|it| it.to_string())?;
        let response = match &self.tls {
            None => answer_of(stream, request).await?,
            Some(tls) => {
                let name = ServerName::try_from(self.name.clone()).map_err(|it| it.to_string())?;
                answer_of(tls.connect(name, stream).await.map_err(|it| it.to_string())?, request).await?
            }
        };
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|it| it.to_string())?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { url: self.url.clone(), reason }
    }
}

async fn answer_of(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Body>>,
) -> Result<Response<hyper::body::Incoming>, String> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // The connection works while the body is read, and ends with it.
    tokio::spawn(async move { connection.await.ok() });
    sender.send_request(request).await.map_err(|error| error.to_string())
}

fn connector(url: &str, ca: Option<&Path>) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    // A system without authorities of its own may still have those of the operator.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let wrong = |reason: String| Error::DeviceFile { path: path.to_owned(), reason };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Unreachable { url: url.to_owned(), reason: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
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
        let of = |url: &str| AccessClient::new(url, None).map(|it| (it.name, it.port, it.tls.is_some()));
        assert_eq!(of("http://127.0.0.1:8080").unwrap(), (String::from("127.0.0.1"), 8080, false));
        assert_eq!(of("http://[::1]:8080/").unwrap(), (String::from("::1"), 8080, false));
        assert_eq!(of("http://[::1]").unwrap(), (String::from("::1"), 80, false));
        assert_eq!(
            of("https://Access.example.org").unwrap(),
            (String::from("access.example.org"), 443, true)
        );
        for wrong in ["", "access.example.org", "ftp://a", "http://a:x", "http://a:99999", "http://"] {
            assert!(of(wrong).unwrap_err().to_string().contains("http://HOST:PORT"), "{wrong}");
        }
    }
}
