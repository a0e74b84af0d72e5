//! One connection that is kept alive, and opened again when it has ended.

use crate::client::{Answer, Call, Client, Place};
use crate::error::Error;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection, or the wish for one.
pub struct Connection {
    client: Client,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Not connected yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, sender: None }
    }

    /// Calls; connects first if that is needed. After a failure, the next call connects again.
    ///
    /// # Errors
    /// The server cannot be reached, or what it sends is no answer.
    pub async fn call(&mut self, call: Call<'_>) -> Result<Answer, Error> {
        let request = request(&self.client.authority, call)?;
        let patience = self.client.limits.patience;
        let answer = tokio::time::timeout(patience, self.exchange(request)).await;
        let answer = answer.unwrap_or(Err(Error::Late(patience)));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => self.sender.insert(sender),
            None => self.sender.insert(connect(&self.client).await?),
        };
        sender.ready().await.map_err(said)?;
        let response = sender.send_request(request).await.map_err(said)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), self.client.limits.most_bytes).collect().await;
        let body = body.map_err(|error| Error::Exchange(error.to_string()))?;
        Ok(Answer { status: status.as_u16(), reason: status.to_string(), body: body.to_bytes() })
    }
}

impl Client {
    /// Calls over a connection of its own.
    ///
    /// # Errors
    /// The server cannot be reached, or what it sends is no answer.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Error> {
        Connection::new(self.clone()).call(call).await
    }
}

fn request(authority: &str, call: Call<'_>) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::builder().method(call.method).uri(call.path).header(header::HOST, authority);
    if let Some(bearer) = call.bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
    }
    if call.json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = Full::new(Bytes::from(call.json.unwrap_or_default()));
    request.body(body).map_err(|error| Error::Exchange(error.to_string()))
}

async fn connect(client: &Client) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = match &client.place {
        Place::At(address) => TcpStream::connect(address).await,
        Place::Named(name, port) => TcpStream::connect((name.as_str(), *port)).await,
    };
    let stream = stream.map_err(Error::Connect)?;
    // Only latency is lost where this cannot be set.
    let _ = stream.set_nodelay(true);
    #[cfg(feature = "tls")]
    if let (Some(tls), Place::Named(name, _)) = (&client.tls, &client.place) {
        return speak(tls.connect(name, stream).await?).await;
    }
    speak(stream).await
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    // It works while the body is read, and ends with its sender.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn said(error: hyper::Error) -> Error {
    Error::Exchange(error.to_string())
}
