//! The program: its commands beside the real etcdctl, its server beside the real etcd, and what only it has.
//!
//! `UPDATE_SESSIONS=1 cargo test --features cli --test cli` records anew what etcdctl says to etcd, both of which must
//! be installed then.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/own.rs"]
mod own;
#[path = "support/run.rs"]
mod run;
#[path = "cli/servers.rs"]
mod servers;
#[path = "cli/serving.rs"]
mod serving;
#[path = "cli/session.rs"]
mod session;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/tls.rs"]
mod tls;
#[path = "cli/watching.rs"]
mod watching;

use servers::{Server, etcdctl, spinney};
use session::play_all;

fn skipped(what: &str) {
    eprintln!("skipped: {what} is not installed");
}

#[test]
fn etcdctl_says_to_etcd_what_is_recorded() {
    let (Some(server), Some(_)) = (Server::etcd(), etcdctl()) else { return skipped("etcd, or etcdctl") };
    let record = std::env::var_os("UPDATE_SESSIONS").is_some();
    play_all(&server, &|| etcdctl().unwrap(), record);
}

#[test]
fn our_commands_say_to_etcd_what_etcdctl_says() {
    let Some(server) = Server::etcd() else { return skipped("etcd") };
    play_all(&server, &spinney, false);
}

#[test]
fn etcdctl_says_to_our_server_what_it_says_to_etcd() {
    let Some(_) = etcdctl() else { return skipped("etcdctl") };
    play_all(&Server::spinney(&[]), &|| etcdctl().unwrap(), false);
}

#[test]
fn our_commands_say_to_our_server_what_etcdctl_says_to_etcd() {
    play_all(&Server::spinney(&[]), &spinney, false);
}
