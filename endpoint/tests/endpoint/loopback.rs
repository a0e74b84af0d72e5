//! The whole client on loopback: sockets, HTTP and TLS, reliable messages, QUIC.

use crate::server::account;
use crate::site::Site;
use endpoint::{Endpoint, Error, Event, Path, QUIC_PEER};
use harness::{Folder, PATIENCE};
use std::sync::Arc;
use std::time::Duration;
use wire::json::base64url::Bytes;
use wire::json::problem::ProblemKind;

async fn within<A>(future: impl Future<Output = A>) -> A {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_log_in_see_each_other_and_talk() {
    let site = Site::start().await;
    let (a, b) = within(site.pair()).await;
    let bob = a.peer("host1").unwrap();
    // A datagram may be lost, as where an endpoint was held up and took another port meanwhile.
    let hello = async {
        loop {
            bob.send(b"hello").unwrap();
            if let Ok(received) = tokio::time::timeout(Duration::from_millis(200), b.recv()).await {
                return received;
            }
        }
    };
    let (from, bytes) = within(hello).await.unwrap();
    assert_eq!((from.account().unwrap(), bytes), (account(0), b"hello".to_vec()));
    let ticket = bob.send_message(b"for sure").unwrap();
    let arrived = async {
        loop {
            if let Event::Delivery { ticket: it, arrived, .. } = a.event().await.unwrap() {
                return (it, arrived);
            }
        }
    };
    assert_eq!(within(arrived).await, (ticket, true));
    // Both are on this machine, so their host candidates answer.
    let direct = async {
        while !matches!(bob.path(), Path::Direct(_)) {
            bob.send(b"are you near?").unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(direct).await;
    assert!(a.peer("nobody").is_err() && a.peer("No Name").is_err());
    let left = async {
        b.leave().await;
        while bob.is_online() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_silence_are_errors_that_say_what_to_do() {
    let site = Site::start().await;
    let mut thief = site.device(0);
    thief.sign_secret = Bytes([77; 32]);
    let error = within(Endpoint::login(thief)).await.err().unwrap();
    assert!(matches!(&error, Error::Refused(it) if it.kind() == Some(ProblemKind::Login)), "{error}");
    // Bound and not listening, so that nobody else answers there either.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut lost = site.device(0);
    lost.access = format!("http://{}", nobody.local_addr().unwrap());
    let silent = format!("{} does not answer", lost.access);
    let error = within(Endpoint::login(lost)).await.err().unwrap();
    assert!(error.to_string().contains(&silent), "{error}");
    let mut empty = site.device(0);
    empty.reflectors.clear();
    assert!(matches!(Endpoint::start(empty), Err(Error::NoReflector)));
    let mut odd = site.device(0);
    odd.nat = Some(String::from("cone"));
    assert!(Endpoint::start(odd).err().unwrap().to_string().contains("port-restricted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgot_the_session_is_logged_in_at_again() {
    let site = Site::start().await;
    let (a, _b) = within(site.pair()).await;
    site.state.lock().unwrap().server.restart();
    let again = async {
        while !matches!(a.event().await.unwrap(), Event::LoggedIn) {}
        a.refresh();
        while !matches!(a.event().await.unwrap(), Event::LoggedIn) {}
    };
    within(again).await;
    site.state.lock().unwrap().refuses = true;
    a.refresh();
    let failed = async { while !matches!(a.event().await.unwrap(), Event::AccessFailed { .. }) {} };
    within(failed).await;
    assert!(a.access_failure().unwrap().contains("try again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_quinn_moves_ten_mebibytes_over_the_paths_of_a_peer() {
    let site = Site::start().await;
    let (a, b) = within(site.pair()).await;
    let certified = rcgen::generate_simple_self_signed([String::from("bob")]).unwrap();
    let der = certified.cert.der().clone();
    let key = quinn::rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let server = quinn::ServerConfig::with_single_cert(vec![der.clone()], key.into()).unwrap();
    let mut roots = quinn::rustls::RootCertStore::empty();
    roots.add(der).unwrap();
    let client = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();

    let (alice, bob) = (b.peer("host0").unwrap(), a.peer("host1").unwrap());
    let (server, caller) = within(async { tokio::join!(alice.quic(Some(server)), bob.quic(None)) }).await;
    let (server, caller) = (server.unwrap(), caller.unwrap());
    let serve = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let bytes = receive.read_to_end(QUIC_BYTES).await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
        connection.closed().await;
        bytes.len()
    });
    let call = async {
        let connection = caller.connect_with(client, QUIC_PEER, "bob").unwrap().await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let bytes: Vec<u8> = (0..10_u32 << 20).map(|it| it.to_le_bytes()[0] ^ it.to_le_bytes()[1]).collect();
        let (_, echoed) = tokio::join!(
            async {
                send.write_all(&bytes).await.unwrap();
                send.finish().unwrap();
            },
            receive.read_to_end(QUIC_BYTES)
        );
        assert!(echoed.unwrap() == bytes, "the echo differs");
        connection.close(0_u32.into(), b"done");
        caller.wait_idle().await;
    };
    within(call).await;
    assert_eq!(within(serve).await.unwrap(), QUIC_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked_against_the_authority_that_was_named() {
    let certified = rcgen::generate_simple_self_signed([String::from("127.0.0.1")]).unwrap();
    let key = quinn::rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(quinn::rustls::crypto::ring::default_provider());
    let config = quinn::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let site = Site::start_with(Some(Arc::new(config).into())).await;
    let mut device = site.device(0);
    let error = within(Endpoint::login(device.clone())).await.err().unwrap();
    assert!(error.to_string().contains("certificate"), "nobody vouches for it: {error}");
    let folder = Folder::new("endpoint-tls");
    device.ca = Some(folder.file("ca.pem"));
    let missing = Endpoint::start(device.clone()).err().unwrap();
    assert!(missing.to_string().contains("ca.pem"), "{missing}");
    folder.write("ca.pem", &certified.cert.pem());
    within(Endpoint::login(device)).await.unwrap().leave().await;
}

const QUIC_BYTES: usize = 10 << 20;
