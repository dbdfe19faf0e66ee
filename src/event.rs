//! What happened: as callers get it for an answer and watchers see it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::node::Node;
use crate::types::{Index, Timestamp};

/// What a change did; `Display` gives etcd's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// A file or directory was made, or a file replaced by a new one.
    Set,
    /// A file or directory was made where nothing was.
    Create,
    /// A file's value, or a node's TTL, was replaced.
    Update,
    /// A file or directory was removed, with what was below it.
    Delete,
    /// A file's value was replaced under a condition that held.
    CompareAndSwap,
    /// A file was removed under a condition that held.
    CompareAndDelete,
    /// A node's TTL ran out, and it was removed with what was below it.
    Expire,
}

impl Action {
    /// Whether the node is gone afterwards.
    #[must_use]
    pub const fn is_removal(self) -> bool {
        matches!(self, Self::Delete | Self::CompareAndDelete | Self::Expire)
    }

    /// The action as etcd v2 writes it, such as `compareAndSwap`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::CompareAndSwap => "compareAndSwap",
            Self::CompareAndDelete => "compareAndDelete",
            Self::Expire => "expire",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of the tree. Its index is [`Change::index`], one more than the change's before it.
///
/// ```
/// use spinney::Action;
///
/// let store = spinney::Store::in_memory();
/// store.set("/a", "1")?;
/// let change = store.set("/a", "2")?;
/// assert_eq!(change.action, Action::Set);
/// assert_eq!(change.node.text(), Some("2"));
/// assert_eq!(change.prev_node.as_ref().and_then(|node| node.text()), Some("1"));
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What was done.
    pub action: Action,
    /// The node afterwards. After a removal it has the key, the indexes and nothing else. A directory comes
    /// without what is in it.
    pub node: Node,
    /// The node before, when there was one. A directory comes without what was in it.
    pub prev_node: Option<Node>,
    /// When it happened, in log time.
    pub time: Timestamp,
    /// Whether this only renewed a TTL: part of history, but no watcher is told.
    pub refresh: bool,
}

impl Change {
    pub(crate) fn new(action: Action, node: Node, prev_node: Option<Node>, time: Timestamp) -> Self {
        Self { action, node, prev_node, time, refresh: false }
    }

    /// The index this change took.
    #[must_use]
    pub fn index(&self) -> Index {
        self.node.modified()
    }

    /// The key of the node that was changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.node.key()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("action", &self.action)
            .field("node", &self.node)
            .field("prev_node", &self.prev_node)
            .field("time", &self.time.get())
            .finish_non_exhaustive()
    }
}

/// What a watcher is sent.
///
/// Whoever keeps a picture of what is watched applies a change, and begins afresh with a resync:
///
/// ```
/// use std::collections::BTreeMap;
/// use spinney::{Event, Store};
///
/// let store = Store::builder().history(1).open()?;
/// let watch = store.watch("/ports").recursive().since(1).start()?;
/// for (key, port) in [("/ports/web", 80), ("/ports/db", 5432), ("/ports/web", 8080)] {
///     store.set(key, port)?;
/// }
/// store.delete("/ports/db")?;
///
/// let mut ports = BTreeMap::new();
/// let mut follow = |event: Event| match event {
///     Event::Change(change) if change.action.is_removal() => {
///         ports.remove(change.key());
///     }
///     Event::Change(change) => {
///         ports.insert(change.key().clone(), change.node.parse::<u16>());
///     }
///     Event::Resync(resync) => {
///         let files = resync.node.iter().flat_map(|node| node.descendants());
///         ports = files.map(|file| (file.key().clone(), file.parse())).collect();
///     }
///     other => unreachable!("no version has sent {other:?} so far"),
/// };
/// watch.iter().take(4).for_each(&mut follow);
///
/// // Another one comes late: history has the last change and nothing before it.
/// let late = store.watch("/ports").recursive().since(1).start()?;
/// let event = late.iter().next().expect("the store is open");
/// assert!(matches!(event, Event::Resync(_)));
/// follow(event);
/// assert_eq!(ports.into_iter().map(|(key, port)| (key.to_string(), port)).collect::<Vec<_>>(),
///     [("/ports/web".to_owned(), Some(8080))]);
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A change that matches the watch.
    Change(Arc<Change>),
    /// Changes were missed that are no longer kept: here is what is there now, and what follows continues
    /// from it.
    Resync(Arc<Resync>),
}

impl Event {
    /// The index up to which the watcher has seen everything, having seen this.
    #[must_use]
    pub fn index(&self) -> Index {
        match self {
            Self::Change(change) => change.index(),
            Self::Resync(resync) => resync.index,
        }
    }

    /// The change, unless this is a resync.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Change(change) => Some(change),
            Self::Resync(_) => None,
        }
    }
}

/// A gap in what a watcher could be told, and the present content to go on from. [`Event`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resync {
    /// The key that is watched.
    pub key: Key,
    /// The first index that the watcher has not seen.
    pub missed_from: Index,
    /// The oldest index that history still kept when this was sent.
    pub history_from: Index,
    /// The index that `node` is of; changes after it follow.
    pub index: Index,
    /// What is at the key now, with everything below it; `None` when nothing is.
    pub node: Option<Node>,
}
