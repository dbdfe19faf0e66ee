//! etcd v2's data model as an embeddable crate.

mod codec;
mod entry;
mod event;
mod key;
mod node;
mod types;

pub use event::{Action, Change, Event, Resync};
pub use key::{Key, KeyError};
pub use node::Node;
pub use types::{ClusterId, Index, LogIndex, MemberId, Term, Timestamp};
