//! What the flags of `serve` say of other members.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::listen::Url;
use crate::cli::args::{ClusterState, Serve};
use crate::store::Builder;

/// How the member is listed for its peers, and how it is one of several.
pub(super) struct Peers {
    /// The URLs that it is listed with as long as it is alone.
    pub(super) urls: Vec<String>,
    /// `None` for a member alone: nothing listens for peers then.
    pub(super) membership: Option<Membership>,
}

/// How a member is one of a cluster.
pub(super) struct Membership {
    name: String,
    pub(super) listen: Address,
    advertise: Vec<Address>,
    beginning: Beginning,
    token: String,
    secret_file: Option<PathBuf>,
    allow_insecure: bool,
    heartbeat: Duration,
    election_min: Duration,
}

/// How a member comes to be one. Its directory knows better, once there is something in it.
enum Beginning {
    /// It founds a cluster that others may join.
    First,
    /// It founds a cluster together with others; the list has itself.
    Founders(Vec<(String, Address)>),
    /// It joins through one of these.
    Join(Vec<Address>),
}

/// Where a member listens for others, or is reached by them: host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(String);

impl Address {
    /// # Errors
    ///
    /// What is wrong with it.
    fn parse(text: &str) -> Result<Self, String> {
        let bare = match text.split_once("://") {
            Some(("http" | "tcp", rest)) => rest,
            None => text,
            Some(("https", _)) => {
                return Err("members speak no TLS; --peer-secret-file has them prove who they are".to_owned());
            }
            Some(_) => {
                return Err("should begin with http:// or tcp://, or have host and port alone".to_owned());
            }
        };
        let url = Url::parse(&format!("http://{bare}"))?.to_string();
        Ok(Self(url.trim_start_matches("http://").to_owned()))
    }

    fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where etcd listens for peers, unless it is told otherwise.
const DEFAULT: &str = "localhost:2380";

impl Peers {
    /// # Errors
    ///
    /// Which flags are wrong, or do not go together, and why.
    pub(super) fn of(serve: &Serve) -> Result<Self, String> {
        let named = named(serve)?;
        let own = own(serve, &named)?;
        let others: Vec<Address> = named
            .iter()
            .filter(|(name, _)| *name != serve.name)
            .map(|(_, address)| address.clone())
            .collect();
        let is_existing = serve.initial_cluster_state == ClusterState::Existing;
        if is_existing && others.is_empty() {
            return Err("--initial-cluster-state existing: name the members to join with --initial-cluster"
                .to_owned());
        }
        if serve.listen_peer_urls.is_none() && others.is_empty() {
            alone(serve)?;
            let default = || vec![Address(DEFAULT.to_owned())];
            let own = if own.is_empty() { default() } else { own };
            return Ok(Self { urls: own.iter().map(Address::url).collect(), membership: None });
        }
        let beginning = match (is_existing, named.is_empty()) {
            (true, _) => Beginning::Join(others),
            (false, false) => Beginning::Founders(named),
            (false, true) => Beginning::First,
        };
        let (heartbeat, election_min) = pace(serve)?;
        let membership = Membership {
            name: serve.name.clone(),
            listen: listen(serve)?,
            advertise: own,
            beginning,
            token: serve.initial_cluster_token.clone(),
            secret_file: serve.peer_secret_file.clone(),
            allow_insecure: serve.allow_insecure_peers,
            heartbeat,
            election_min,
        };
        Ok(Self { urls: Vec::new(), membership: Some(membership) })
    }
}

impl Membership {
    /// Has the store that `builder` opens be the member, whose clients use these URLs.
    ///
    /// # Errors
    ///
    /// Why the secret cannot be read.
    pub(super) fn build(&self, builder: Builder, client_urls: &[String]) -> Result<Builder, String> {
        let builder = builder.member(&self.name).listen(self.listen.to_string()).cluster_token(&self.token);
        let builder =
            builder.heartbeat(self.heartbeat).election_timeout(self.election_min, self.election_min * 2);
        let mut builder = client_urls.iter().fold(builder, |builder, url| builder.client_url(url));
        for address in &self.advertise {
            builder = builder.advertise(address.to_string());
        }
        if let Some(path) = &self.secret_file {
            builder = builder.secret(read_secret(path)?);
        }
        if self.allow_insecure {
            builder = builder.allow_insecure_peers();
        }
        Ok(match &self.beginning {
            Beginning::First => builder,
            Beginning::Founders(all) => {
                builder.peers(all.iter().map(|(name, address)| (name.as_str(), address.to_string())))
            }
            Beginning::Join(members) => {
                members.iter().fold(builder, |builder, address| builder.join(address.to_string()))
            }
        })
    }
}

fn addresses(flag: &str, text: &str) -> Result<Vec<Address>, String> {
    let parse = |url: &str| Address::parse(url.trim()).map_err(|why| format!("--{flag} {url:?}: {why}"));
    text.split(',').map(parse).collect()
}

/// The members that `--initial-cluster` names.
fn named(serve: &Serve) -> Result<Vec<(String, Address)>, String> {
    let members = serve.initial_cluster.as_deref().unwrap_or_default().split(',').map(str::trim);
    let mut named = Vec::new();
    for member in members.filter(|member| !member.is_empty()) {
        let Some((name, url)) = member.split_once('=') else {
            return Err(format!("--initial-cluster {member:?}: should be NAME=URL, separated by commas"));
        };
        let address = Address::parse(url).map_err(|why| format!("--initial-cluster {member:?}: {why}"))?;
        if let Some((other, _)) = named.iter().find(|(_, known)| *known == address) {
            return Err(format!("--initial-cluster has {address} for {other} and for {name}"));
        }
        named.push((name.to_owned(), address));
    }
    let is_existing = serve.initial_cluster_state == ClusterState::Existing;
    if !named.is_empty() && !is_existing && !named.iter().any(|(name, _)| *name == serve.name) {
        let name = &serve.name;
        return Err(format!("--initial-cluster does not name this member, which --name calls {name}"));
    }
    Ok(named)
}

/// Where others reach this member, as far as the flags say.
fn own(serve: &Serve, named: &[(String, Address)]) -> Result<Vec<Address>, String> {
    let listed = named.iter().filter(|(name, _)| *name == serve.name).map(|(_, address)| address.clone());
    let mut listed: Vec<_> = listed.collect();
    let Some(text) = serve.initial_advertise_peer_urls.as_deref() else { return Ok(listed) };
    let mut given = addresses("initial-advertise-peer-urls", text)?;
    listed.sort_unstable();
    given.sort_unstable();
    if !listed.is_empty() && listed != given {
        let listed = listed.iter().map(Address::url).collect::<Vec<_>>().join(",");
        return Err(format!(
            "--initial-cluster has {listed} for this member, --initial-advertise-peer-urls has {text}"
        ));
    }
    Ok(given)
}

fn listen(serve: &Serve) -> Result<Address, String> {
    let text = serve.listen_peer_urls.as_deref().unwrap_or(DEFAULT);
    match addresses("listen-peer-urls", text)?.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(format!("--listen-peer-urls {text:?}: a member listens for others at one place")),
    }
}

