//! Nodes, changes and refusals as the v2 API shows them.
//!
//! One thing is kept simpler than on the wire: an `expiration` is a number here, in milliseconds. How the moment
//! is written is the HTTP front's matter.

use serde_json::{Map, Value, json};
use spinney::internals::tree::Refused;
use spinney::{Action, Change, Index, Node, Timestamp};

use super::request::BadRequest;

/// What a client is sent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The index header.
    pub(crate) index: Index,
    pub(crate) body: Value,
}

/// Status and code of the HTTP API, and etcd's words, for each code.
fn table(code: u16) -> (u16, &'static str) {
    match code {
        100 => (404, "Key not found"),
        101 => (412, "Compare failed"),
        102 => (403, "Not a file"),
        104 => (400, "Not a directory"),
        105 => (412, "Key already exists"),
        107 => (400, "Root is read only"),
        108 => (403, "Directory not empty"),
        201 => (400, "PrevValue is Required in POST form"),
        202 => (400, "The given TTL in POST form is not a number"),
        203 => (400, "The given index in POST form is not a number"),
        209 => (400, "Invalid field"),
        210 => (400, "Invalid POST form"),
        211 => (400, "Value provided on refresh"),
        212 => (400, "A TTL must be provided on refresh"),
        401 => (400, "The event in requested index is outdated and cleared"),
        _ => panic!("no such code: {code}"),
    }
}

fn error(code: u16, cause: &str, index: Index) -> Answer {
    let (status, message) = table(code);
    let mut body = json!({"errorCode": code, "message": message, "cause": cause, "index": index.get()});
    if cause.is_empty() {
        body.as_object_mut().expect("made above").shift_remove("cause");
    }
    Answer { status, index, body }
}

pub(crate) fn refused(refused: &Refused) -> Answer {
    match refused {
        Refused::KeyNotFound { key, index } => error(100, key, *index),
        Refused::CompareFailed { mismatch, index, .. } => error(101, &shown(&mismatch.cause()), *index),
        // As in v2: compare-and-delete of the root comes without a cause.
        Refused::NotAFile { key, index } if key.is_root() => error(102, "", *index),
        Refused::NotAFile { key, index } => error(102, key, *index),
        Refused::NotADirectory { key, index } => error(104, key, *index),
        Refused::KeyExists { key, index } => error(105, key, *index),
        Refused::RootReadOnly { index } => error(107, "/", *index),
        Refused::DirectoryNotEmpty { key, index } => error(108, key, *index),
        Refused::TooDeep { .. } => panic!("etcd goes as deep as it is told"),
    }
}

pub(crate) fn bad_request(bad: &BadRequest) -> Answer {
    error(bad.code, &bad.cause, Index::default())
}

/// What a watch is told that asks for `since`, when history begins at `start`.
pub(crate) fn outdated(start: Index, since: Index, index: Index) -> Answer {
    error(401, &format!("the requested history has been cleared [{start}/{since}]"), index)
}

pub(crate) fn read(node: &Node, recursive: bool, now: Timestamp, index: Index) -> Answer {
    let depth = if recursive { usize::MAX } else { 1 };
    Answer { status: 200, index, body: json!({"action": "get", "node": fields(node, depth, now)}) }
}

pub(crate) fn change(change: &Change, index: Index, no_value: bool) -> Answer {
    let made = change.action == Action::Create || change.action == Action::Set && change.prev_node.is_none();
    let short = no_value && !change.action.is_removal();
    let body = if short { json!({"action": change.action.as_str()}) } else { event(change) };
    Answer { status: if made { 201 } else { 200 }, index, body }
}

/// The change as watchers see it; a TTL is what it was at the time of the change.
pub(crate) fn event(change: &Change) -> Value {
    let mut node = fields(&change.node, 0, change.time);
    if change.action.is_removal() {
        node.shift_remove("value");
    }
    let mut event = json!({"action": change.action.as_str(), "node": node});
    if let Some(previous) = &change.prev_node {
        event["prevNode"] = fields(previous, 0, change.time).into();
    }
    event
}

/// The fields of `node` in etcd's order, with `depth` levels of what is in it.
fn fields(node: &Node, depth: usize, now: Timestamp) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if !node.key().is_root() {
        add("key", node.key().as_str().into());
    }
    match node.is_dir() {
        true => add("dir", true.into()),
        false => add("value", shown(node.value()).into()),
    };
    if let Some(deadline) = node.deadline() {
        add("expiration", deadline.get().into());
        // Rounded up; what is overdue is negative, in whole seconds.
        let left_ms = i128::from(deadline.get()) - i128::from(now.get());
        let ttl = if left_ms > 0 { (left_ms + 999) / 1000 } else { left_ms / 1000 };
        if ttl != 0 {
            add("ttl", i64::try_from(ttl).expect("no recording is that far off").into());
        }
    }
    let nodes: Vec<Value> = match depth {
        0 => Vec::new(),
        _ => node.children().map(|child| self::fields(child, depth - 1, now).into()).collect(),
    };
    if !nodes.is_empty() {
        add("nodes", nodes.into());
    }
    for (name, index) in [("modifiedIndex", node.modified()), ("createdIndex", node.created())] {
        if index != Index::default() {
            add(name, index.get().into());
        }
    }
    fields
}

/// Bytes as JSON shows them: each one that is not of a UTF-8 character as U+FFFD.
fn shown(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks();
    chunks.map(|chunk| chunk.valid().to_owned() + &"\u{FFFD}".repeat(chunk.invalid().len())).collect()
}
