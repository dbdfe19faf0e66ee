//! etcd v2's data model as an embeddable crate.

mod codec;
mod entry;
mod event;
mod key;
mod node;
mod tree;
mod types;

pub use event::{Action, Change, Event, Resync};
pub use key::{KEY_PARTS_MAX, Key, KeyError};
pub use node::Node;
pub use types::{ClusterId, Index, LogIndex, MemberId, Term, Timestamp};

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
}
