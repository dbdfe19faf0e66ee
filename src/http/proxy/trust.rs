//! TLS towards members: whom a proxy trusts, and who it is.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::http::tls::{certificates, mismatched, private_key, unusable};

/// How members at https:// URLs are spoken to.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl Trust {
    /// Trusts members whose certificates are signed by one of those in the file `authorities`, and shows them `own`: the
    /// files of a certificate and of its key.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, holds something else, or the key is not the certificate's.
    pub(crate) fn new(authorities: &Path, own: Option<(&Path, &Path)>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities)? {
            roots.add(certificate).map_err(|error| unusable(authorities, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let builder = builder.with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let config = builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?);
                config.map_err(|error| mismatched(certificate, key, error))?
            }
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Agrees on keys with the member at `authority`, host and port.
    pub(super) async fn greet(&self, authority: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
