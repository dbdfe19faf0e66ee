//! TLS: who is let in, and what is wrong with files that are not what they should be.

#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use spinney::Store;
use spinney::http::{Running, Server, Tls};
use tempfile::TempDir;

/// Somebody who signs certificates, and files with what was signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: support::directory() }
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The files of a server's certificate and key, and of the authority's own certificate.
    fn files(&self) -> [PathBuf; 3] {
        let (certificate, key) = self.certificate("localhost");
        [
            self.file("server.crt", &certificate.pem()),
            self.file("server.key", &key.serialize_pem()),
            self.file("ca.crt", &self.issuer.pem()),
        ]
    }
}

fn serve(tls: Tls) -> (Running, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new(Store::in_memory()).listen_tls(listener, tls).start().unwrap();
    let address = running.addresses()[0];
    (running, address)
}

/// What a client is answered that trusts `authority`, and shows a certificate if it has one.
fn ask(
    address: SocketAddr,
    authority: &Authority,
    own: Option<(rcgen::Certificate, KeyPair)>,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.issuer.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(http::client::FOREVER))?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn clients_that_trust_the_server_are_answered() {
    let authority = Authority::new();
    let [certificate, key, _] = authority.files();
    let (_running, address) = serve(Tls::new(certificate, key).unwrap());
    let answer = ask(address, &authority, None).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("etcdserver"), "{answer}");

    let plain = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /version HTTP/1.1\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    });
    assert!(!plain.unwrap_or_default().starts_with(b"HTTP"), "nothing is said in the clear");
}

#[test]
fn where_clients_need_a_certificate_only_the_right_ones_are_let_in() {
    let authority = Authority::new();
    let [certificate, key, ca] = authority.files();
    let (_running, address) = serve(Tls::with_client_auth(certificate, key, ca).unwrap());
    let answer = ask(address, &authority, Some(authority.certificate("client"))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(ask(address, &authority, None).is_err());
    assert!(ask(address, &authority, Some(Authority::new().certificate("client"))).is_err());
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let authority = Authority::new();
    let [certificate, key, ca] = authority.files();
    let (_, other_key) = authority.certificate("other");
    let other = authority.file("other.key", &other_key.serialize_pem());
    let empty = authority.file("empty", "");
    let missing = authority.directory.path().join("missing");
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = authority.file("locked", locked);
    for (outcome, named) in [
        (Tls::new(&missing, &key), "missing"),
        (Tls::new(&certificate, &missing), "missing"),
        (Tls::new(&empty, &key), "empty: it holds no certificate"),
        (Tls::new(&certificate, &empty), "empty: it holds no private key"),
        (Tls::new(&certificate, &locked), "locked: its private key is encrypted"),
        (Tls::new(&certificate, &other), "other.key: it is not the key of the certificate in "),
        (Tls::with_client_auth(&certificate, &key, &empty), "empty"),
    ] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert!(Tls::with_client_auth(certificate, key, ca).is_ok());
}
