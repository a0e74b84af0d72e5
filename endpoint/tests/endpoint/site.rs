//! A site on loopback: a reflector and an access server of a few lines each, over real sockets and HTTP.
//!
//! * The real ones meet the real client in the lab; here it is the client's driver and program that are looked at.

use crate::server::{Relay, Server, account};
use endpoint::{Device, Endpoint, public_key};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;
use wire::json::base64url::Bytes;
use wire::json::device::{DeviceAnswer, DeviceRequest};
use wire::json::login::{ChallengeAnswer, LoginRequest, Nonce, OfferedReflector, RefreshRequest, Stun};
use wire::json::name::DeviceId;
use wire::json::problem::{Problem, ProblemKind};
use wire::{KeyRing, Policy, Verdict, decide};

/// A reflector and an access server on loopback.
pub(crate) struct Site {
    pub(crate) url: String,
    reflector: SocketAddr,
    /// Sessions are numbered by device; the bearer is not looked at.
    pub(crate) state: Arc<Mutex<State>>,
}

/// What the access server is.
pub(crate) struct State {
    pub(crate) server: Server,
    relays: Vec<Relay>,
    pub(crate) refuses: bool,
    /// Keys by which devices sign in, by number.
    sign_keys: Vec<(usize, [u8; 32])>,
}

impl Site {
    /// Plain HTTP.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// HTTP, or HTTPS with this acceptor.
    pub(crate) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let reflector = socket.local_addr().unwrap();
        let ring = KeyRing::new(&[(3, [9; 16])]).unwrap();
        let relay = Relay { name: "lo".parse().unwrap(), address: reflector, ring, alive: true };
        let state =
            State { server: Server::new(1), relays: vec![relay], refuses: false, sign_keys: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        tokio::spawn(reflect(socket, KeyRing::new(&[(3, [9; 16])]).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, tls, Arc::clone(&state)));
        Self { url, reflector, state }
    }

    /// A device that is known to the server by its number.
    pub(crate) fn device(&self, number: u8) -> Device {
        let device = Device {
            access: self.url.clone(),
            ca: None,
            account: account(usize::from(number)),
            device: DeviceId(Bytes([number; 16])),
            sign_secret: Bytes([number + 1; 32]),
            noise_secret: Bytes([number + 101; 32]),
            nat: Some(String::from("apdm/apdf")),
            reflectors: vec![OfferedReflector {
                name: "lo".parse().unwrap(),
                addresses: vec![self.reflector],
                stun: Stun::Off,
            }],
        };
        let key = public_key(&device.noise_secret.0);
        let mut state = self.state.lock().unwrap();
        state.server.enrol(usize::from(number), key);
        state.sign_keys.push((usize::from(number), device.sign_key()));
        drop(state);
        device
    }

    /// Two endpoints that see each other.
    pub(crate) async fn pair(&self) -> (Endpoint, Endpoint) {
        let (a, b) = (self.device(0), self.device(1));
        let b = Endpoint::login(b).await.unwrap();
        let a = Endpoint::login(a).await.unwrap();
        while !a.peer("host1").unwrap().is_online() || !b.peer("host0").unwrap().is_online() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (a, b)
    }
}

fn unix_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

async fn reflect(socket: UdpSocket, ring: KeyRing) {
    let policy = Policy {
        allow_destination: wire::BlockSet::new(&["127.0.0.0/8".parse().unwrap()]),
        ..Policy::default()
    };
    let mut buffer = [0; 2048];
    while let Ok((length, source)) = socket.recv_from(&mut buffer).await {
        let now_s = u32::try_from(unix_us() / 1_000_000).unwrap();
        let to = match decide(&mut buffer[..length], source, now_s, &ring, &policy) {
            Verdict::Drop(_) => continue,
            Verdict::Observe => source,
            Verdict::Relay { to, .. } => to,
        };
        socket.send_to(&buffer[..length], to).await.ok();
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (state, tls) = (Arc::clone(&state), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => answer(stream, &state).await,
                Some(tls) => answer(tls.accept(stream).await.ok()?, &state).await,
            }
        });
    }
}

/// Reads one request and answers it.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(": ") {
            Some(("content-length", text)) => length = text.parse().ok()?,
            Some(_) => {}
            None if line.is_empty() => break,
            None => path = line.split(' ').nth(1)?.to_owned(),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let (status, text) = handle(&path, &body, &mut state.lock().unwrap());
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn handle(path: &str, body: &[u8], state: &mut State) -> (u16, String) {
    fn json<T: serde::Serialize>(value: &T) -> (u16, String) {
        (200, serde_json::to_string(value).unwrap())
    }
    let refused =
        |kind: ProblemKind| (kind.status(), serde_json::to_string(&Problem::new(kind, "try again")).unwrap());
    if state.refuses {
        return refused(ProblemKind::Login);
    }
    let State { server, relays, sign_keys, .. } = state;
    match path {
        "/v1/devices" => {
            let request: DeviceRequest = serde_json::from_slice(body).unwrap();
            // Accounts are host0, host1, ...; their password is one for all.
            let host: usize = request.account.as_str().trim_start_matches("host").parse().unwrap();
            if request.password.0 != PASSWORD {
                return refused(ProblemKind::Credentials);
            }
            server.enrol(host, request.noise_key.0.0);
            sign_keys.push((host, request.sign_key.0.0));
            let device = DeviceId(Bytes([u8::try_from(host).unwrap(); 16]));
            json(&DeviceAnswer { device, reflectors: server.reflectors(relays) })
        }
        "/v1/challenge" => json(&ChallengeAnswer { nonce: Nonce(Bytes([1; 32])), expires_s: 30 }),
        "/v1/login" => {
            let request: LoginRequest = serde_json::from_slice(body).unwrap();
            let host = usize::from(request.device.0.0[0]);
            let (_, key) = sign_keys.iter().find(|(number, _)| *number == host).unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(key).unwrap();
            let signature = ed25519_dalek::Signature::from_bytes(&request.signature.0.0);
            if key.verify_strict(&request.signed_bytes("127.0.0.1"), &signature).is_err() {
                return refused(ProblemKind::Login);
            }
            json(&server.answer(relays, host, Some(request.nat.0), &request.contacts, unix_us()).unwrap())
        }
        "/v1/refresh" => {
            let request: RefreshRequest = serde_json::from_slice(body).unwrap();
            let ticket = request.contacts[0].ticket.header().peer.to_socket();
            let host = server.host_at(ticket);
            match host.and_then(|host| server.answer(relays, host, None, &request.contacts, unix_us())) {
                Some(answer) => json(&answer),
                None => refused(ProblemKind::Session),
            }
        }
        "/v1/logout" => (204, String::new()),
        _ => refused(ProblemKind::NotFound),
    }
}

/// The password of every account, which the tests of the program type.
const PASSWORD: &str = "the right one";
