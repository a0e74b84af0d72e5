//! A file for a buddy, over QUIC: an unmodified quinn on both sides, on whatever path the two endpoints have.
//!
//! ```text
//! cargo run --example file -- bob.toml receive alice copy.bin
//! cargo run --example file -- alice.toml send bob file.bin
//! ```
//!
//! * Endpoints are authenticated already, so the receiver's certificate comes as a message, and no authority is needed.

#![forbid(unsafe_code)]

use endpoint::{Device, Endpoint, Event, Peer, QUIC_PEER};
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [device, verb, name, file] = words.as_slice() else {
        return Err("usage: file DEVICE.toml send|receive NAME FILE".into());
    };
    let me = Endpoint::login(Device::load(device.as_ref())?).await?;
    let peer = me.peer(name)?;
    while !peer.is_online() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match verb.as_str() {
        "send" => send(&me, &peer, file).await?,
        "receive" => receive(&me, &peer, file).await?,
        _ => return Err(format!("`{verb}` is neither send nor receive").into()),
    }
    me.leave().await;
    Ok(())
}

async fn send(me: &Endpoint, peer: &Peer, file: &str) -> Outcome {
    peer.send_message(ASK)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(message(me, peer).await?))?;
    let config = quinn::ClientConfig::with_root_certificates(Arc::new(roots))?;
    let quic = peer.quic(None).await?;
    let connection = quic.connect_with(config, QUIC_PEER, HOST)?.await?;
    let mut stream = connection.open_uni().await?;
    let mut from = tokio::fs::File::open(file).await?;
    tokio::io::copy(&mut from, &mut stream).await?;
    stream.finish()?;
    // The receiver closes when it has everything.
    connection.closed().await;
    Ok(())
}

async fn receive(me: &Endpoint, peer: &Peer, file: &str) -> Outcome {
    let certified = rcgen::generate_simple_self_signed([String::from(HOST)])?;
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    while message(me, peer).await? != ASK {}
    let config = quinn::ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    let quic = peer.quic(Some(config)).await?;
    peer.send_message(&certificate)?;
    let connection = quic.accept().await.ok_or("the endpoint has left")?.await?;
    let mut stream = connection.accept_uni().await?;
    let mut to = tokio::fs::File::create(file).await?;
    tokio::io::copy(&mut stream, &mut to).await?;
    to.sync_all().await?;
    connection.close(0_u32.into(), b"all is here");
    quic.wait_idle().await;
    Ok(())
}

/// The next reliable message of this peer.
async fn message(me: &Endpoint, peer: &Peer) -> Result<Vec<u8>, endpoint::Error> {
    loop {
        if let Event::Message { peer: from, bytes } = me.event().await?
            && from == peer.id()
        {
            return Ok(bytes);
        }
    }
}

const ASK: &[u8] = b"a file for you";
const HOST: &str = "peer";
