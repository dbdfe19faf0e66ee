//! The files for TLS, and what is said when it does not come about.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::http::{is_encrypted, rfc3339};
use crate::types::Timestamp;

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
            let found = found.ok_or_else(|| no_key(key))?;
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

fn no_key(path: &Path) -> String {
    let is_encrypted = std::fs::read(path).is_ok_and(|text| is_encrypted(&text));
    let why = if is_encrypted { "its private key is encrypted" } else { "no private key in it" };
    format!("{}: {why}", path.display())
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

/// Why no TLS came about, in the words of Go's, where there are such words.
pub(super) fn refusal(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(error) => distrust(error).map(|why| format!("x509: {why}")),
        Error::AlertReceived(alert) => told(*alert).map(|what| format!("remote error: tls: {what}")),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("tls: first record does not look like a TLS handshake".to_owned())
        }
        _ => None,
    }
}

/// Why the server is not who it should be.
fn distrust(error: &CertificateError) -> Option<String> {
    let expired = |now, relation, limit| {
        let (now, limit) = (moment(now), moment(limit));
        format!("certificate has expired or is not yet valid: current time {now} is {relation} {limit}")
    };
    Some(match error {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => expired(*time, "after", *not_after),
        CertificateError::NotValidYetContext { time, not_before } => expired(*time, "before", *not_before),
        CertificateError::NotValidForNameContext { expected, presented } => misnamed(expected, presented),
        _ => return None,
    })
}

fn moment(time: UnixTime) -> String {
    let mut text = Vec::new();
    rfc3339(&mut text, Timestamp::new(time.as_secs().saturating_mul(1000)));
    String::from_utf8_lossy(&text).into_owned()
}

/// What is wrong with the names in a certificate, each as `DnsName("a.example")` or `IpAddress(10.0.0.1)`.
fn misnamed(expected: &ServerName<'_>, presented: &[String]) -> String {
    let (kind, is_address) = match expected {
        ServerName::IpAddress(_) => ("IpAddress(", true),
        _ => ("DnsName(", false),
    };
    let names = presented.iter().filter_map(|name| name.strip_prefix(kind)?.strip_suffix(')'));
    let names: Vec<_> = names.map(|name| name.trim_matches('"')).collect();
    let expected = expected.to_str();
    match names.is_empty() {
        true if is_address => {
            format!("cannot validate certificate for {expected} because it doesn't contain any IP SANs")
        }
        true => format!("certificate is not valid for any names, but wanted to match {expected}"),
        false => format!("certificate is valid for {}, not {expected}", names.join(", ")),
    }
}

/// What the server says it has against us.
fn told(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InsufficientSecurity => "insufficient security level",
        AlertDescription::InternalError => "internal error",
        AlertDescription::UnrecognisedName => "unrecognized name",
        AlertDescription::CertificateRequired => "certificate required",
        _ => return None,
    })
}
