//! Clients and servers that speak TLS, and files that are not what they should be.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

use crate::run::Run as _;
use crate::servers::{Server, etcdctl, spinney};

/// Somebody who signs certificates, and a directory with what was signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let authority = Self { issuer, directory };
        authority.write("ca.crt", authority.issuer.pem());
        authority
    }

    fn write(&self, name: &str, text: String) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as a word.
    fn word(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Makes `NAME.crt` and `NAME.key` for this machine.
    fn sign(&self, name: &str) {
        self.sign_as(name, CertificateParams::new(vec!["localhost".to_owned()]).unwrap());
    }

    fn sign_as(&self, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.crt"), params.signed_by(&key, &self.issuer).unwrap().pem());
        self.write(&format!("{name}.key"), key.serialize_pem());
    }

    /// A server that wants its clients to have certificates of this authority's.
    fn serve(&self) -> Server {
        self.sign("server");
        let (certificate, key, ca) = (self.word("server.crt"), self.word("server.key"), self.word("ca.crt"));
        let url = ["--listen-client-urls", "https://localhost:0"];
        let own = ["--cert-file", &certificate, "--key-file", &key];
        let server =
            Server::spinney(&[&url[..], &own, &["--client-cert-auth", "--trusted-ca-file", &ca]].concat());
        assert!(server.url.starts_with("https://localhost:"), "{}", server.url);
        server
    }

    /// What `client` prints, and its exit code, when it says `words` with these files of ours.
    fn run(&self, mut client: Command, files: &[(&str, &str)], words: &[&str]) -> (Option<i32>, String) {
        for (flag, name) in files {
            client.arg(flag).arg(self.path(name));
        }
        let output = client.args(words).run();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

fn clients() -> impl Iterator<Item = Command> {
    [Some(spinney()), etcdctl()].into_iter().flatten()
}

const KNOWN: [(&str, &str); 3] =
    [("--ca-file", "ca.crt"), ("--cert-file", "client.crt"), ("--key-file", "client.key")];

#[test]
fn clients_with_certificates_are_served_over_tls() {
    let authority = Authority::new("ours");
    let server = authority.serve();
    authority.sign("client");
    let endpoint = ["--endpoints", &server.url];
    for client in clients() {
        let (code, said) = authority.run(client, &KNOWN, &[&endpoint[..], &["set", "/a", "1"]].concat());
        assert_eq!((code, said.as_str()), (Some(0), "1\n"));
    }
    let (code, said) = authority.run(spinney(), &KNOWN, &[&endpoint[..], &["cluster-health"]].concat());
    assert!(code == Some(0) && said.ends_with("cluster is healthy\n"), "{said}");
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Ours says what etcdctl says, which is asked, too, where it is installed.
#[test]
fn who_is_not_let_in_is_told_why_as_etcdctl_tells() {
    let authority = Authority::new("ours");
    let server = authority.serve();
    let other = Authority::new("theirs");
    other.sign("client");
    for name in ["client.crt", "client.key"] {
        std::fs::copy(other.path(name), authority.path(&format!("other-{name}"))).unwrap();
    }
    let foreign =
        [("--ca-file", "ca.crt"), ("--cert-file", "other-client.crt"), ("--key-file", "other-client.key")];
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    authority.sign_as("for-servers", params);
    let for_servers =
        [("--ca-file", "ca.crt"), ("--cert-file", "for-servers.crt"), ("--key-file", "for-servers.key")];
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&for_servers, "remote error: tls: unsupported certificate"),
        (&KNOWN[..1], "remote error: tls: certificate required"),
        (&[], "x509: certificate signed by unknown authority"),
        (&foreign, "remote error: tls: unknown certificate authority"),
    ];
    for (files, why) in cases {
        let expected = format!(
            "Error:  client: etcd cluster is unavailable or misconfigured; error #0: {why}\n\nerror #0: {why}\n\n"
        );
        for client in clients() {
            let program = client.get_program().to_owned();
            let outcome = authority.run(client, files, &["--endpoints", &server.url, "get", "/a"]);
            assert_eq!(outcome, (Some(4), expected.clone()), "{program:?} {files:?}");
        }
    }
}

/// What a server of ours that shows `NAME.crt` is told by clients that trust its authority.
fn assert_distrusted(authority: &Authority, name: &str, host: &str, why: &str) {
    let (certificate, key) = (authority.word(&format!("{name}.crt")), authority.word(&format!("{name}.key")));
    let url = ["--listen-client-urls", "https://localhost:0"];
    let server = Server::spinney(&[&url[..], &["--cert-file", &certificate, "--key-file", &key]].concat());
    let url = server.url.replace("localhost", host);
    for client in clients() {
        let program = client.get_program().to_owned();
        let (code, said) = authority.run(client, &KNOWN[..1], &["--endpoints", &url, "get", "/a"]);
        // The moment at which one asks is nobody else's.
        let said = match said.split_once("current time ") {
            Some((before, after)) => {
                format!("{before}current time NOW{}", &after[after.find(' ').unwrap()..])
            }
            None => said,
        };
        let first = said.lines().next().unwrap();
        let expected =
            format!("Error:  client: etcd cluster is unavailable or misconfigured; error #0: {why}");
        assert_eq!((code, first), (Some(4), expected.as_str()), "{program:?} {name} {host}");
    }
}

#[test]
fn servers_that_are_not_trusted_are_told_of_as_etcdctl_tells() {
    let authority = Authority::new("ours");
    let names = |names: &[&str]| {
        CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
    };
    authority.sign_as("elsewhere", names(&["a.example", "b.example"]));
    authority.sign_as("address", names(&["10.0.0.1"]));
    let mut past = names(&["localhost"]);
    past.not_after = rcgen::date_time_ymd(2020, 2, 1);
    authority.sign_as("past", past);
    let mut future = names(&["localhost"]);
    future.not_before = rcgen::date_time_ymd(2222, 2, 1);
    authority.sign_as("future", future);
    let of_names = "x509: certificate is valid for a.example, b.example, not localhost";
    assert_distrusted(&authority, "elsewhere", "localhost", of_names);
    let no_address = "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs";
    assert_distrusted(&authority, "elsewhere", "127.0.0.1", no_address);
    let of_address = "x509: certificate is valid for 10.0.0.1, not 127.0.0.1";
    assert_distrusted(&authority, "address", "127.0.0.1", of_address);
    let time = "x509: certificate has expired or is not yet valid: current time NOW is";
    assert_distrusted(&authority, "past", "localhost", &format!("{time} after 2020-02-01T00:00:00Z"));
    assert_distrusted(&authority, "future", "localhost", &format!("{time} before 2222-02-01T00:00:00Z"));
}

#[test]
fn who_speaks_tls_to_the_wrong_port_is_told_so() {
    let authority = Authority::new("ours");
    let plain = Server::spinney(&[]);
    let url = plain.url.replace("http://127.0.0.1", "https://localhost");
    let why = "tls: first record does not look like a TLS handshake";
    for client in clients() {
        let (code, said) = authority.run(client, &KNOWN[..1], &["--endpoints", &url, "get", "/a"]);
        assert!(code == Some(4) && said.ends_with(&format!("\nerror #0: {why}\n\n")), "{said}");
    }
    let secret = authority.serve();
    let url = secret.url.replace("https", "http");
    let why = "net/http: HTTP/1.x transport connection broken: malformed HTTP response";
    for client in clients() {
        let (code, said) = authority.run(client, &[], &["--endpoints", &url, "get", "/a"]);
        assert!(code == Some(4) && said.contains(&format!("\nerror #0: {why}")), "{said}");
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_told_of() {
    let authority = Authority::new("ours");
    let server = authority.serve();
    authority.sign("client");
    authority.sign("another");
    authority.write("empty", String::new());
    let armour = |side| format!("-----{side} ENCRYPTED PRIVATE KEY-----\n");
    authority.write("locked", format!("{}MIIB\n{}", armour("BEGIN"), armour("END")));
    let with = |ca: &'static str, certificate: &'static str, key: &'static str| {
        [("--ca-file", ca), ("--cert-file", certificate), ("--key-file", key)]
    };
    let cases = [
        (
            with("ca.crt", "client.crt", "another.key"),
            "tls: private key does not match public key".to_owned(),
        ),
        (
            with("ca.crt", "client.crt", "client.crt"),
            format!("{}: no private key in it", authority.word("client.crt")),
        ),
        (
            with("ca.crt", "client.crt", "locked"),
            format!("{}: its private key is encrypted", authority.word("locked")),
        ),
        (with("ca.crt", "empty", "client.key"), format!("{}: no certificate in it", authority.word("empty"))),
        (
            with("empty", "client.crt", "client.key"),
            format!("{}: no certificate in it", authority.word("empty")),
        ),
        (
            with("none", "client.crt", "client.key"),
            format!("open {}: no such file or directory", authority.word("none")),
        ),
    ];
    for (files, why) in cases {
        let outcome = authority.run(spinney(), &files, &["--endpoints", &server.url, "get", "/a"]);
        assert_eq!(outcome, (Some(1), format!("{why}\n")), "{files:?}");
    }
}

/// A proxy; ended when it is dropped.
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    fn start(authority: &Authority, members: &str, files: &[(&str, &str)]) -> Self {
        let mut command = spinney();
        command.args(["proxy", "--endpoints", members, "--listen-client-urls", "https://localhost:0"]);
        for (flag, name) in files {
            command.arg(flag).arg(authority.path(name));
        }
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let Some((_, url)) = said.split_once("serves clients on ") else { panic!("{said}") };
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_proxy_speaks_tls_to_members_and_to_clients() {
    let authority = Authority::new("ours");
    let server = authority.serve();
    ["client", "proxy"].iter().for_each(|name| authority.sign(name));
    let own = [("--cert-file", "proxy.crt"), ("--key-file", "proxy.key")];
    let trusting = [&own[..], &[("--ca-file", "ca.crt")]].concat();
    let proxy =
        Proxy::start(&authority, &server.url, &[&trusting[..], &[("--trusted-ca-file", "ca.crt")]].concat());
    let endpoint = ["--no-sync", "--endpoints", &proxy.url];
    for client in clients() {
        let (code, said) = authority.run(client, &KNOWN, &[&endpoint[..], &["set", "/a", "1"]].concat());
        assert_eq!((code, said.as_str()), (Some(0), "1\n"));
    }
    let (code, said) = authority.run(spinney(), &KNOWN[..1], &[&endpoint[..], &["get", "/a"]].concat());
    assert!(code == Some(4) && said.contains("certificate required"), "{said}");

    // A member that is not who it should be is not asked.
    let other = Authority::new("theirs");
    std::fs::copy(other.path("ca.crt"), authority.path("other.crt")).unwrap();
    let proxy = Proxy::start(&authority, &server.url, &[&own[..], &[("--ca-file", "other.crt")]].concat());
    let endpoint = ["--no-sync", "--endpoints", &proxy.url];
    let (code, said) = authority.run(spinney(), &KNOWN, &[&endpoint[..], &["get", "/a"]].concat());
    assert!(code == Some(4) && said.contains("has no leader") || said.contains("Bad Gateway"), "{said}");
}
