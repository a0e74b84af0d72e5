//! A server's certificate, read from files.
//!
//! * TLS 1.2 and 1.3 by rustls with ring; HTTP/1.1 alone is offered.

use crate::failure::Failure;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The configuration of a certificate chain and its private key, both PEM, which two flags name.
///
/// # Errors
/// A file that cannot be read, holds no PEM of its kind, or a key that does not belong to the certificate.
pub fn read(
    (cert_flag, cert): (&str, &Path),
    (key_flag, key): (&str, &Path),
) -> Result<Arc<ServerConfig>, Failure> {
    let refuse = |flag: &str, path: &Path, error: &dyn std::fmt::Display| {
        Failure::Config(format!("{flag} {}: {error}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| refuse(cert_flag, cert, &error))?;
    if chain.is_empty() {
        return Err(refuse(cert_flag, cert, &"no certificate in it; expected PEM"));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key_flag, key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(cert_flag, cert, &error))?;
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| refuse(key_flag, key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
