//! Nodes: the immutable, shared pieces that the tree is made of.
//!
//! ```text
//!   Node ──► NodeData { key, created, modified, deadline, content }
//!                                                            ├─ File(value)
//!                                                            └─ Directory(children) ──► Node, Node, …
//! ```
//! A node that anybody else holds is never changed: a writer copies it, and the directories above it, and
//! leaves the old ones to whoever holds them. So a clone of the root is a consistent view of everything.
//!
//! Invariants: a child's key is its directory's key, a slash and its name; children are in order of their
//! names, bytewise; only directories have children; the root is a directory that never expires.

mod children;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use children::{Children, Named};

use crate::key::{self, Key};
use crate::types::{Index, Timestamp};

/// A file or a directory as it was at one moment. One pointer; cloning copies no value.
///
/// A directory's node holds on to everything below it, unchanged: it is a consistent view of that part.
///
/// ```
/// let store = spinney::Store::in_memory();
/// store.set("/message1", "Book1")?;
/// let node = store.get("/message1")?;
/// assert_eq!(node.key(), "/message1");
/// assert_eq!(node.text(), Some("Book1"));
/// assert!(!node.is_dir());
/// # Ok::<(), spinney::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Node(Arc<NodeData>);

/// What a node is made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NodeData {
    pub(crate) key: Key,
    pub(crate) created: Index,
    pub(crate) modified: Index,
    pub(crate) deadline: Deadline,
    pub(crate) content: Content,
}

/// When a node expires, if ever. The end of time stands for never, which saves eight bytes a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(Timestamp);

impl Deadline {
    /// For what never expires.
    pub(crate) const NEVER: Self = Self(Timestamp::new(u64::MAX));

    pub(crate) fn get(self) -> Option<Timestamp> {
        (self != Self::NEVER).then_some(self.0)
    }
}

impl From<Option<Timestamp>> for Deadline {
    fn from(moment: Option<Timestamp>) -> Self {
        moment.map_or(Self::NEVER, Self)
    }
}

/// What a node holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Content {
    File(Box<[u8]>),
    Directory(Children<Node>),
}

impl Node {
    pub(crate) fn new(data: NodeData) -> Self {
        Self(Arc::new(data))
    }

    pub(crate) fn file(
        key: Key,
        created: Index,
        modified: Index,
        deadline: Option<Timestamp>,
        value: Box<[u8]>,
    ) -> Self {
        Self::new(NodeData {
            key,
            created,
            modified,
            deadline: deadline.into(),
            content: Content::File(value),
        })
    }

    /// A directory without children.
    pub(crate) fn directory(key: Key, created: Index, modified: Index, deadline: Option<Timestamp>) -> Self {
        let content = Content::Directory(Children::default());
        Self::new(NodeData { key, created, modified, deadline: deadline.into(), content })
    }

    /// This node to change: in place when nobody else holds it, a copy (sharing the children) otherwise.
    pub(crate) fn make_mut(&mut self) -> &mut NodeData {
        Arc::make_mut(&mut self.0)
    }

    /// Whether both are one and the same piece of memory, and so equal all the way down.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// This node as events show it: a directory without what is below it.
    pub(crate) fn without_children(&self) -> Self {
        match &self.0.content {
            Content::Directory(children) if !children.is_empty() => {
                Self::directory(self.0.key.clone(), self.0.created, self.0.modified, self.deadline())
            }
            _ => self.clone(),
        }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.0.content
    }

    /// The children of a directory, hidden ones too; `None` for a file.
    pub(crate) fn entries(&self) -> Option<&Children<Node>> {
        match &self.0.content {
            Content::File(_) => None,
            Content::Directory(children) => Some(children),
        }
    }

