//! What the tests of the HTTP front share.
#![allow(dead_code, reason = "each test program uses some of it")]

pub(crate) mod client;
pub(crate) mod etcd;
pub(crate) mod expected;
pub(crate) mod replay;

use std::net::{SocketAddr, TcpListener};

use spinney::Store;
use spinney::http::{Running, Server};

/// A server of `store` on a port of its own.
pub(crate) fn serve(store: &Store) -> (Running, SocketAddr) {
    start(Server::new(store.clone()).peer_urls(["http://127.0.0.1:2380"]))
}

pub(crate) fn start(server: Server) -> (Running, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = server.listen(listener).start().unwrap();
    let address = running.addresses()[0];
    (running, address)
}
