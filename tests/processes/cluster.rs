//! Members that are processes of their own: started, killed, frozen, and asked over HTTP.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::links::Links;
use crate::support::places::{free_address, own_host};
use crate::support::{comes, directory, wait_until};

/// How long one request may take before somebody else is asked: more than a member lets a request wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A member, running or not.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) clients: SocketAddr,
    /// Where it listens for others.
    pub(crate) peers: SocketAddr,
    /// Where others reach it, if they do so through a proxy.
    proxy: Option<SocketAddr>,
    child: Option<Child>,
}

/// Members that are told of each other.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
    host: String,
    directory: TempDir,
    flags: Vec<String>,
    links: Option<Links>,
}

pub(crate) fn spinney() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spinney"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().to_ascii_lowercase().starts_with("etcd") {
            command.env_remove(&name);
        }
    }
    command
}

/// The URL of a place.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl Cluster {
    /// Three members that found a cluster, and serve.
    pub(crate) fn of_three(flags: &[&str]) -> Self {
        let mut cluster = Self::prepared(3, flags);
        cluster.found();
        cluster
    }

    /// So many members that found a cluster, and serve; what they say to each other can be spoilt.
    pub(crate) fn linked(count: usize, flags: &[&str]) -> Self {
        let mut cluster = Self::prepared(count, flags);
        let addresses: Vec<_> = cluster.members.iter().map(|member| member.peers).collect();
        let links = Links::between(&addresses);
        for (number, member) in cluster.members.iter_mut().enumerate() {
            member.proxy = Some(links.address(number));
        }
        cluster.links = Some(links);
        cluster.found();
        cluster
    }

    pub(crate) fn prepared(count: usize, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let (members, directory) = (Vec::new(), directory());
        let mut cluster = Self { members, host: own_host(), directory, flags, links: None };
        for _ in 0..count {
            cluster.new_member();
        }
        cluster
    }

    fn found(&mut self) {
        (0..self.members.len()).for_each(|member| self.start(member, "new"));
        self.wait_until_well();
    }

    /// One more, that is not started yet.
    pub(crate) fn new_member(&mut self) -> usize {
        let (clients, peers) = (free_address(&self.host), free_address(&self.host));
        let name = format!("n{}", self.members.len() + 1);
        self.members.push(Member { name, clients, peers, proxy: None, child: None });
        self.members.len() - 1
    }

    /// What the members say to each other.
    pub(crate) fn links(&self) -> &Links {
        self.links.as_ref().expect("a cluster that is linked")
    }

    pub(crate) fn data(&self, member: usize) -> PathBuf {
        self.directory.path().join(&self.members[member].name)
    }

    fn log(&self, member: usize) -> PathBuf {
        self.directory.path().join(format!("{}.log", self.members[member].name))
    }

    /// What a member has said so far.
    pub(crate) fn said(&self, member: usize) -> String {
        fs::read_to_string(self.log(member)).unwrap_or_default()
    }

    pub(crate) fn initial_cluster(&self) -> String {
        let each = self.members.iter().map(|member| {
            let address = member.proxy.unwrap_or(member.peers);
            format!("{}={}", member.name, url(address))
        });
        each.collect::<Vec<_>>().join(",")
    }

    /// Starts a member; it may take a moment until it serves.
    pub(crate) fn start(&mut self, member: usize, state: &str) {
        self.start_with(member, state, &[]);
    }

    /// The same with more flags.
    pub(crate) fn start_with(&mut self, member: usize, state: &str, flags: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log(member)).unwrap();
        let mut command = spinney();
        command.args(["serve", "--initial-cluster-state", state, "--data-dir"]).arg(self.data(member));
        command.args(["--initial-cluster", &self.initial_cluster()]).args(&self.flags).args(flags);
        let Member { name, clients, peers, child, .. } = &mut self.members[member];
        command.args(["--name", name, "--listen-client-urls", &url(*clients)]);
        command.args(["--listen-peer-urls", &url(*peers)]);
        *child = Some(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub(crate) fn signal(&self, member: usize, signal: &str) {
        self::signal(self.members[member].child.as_ref().unwrap(), signal);
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, member: usize) {
        let mut child = self.members[member].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells a member to end, and waits until it has.
    pub(crate) fn stop(&mut self, member: usize) {
        self.signal(member, "TERM");
        assert_eq!(self.ended(member), Some(0), "{}", self.said(member));
    }

    /// Waits until a member ends by itself, and tells how.
    pub(crate) fn ended(&mut self, member: usize) -> Option<i32> {
        let child = &mut self.members[member].child;
        let mut ended = None;
        wait_until("a member ends", || {
            ended = child.as_mut().and_then(|child| child.try_wait().unwrap());
            ended.is_some()
        });
        *child = None;
        ended.and_then(|ended| ended.code())
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.clients).collect()
    }

    pub(crate) fn ask(
        &self,
        member: usize,
        method: &str,
        target: &str,
        form: Option<&str>,
    ) -> io::Result<Reply> {
        call(self.members[member].clients, method, target, form)
    }

    /// A key as a member has it.
    pub(crate) fn value(&self, member: usize, target: &str) -> Option<String> {
        let reply = self.ask(member, "GET", &format!("/v2/keys{target}"), None).ok()?;
        Some(json(&reply)["node"]["value"].as_str()?.to_owned())
    }

    /// Writes what nothing follows, and says at which index it was: so far watchers are to be told.
    ///
    /// It goes through each of the members. What a caller gave up may still be on its way there, and is done before.
    pub(crate) fn set_last(&self, members: &[usize]) -> u64 {
        for &member in members {
            wait_until("the end marker", || self.set(member, "/end", "1"));
        }
        let end = self.ask(members[0], "GET", "/v2/keys/end?quorum=true", None).unwrap();
        json(&end)["node"]["modifiedIndex"].as_u64().unwrap()
    }

    pub(crate) fn set(&self, member: usize, key: &str, value: &str) -> bool {
        let form = format!("value={value}");
        let reply = self.ask(member, "PUT", &format!("/v2/keys{key}"), Some(&form));
        reply.is_ok_and(|reply| matches!(reply.head.status, 200 | 201))
    }

    pub(crate) fn is_well(&self, member: usize) -> bool {
        self.ask(member, "GET", "/health", None).is_ok_and(|reply| reply.head.status == 200)
    }

    /// Waits until every member that runs is well.
    pub(crate) fn wait_until_well(&self) {
        for member in 0..self.members.len() {
            if self.members[member].child.is_some() && !comes(|| self.is_well(member)) {
                (0..self.members.len()).for_each(|member| self.tell(member));
                panic!("{} is not well", self.members[member].name);
            }
        }
    }

    /// Prints all that is known of a member.
    fn tell(&self, member: usize) {
        println!("{} said {}", self.members[member].name, self.said(member));
        for target in ["/metrics", "/v2/stats/self", "/v2/members/leader"] {
            match self.ask(member, "GET", target, None) {
                Ok(reply) => println!("{target}: {}", reply.text()),
                Err(error) => println!("{target}: {error}"),
            }
        }
    }

    /// Waits until a member has nothing to complain of: it has a vote, reaches all others, and no change is under way.
    pub(crate) fn wait_until_whole(&self, member: usize) {
        let name = &self.members[member].name;
        wait_until(format!("{name} has no problems"), || {
            let metrics = self.ask(member, "GET", "/metrics", None);
            metrics.is_ok_and(|metrics| metrics.text().contains("\nspinney_problems 0\n"))
        });
    }

    /// The names and ids of the members, as one of them tells.
    pub(crate) fn listed(&self, member: usize) -> Vec<(String, String)> {
        let Ok(reply) = self.ask(member, "GET", "/v2/members", None) else { return Vec::new() };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let members = json(&reply)["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| (text(&member["name"]), text(&member["id"]))).collect()
    }

    /// Which member leads, as one of `members` tells who knows.
    pub(crate) fn leader(&self, members: &[usize]) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            leader = members.iter().find_map(|&member| {
                let reply = self.ask(member, "GET", "/v2/members/leader", None).ok()?;
                let told = json(&reply);
                self.members.iter().position(|member| told["name"] == member.name.as_str())
            });
            leader.is_some()
        });
        leader.unwrap()
    }
}

/// Sends a process a signal.
pub(crate) fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn call(to: SocketAddr, method: &str, target: &str, form: Option<&str>) -> io::Result<Reply> {
    let mut client = Client::new(to)?;
    client.stream().set_read_timeout(Some(PATIENCE))?;
    client.call(method, target, form)
}

pub(crate) fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}
