//! The real etcd, in its v2 mode, where it is installed.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::client::Client;
use crate::support::places::{free_address, own_host};

/// A process that ends with the test.
pub(crate) struct Etcd {
    process: Child,
    pub(crate) address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Etcd {
    /// Starts etcd on ports of its own; `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let (host, directory) = (own_host(), crate::support::directory());
        let (address, peer) = (free_address(&host), free_address(&host));
        let (client_url, peer_url) = (format!("http://{address}"), format!("http://{peer}"));
        let process = Command::new("etcd")
            .args(["--enable-v2", "--logger", "zap", "--log-level", "error", "--name", "peer"])
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("peer={peer_url}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let etcd = Self { process, address, _directory: directory };
        crate::support::wait_until("etcd answers", || {
            let asked = Client::new(address).and_then(|mut client| client.call("GET", "/health", None));
            asked.is_ok_and(|reply| reply.head.status == 200)
        });
        Some(etcd)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
