//! etcd v2's data model as an embeddable crate: a tree of keys in memory, with watches, TTLs, and a checksummed log
//! that survives whatever happens to the process; alone, or as one of a few members that replicate to each other.
//!
//! # Where to begin
//!
//! [`Store`] is the handle to everything. Open one on a directory ([`Store::open`]) or in memory
//! ([`Store::in_memory`]), clone it for every thread, and call it:
//!
//! ```
//! use std::time::Duration;
//! use spinney::{Event, Store};
//!
//! let store = Store::in_memory();
//! store.set("/services/web", "10.0.0.1:80")?;
//! assert_eq!(store.get("/services/web")?.text(), Some("10.0.0.1:80"));
//!
//! let watch = store.watch("/services").recursive().start()?;
//! store.put("/services/db").value("10.0.0.2:5432").ttl(Duration::from_secs(30)).send()?;
//! let Ok(Event::Change(change)) = watch.recv() else { panic!() };
//! assert_eq!(change.key(), "/services/db");
//! # Ok::<(), spinney::Error>(())
//! ```
//!
//! # The words
//!
//! - A **node** is a file, with a value, or a directory, with children. A [`Node`] that was read stays as it was; one of
//!   a directory is a consistent view of all below it.
//! - The **index** ([`Index`]) counts changes. Each change takes the next one; `created` and `modified` of a node are
//!   such numbers, and a watch resumes from one. It never goes back.
//! - A **change** ([`Change`]) is what a write did: the action, the node afterwards and the node before. The writer gets
//!   it for an answer; watchers get the same.
//! - A **view** ([`View`]) shows all keys at one index. A **snapshot** is what the log on disk begins with.
//!
//! # What to call
//!
//! | call | does |
//! | --- | --- |
//! | [`Store::get`], [`Store::list`] | read what is there now; nothing is written or waited for |
//! | [`Store::view`] | all keys at one index, to read as often as one likes, and to compare: [`View::diff`] |
//! | [`Store::set`], [`Store::delete`], [`Store::mkdir`], [`Store::create_in_order`] | the plain writes |
//! | [`Store::put`] | writes with conditions, a TTL, a refresh; directories |
//! | [`Store::remove`] | removes directories, and under conditions |
//! | [`Store::txn`] | several keys at once |
//! | `submit()` in place of `send()` or `commit()` | the same without waiting: a [`Pending`] to wait for, await, or be called by |
//! | [`Store::watch`] | changes as they come, or from an index in the past: a [`Watch`] |
//! | [`Store::backup`], [`Store::restore`], [`Store::verify`] | what is kept elsewhere, and whether it is whole |
//! | [`Store::builder`] | all of that with other settings |
//!
//! # When something fails
//!
//! Every call gives an [`Error`] that says what and where. The tree's refusals carry etcd's [`code`](Error::code); what
//! the store could not do just now says whether it [may have been applied](Error::Unavailable).
//!
//! # Features
//!
//! No feature brings an async runtime but `http`, and no socket is opened but those that you name.
//!
//! | feature | brings |
//! | --- | --- |
//! | `cluster`, a default | members of a cluster: `Builder::listen`, `Store::cluster` |
//! | `http` | the `http` module: etcd's v2 API over a store, on axum and tokio |
//! | `tls` | TLS for its clients |
//! | `cli` | the program `spinney`: a server, and etcdctl's v2 commands |
//!
//! # More than one machine
//!
//! With [`Builder::listen`] the same handle is a member of a small cluster: writes are answered when a majority has them
//! on disk, `get` reads this member, and [`Store::get_latest`] reads what is newest anywhere. [`Store::cluster`] shows
//! and changes who the members are. A directory that was written alone opens as the first of them.
//!
//! # What it promises
//!
//! A write that returned is on disk, unless [`Durability::Process`] was chosen, and it is visible and has been told to
//! the watchers. A watcher sees every matching change once and in order, or a [`Resync`]. Damage on disk is refused,
//! never taken for the end of the log. Dropping the last [`Store`] ends all threads.

#[cfg(feature = "cli")]
pub mod cli;
mod codec;
mod entry;
mod error;
mod event;
#[cfg(feature = "http")]
pub mod http;
mod key;
mod member;
#[cfg(feature = "cluster")]
mod net;
mod node;
mod raft;
mod replica;
mod session;
mod store;
mod tree;
mod types;
mod wal;
mod watch;

pub use error::Error;
pub use event::{Action, Change, Event, Resync};
pub use key::{KEY_PARTS_MAX, Key, KeyError};
pub use member::{Durability, Outcome, Pending};
#[cfg(feature = "cluster")]
pub use net::{NetError, Refusal, Rejection, TurnedAway};
pub use node::Node;
pub use raft::Denied;
pub use store::{
    BackupInfo, Builder, CheckBuilder, Delete, Difference, IntoValue, LogStatus, LostMember, Put,
    RESTORE_INDEX_JUMP, Status, Store, Survivor, Transaction, View, WatchBuilder,
};
#[cfg(feature = "cluster")]
pub use store::{Cluster, MemberInfo};
pub use types::{ClusterId, Index, LogIndex, MemberId, Term, Timestamp};
pub use wal::{Identity, WalError};
pub use watch::{Subscription, Watch, WatchIter, WatchStats};

/// What goes between the members of a cluster, as [`Cluster::traffic`] tells it.
#[cfg(feature = "cluster")]
pub mod traffic {
    pub use crate::member::{Flow, Follower, Latency, Traffic};
}

/// The parts by themselves, for this crate's own tests, benches and fuzz targets. No part of the API: it may
/// change with any version.
#[doc(hidden)]
pub mod internals {
    /// The encoding.
    pub mod codec {
        pub use crate::codec::*;
    }
    /// What the log is made of.
    pub mod entry {
        pub use crate::entry::*;
    }
    /// The tree.
    pub mod tree {
        pub use crate::tree::*;
    }
    /// The log, its snapshots and its disks.
    pub mod wal {
        pub use crate::wal::*;
    }
    /// A member of a cluster with a clock of its own.
    #[cfg(feature = "cluster")]
    pub use crate::store::set_clock_ahead;
    /// A store on a disk of one's own.
    pub use crate::store::{open_on, survivor_on};
    /// Which proposals were applied.
    pub mod session {
        pub use crate::session::*;
    }
    /// The number of a member's life.
    pub use crate::types::BootId;
    /// A member without threads, clock or sockets.
    pub mod replica {
        pub use crate::replica::*;
        pub use crate::watch::HistoryLimits;
    }
    /// Bytes between members.
    #[cfg(feature = "cluster")]
    pub mod net {
        pub use crate::net::*;
    }
    /// What is said at joining.
    #[cfg(feature = "cluster")]
    pub mod joining {
        pub use crate::member::admission::*;
    }
    /// The consensus core.
    pub mod raft {
        pub use crate::raft::*;
    }
}

/// The README's snippets, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
