//! Changes and filters for the tests of this module.

use std::sync::Arc;

use super::filter::Filter;
use super::history::HistoryLimits;
use crate::event::{Action, Change};
use crate::key::Key;
use crate::node::Node;
use crate::types::{Index, Timestamp};

pub(super) fn key(path: &str) -> Key {
    Key::parse(path).unwrap()
}

/// A history of so many changes, however large.
pub(super) fn limits(changes: usize) -> HistoryLimits {
    HistoryLimits { changes, bytes: usize::MAX }
}

/// A watch of `path` alone.
pub(super) fn filter(path: &str) -> Filter {
    Filter { key: key(path), recursive: false, hidden: false }
}

/// A file whose value is its index.
pub(super) fn file(path: &str, index: u64) -> Node {
    let value = index.to_string().into_bytes().into_boxed_slice();
    Node::file(key(path), Index::new(index), Index::new(index), None, value)
}

pub(super) fn directory(path: &str, index: u64) -> Node {
    Node::directory(key(path), Index::new(index), Index::new(index), None)
}

fn change(action: Action, node: Node, prev_node: Option<Node>) -> Arc<Change> {
    Arc::new(Change::new(action, node, prev_node, Timestamp::new(0)))
}

pub(super) fn set(path: &str, index: u64) -> Arc<Change> {
    change(Action::Set, file(path, index), None)
}

/// The removal of a file.
pub(super) fn remove(path: &str, index: u64) -> Arc<Change> {
    change(Action::Delete, file(path, index), Some(file(path, 0)))
}

/// The removal of a directory.
pub(super) fn remove_directory(path: &str, index: u64) -> Arc<Change> {
    change(Action::Expire, directory(path, index), Some(directory(path, 0)))
}

/// A change that only renewed a TTL.
pub(super) fn refresh(path: &str, index: u64) -> Arc<Change> {
    let mut change = Change::new(Action::Update, file(path, index), None, Timestamp::new(0));
    change.refresh = true;
    Arc::new(change)
}
