//! Nodes and changes as the v2 API shows them.

use std::io::Write;

use crate::event::{Action, Change};
use crate::http::{json, moment, names};
use crate::node::Node;
use crate::types::{Index, Timestamp};

/// The answer to a read. With `recursive`, directories below come with what is in them.
pub(super) fn read(found: &Node, recursive: bool, now: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(160 + found.value().len());
    out.extend_from_slice(br#"{"action":"get","node":"#);
    let depth = if recursive { usize::MAX } else { 1 };
    node(&mut out, found, Shown { depth, value: true, now });
    out.extend_from_slice(b"}\n");
    out
}

/// The change as its writer and its watchers see it; a TTL is what it was at the time of the change.
pub(in crate::http) fn change(change: &Change) -> Vec<u8> {
    let now = change.time;
    let mut out = Vec::with_capacity(256 + change.node.value().len());
    write!(out, r#"{{"action":"{}","node":"#, change.action).expect("a vector takes everything");
    node(&mut out, &change.node, Shown { depth: 0, value: !change.action.is_removal(), now });
    if let Some(previous) = &change.prev_node {
        out.extend_from_slice(br#","prevNode":"#);
        node(&mut out, previous, Shown { depth: 0, value: true, now });
    }
    out.extend_from_slice(b"}\n");
    out
}

/// All that a writer is told who does not want the value back.
pub(super) fn action_alone(action: Action) -> Vec<u8> {
    format!("{{\"action\":\"{action}\"}}\n").into_bytes()
}

/// How a node is shown.
#[derive(Clone, Copy)]
struct Shown {
    /// How many levels of what is in a directory come along.
    depth: usize,
    /// Whether a file comes with its value; one that is gone has none.
    value: bool,
    now: Timestamp,
}

/// Adds the fields of `node` that apply, in etcd's order.
fn node(out: &mut Vec<u8>, node: &Node, shown: Shown) {
    let mut fields = Fields { out, is_first: true };
    fields.out.push(b'{');
    if !node.key().is_root() {
        json::string(fields.add("key"), &names::to_wire(node.key()));
    }
    if node.is_dir() {
        fields.add("dir").extend_from_slice(b"true");
    } else if shown.value {
        json::string(fields.add("value"), node.value());
    }
    if let Some(deadline) = node.deadline() {
        let out = fields.add("expiration");
        out.push(b'"');
        moment::rfc3339(out, deadline);
        out.push(b'"');
        let ttl = seconds_left(deadline, shown.now);
        if ttl != 0 {
            json::number(fields.add("ttl"), ttl);
        }
    }
    if shown.depth > 0 {
        nodes(&mut fields, node, shown);
    }
    for (name, index) in [("modifiedIndex", node.modified()), ("createdIndex", node.created())] {
        if index != Index::default() {
            json::number(fields.add(name), index.get());
        }
    }
    fields.out.push(b'}');
}

/// Adds what is in a directory, if there is anything to show, in the order of the keys.
fn nodes(fields: &mut Fields<'_>, directory: &Node, shown: Shown) {
    let below = Shown { depth: shown.depth - 1, ..shown };
    let mut children: Vec<&Node> = directory.children().collect();
    if children.is_empty() {
        return;
    }
    // The tree's order is that of the wire, unless a name is no text.
    if children.iter().any(|child| matches!(names::to_wire(child.name()), std::borrow::Cow::Owned(_))) {
        children.sort_by_cached_key(|child| names::to_wire(child.name()).into_owned());
    }
    let out = fields.add("nodes");
    for (position, child) in children.into_iter().enumerate() {
        out.push(if position == 0 { b'[' } else { b',' });
        node(out, child, below);
    }
    out.push(b']');
}

/// Rounded up; of what is overdue, negative and in whole seconds.
fn seconds_left(deadline: Timestamp, now: Timestamp) -> i128 {
    let left_ms = i128::from(deadline.get()) - i128::from(now.get());
    if left_ms > 0 { (left_ms + 999) / 1000 } else { left_ms / 1000 }
}

/// The fields of an object under way.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Fields<'_> {
    /// Begins a field; its value is to be added to what is returned.
    fn add(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}