/// Refuses what means nothing without other members.
fn alone(serve: &Serve) -> Result<(), String> {
    let given = [
        ("peer-secret-file", serve.peer_secret_file.is_some()),
        ("allow-insecure-peers", serve.allow_insecure_peers),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(format!(
            "--{flag} means nothing to a member alone: name where it listens for others with --listen-peer-urls"
        )),
        None => Ok(()),
    }
}

/// The heartbeat, and the shortest election timeout. One that is not given suits the other.
fn pace(serve: &Serve) -> Result<(Duration, Duration), String> {
    const HEARTBEAT: u64 = 50;
    const ELECTION: u64 = 300;
    let (heartbeat, election) = match (serve.heartbeat_interval, serve.election_timeout) {
        (None, None) => (HEARTBEAT, ELECTION),
        (Some(heartbeat), None) => (heartbeat, ELECTION.max(heartbeat.saturating_mul(5))),
        (None, Some(election)) => (HEARTBEAT.min(election / 5), election),
        (Some(heartbeat), Some(election)) => (heartbeat, election),
    };
    if heartbeat < 10 {
        return Err(format!("--heartbeat-interval {heartbeat}: should be at least 10 ms"));
    }
    if election < heartbeat.saturating_mul(5) {
        return Err(format!(
            "--election-timeout {election} should be at least five times --heartbeat-interval {heartbeat}"
        ));
    }
    if !(100..=50_000).contains(&election) {
        return Err(format!("--election-timeout {election}: should be from 100 to 50000 ms"));
    }
    Ok((Duration::from_millis(heartbeat), Duration::from_millis(election)))
}

/// What is in the file, without the end of its last line.
fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let mut secret =
        std::fs::read(path).map_err(|error| format!("--peer-secret-file {}: {error}", path.display()))?;
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_members_have_a_host_and_a_port_whatever_the_scheme() {
        for text in ["http://h:1", "tcp://h:1", "h:1", "http://h:1/"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), "h:1");
        }
        assert_eq!(Address::parse("[::1]:1").unwrap().to_string(), "[::1]:1");
        for text in ["https://h:1", "h", "http://h", ":1", "http://h:1/x", "ftp://h:1"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
