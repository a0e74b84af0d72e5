//! TLS: served with the certificate that is given, and with another after a reload.

use crate::server::Server;
use harness::{Folder, PATIENCE, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Puts a fresh certificate for localhost into the folder.
fn certify(folder: &Folder) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let pem = made.cert.pem();
    folder.write("key.pem", &made.signing_key.serialize_pem());
    folder.write("cert.pem", &pem);
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// What a client that trusts this certificate alone is answered.
fn ask(server: &Server, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(server.listen)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
    stream.write_all(b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_certificate_that_is_given_is_served_and_follows_a_reload() {
    let folder = Folder::new("access-test");
    let first = certify(&folder);
    let server = Server::start_in(
        folder,
        &[
            "--tls-cert",
            "cert.pem",
            "--tls-key",
            "key.pem",
            "--listen",
            "0.0.0.0:0",
            "--server-name",
            "localhost",
        ],
    );
    assert!(ask(&server, &first).unwrap().starts_with("HTTP/1.1 200"));
    let second = certify(&server.folder);
    assert!(ask(&server, &second).is_err(), "before the reload it is the first");
    server.reload("success");
    assert!(ask(&server, &second).unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask(&server, &first).is_err());
    server.folder.write("key.pem", "no key");
    server.reload("failure");
    assert!(ask(&server, &second).unwrap().starts_with("HTTP/1.1 200"));
    let mut plain = TcpStream::connect(server.listen).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, or a closed connection.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    wait_until("failed handshakes are not counted", || {
        server.metrics().sum("reflector_access_tls_failures_total", &[]) >= 3
    });
}