    /// The child called `name`, hidden or not.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.entries()?.get(name)
    }

    /// The node at the relative path `below` this directory (parts joined by `/`).
    pub(crate) fn descendant(&self, below: &str) -> Option<&Self> {
        key::parts(below).try_fold(self, |node, part| node.child(part))
    }

    /// The key: where the node is.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// The last part of the key; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.key.name()
    }

    /// The value of a file, byte for byte; empty for a directory.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        match &self.0.content {
            Content::File(value) => value,
            Content::Directory(_) => &[],
        }
    }

    /// The value as text; `None` for a directory and for bytes that are not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.0.content {
            Content::File(value) => std::str::from_utf8(value).ok(),
            Content::Directory(_) => None,
        }
    }

    /// The value read as `T`, say a number or an address; `None` when it is no text or does not parse.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/port", 8080)?;
    /// assert_eq!(store.get("/port")?.parse::<u16>(), Some(8080));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }

    /// Whether this is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        matches!(self.0.content, Content::Directory(_))
    }

    /// Whether the name begins with `_`, which keeps the node out of listings.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.name().starts_with('_')
    }

    /// The index of the change that made this node. Setting a file anew makes a new node; updating it or
    /// swapping its value keeps this index.
    #[must_use]
    pub fn created(&self) -> Index {
        self.0.created
    }

    /// The index of the node's last change. Changes below a directory do not count as its own.
    #[must_use]
    pub fn modified(&self) -> Index {
        self.0.modified
    }

    /// When the node expires, in log time; `None` when it stays.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.0.deadline.get()
    }

    /// How long the node has left at `now`; `None` when it stays, zero when it is due.
    ///
    /// [`Store::now`](crate::Store::now) is the present moment, and a [`Change`](crate::Change) has its own.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let store = spinney::Store::in_memory();
    /// let change = store.put("/lock").value("me").ttl(Duration::from_secs(30)).send()?;
    /// assert_eq!(change.node.ttl_at(change.time), Some(Duration::from_secs(30)));
    /// assert!(store.get("/lock")?.ttl_at(store.now()) <= Some(Duration::from_secs(30)));
    /// # Ok::<(), spinney::Error>(())
    /// ```
    #[must_use]
    pub fn ttl_at(&self, now: Timestamp) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.since(now))
    }

    /// A directory's children in order of their names, hidden ones left out; nothing for a file.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/app/b", "2")?;
    /// store.set("/app/a", "1")?;
    /// store.set("/app/_secret", "3")?;
    /// let directory = store.get("/app")?;
    /// let names: Vec<&str> = directory.children().map(|node| node.name()).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.entries().into_iter().flat_map(Children::iter).filter(|node| !node.is_hidden())
    }

    /// Everything below a directory, each directory before what is in it, hidden nodes and what is below them
    /// left out; nothing for a file.
    ///
    /// ```
    /// let store = spinney::Store::in_memory();
    /// store.set("/app/db/host", "h")?;
    /// store.set("/app/port", "1")?;
    /// let app = store.get("/app")?;
    /// let keys: Vec<_> = app.descendants().map(|node| node.key().to_string()).collect();
    /// assert_eq!(keys, ["/app/db", "/app/db/host", "/app/port"]);
    /// # Ok::<(), spinney::Error>(())
    /// ```
    pub fn descendants(&self) -> impl Iterator<Item = &Self> {
        Descendants { stack: vec![self.boxed_children(false)], hidden: false }
    }

    /// Everything below a directory as [`Node::descendants`], with the hidden nodes.
    pub fn descendants_with_hidden(&self) -> impl Iterator<Item = &Self> {
        Descendants { stack: vec![self.boxed_children(true)], hidden: true }
    }

    fn boxed_children(&self, hidden: bool) -> Box<dyn Iterator<Item = &Self> + '_> {
        if hidden {
            Box::new(self.entries().into_iter().flat_map(Children::iter))
        } else {
            Box::new(self.children())
        }
    }
}

/// A walk in pre-order. The stack is on the heap: how deep a tree is must not matter.
struct Descendants<'a> {
    stack: Vec<Box<dyn Iterator<Item = &'a Node> + 'a>>,
    hidden: bool,
}

impl<'a> Iterator for Descendants<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        while let Some(level) = self.stack.last_mut() {
            match level.next() {
                Some(node) => {
                    if node.is_dir() {
                        self.stack.push(node.boxed_children(self.hidden));
                    }
                    return Some(node);
                }
                None => {
                    self.stack.pop();
                }
            }
        }
        None
    }
}

impl Named for Node {
    fn name(&self) -> &str {
        Self::name(self)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Node");
        debug.field("key", self.key());
        match self.content() {
            Content::File(_) => match self.text() {
                Some(text) => debug.field("text", &text),
                None => debug.field("value", &self.value()),
            },
            Content::Directory(children) => debug.field("children", &children.len()),
        };
        debug.field("created", &self.created().get()).field("modified", &self.modified().get());
        if let Some(deadline) = self.deadline() {
            debug.field("deadline", &deadline.get());
        }
        debug.finish()
    }
}
