//! TLS for clients: the server's certificate, and whose certificates it trusts where clients need one.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error, RootCertStore, ServerConfig};

/// How a listener speaks TLS, for [`Server::listen_tls`](super::Server::listen_tls). Versions 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// With the server's certificate and key, each from a file in PEM: the certificate first, then those that lead up
    /// to one that clients trust. Clients need none of their own.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, holds something else, or the key is not the certificate's.
    ///
    /// ```no_run
    /// # use spinney::{Store, http::{Server, Tls}};
    /// let tls = Tls::new("server.crt", "server.key")?;
    /// let listener = std::net::TcpListener::bind("0.0.0.0:2379")?;
    /// Server::new(Store::in_memory()).listen_tls(listener, tls).start()?.wait();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(cert_file: impl AsRef<Path>, key_file: impl AsRef<Path>) -> io::Result<Self> {
        Self::build(cert_file.as_ref(), key_file.as_ref(), None)
    }

    /// The same for clients that have to show a certificate of their own, signed by one of those in `ca_file`.
    ///
    /// # Errors
    ///
    /// As [`Tls::new`].
    pub fn with_client_auth(
        cert_file: impl AsRef<Path>,
        key_file: impl AsRef<Path>,
        ca_file: impl AsRef<Path>,
    ) -> io::Result<Self> {
        Self::build(cert_file.as_ref(), key_file.as_ref(), Some(ca_file.as_ref()))
    }

    fn build(cert_file: &Path, key_file: &Path, ca_file: Option<&Path>) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let builder = match ca_file {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unusable(path, error))?)
            }
        };
        let (chain, key) = (certificates(cert_file)?, private_key(key_file)?);
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| mismatched(cert_file, key_file, error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.0
    }
}

/// All certificates of a file; at least one.
pub(super) fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, error))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(|error| unreadable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it holds no certificate"));
    }
    Ok(certificates)
}

/// The key in a file.
pub(super) fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound if std::fs::read(path).is_ok_and(|text| is_encrypted(&text)) => {
            unusable(path, "its private key is encrypted")
        }
        pem::Error::NoItemsFound => unusable(path, "it holds no private key"),
        error => unreadable(path, error),
    })
}

/// Whether a text in PEM has a private key that only a password opens.
pub(crate) fn is_encrypted(text: &[u8]) -> bool {
    let lines = String::from_utf8_lossy(text);
    lines.contains("BEGIN ENCRYPTED PRIVATE KEY") || lines.contains("Proc-Type: 4,ENCRYPTED")
}

/// Why a certificate and a key cannot be used together.
pub(super) fn mismatched(certificate: &Path, key: &Path, error: Error) -> io::Error {
    match error {
        Error::InconsistentKeys(_) => {
            unusable(key, format_args!("it is not the key of the certificate in {}", certificate.display()))
        }
        error => unusable(certificate, error),
    }
}

fn unreadable(path: &Path, error: pem::Error) -> io::Error {
    match error {
        pem::Error::Io(error) => {
            io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
        }
        error => unusable(path, error),
    }
}

pub(super) fn unusable(path: &Path, error: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot use {}: {error}", path.display()))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
