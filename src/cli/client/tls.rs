//! The files for TLS, and what is said when it does not come about.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// Files for TLS; all may be missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// Whom to trust, in place of the public authorities.
    pub(crate) ca: Option<PathBuf>,
    /// Who we are.
    pub(crate) certificate: Option<PathBuf>,
    /// The key of that certificate.
    pub(crate) key: Option<PathBuf>,
}

/// # Errors
///
/// What is wrong with the files, in etcdctl's words where it has some.
pub(super) fn config(files: &TlsFiles) -> Result<TlsConfig, String> {
    let mut config = TlsConfig::builder();
    if let Some(ca) = &files.ca {
        let (certificates, _) = read_pem(ca)?;
        if certificates.is_empty() {
            return Err(no_certificate(ca));
        }
        config = config.root_certs(RootCerts::Specific(Arc::new(certificates)));
    }
    match (&files.certificate, &files.key) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let (certificates, _) = read_pem(certificate)?;
            let (_, found) = read_pem(key)?;
            let found = found.ok_or_else(|| format!("{}: no private key in it", key.display()))?;
            check_pair(&certificates, &found).map_err(|error| match error {
                Error::NoCertificatesPresented => no_certificate(certificate),
                Error::InconsistentKeys(_) => "tls: private key does not match public key".to_owned(),
                error => format!("{}: {error}", certificate.display()),
            })?;
            config = config.client_cert(Some(ClientCert::new_with_certs(&certificates, found)));
        }
        (certificate, key) => {
            let show = |path: &Option<PathBuf>| {
                path.as_ref().map_or_else(String::new, |path| path.display().to_string())
            };
            let (certificate, key) = (show(certificate), show(key));
            return Err(format!(
                "KeyFile and CertFile must both be present[key: {key}, cert: {certificate}]"
            ));
        }
    }
    Ok(config.build())
}

/// The certificates and the last private key in a file.
fn read_pem(path: &Path) -> Result<(Vec<Certificate<'static>>, Option<PrivateKey<'static>>), String> {
    let text = std::fs::read(path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        format!("open {}: {why}", path.display())
    })?;
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in parse_pem(&text) {
        match item.map_err(|error| format!("{}: {error}", path.display()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            PemItem::PrivateKey(found) => key = Some(found),
            _ => {}
        }
    }
    Ok((certificates, key))
}

fn no_certificate(path: &Path) -> String {
    format!("{}: no certificate in it", path.display())
}

/// Whether the key is that of the first certificate: what is not so is found out too late, and told in a panic, once
/// a connection is made.
fn check_pair(certificates: &[Certificate<'_>], key: &PrivateKey<'_>) -> Result<(), Error> {
    let chain = certificates.iter().map(|certificate| certificate.der().to_vec().into()).collect();
    let key = PrivateKeyDer::try_from(key.der().to_vec()).map_err(|why| Error::General(why.to_owned()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map(drop)
}

/// Why no TLS came about, in the words of Go's, where that was the reason and there are such words.
pub(super) fn refusal(error: &io::Error) -> Option<String> {
    let said = match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "x509: certificate signed by unknown authority"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "remote error: tls: certificate required"
        }
        Error::AlertReceived(AlertDescription::BadCertificate) => "remote error: tls: bad certificate",
        Error::AlertReceived(AlertDescription::CertificateUnknown) => {
            "remote error: tls: unknown certificate"
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "remote error: tls: unknown certificate authority"
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "remote error: tls: expired certificate"
        }
        _ => return None,
    };
    Some(said.to_owned())
}
