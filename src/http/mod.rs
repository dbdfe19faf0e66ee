//! etcd's v2 HTTP API over a [`Store`](crate::Store): curl, etcdctl and twelve years of scripts, unchanged.
//!
//! ```no_run
//! use std::net::TcpListener;
//! use spinney::{Store, http::Server};
//!
//! let store = Store::open("data")?;
//! Server::new(store).listen(TcpListener::bind("127.0.0.1:2379")?).start()?.wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   Server ─► lanes ─► connection ─► front ─┬─► keys      request ─► read, write or watch ─► event
//!   builds    threads  bounds        routes ├─► auth      who may do what
//!                                           └─► others    members, statistics, health
//! ```
//! What goes over the wire is etcd 3.4's to the byte: field order, escapes, statuses, headers, quirks. Three things are
//! different, on purpose:
//!
//! - `stream=true` with an old `waitIndex` tells all that history has, and then what follows. (etcd tells the first of
//!   it and falls silent.)
//! - A watch that meets a gap ends with error 401. (etcd skips in silence.)
//! - Listings are always sorted, and keys expire when they are due, not at the next sweep.
//!
//! What else cannot be as there, since members do not speak HTTP and a store has bounds of its own, is in the README, under
//! "Coming from etcd v2".
//!
//! Statistics count what comes in here, from when the server was made.

mod auth;
mod connection;
mod cors;
mod form;
mod front;
mod json;
mod keys;
mod lanes;
mod limits;
mod members;
mod membership;
mod metrics;
mod moment;
mod names;
mod others;
mod patience;
mod peer_urls;
#[cfg(feature = "cli")]
mod proxy;
mod pulse;
mod refusal;
mod respond;
mod roll;
mod said;
mod server;
mod stats;
#[cfg(feature = "tls")]
mod tls;
mod traffic;
mod transaction;
mod url;

pub use cors::Cors;
pub use limits::Limits;
#[cfg(feature = "cli")]
pub(crate) use moment::rfc3339;
#[cfg(feature = "cli")]
pub(crate) use peer_urls::peer_urls;
#[cfg(feature = "cli")]
pub(crate) use proxy::{ProxySettings, Trust, parse_url, run as run_proxy};
pub use server::{Running, Server, Stopper};
#[cfg(feature = "tls")]
pub use tls::Tls;
#[cfg(feature = "cli")]
pub(crate) use tls::is_encrypted;
