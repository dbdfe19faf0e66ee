//! What a command needs to speak to a server, made from the global flags.

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use super::args::{Global, named};
use super::client::{ClientError, Cluster, Credentials, Deadline, Endpoint, TlsFiles, Transport};
use super::failure::{Failure, exit};
use super::output::Format;

/// Where servers are, when nobody says.
const ENDPOINTS: &str = "http://127.0.0.1:2379,http://127.0.0.1:4001";

/// The global flags, put to use.
pub(crate) struct Session {
    global: Global,
    pub(crate) format: Format,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        let format = Format::from(global.output.as_str());
        Self { global, format }
    }

    /// The servers, once it is known which there are.
    pub(crate) fn cluster(&self) -> Result<Cluster, Failure> {
        let cluster = self.given_cluster()?;
        if !self.global.no_sync {
            self.synchronize(&cluster)?;
        }
        if self.global.debug {
            eprintln!("Cluster-Endpoints: {}", cluster.endpoints(", "));
        }
        Ok(cluster)
    }

    /// The servers that were named, and no others.
    pub(crate) fn cluster_as_given(&self) -> Result<Cluster, Failure> {
        let cluster = self.given_cluster()?;
        if self.global.debug {
            eprintln!("Cluster-Endpoints: {}", cluster.endpoints(", "));
        }
        Ok(cluster)
    }

    /// As [`Session::cluster`], saying once more which servers there are, as etcdctl does where users and roles are
    /// concerned.
    pub(crate) fn cluster_for_auth(&self) -> Result<Cluster, Failure> {
        let cluster = self.cluster()?;
        if self.global.debug {
            eprintln!("Cluster-Endpoints: {}", cluster.endpoints(", "));
        }
        Ok(cluster)
    }

    /// When a command that begins now must be over.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.global.total_timeout)
    }

    /// How to reach servers, without saying who asks.
    pub(crate) fn transport(&self) -> Result<Transport, Failure> {
        let Global { ca_file, cert_file, key_file, timeout, total_timeout, .. } = &self.global;
        let files = TlsFiles { ca: named(ca_file), certificate: named(cert_file), key: named(key_file) };
        Transport::new(&files, *timeout, *total_timeout).map_err(Failure::plain)
    }

    fn given_cluster(&self) -> Result<Cluster, Failure> {
        if self.global.discovery_srv.as_ref().is_some_and(|domain| !domain.is_empty()) {
            let what = "servers cannot be found by the SRV records of a domain; name them with --endpoints";
            return Err(Failure::plain(what));
        }
        let endpoints = self.endpoints()?;
        let mut transport = self.transport()?;
        if let Some(credentials) = self.credentials()? {
            transport.authorize(credentials);
        }
        if self.global.debug {
            transport.debug();
        }
        Ok(Cluster::new(transport, endpoints))
    }

    /// The certificates of whom to trust, if that was said.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        named(&self.global.ca_file)
    }

    /// The URLs of servers that were named, if any were.
    pub(crate) fn named_endpoints(&self) -> Option<&str> {
        let Global { endpoints, endpoint, peers, .. } = &self.global;
        let given = [endpoints, endpoint, peers].into_iter().flatten();
        given.map(String::as_str).find(|urls| !urls.is_empty())
    }

    fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        self.named_endpoints()
            .unwrap_or(ENDPOINTS)
            .split(',')
            .map(|url| Endpoint::parse(url).map_err(Failure::plain))
            .collect()
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        match self.global.username.as_deref().filter(|username| !username.is_empty()) {
            Some(username) => {
                let (user, password) = user_and_password(username, "Password: ").map_err(Failure::plain)?;
                Ok(Some(Credentials { user, password }))
            }
            None => Ok(None),
        }
    }

    fn synchronize(&self, cluster: &Cluster) -> Result<(), Failure> {
        if self.global.debug {
            eprintln!("start to sync cluster using endpoints({})", cluster.endpoints(","));
        }
        match cluster.synchronize(self.deadline()) {
            Err(error @ ClientError::NoEndpoints) => {
                eprintln!("etcd cluster has no published client endpoints.");
                let given = cluster.endpoints(",");
                eprintln!("Try '--no-sync' if you want to access non-published client endpoints({given}).");
                return Err(Failure::server(&error));
            }
            Err(error) if error.is_absence() => return Err(Failure::client(&error, exit::BAD_CONNECTION)),
            // The command itself finds out what else is wrong, if it is.
            Err(_) | Ok(()) => {}
        }
        if self.global.debug {
            eprintln!("got endpoints({}) after sync", cluster.endpoints(","));
        }
        Ok(())
    }
}

/// A user's name and the password after the colon; where there is none, it is asked for.
pub(crate) fn user_and_password(text: &str, prompt: &str) -> io::Result<(String, String)> {
    match text.split_once(':') {
        Some((user, password)) => Ok((user.to_owned(), password.to_owned())),
        None => Ok((text.to_owned(), ask_password(prompt)?)),
    }
}

/// Asks for a password: unseen on a terminal, else as the next line of stdin.
pub(crate) fn ask_password(prompt: &str) -> io::Result<String> {
    let mut out = io::stdout();
    write!(out, "{prompt}")?;
    out.flush()?;
    if io::stdin().is_terminal() {
        // The end of the line is seen.
        return rpassword::read_password();
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    writeln!(out)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The key, which every command about keys needs.
pub(crate) fn key(key: Option<&OsString>) -> Result<&[u8], Failure> {
    key.map(|key| key.as_encoded_bytes()).ok_or_else(|| Failure::arguments("key required"))
}

/// The value: the argument, or all of stdin, which must not be empty.
pub(crate) fn value(value: Option<&OsString>) -> Result<Vec<u8>, Failure> {
    if let Some(value) = value {
        return Ok(value.as_encoded_bytes().to_vec());
    }
    let mut value = Vec::new();
    match io::stdin().lock().read_to_end(&mut value) {
        Ok(_) if !value.is_empty() => Ok(value),
        _ => Err(Failure::arguments("value required")),
    }
}
