//! The servers that are compared, each a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spinney::Store;
use spinney::http::Server;

use super::{Result, load};

/// The argument that makes this program a server.
pub(crate) const FLAG: &str = "--serve";

/// How often, and how far apart, a server that starts is asked whether it is there.
const TRIES_MAX: usize = 300;
const PAUSE: Duration = Duration::from_millis(50);

/// A server that runs; it ends with this.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Contestant {
    /// Spinney on a new directory.
    pub(crate) fn spinney(directory: &Path) -> Result<Self> {
        Self::of_this_program("spinney", [FLAG.as_ref(), directory.as_os_str()])
    }

    /// This program, which with these arguments says where it listens and serves until its input ends.
    pub(crate) fn of_this_program<'a>(
        name: &'static str,
        arguments: impl IntoIterator<Item = &'a OsStr>,
    ) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self { name, address, process })
    }

    /// etcd on a new directory; `None` where it is not installed.
    pub(crate) fn etcd(directory: &Path) -> Result<Option<Self>> {
        let (client, peer) = (free_port()?, free_port()?);
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let started = Command::new("etcd")
            .args(["--enable-v2", "--log-level", "error", "--logger", "zap", "--name", "bench"])
            .arg("--data-dir")
            .arg(directory)
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("bench={peer_url}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let contestant = Self { name: "etcd", address: client, process };
        contestant.wait_until_it_answers()?;
        Ok(Some(contestant))
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        for _ in 0..TRIES_MAX {
            if load::is_healthy(self.address) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("{} does not answer", self.name).into())
    }

    /// How much memory the process takes, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<f64> {
        status(&self.process, "VmRSS:").map(|kilobytes| kilobytes * 1024.0)
    }

    /// How many threads the process has.
    pub(crate) fn threads(&self) -> Result<f64> {
        status(&self.process, "Threads:")
    }

    /// How much memory of its own the process has, in bytes: pages of files that are mapped do not count.
    pub(crate) fn own_bytes(&self) -> Result<f64> {
        own_bytes(&self.process)
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process of a contestant: serves until it is ended, or its parent is gone.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [directory] = arguments else { return Err("a server wants its directory".into()) };
    let store = Store::open(directory)?;
    let running = Server::new(store).listen(TcpListener::bind("127.0.0.1:0")?).start()?;
    println!("{}", running.addresses()[0]);
    // Whoever started this holds the other end, and says nothing.
    std::io::stdin().read_line(&mut String::new())?;
    running.stop();
    Ok(())
}

/// How much memory of its own a process has, in bytes.
pub(crate) fn own_bytes(process: &Child) -> Result<f64> {
    status(process, "RssAnon:").map(|kilobytes| kilobytes * 1024.0)
}

fn status(process: &Child, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.split_whitespace().next().ok_or("no value")?.parse()?)
}

/// A place on loopback where nobody listens.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
