//! etcd v2's data model as an embeddable crate.

mod codec;
mod entry;
mod error;
mod event;
mod key;
mod member;
mod node;
mod raft;
mod store;
mod tree;
mod types;
mod wal;
mod watch;

pub use error::Error;
pub use event::{Action, Change, Event, Resync};
pub use key::{KEY_PARTS_MAX, Key, KeyError};
pub use member::{Durability, Outcome, Pending};
pub use node::Node;
pub use store::{
    BackupInfo, Builder, CheckBuilder, Delete, Difference, IntoValue, LogStatus, Put, RESTORE_INDEX_JUMP,
    Status, Store, Transaction, Verified, View, WatchBuilder,
};
pub use types::{ClusterId, Index, LogIndex, MemberId, Term, Timestamp};
pub use wal::{Identity, WalError};
pub use watch::{Subscription, Watch, WatchIter, WatchStats};

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
    /// A store on a disk of one's own.
    pub use crate::store::open_on;
    /// The consensus core.
    pub mod raft {
        pub use crate::raft::*;
    }
}
