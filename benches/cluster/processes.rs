//! Three servers of a kind, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::shared::load::{self, Connection, request};
use crate::shared::servers::{free_port, own_bytes};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one try may take after a leader has gone: a write that nobody answers is sent again.
const TRY: Duration = Duration::from_millis(25);

/// How long everybody has to hear of everybody again, before the next one goes.
const REST: Duration = Duration::from_millis(500);

/// Whose servers. Both take the same flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Spinney,
    Etcd,
}

/// The servers; they end with this.
pub(crate) struct Trio {
    kind: Kind,
    members: Vec<Member>,
}

struct Member {
    name: String,
    directory: PathBuf,
    clients: SocketAddr,
    peers: SocketAddr,
    child: Option<Child>,
}

impl Kind {
    fn command(self) -> Command {
        match self {
            Self::Spinney => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_spinney"));
                command.arg("serve");
                command
            }
            Self::Etcd => {
                let mut command = Command::new("etcd");
                command.args(["--enable-v2", "--log-level", "error", "--logger", "zap"]);
                command
            }
        }
    }
}

impl Trio {
    /// A new cluster below `directory`; `None` where there are no such servers on this machine.
    pub(crate) fn start(kind: Kind, directory: &Path) -> Result<Option<Self>> {
        let is_here = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
        if kind == Kind::Etcd && !is_here {
            return Ok(None);
        }
        let member = |n| {
            let (name, clients, peers) = (format!("n{n}"), free_port()?, free_port()?);
            let directory = directory.join(format!("{kind:?}-{name}"));
            Ok(Member { name, directory, clients, peers, child: None })
        };
        let members = (1..=3).map(member).collect::<Result<_>>()?;
        let mut trio = Self { kind, members };
        for member in 0..3 {
            trio.open(member)?;
        }
        (0..3).try_for_each(|member| trio.wait_until_whole(member))?;
        Ok(Some(trio))
    }

    fn open(&mut self, member: usize) -> Result<()> {
        let each = self.members.iter().map(|member| format!("{}=http://{}", member.name, member.peers));
        let founders = each.collect::<Vec<_>>().join(",");
        let Member { name, directory, clients, peers, child } = &mut self.members[member];
        let (clients, peers) = (format!("http://{clients}"), format!("http://{peers}"));
        let mut command = self.kind.command();
        command.args(["--name", name, "--data-dir"]).arg(directory);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &founders]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        *child = Some(command.spawn()?);
        Ok(())
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.clients).collect()
    }

    /// What memory of their own the members have, in bytes: the one with the most counts.
    pub(crate) fn own_bytes(&self) -> Result<f64> {
        let children = self.members.iter().filter_map(|member| member.child.as_ref());
        children.map(own_bytes).try_fold(0.0, |most: f64, bytes| Ok(most.max(bytes?)))
    }

    /// Waits until a member has all that was written: what it writes itself comes after that.
    pub(crate) fn wait_until_whole(&self, member: usize) -> Result<()> {
        let address = self.members[member].clients;
        until("a member writes", || load::is_healthy(address) && writes(address, PATIENCE))
    }

    /// Which member leads: it alone tells how its followers are.
    fn leader(&self) -> Result<usize> {
        let leads = |address| {
            let asked = Connection::new(address)
                .and_then(|mut connection| connection.call(&request("GET", "/v2/stats/leader", "")));
            asked.is_ok_and(|status| status == 200)
        };
        let mut leader = None;
        until("a member leads", || {
            leader = self.addresses().into_iter().position(leads);
            leader.is_some()
        })?;
        leader.ok_or_else(|| "nobody leads".into())
    }

    /// How many milliseconds pass from when the leader is killed until another member has written.
    pub(crate) fn kill_leader(&mut self) -> Result<f64> {
        let leader = self.leader()?;
        let began = Instant::now();
        if let Some(child) = &mut self.members[leader].child {
            child.kill()?;
        }
        let took = self.next_write(leader, began)?;
        if let Some(mut child) = self.members[leader].child.take() {
            child.wait()?;
        }
        self.open(leader)?;
        self.rest(leader)?;
        Ok(took)
    }

    /// The same from when it is frozen: nobody closes its connections.
    pub(crate) fn freeze_leader(&mut self) -> Result<f64> {
        let leader = self.leader()?;
        self.signal(leader, "STOP")?;
        let took = self.next_write(leader, Instant::now());
        self.signal(leader, "CONT")?;
        self.rest(leader)?;
        took
    }

    fn signal(&self, member: usize, signal: &str) -> Result<()> {
        let child = self.members[member].child.as_ref().ok_or("it does not run")?;
        Command::new("kill").args(["-s", signal, &child.id().to_string()]).status()?;
        Ok(())
    }

    fn next_write(&self, gone: usize, began: Instant) -> Result<f64> {
        let survivor = self.members[(gone + 1) % 3].clients;
        until("a survivor writes", || writes(survivor, TRY))?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    fn rest(&self, member: usize) -> Result<()> {
        self.wait_until_whole(member)?;
        std::thread::sleep(REST);
        Ok(())
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a write is answered in so much time.
fn writes(address: SocketAddr, patience: Duration) -> bool {
    let written = Connection::new(address).and_then(|mut connection| {
        connection.set_patience(patience)?;
        connection.call(&request("PUT", "/v2/keys/next", "value=now"))
    });
    written.is_ok_and(|status| matches!(status, 200 | 201))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if holds() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("this never came: {what}").into())
}
